"""Settings: plain values from a file or the command line become a config dataclass."""

import inspect
import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, TypeVar, get_args, get_type_hints

from codegym.errors import ConfigError, UnknownNameError

Config = TypeVar("Config")


def settings_of(cls: type[Config], settings: Mapping[str, Any], kind: str) -> Config:
    """Fill a config dataclass from plain values.

    Raises:
        UnknownNameError: A key that is no field; names the nearest.
        ConfigError: A value that cannot be read as the field's type.
    """
    types = get_type_hints(cls)
    made: dict[str, Any] = {}
    for name, value in settings.items():
        if name not in types:
            raise UnknownNameError(kind, name, types)
        made[name] = _as(value, types[name], kind, name)
    return cls(**made)


def arguments_of(
    function: Callable[..., Any], options: Mapping[str, str], kind: str, known: Sequence[str]
) -> dict[str, Any]:
    """Read the options behind a name, ``name?key=value``, as keyword arguments.

    Args:
        function: What will be called; its annotations say what the texts mean.
        options: Key -> text.
        kind: What has these options, for messages.
        known: The parameters that may be set.

    Raises:
        UnknownNameError: A key that is no option; names the nearest.
        ConfigError: A text that cannot be read as the parameter's type.
    """
    parameters = inspect.signature(function).parameters
    made: dict[str, Any] = {}
    for key, text in options.items():
        if key not in known:
            raise UnknownNameError(f"option of {kind}", key, known)
        made[key] = _as(text, parameters[key].annotation, f"option of {kind}", key)
    return made


def _as(value: Any, wanted: Any, kind: str, name: str) -> Any:
    """Read a value as a field's type: a bool, int, float, str or a literal."""
    choices = get_args(wanted)
    if choices and all(isinstance(choice, str) for choice in choices):
        if value not in choices:
            raise UnknownNameError(f"value of {kind} {name!r}", value, choices)
        return value
    if wanted not in (bool, int, float, str):
        return value
    if wanted is bool and isinstance(value, str):
        value = {"true": True, "false": False}.get(value.lower(), value)
    elif wanted in (int, float) and isinstance(value, str):
        with suppress(ValueError):
            value = wanted(value)
    if wanted is float and type(value) is int:
        value = float(value)
    if type(value) is not wanted:
        raise ConfigError(
            f"{kind} {name!r} has the wrong type", value=value, expected=wanted.__name__
        )
    return value


def env_args(assignments: Sequence[str]) -> dict[str, Any]:
    """Read ``KEY=VALUE`` as arguments of an environment; a value is JSON, or else a text.

    Raises:
        ConfigError: An assignment without a value.
    """
    arguments: dict[str, Any] = {}
    for assignment in assignments:
        key, equals, value = assignment.partition("=")
        if not equals:
            raise ConfigError("--env-arg needs a value", value=assignment, expected="KEY=VALUE")
        try:
            arguments[key] = json.loads(value)
        except ValueError:
            arguments[key] = value
    return arguments
