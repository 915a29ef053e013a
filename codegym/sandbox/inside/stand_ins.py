"""The examiner's end of an assertion test: stand-ins for the candidate's objects.

A stand-in forwards calls, attributes, iteration and the like to the candidate's process. What it
never forwards is a comparison or an operator between a handle and a plain value: the answer would
be the candidate's word, and the expected value its hint. Such a comparison is simply unequal, such
an operator a TypeError. An instance of a class that the test does not name is a stranger: it has
data attributes and can be called, but is no container and equals nothing but itself.
"""

import builtins
import sys
from collections.abc import Callable, Iterator
from types import BuiltinFunctionType, FunctionType, MethodType
from typing import Any

from codegym.sandbox import wire
from codegym.sandbox.inside import frames
from codegym.sandbox.inside.candidate_objects import BUILTIN_HOMES
from codegym.sandbox.inside.mutation import patch_all

# Raised again in the test as what they are; everything else as CandidateError. StopIteration would
# end a loop of the test early, AssertionError would pass for one of its own.
_NOT_RAISED = ("StopIteration", "StopAsyncIteration", "AssertionError", "MemoryError")
# These take more than a message; their base does not.
_BY_BASE = ("UnicodeDecodeError", "UnicodeEncodeError", "UnicodeTranslateError")
RAISED: dict[str, type[Exception]] = {
    name: UnicodeError if name in _BY_BASE else value
    for name, value in vars(builtins).items()
    if isinstance(value, type)
    and issubclass(value, Exception)
    and not issubclass(value, Warning | BaseExceptionGroup)
    and name not in _NOT_RAISED
}
# What plain values can do: a stand-in of a class that the test does not know may not answer these.
_PLAIN_METHODS = frozenset(
    name
    for kind in (str, bytes, list, dict, set, tuple, int, float, complex, range)
    for name in dir(kind)
    if not name.startswith("_")
)
_READABLE_DUNDERS = ("__name__", "__doc__", "__qualname__", "__module__")
_SHAPES = ("", "class", "generator")


class CandidateError(Exception):
    """An exception of the candidate that is not raised in the test as what it is."""


class CandidateGone(BaseException):
    """The candidate's process ended, or answered nonsense: the test cannot go on."""


class Line:
    """The line to one candidate's process.

    Args:
        fd: The socket.
        max_frame_bytes: Longest reply accepted.

    Attributes:
        gone: Why nothing more can come, "" while the line stands.
        fault: The last exception raised for the candidate's sake, with its description.
        last: The last answer, as ``[tree]``; None before the first.
    """

    def __init__(self, fd: int, max_frame_bytes: int) -> None:
        self._fd = fd
        self._max = max_frame_bytes
        self._functions: list[Any] = []
        self._stands: dict[int, Any] = {}
        self.known_classes: set[int] = set()
        self.gone = ""
        self.fault: tuple[BaseException, list[Any]] | None = None
        self.last: list[Any] | None = None

    def greet(self, names: list[str]) -> dict[str, Any]:
        """Ask which of some names the program defines; returns the whole first reply."""
        reply = self._exchange(wire.dumps(names))
        return reply

    def offered(self, trees: Any, wanted: dict[str, str]) -> dict[str, Any]:
        """Build the values of the names that the program defines, of those that were asked.

        Args:
            trees: What the program offers: name -> tree, not to be trusted.
            wanted: What was asked: name -> ``class``, ``function`` or ``value``.
        """
        if type(trees) is not dict:
            raise self._lost("bad reply")
        trees = {name: trees[name] for name in wanted if name in trees}
        for name, tree in trees.items():
            handle = tree.get("@") if type(tree) is dict else None
            if wanted[name] == "class" and type(handle) is list and type(handle[0]) is int:
                self.known_classes.add(handle[0])
        return {name: self._decode(tree) for name, tree in trees.items()}

    def ask(self, name: str, handle: int, *args: Any, **kwargs: Any) -> Any:
        """Have the candidate carry out one operation on one of its objects.

        Raises:
            CandidateGone: Its process is gone, or its reply nonsense.
            Exception: What the operation raised, where it may be raised here.
        """
        trees = [self._encode(value) for value in args]
        named = {key: self._encode(value) for key, value in kwargs.items()}
        reply = self._exchange(wire.dumps([name, handle, trees, named]))
        while "c" in reply:
            reply = self._exchange(self._call_back(reply["c"]))
        if "r" in reply:
            if type(reply.get("a")) is list:
                try:
                    patch_all([*args, *kwargs.values()], reply["a"], self._decode)
                except (TypeError, ValueError, AttributeError, LookupError):
                    raise self._lost("bad reply: a change that is none") from None
            answer = self._decode(reply["r"])
            self.last = [reply["r"]]
            return answer
        if "u" in reply:
            raise self._faulty(
                CandidateError, ["UnencodableError", "", f"cannot cross: {reply['u']}", None]
            )
        raise self._error(reply.get("e"), ends=name in ("next", "send"))

    def _exchange(self, request: bytes) -> dict[str, Any]:
        if self.gone:
            raise CandidateGone(self.gone)
        try:
            frames.write_frame(self._fd, request)
            reply = wire.loads(frames.read_frame(self._fd, self._max))
        except (OSError, EOFError):
            raise self._lost("the program's process ended") from None
        except frames.FrameError:
            raise self._lost("too much output") from None
        except (ValueError, RecursionError) as error:
            raise self._lost(f"bad reply: {str(error)[:80]}") from None
        if type(reply) is not dict or len(reply) > 2:
            raise self._lost("bad reply")
        return reply

    def _lost(self, why: str) -> CandidateGone:
        self.gone = self.gone or why
        return CandidateGone(why)

    def _error(self, told: Any, *, ends: bool) -> BaseException:
        if type(told) is not list or len(told) != 4:
            return self._lost("bad reply")
        kind, base, message = (str(part)[:300] for part in told[:3])
        if ends and kind == "StopIteration":
            return StopIteration()
        known = RAISED.get(kind) or RAISED.get(base)
        if known is None:
            return self._faulty(CandidateError, told, f"{kind}: {message}")
        return self._faulty(known, told, message)

    def _faulty(self, kind: type[Exception], told: list[Any], text: str = "") -> Exception:
        error = kind(text or str(told[2]))
        self.fault = (error, told)
        return error

    def _call_back(self, body: Any) -> bytes:
        try:
            number, trees, named = body
            function = self._functions[number]
            args = [self._decode(tree) for tree in trees]
            result = function(*args, **{key: self._decode(tree) for key, tree in named.items()})
            return wire.dumps({"r": self._encode(result)})
        except CandidateGone:
            raise
        except Exception as error:
            return wire.dumps({"e": [type(error).__name__, str(error)[:300]]})

    def _encode(self, value: Any) -> Any:
        return wire.encode(value, 0, self._hand_over)

    def _hand_over(self, value: Any) -> Any:
        if isinstance(value, Remote):
            return {"@": value._codegym_handle}
        kind = type(value)
        name = _builtin_name(value) if kind is BuiltinFunctionType else ""
        if name:
            return {"builtin": name}
        if kind in (FunctionType, MethodType) or type(value).__name__ == "partial":
            for number, known in enumerate(self._functions):
                if known is value:
                    return {"()": number}
            self._functions.append(value)
            return {"()": len(self._functions) - 1}
        if hasattr(kind, "__next__"):
            return wire.encode_iterator(value, 0, self._hand_over)
        return wire.encode_library(value, 0, self._hand_over)

    def _decode(self, tree: Any) -> Any:
        try:
            return wire.decode(tree, 0, self._stand_in)
        except (ValueError, TypeError, RecursionError) as error:
            raise self._lost(f"bad reply: {str(error)[:80]}") from None

    def _stand_in(self, tag: str, body: Any) -> Any:
        if tag == "()" and type(body) is int and 0 <= body < len(self._functions):
            return self._functions[body]
        if tag != "@" or type(body) is not list or len(body) != 5:
            raise ValueError(f"unknown tag {tag!r}")
        handle, abilities, title, home, shape = body
        told = (type(handle), type(abilities), type(title), type(home))
        if told != (int, str, str, int) or shape not in _SHAPES:
            raise ValueError("not a handle")
        if handle not in self._stands:
            known = home in self.known_classes or handle in self.known_classes
            kind = _class_for(abilities if known else _of_a_stranger(abilities))
            self._stands[handle] = kind(self, handle, title[:100], known)
        stand = self._stands[handle]
        return stand if shape != "generator" else _generator(stand)


def _builtin_name(function: Any) -> str:
    """Return ``module.name`` of a built-in function that both sides have, else ""."""
    home, name = str(function.__module__), str(function.__name__)
    if home not in BUILTIN_HOMES or getattr(sys.modules.get(home), name, None) is not function:
        return ""
    return f"{home}.{name}"


def _generator(stand: Any) -> Iterator[Any]:
    line, handle = stand._codegym_line, stand._codegym_handle
    sent = None
    while True:
        try:
            value = line.ask("next", handle) if sent is None else line.ask("send", handle, sent)
        except StopIteration:
            return
        sent = yield value


class Remote:
    """A stand-in for one object of the candidate.

    Its abilities (being called, iterated, measured) are those of the object's class; the names
    that begin with ``_codegym`` are its own.
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
        return isinstance(value, Remote) and bool(self._codegym_ask("instance", value))


def _comparable(one: "Remote", other: object) -> bool:
    # At least one of a class that the test itself names: strangers would vouch for each other.
    return isinstance(other, Remote) and (one._codegym_known or other._codegym_known)


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


def _of_one(operation: str) -> Callable[[Any], Any]:
    def method(self: Any) -> Any:
        if not self._codegym_known:
            raise TypeError(f"bad operand type for unary {operation}: {self._codegym_title!r}")
        return self._codegym_ask(operation)

    return method


def _documentation(self: Any) -> Any:
    return self._codegym_ask("get", "__doc__")


def _iterate(self: Any) -> Any:
    iterator = self._codegym_ask("iter")
    return _generator(iterator) if isinstance(iterator, Remote) else iter(iterator)


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
    setattr(Remote, f"__{_name}__", _between_handles(_operation))
for _name in "neg pos abs invert".split():
    setattr(Remote, f"__{_name}__", _of_one(_name))
_classes: dict[str, type[Remote]] = {}


def _of_a_stranger(abilities: str) -> str:
    """Return what an instance of a class that the test does not name may do: be called.

    As a container it could tell each reader something else.
    """
    return "c" if "c" in abilities else ""


def _class_for(abilities: str) -> type[Remote]:
    letters = "".join(letter for letter in _METHODS if letter in abilities)
    if letters not in _classes:
        methods: dict[str, Any] = {"__doc__": property(_documentation)}
        for letter in letters:
            methods |= _METHODS[letter]
        _classes[letters] = type("Remote", (Remote,), methods)
    return _classes[letters]
