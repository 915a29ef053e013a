"""Grading: a program and a task become a Verdict, and a Verdict says where the fault lies."""
