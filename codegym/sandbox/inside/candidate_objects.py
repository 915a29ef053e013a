"""Candidate objects: the candidate's end of an assertion test, which serves its objects by handle.

Requests are ``[operation, handle, arguments, keyword arguments]``. Plain results cross by value;
functions, classes, generators and instances of the program's classes stay here and cross as
``{"@": [handle, abilities, class name, class handle, shape]}``. A function of the test crosses as
``{"()": id}`` and is called back over the same socket while the examiner waits.
"""

import importlib
import operator
from collections import deque
from collections.abc import Callable
from types import BuiltinFunctionType, CoroutineType, FunctionType, ModuleType
from typing import Any

from codegym.sandbox import wire
from codegym.sandbox.inside import frames
from codegym.sandbox.inside.setup_objects import SetupObjects

MAX_FRAME_BYTES = 1 << 30
# Modules whose functions a test may hand over by name.
BUILTIN_HOMES = ("builtins", "math", "operator", "_operator")
_ABILITIES = {
    "c": "__call__",
    "i": "__iter__",
    "n": "__next__",
    "l": "__len__",
    "g": "__getitem__",
    "b": "__bool__",
    "e": "__enter__",
}
_BOOKKEEPING = frozenset(
    "__module__ __doc__ __dict__ __weakref__ __qualname__ __annotations__ __static_attributes__ "
    "__firstlineno__ __slots__".split()
)
_BUILTIN_KINDS = ("builtins", "types", "itertools")

Describe = Callable[[BaseException], list[Any]]


def serve(code: Any, module: ModuleType, fd: int, describe: Describe, classes: list[str]) -> None:
    """Load the program and answer the examiner until it hangs up.

    Args:
        code: The compiled program.
        module: Module in which the program runs.
        fd: The examiner's socket.
        describe: Turns an exception into a reply's ``e``.
        classes: Names of the classes that the test's set-up code defines.
    """
    objects = CandidateObjects(fd, module.__dict__, describe, classes)
    names = wire.loads(frames.read_frame(fd, MAX_FRAME_BYTES))
    try:
        exec(code, module.__dict__)
    except BaseException as error:
        frames.write_frame(fd, wire.dumps({"load": describe(error)}))
        return
    frames.write_frame(fd, wire.dumps({"r": objects.offer(names)}))
    while True:
        try:
            request = frames.read_frame(fd, MAX_FRAME_BYTES)
        except EOFError:
            return
        frames.write_frame(fd, objects.answer(request))


class CandidateObjects:
    """The objects of one program for which the examiner holds handles."""

    def __init__(
        self, fd: int, namespace: dict[str, Any], describe: Describe, classes: list[str]
    ) -> None:
        self._setup = SetupObjects(dict(namespace), classes)
        self._fd = fd
        self._namespace = namespace
        self._describe = describe
        self._held: dict[int, Any] = {}
        self._handles: dict[int, int] = {}

    def offer(self, names: list[str]) -> dict[str, Any]:
        """Return the trees of the names that the program defines and whose values can cross."""
        trees = {}
        for name in names:
            if name in self._namespace:
                try:
                    trees[name] = self._encode(self._namespace[name])
                except wire.UnencodableError:
                    continue
        return trees

    def answer(self, request: bytes) -> bytes:
        """Carry out one request and return the reply frame."""
        try:
            name, handle, trees, named = wire.loads(request)
            args = [self._decode(tree) for tree in trees]
            kwargs = {key: self._decode(tree) for key, tree in named.items()}
            target = self._held[handle]
            if name == "signature":
                return wire.dumps({"r": _signature(target, self._encode)})
            result = _OPERATIONS[name](target, *args, **kwargs)
            given = [*args, *kwargs.values()]
            same = [n for n, value in enumerate(given) if value is result and _is_container(value)]
            reply = {"r": {"=": same[0]} if same else self._encode(result)}
            after = self._changed([*args, *kwargs.values()], [*trees, *named.values()])
            if after is not None:
                reply["a"] = after
            return wire.dumps(reply)
        except wire.UnencodableError as error:
            return wire.dumps({"u": str(error)})
        except BaseException as error:
            reply = {"e": self._describe(error)}
            if isinstance(error, Exception):
                from codegym.sandbox.inside import crossing_errors  # few programs raise

                reply["x"] = crossing_errors.crossing(error, self._encode)
            return wire.dumps(reply)

    def _encode(self, value: Any) -> Any:
        return wire.encode(value, 0, self._handle)

    def _decode(self, tree: Any) -> Any:
        return wire.decode(tree, 0, self._resolve)

    def _changed(self, values: list[Any], sent: list[Any]) -> list[Any] | None:
        # Only containers can change in place; other arguments keep their trees.
        after = [
            self._encode(value) if type(tree) in (list, dict) else tree
            for value, tree in zip(values, sent, strict=True)
        ]
        return after if after != sent else None

    def _handle(self, value: Any) -> Any:
        kind = type(value)
        if kind is _Callback:
            return {"()": value.number}
        if self._setup.holds(value):
            return self._setup.encode(value, self._handle)
        is_class = isinstance(value, type)
        is_data = not is_class and kind not in (FunctionType, BuiltinFunctionType)
        if is_data and not hasattr(kind, "__next__"):
            try:
                return wire.encode_library(value, 0, self._handle)
            except wire.UnencodableError:
                plain = wire.plain_base(value) if _is_bare(kind) else None
                if plain is not None:
                    return {"S": self._encode(plain)}
        abilities = "".join(
            letter for letter, method in _ABILITIES.items() if getattr(kind, method, None)
        )
        is_own = kind.__module__ not in _BUILTIN_KINDS
        shape = "class" if is_class else "" if is_own or "n" not in abilities else "generator"
        if is_class and issubclass(value, Exception):
            from codegym.sandbox.inside import crossing_errors

            shape = "exception:" + ",".join(crossing_errors.family(value))
        elif kind is CoroutineType:
            shape = "coroutine"
        title = value.__name__ if is_class else kind.__name__
        home = self._number(kind) if is_own else 0
        return {"@": [self._number(value), abilities, title, home, shape]}

    def _number(self, value: Any) -> int:
        # Held for as long as the program runs, so that no other object gets the same id.
        number = self._handles.get(id(value))
        if number is None:
            number = len(self._held) + 1
            self._held[number] = value
            self._handles[id(value)] = number
        return number

    def _resolve(self, tag: str, body: Any) -> Any:
        if tag == "@":
            return self._held[body]
        if tag == "()":
            return _Callback(body, self._call_back)
        if tag == "J":
            return self._setup.decode(body, self._resolve)
        if tag == "builtin":
            home, _, name = body.partition(".")
            if home in BUILTIN_HOMES:
                return getattr(importlib.import_module(home), name)
        raise ValueError(f"unknown tag {tag!r}")

    def _call_back(self, number: int, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        trees = [self._encode(value) for value in args]
        named = {name: self._encode(value) for name, value in kwargs.items()}
        frames.write_frame(self._fd, wire.dumps({"c": [number, trees, named]}))
        while True:
            reply = wire.loads(frames.read_frame(self._fd, MAX_FRAME_BYTES))
            if isinstance(reply, dict):
                break
            # The function itself used one of the candidate's objects: serve that first.
            frames.write_frame(self._fd, self.answer(wire.dumps(reply)))
        if "r" in reply:
            return self._decode(reply["r"])
        raise wire.TYPES.get(reply["e"][0], RuntimeError)(reply["e"][1])


class _Callback:
    """A function of the test, called over the socket."""

    def __init__(self, number: int, call: Callable[..., Any]) -> None:
        self.number = number
        self._call = call

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._call(self.number, args, kwargs)


def _is_bare(kind: type) -> bool:
    """Say whether a class only gives a name to a built-in type."""
    own = [base for base in kind.__mro__ if base.__module__ != "builtins"]
    return all(vars(base).keys() <= _BOOKKEEPING for base in own)


def _is_container(value: Any) -> bool:
    return type(value) in (list, dict, set, bytearray) or isinstance(value, dict | deque)


def _signature(target: Any, encode: Callable[[Any], Any]) -> list[Any]:
    from codegym.sandbox.inside import crossing_errors  # few tests ask

    return crossing_errors.signature(target, encode)


def _await(target: Any) -> Any:
    import asyncio

    if not _loops:
        _loops.append(asyncio.new_event_loop())
    return _loops[0].run_until_complete(target)


_loops: list[Any] = []


def _call(target: Any, *args: Any, **kwargs: Any) -> Any:
    return target(*args, **kwargs)


_OPERATIONS: dict[str, Callable[..., Any]] = {
    "call": _call,
    "await": _await,
    "get": getattr,
    "set": setattr,
    "next": next,
    "send": lambda target, value: target.send(value),
    "iter": iter,
    "len": len,
    "item": operator.getitem,
    "set_item": operator.setitem,
    "del_item": operator.delitem,
    "bool": bool,
    "str": str,
    "repr": repr,
    "hash": hash,
    "instance": lambda target, value: isinstance(value, target),
    "enter": lambda target: type(target).__enter__(target),
    "exit": lambda target: type(target).__exit__(target, None, None, None),
    **{
        name: getattr(operator, name)
        for name in (
            "eq ne lt le gt ge add sub mul matmul truediv floordiv mod pow and_ or_ xor neg pos "
            "abs invert"
        ).split()
    },
}
