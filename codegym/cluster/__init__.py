"""Cluster: grading, writing and whole runs on several machines, through Ray (extra ``ray``)."""
