"""Task sources: one file each, found by name."""

from codegym.sources.task_source import SourceUri, TaskSource, load_tasks, parse_uri

__all__ = ["SourceUri", "TaskSource", "load_tasks", "parse_uri"]
