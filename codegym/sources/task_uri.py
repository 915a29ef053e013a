"""Task URIs: strings that name a task source or a mixture of sources.

A URI reads ``name[:path][?key=value&...]``: ``composites?depth=2&split=train``, ``humaneval``,
``jsonl:/data/tasks.jsonl``. A mixture reads ``0.7*URI + 0.3*URI``. Task i is a pure function of the
string and i.
"""

import inspect
import re
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

from codegym import registry
from codegym.errors import ConfigError, UnknownNameError
from codegym.sources.mixture import Mixture
from codegym.tasks.task_source import TaskSource

_WEIGHT = re.compile(r"\s*([0-9.]+(?:[eE][+-]?[0-9]+)?)\s*\*\s*")


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
    """Load the task source that a URI names, or a mixture of several.

    Args:
        uri: ``name[:path][?key=value&...]``, or a mixture ``0.7*URI + 0.3*URI``. Blanks surround
            the plus sign, and a part without a weight has the weight 1.

    Returns:
        The source, with ``uri`` set.

    Raises:
        UnknownNameError: No such source, or no such option; names the nearest.
        ConfigError: An option or a weight is unusable.
        TaskError: A task file is missing or malformed.
    """
    parts = re.split(r"\s+\+\s+", uri.strip())
    if len(parts) == 1 and not _WEIGHT.match(parts[0]):
        return _load_source(parts[0])
    weights, sources = [], []
    for part in parts:
        match = _WEIGHT.match(part)
        try:
            weights.append(float(match[1]) if match else 1.0)
        except ValueError:
            raise ConfigError("a weight is unreadable", value=part, expected="0.5*URI") from None
        sources.append(_load_source(part[match.end() :] if match else part))
    return Mixture(sources, weights)


def _load_source(uri: str) -> TaskSource:
    """Load the source of a URI without weights."""
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
