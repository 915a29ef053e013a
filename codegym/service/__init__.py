"""Service: the grader over HTTP, and its client. Needs the extra ``serve``."""
