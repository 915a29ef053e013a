"""Recorder: runs a trusted test on its reference solution and records the calls of the test.

It runs in a candidate's process, as the program ``from ...recorder import record``. It returns JSON
text: ``{"calls": [[args, kwargs, kind, body], ...]}`` with ``kind`` ``r`` (a result, as a tree) or
``e`` (the name of an exception), or ``{"refused": why}``.
"""

from types import ModuleType
from typing import Any

from codegym.sandbox import wire

_FILENAME = "<reference>"
_NOTHING_RETURNED = "a call changes its arguments and returns nothing"


class Refused(BaseException):
    """The test has no call form; not an Exception, so that no test swallows it."""


class Recorder:
    """Replaces the candidate in the test.

    Args:
        function: The reference solution's entry point.
    """

    def __init__(self, function: Any) -> None:
        self._function = function
        self.calls: list[list[Any]] = []
        self.refused = ""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the reference and record the call."""
        trees = [self._tree(value, "an argument") for value in args]
        named = {name: self._tree(value, "an argument") for name, value in kwargs.items()}
        # Iterators were consumed by their encoding: pass copies.
        args = tuple(_again(value, tree) for value, tree in zip(args, trees, strict=True))
        kwargs = {name: _again(value, named[name]) for name, value in kwargs.items()}
        try:
            result = self._function(*args, **kwargs)
        except Exception as error:
            self.calls.append([trees, named, "e", type(error).__name__])
            raise
        tree = self._tree(result, "a result")
        if result is None and self._changed(args, trees):
            self._refuse(_NOTHING_RETURNED)
        self.calls.append([trees, named, "r", tree])
        return _again(result, tree)

    def _changed(self, args: tuple[Any, ...], trees: list[Any]) -> bool:
        return any(
            type(tree) in (list, dict) and not _is_iterator(tree) and wire.encode(value) != tree
            for value, tree in zip(args, trees, strict=True)
        )

    def _tree(self, value: Any, what: str) -> Any:
        try:
            return wire.encode(value)
        except wire.UnencodableError as error:
            raise self._refuse(f"{what} cannot cross: {error}") from None

    def _refuse(self, why: str) -> Refused:
        self.refused = self.refused or why
        return Refused(why)


def _again(value: Any, tree: Any) -> Any:
    return wire.decode(tree) if _is_iterator(tree) else value


def _is_iterator(tree: Any) -> bool:
    return type(tree) is dict and "i" in tree


def record(program: str, setup: str, test: str, entry_point: str, check: str) -> str:
    """Run the test on the program.

    Args:
        program: The complete reference solution.
        setup: Code run before the test.
        test: The test code.
        entry_point: The function it tests.
        check: Name of the function in the test that takes the candidate, or "".
    """
    module = ModuleType("candidate")
    exec(compile(program, _FILENAME, "exec"), module.__dict__)
    recorder = Recorder(module.__dict__[entry_point])
    # A separate namespace, so that calls that the solution makes to itself are not recorded.
    space = {**module.__dict__, "__name__": "examination", entry_point: recorder}
    try:
        exec(compile(setup, "<setup>", "exec"), space)
        exec(compile(test, "<test>", "exec"), space)
        if check:
            space[check](recorder)
    except Refused:
        pass
    except BaseException as error:
        recorder._refuse(f"the reference fails the test: {type(error).__name__}: {error}"[:300])
    if recorder.refused:
        return wire.dumps({"refused": recorder.refused}).decode()
    return wire.dumps({"calls": recorder.calls}).decode()
