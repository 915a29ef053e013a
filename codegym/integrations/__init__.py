"""Integrations: other people's trainers use the tasks and the grader; a file for each trainer."""
