"""Tasks: what a program is asked for, and how a program is read out of an answer."""
