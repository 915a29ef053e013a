"""TaskSource: an indexable, seeded, splittable set of tasks, named by a string.

A URI reads ``name[:path][?key=value&...]``: ``composites?depth=2&split=train``, ``humaneval``,
``jsonl:/data/tasks.jsonl``. Task i is a pure function of the URI and i.
"""

import inspect
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

from codegym import registry
from codegym.errors import ConfigError, TaskError, UnknownNameError
from codegym.tasks.task import Task


class TaskSource(ABC):
    """A set of tasks. Sub-classes give ``__len__`` and ``__getitem__``; the rest follows.

    A source is one class in one file whose constructor's keyword arguments are the keys of its
    URI (annotated ``int``, ``float``, ``bool`` or ``str``) and whose ``path`` argument, if it has
    one, is the URI's path. It registers itself with ``registry.plugin("sources", NAME)``.

    Attributes:
        uri: The string this source was made from.
    """

    uri: str = ""

    @abstractmethod
    def __len__(self) -> int:
        """Return how many tasks there are; a procedural source says how many it will make."""

    @abstractmethod
    def __getitem__(self, index: int) -> Task:
        """Return task ``index``, always the same one.

        Raises:
            IndexError: ``index`` is not in ``range(-len(self), len(self))``.
        """

    def __iter__(self) -> Iterator[Task]:
        for index in range(len(self)):
            yield self[index]

    def find(self, task_id: str) -> Task:
        """Return the task of that id.

        The default walks the source; procedural sources read the index out of the id instead.

        Raises:
            TaskError: No task has that id.
        """
        for task in self:
            if task.task_id == task_id:
                return task
        raise TaskError(
            "no such task",
            value=task_id,
            field="task_id",
            expected=f"the id of a task in {self.uri or type(self).__name__}",
        )

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.uri!r}, {len(self)} tasks>"


@dataclass(frozen=True, slots=True)
class SourceUri:
    """A parsed task URI."""

    name: str
    path: str
    options: dict[str, str]


def parse_uri(uri: str) -> SourceUri:
    """Split ``name[:path][?key=value&...]``.

    Raises:
        ConfigError: A key is empty or given twice, or has no value.
    """
    head, _, query = uri.partition("?")
    name, _, path = head.partition(":")
    try:
        pairs = parse_qsl(query, keep_blank_values=True, strict_parsing=bool(query))
    except ValueError:
        raise ConfigError(
            "a task URI's options are unreadable", value=uri, expected="name[:path][?key=value&...]"
        ) from None
    options = dict(pairs)
    if len(options) != len(pairs):
        raise ConfigError("a task URI names an option twice", value=uri)
    return SourceUri(name=name, path=path, options=options)


def load_tasks(uri: str) -> TaskSource:
    """Make the task source that a URI names.

    Args:
        uri: ``name[:path][?key=value&...]``.

    Returns:
        The source, with ``uri`` set.

    Raises:
        UnknownNameError: No such source, or no such option; names the nearest.
        ConfigError: An option's value is of the wrong type or out of range.
        TaskError: A task file is missing or malformed.
    """
    parsed = parse_uri(uri)
    cls = registry.get("sources", parsed.name)
    known = {
        name: parameter
        for name, parameter in inspect.signature(cls).parameters.items()
        if name != "path"
    }
    takes_path = "path" in inspect.signature(cls).parameters
    arguments: dict[str, Any] = {}
    for key, text in parsed.options.items():
        if key not in known:
            raise UnknownNameError(f"option of task source {parsed.name!r}", key, known)
        arguments[key] = _convert(parsed.name, key, text, known[key].annotation)
    if parsed.path and not takes_path:
        raise ConfigError(
            f"task source {parsed.name!r} takes no path",
            value=uri,
            expected=f"{parsed.name}[?key=value&...]",
        )
    if parsed.path:
        arguments["path"] = parsed.path
    try:
        source: TaskSource = cls(**arguments)
    except TypeError as error:
        if takes_path and "path" not in arguments:
            raise ConfigError(
                f"task source {parsed.name!r} needs a path",
                value=uri,
                expected=f"{parsed.name}:/path",
            ) from error
        raise
    source.uri = uri
    return source


def _convert(source: str, key: str, text: str, annotation: Any) -> Any:
    kind = annotation if isinstance(annotation, type) else str
    try:
        if kind is bool:
            return {"true": True, "1": True, "false": False, "0": False}[text.lower()]
        return kind(text)
    except (ValueError, KeyError):
        raise ConfigError(
            f"option {key!r} of task source {source!r} is unreadable",
            value=text,
            expected=kind.__name__,
        ) from None
