"""Measuring: pass@k of a policy on held-out tasks, with intervals, and the report of a run."""
