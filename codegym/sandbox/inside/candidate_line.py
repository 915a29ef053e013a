"""Candidate line: the examiner's end of the socket to a candidate's process.

It sends operations on the candidate's objects, answers the candidate's calls to functions of the
test, and turns the replies into plain values and stand-ins (``stand_ins``).
"""

import _thread
import builtins
import sys
import time
from types import BuiltinFunctionType, FunctionType, MethodType
from typing import Any

from codegym.sandbox import wire
from codegym.sandbox.inside import bounds, frames
from codegym.sandbox.inside.candidate_objects import BUILTIN_HOMES
from codegym.sandbox.inside.crossing_errors import ErrorClasses
from codegym.sandbox.inside.mutation import patch_all
from codegym.sandbox.inside.setup_objects import SetupObjects
from codegym.sandbox.inside.stand_ins import StandIn, coroutine, generator, stand_in_class

# Exceptions of these types are raised in the test under their own type, all others as
# CandidateError. StopIteration would end a loop of the test early, and AssertionError would look
# like a failure of the test itself.
_NOT_RAISED = ("StopIteration", "StopAsyncIteration", "AssertionError", "MemoryError")
# Constructors of these types take more than a message; that of their base does not.
_BY_BASE = ("UnicodeDecodeError", "UnicodeEncodeError", "UnicodeTranslateError")
RAISED: dict[str, type[Exception]] = {
    name: UnicodeError if name in _BY_BASE else value
    for name, value in vars(builtins).items()
    if isinstance(value, type)
    and issubclass(value, Exception)
    and not issubclass(value, Warning | BaseExceptionGroup)
    and name not in _NOT_RAISED
}
_SHAPES = ("", "class", "generator", "coroutine", "exception")
_PAUSE_S = 0.001
# Brackets and commas of one reply: they take half a second and 100 MB to parse and decode. A task
# that allows more output than usual allows more of them, a value for every so many bytes.
MAX_SIGNS = 500_000
BYTES_PER_SIGN = 32


class CandidateError(Exception):
    """An exception of the candidate whose own type is not raised in the test."""


class CandidateGone(BaseException):
    """The candidate's process ended or sent an invalid reply: the test cannot go on."""


class CandidateLine:
    """The socket to one candidate's process.

    Args:
        fd: The socket.
        max_frame_bytes: Longest reply accepted.

    Attributes:
        known_classes: Handles of the classes that the test names.
        gone: Why the candidate can send no more replies, "" while it can.
        fault: The last exception raised in the candidate's place, with its description.
        last: The last answer, as ``[tree]``; None before the first.
        asked: Whether the candidate was asked for anything yet.
    """

    def __init__(self, fd: int, max_frame_bytes: int) -> None:
        # Threads of a test take turns: the candidate answers one request at a time. While it waits
        # for a function of the test it accepts further requests, and answers those first.
        self._turn = _thread.allocate_lock()
        self._depth = 0
        self._fd = fd
        self._max = max_frame_bytes
        self._max_signs = max(MAX_SIGNS, max_frame_bytes // BYTES_PER_SIGN)
        self._functions: list[Any] = []
        self._stand_ins: dict[int, Any] = {}
        self.known_classes: set[int] = set()
        self.gone = ""
        self.fault: tuple[BaseException, list[Any]] | None = None
        self.last: list[Any] | None = None
        self.asked = False
        self._setup = SetupObjects({}, ())
        self._errors = ErrorClasses(RAISED)
        self._knows_instances = False

    def meet(self, setup: SetupObjects, *, knows_instances: bool) -> None:
        """Learn about the test before it begins.

        Args:
            setup: Classes of the set-up code.
            knows_instances: Whether every instance of the program's classes is known.
        """
        self._setup, self._knows_instances = setup, knows_instances

    def greet(self, names: bytes) -> dict[str, Any]:
        """Ask which of the names (JSON) the program defines; return the complete first reply."""
        return self._exchange(names)

    def offered(self, trees: Any, wanted: dict[str, str]) -> dict[str, Any]:
        """Build the values of the names that the program defines.

        Args:
            trees: Untrusted reply of the program: name -> tree.
            wanted: The requested names: name -> ``class``, ``function`` or ``value``.
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
            CandidateGone: Its process is gone, or its reply is invalid.
            Exception: The operation raised this exception in the candidate's process.
        """
        trees = [self._encode(value) for value in args]
        named = {key: self._encode(value) for key, value in kwargs.items()}
        request = wire.dumps([name, handle, trees, named])
        self.asked = True
        # Only the exchange is a turn: reading and writing trees can ask the candidate again.
        with self._turn:
            reply = self._exchange(request)
            while "c" in reply:
                reply = self._exchange(self._call_back(reply["c"]))
        if "r" in reply:
            if type(reply.get("a")) is list:
                try:
                    patch_all([*args, *kwargs.values()], reply["a"], self._decode)
                except (TypeError, ValueError, AttributeError, LookupError):
                    raise self._lost("bad reply: a change that is none") from None
            return self._answer(reply["r"], [*args, *kwargs.values()])
        if "u" in reply:
            raise self._faulty(
                CandidateError, ["UnencodableError", "", f"cannot cross: {reply['u']}", None]
            )
        raise self._error(reply.get("e"), reply.get("x"), ends=name in ("next", "send"))

    def _answer(self, tree: Any, given: list[Any]) -> Any:
        number = tree.get("=") if type(tree) is dict and len(tree) == 1 else None
        if number is None:
            answer = self._decode(tree)
            self.last = [tree]
            return answer
        if type(number) is not int or not 0 <= number < len(given):
            raise self._lost("bad reply: an argument that was not given")
        self.last = [self._encode(given[number])]
        return given[number]

    def _exchange(self, request: bytes) -> dict[str, Any]:
        if self.gone:
            raise CandidateGone(self.gone)
        try:
            frames.write_frame(self._fd, request)
            data = frames.read_frame(self._fd, self._max)
            if bounds.signs(data) > self._max_signs or bounds.too_deep(data):
                raise ValueError("too many values")
            reply = wire.loads(data)
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

    def _error(self, description: Any, crossing: Any, *, ends: bool) -> BaseException:
        if type(description) is not list or len(description) != 4:
            return self._lost("bad reply")
        kind, base, message = (str(part)[:300] for part in description[:3])
        if ends and kind == "StopIteration":
            return StopIteration()
        names = crossing[0] if type(crossing) is list and crossing else None
        if (kind in RAISED and kind not in _BY_BASE) or self._errors.known(names):
            error = self._errors.build(crossing, self._decode)
            if error is not None:
                self.fault = (error, description)
                return error
        known = RAISED.get(kind) or RAISED.get(base)
        if known is None:
            return self._faulty(CandidateError, description, f"{kind}: {message}")
        return self._faulty(known, description, message)

    def _faulty(self, kind: type[Exception], description: list[Any], text: str = "") -> Exception:
        error = kind(text or str(description[2]))
        self.fault = (error, description)
        return error

    def _call_back(self, body: Any) -> bytes:
        """Run a function of the test, and give other requests their turn meanwhile."""
        self._depth = depth = self._depth + 1
        self._turn.release()
        try:
            return self._called(body)
        finally:
            self._turn.acquire()
            while self._depth > depth and not self.gone:
                # A later request of another thread waits for a function too, and goes first.
                self._turn.release()
                time.sleep(_PAUSE_S)
                self._turn.acquire()
            self._depth = depth - 1

    def _called(self, body: Any) -> bytes:
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
        if isinstance(value, StandIn):
            return {"@": value._codegym_handle}
        if self._setup.holds(value):
            return self._setup.encode(value, self._hand_over)
        kind = type(value)
        name = _builtin_name(value) if kind is BuiltinFunctionType else ""
        if name:
            return {"builtin": name}
        if kind in (FunctionType, MethodType) or type(value).__name__ == "partial":
            if all(known is not value for known in self._functions):
                self._functions.append(value)
            known_as = (number for number, f in enumerate(self._functions) if f is value)
            return {"()": next(known_as)}
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
        if tag == "J":
            return self._setup.decode(body, self._stand_in)
        if tag != "@" or type(body) is not list or len(body) != 5:
            raise ValueError(f"unknown tag {tag!r}")
        handle, abilities, title, home, shape = body
        types = (type(handle), type(abilities), type(title), type(home))
        if types != (int, str, str, int) or type(shape) is not str:
            raise ValueError("not a handle")
        shape, _, names = shape.partition(":")
        if shape not in _SHAPES:
            raise ValueError("not a handle")
        if shape == "exception" and handle in self.known_classes:
            return self._errors.make(names.split(","))
        stand = self._stand_ins.get(handle)
        if stand is None:
            known = home in self.known_classes or handle in self.known_classes
            known = known or (self._knows_instances and home > 0)
            kind = stand_in_class(abilities, known=known)
            stand = self._stand_ins.setdefault(handle, kind(self, handle, title[:100], known))
        if shape == "coroutine":
            return coroutine(stand)
        streams = shape == "generator" or ("n" in abilities and not stand._codegym_known)
        return generator(stand) if streams and shape != "class" else stand


def _builtin_name(function: Any) -> str:
    """Return ``module.name`` of a built-in function that both sides know, else ""."""
    home, name = str(function.__module__), str(function.__name__)
    if home not in BUILTIN_HOMES or getattr(sys.modules.get(home), name, None) is not function:
        return ""
    return f"{home}.{name}"
