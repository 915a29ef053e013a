"""Crossing errors: an exception of the candidate on its way into a test.

The candidate's end describes it by the names of its classes, its arguments and its attributes; the
test's end raises it under a class of its own that has the same name and the same built-in base.
"""

import inspect
from typing import Any

from codegym.sandbox import wire

MAX_CLASSES = 64
_SIMPLE = ("StopIteration", "StopAsyncIteration", "AssertionError", "MemoryError")


def family(kind: type) -> list[str]:
    """Return the names of an exception class and its bases, the nearest first."""
    return [base.__name__ for base in kind.__mro__ if base is not object][:MAX_CLASSES]


def crossing(error: BaseException, encode: Any) -> list[Any] | None:
    """Return ``[class names, arguments, attributes]`` of an exception, or None."""
    try:
        state = {name: value for name, value in vars(error).items() if name[:2] != "__"}
        return [family(type(error)), encode(list(error.args)), encode(state)]
    except (wire.UnencodableError, AttributeError, TypeError, RecursionError):
        return None


class ErrorClasses:
    """The classes under which a test raises the candidate's own exceptions.

    Args:
        raised: Built-in exceptions that may be raised, by name.
    """

    def __init__(self, raised: dict[str, type[Exception]]) -> None:
        self._raised = raised
        self._made: dict[str, type[Exception]] = {}

    def make(self, names: Any) -> type[Exception]:
        """Return the class of a family; the same class for the same name.

        Raises:
            ValueError: It is no family of exceptions.
        """
        if type(names) is not list or not 0 < len(names) <= MAX_CLASSES:
            raise ValueError("not a family")
        if not all(type(name) is str and name.isidentifier() for name in names):
            raise ValueError("not a family")
        own = []
        base: type[Exception] = Exception
        for name in names:
            if name in self._raised or name in ("BaseException", *_SIMPLE):
                base = self._raised.get(name, Exception)
                break
            own.append(name)
        for name in reversed(own):
            if name not in self._made:
                self._made[name] = type(name[:100], (base,), {"__init__": _init})
            base = self._made[name]
        return base

    def known(self, names: Any) -> bool:
        """Say whether the test has a class for a family or one of its bases."""
        return type(names) is list and any(name in self._made for name in names[:MAX_CLASSES])

    def build(self, body: Any, decode: Any) -> Exception | None:
        """Return the exception that the candidate describes, None if it is no description."""
        if type(body) is not list or len(body) != 3:
            return None
        names, args, state = body
        try:
            error = self.make(names)(*decode(args))
            vars(error).update(decode(state))
        except (TypeError, ValueError, AttributeError):
            return None
        return error


def _init(self: Exception, *args: Any) -> None:
    self.args = args


def signature(function: Any, encode: Any) -> list[Any]:
    """Return the parameters of a function, each as ``[name, kind, default]``."""
    rows = []
    for parameter in inspect.signature(function).parameters.values():
        default: list[Any] = []
        if parameter.default is not parameter.empty:
            try:
                default = [encode(parameter.default)]
            except wire.UnencodableError:
                default = [None]
        rows.append([parameter.name, int(parameter.kind), default])
    return rows


def read_signature(rows: Any) -> inspect.Signature:
    """Return the signature of parameters that the candidate describes."""
    kinds = list(inspect._ParameterKind)
    return inspect.Signature(
        [
            inspect.Parameter(
                name, kinds[kind], default=default[0] if default else inspect.Parameter.empty
            )
            for name, kind, default in rows
        ]
    )
