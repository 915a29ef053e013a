"""Stand-ins: the examiner's objects that represent the candidate's objects in a test.

A stand-in forwards calls, attributes, iteration and the like to the candidate's process. It never
forwards a comparison or an operator between itself and a plain value: the candidate could answer
anything, and would learn the expected value. Such a comparison is unequal, such an operator raises
TypeError.

An instance of a class that the test does not name is a stranger: its data attributes can be read
and it can be called, but it is no container and equals only itself.
"""

from collections.abc import Callable, Iterator
from typing import Any, Protocol

from codegym.sandbox.inside.crossing_errors import read_signature

# Methods of plain values; a stand-in of a class that the test does not name does not have them.
_PLAIN_METHODS = frozenset(
    name
    for kind in (str, bytes, list, dict, set, tuple, int, float, complex, range)
    for name in dir(kind)
    if not name.startswith("_")
)
_READABLE_DUNDERS = frozenset(
    "__name__ __doc__ __qualname__ __module__ __defaults__ __kwdefaults__ __annotations__".split()
)


class Line(Protocol):
    """The socket to the candidate's process; see ``candidate_line``."""

    def ask(self, name: str, handle: int, *args: Any, **kwargs: Any) -> Any:
        """Have the candidate carry out one operation on one of its objects."""
        ...


def generator(stand: Any) -> Iterator[Any]:
    """Return a generator that forwards ``next`` and ``send`` to a stand-in's object."""
    line, handle = stand._codegym_line, stand._codegym_handle
    sent = None
    while True:
        try:
            value = line.ask("next", handle) if sent is None else line.ask("send", handle, sent)
        except StopIteration:
            return
        sent = yield value


async def coroutine(stand: Any) -> Any:
    """Return what a coroutine of the candidate returns; it runs in the candidate's process."""
    return stand._codegym_ask("await")


class StandIn:
    """A stand-in for one object of the candidate.

    Its abilities (being called, iterated, measured) are those of the object's class. Names that
    begin with ``_codegym`` belong to the stand-in itself.
    """

    def __init__(self, line: Line, handle: int, title: str, known: bool) -> None:
        fields = {
            "_codegym_line": line,
            "_codegym_handle": handle,
            "_codegym_title": title,
            "_codegym_known": known,
        }
        self.__dict__.update(fields)

    def __getattr__(self, name: str) -> Any:
        if name == "__signature__":
            return read_signature(self._codegym_ask("signature"))
        if name.startswith("__") and name not in _READABLE_DUNDERS:
            raise AttributeError(name)
        if name in _PLAIN_METHODS and not self._codegym_known:
            title = self._codegym_title
            raise AttributeError(f"{name!r} of {title!r}, a class that the test does not know")
        return self._codegym_ask("get", name)

    def __setattr__(self, name: str, value: Any) -> None:
        self._codegym_ask("set", name, value)

    def _codegym_ask(self, operation: str, *args: Any, **kwargs: Any) -> Any:
        return self._codegym_line.ask(operation, self._codegym_handle, *args, **kwargs)

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        if not _comparable(self, other):
            return NotImplemented
        return bool(self._codegym_ask("eq", other))

    def __ne__(self, other: object) -> bool:
        if self is other:
            return False
        if not _comparable(self, other):
            return NotImplemented
        return bool(self._codegym_ask("ne", other))

    def __hash__(self) -> int:
        return hash(self._codegym_ask("hash"))

    def __repr__(self) -> str:
        return str(self._codegym_ask("repr"))

    def __str__(self) -> str:
        return str(self._codegym_ask("str"))

    def __instancecheck__(self, value: Any) -> bool:
        return isinstance(value, StandIn) and bool(self._codegym_ask("instance", value))


def _comparable(left: "StandIn", right: object) -> bool:
    # The test must name the class of at least one side: strangers would vouch for each other.
    return isinstance(right, StandIn) and (left._codegym_known or right._codegym_known)


def _between_handles(operation: str) -> Callable[[Any, Any], Any]:
    def method(self: Any, other: Any) -> Any:
        if not _comparable(self, other):
            return NotImplemented
        return self._codegym_ask(operation, other)

    return method


def _forwarded(operation: str) -> Callable[..., Any]:
    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        return self._codegym_ask(operation, *args, **kwargs)

    return method


def _unary(operation: str) -> Callable[[Any], Any]:
    def method(self: Any) -> Any:
        if not self._codegym_known:
            raise TypeError(f"bad operand type for unary {operation}: {self._codegym_title!r}")
        return self._codegym_ask(operation)

    return method


def _documentation(self: Any) -> Any:
    return self._codegym_ask("get", "__doc__")


def _iterate(self: Any) -> Any:
    iterator = self._codegym_ask("iter")
    return generator(iterator) if isinstance(iterator, StandIn) else iter(iterator)


_METHODS: dict[str, dict[str, Callable[..., Any]]] = {
    "c": {"__call__": _forwarded("call")},
    "i": {"__iter__": _iterate},
    "n": {"__next__": _forwarded("next")},
    "l": {"__len__": _forwarded("len")},
    "g": {
        "__getitem__": _forwarded("item"),
        "__setitem__": _forwarded("set_item"),
        "__delitem__": _forwarded("del_item"),
    },
    "b": {"__bool__": _forwarded("bool")},
    "e": {"__enter__": _forwarded("enter"), "__exit__": lambda self, *_: self._codegym_ask("exit")},
}
for _name in "lt le gt ge add sub mul matmul truediv floordiv mod pow and or xor".split():
    _operation = _name + "_" if _name in ("and", "or") else _name
    setattr(StandIn, f"__{_name}__", _between_handles(_operation))
for _name in "neg pos abs invert".split():
    setattr(StandIn, f"__{_name}__", _unary(_name))
_classes: dict[str, type[StandIn]] = {}


def stand_in_class(abilities: str, *, known: bool) -> type[StandIn]:
    """Return the class of stand-ins with some abilities.

    Args:
        abilities: Letters that the candidate claims; see ``candidate_objects``.
        known: Whether the test names the object's class. If not, the stand-in can only be called,
            or be a context: a container could give each reader a different answer.
    """
    if not known:
        abilities = "".join(letter for letter in "ce" if letter in abilities)
    letters = "".join(letter for letter in _METHODS if letter in abilities)
    if letters not in _classes:
        methods: dict[str, Any] = {"__doc__": property(_documentation)}
        for letter in letters:
            methods |= _METHODS[letter]
        _classes[letters] = type("StandIn", (StandIn,), methods)
    return _classes[letters]
