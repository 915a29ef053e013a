"""Arguments: what an environment is made with, checked by name and by kind before it is made.

``gymnasium.make`` hands on whatever it does not know itself, so that a misspelt argument arrives
here; it is answered with the nearest name rather than with Python's TypeError.
"""

import inspect
from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any, Concatenate, ParamSpec, TypeVar, cast

from codegym import registry
from codegym.errors import ConfigError, UnknownNameError
from codegym.sources import TaskSource, load_tasks
from codegym.sources.task_list import TaskList
from codegym.tasks.task import Task
from codegym.tokenizers import Tokenizer, make_tokenizer

_P = ParamSpec("_P")
_Self = TypeVar("_Self")
_GYMNASIUMS = (
    "gymnasium.make itself takes max_episode_steps, disable_env_checker and render_mode, "
    "gymnasium.make_vec also num_envs, vectorization_mode, vector_kwargs and wrappers"
)
_VECTOR_ONLY = ("num_envs", "autoreset_mode", "grading", "max_episode_steps")


def checked_names(
    init: Callable[Concatenate[_Self, _P], None],
) -> Callable[Concatenate[_Self, _P], None]:
    """Decorate an ``__init__`` so that it refuses keyword arguments it does not have.

    Raises:
        UnknownNameError: Names the nearest argument.
    """
    known = list(inspect.signature(init).parameters)[1:]

    @wraps(init)
    def checked(self: _Self, *args: _P.args, **kwargs: _P.kwargs) -> None:
        for name in kwargs:
            if name not in known:
                kind = f"argument of {type(self).__name__}"
                raise UnknownNameError(kind, name, known, cure=_advice(name))
        init(self, *args, **kwargs)

    # What ``wraps`` returns is typed as taking any first argument by position alone.
    return cast("Callable[Concatenate[_Self, _P], None]", checked)


def _advice(name: str) -> str:
    if name in _VECTOR_ONLY:
        return (
            f"{name!r} belongs to the vector form: gymnasium.make_vec(...); with "
            f"vectorization_mode='sync' or 'async' it goes into vector_kwargs"
        )
    return _GYMNASIUMS


def check_positive(name: str, value: object) -> None:
    """Refuse what is no integer of 1 or more.

    Raises:
        ConfigError: Names the argument.
    """
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ConfigError(f"{name} is unusable", value=value, expected="an integer >= 1")


def check_choice(name: str, value: object, choices: tuple[str, ...]) -> None:
    """Refuse what is none of a few words.

    Raises:
        ConfigError: Of another type.
        UnknownNameError: Another word; names the nearest.
    """
    if not isinstance(value, str):
        raise ConfigError(f"{name} is unusable", value=value, expected=_either(choices))
    if value not in choices:
        raise UnknownNameError(name, value, choices)


def check_flag(name: str, value: object) -> None:
    """Refuse what is neither True nor False.

    Raises:
        ConfigError: Names the argument.
    """
    if not isinstance(value, bool):
        raise ConfigError(f"{name} is unusable", value=value, expected="True or False")


def check_isolation(value: object) -> None:
    """Refuse what names no isolation.

    Raises:
        ConfigError: Not a text.
        UnknownNameError: Names the nearest.
    """
    check_choice("isolation", value, ("auto", *registry.names("sandboxes")))


def _either(choices: tuple[str, ...]) -> str:
    return " or ".join(map(repr, choices))


def open_source(tasks: str | TaskSource | Sequence[Task]) -> TaskSource:
    """Return the source that a URI names, the source of a list of tasks, or the source itself.

    Raises:
        ConfigError: It is neither, or has no tasks.
        UnknownNameError: No source of that name; names the nearest.
    """
    if isinstance(tasks, list | tuple) and all(isinstance(task, Task) for task in tasks) and tasks:
        return TaskList(tasks)
    if not isinstance(tasks, str | TaskSource):
        raise ConfigError(
            "tasks is unusable",
            value=tasks,
            expected="a task URI such as 'composites?depth=2', a TaskSource, or a list of Task",
        )
    source = load_tasks(tasks) if isinstance(tasks, str) else tasks
    if not len(source):
        raise ConfigError("a task source without tasks", value=tasks)
    return source


def open_tokenizer(tokenizer: str | Tokenizer) -> Tokenizer:
    """Return the tokenizer of that name, or the tokenizer itself.

    Raises:
        ConfigError: It is neither.
        UnknownNameError: No tokenizer of that name; names the nearest.
    """
    if isinstance(tokenizer, Tokenizer):
        return tokenizer
    if not isinstance(tokenizer, str):
        raise ConfigError(
            "tokenizer is unusable",
            value=tokenizer,
            expected="a name such as 'lexemes' or 'lexemes:/folder', or a Tokenizer",
        )
    return make_tokenizer(tokenizer)


def check_options(options: dict[str, Any] | None, known: Sequence[str]) -> dict[str, Any]:
    """Return the options of a reset.

    Raises:
        UnknownNameError: One is not known; names the nearest.
    """
    for name in options or {}:
        if name not in known:
            raise UnknownNameError("option of reset", name, known)
    return options or {}
