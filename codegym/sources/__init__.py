"""Task sources: a file for each source, found by name."""

from codegym.sources.task_uri import SourceUri, load_tasks, parse_uri
from codegym.tasks.task_source import TaskSource

__all__ = ["SourceUri", "TaskSource", "load_tasks", "parse_uri"]
