"""Tasks: problems with their tests, and how a program is read from an answer."""
