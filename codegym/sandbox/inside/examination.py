"""Examination: a compiled test, and its run against a candidate in another sandbox.

The test code is rewritten so that every case reports by itself: a failed assertion does not hide
the cases after it.
"""

import ast
import sys
from collections.abc import Container
from types import ModuleType
from typing import Any

from codegym.sandbox import wire
from codegym.sandbox.inside.assertion_code import (
    BUILTIN_NAMES,
    compile_per_case,
    defined_names,
    import_library,
    library_names,
    loaded_names,
    prompt_helpers,
)
from codegym.sandbox.inside.candidate_line import CandidateGone, CandidateLine
from codegym.sandbox.inside.notebook import Notebook
from codegym.sandbox.inside.setup_objects import SetupObjects

MESSAGE_CHARS = 300
NAME_CHARS = 100
MAX_LINE = 1 << 31


class Examination:
    """One compiled test.

    Args:
        test: ``setup`` and ``code`` (source texts), ``check`` (name of the function that takes
            the candidate, or ""), ``classes`` (of the set-up), ``instances`` (whether the program
            may answer with instances of classes that the test does not name), ``entry_point``,
            ``names`` (names that the candidate may define for the test, with their kinds),
            ``prompt`` (trusted code, or "") and ``n_cases``.
    """

    def __init__(self, test: dict[str, Any]) -> None:
        self._check: str = test["check"]
        self._entry: str = test["entry_point"]
        self._n_cases: int = test["n_cases"]
        setup, code = ast.parse(test["setup"]), ast.parse(test["code"])
        used = loaded_names(setup) | loaded_names(code)
        made = defined_names(setup) | defined_names(code) | BUILTIN_NAMES
        wanted = used - made
        helpers = prompt_helpers(test["prompt"], self._entry, wanted)
        self._helpers = compile(helpers, "<prompt>", "exec") if helpers.body else None
        helped = {node.name for node in helpers.body if isinstance(node, ast.FunctionDef)}
        self._library = library_names(wanted - helped - {self._entry})
        wanted -= helped | self._library.keys()
        self._classes: list[str] = test["classes"]
        self._instances: bool = test["instances"]
        names: dict[str, str] = test["names"]
        self._wanted = {
            name: names[name] for name in sorted(wanted | {self._entry}) if name in names
        }
        # The program is also asked for names that it may not give: if it defines such a name, it
        # and not the test is wrong.
        self._greeting = wire.dumps(sorted(wanted | {self._entry}))
        self._setup = compile(setup, "<setup>", "exec") if setup.body else None
        self._code = compile_per_case(code, self._check)

    def run(self, line: CandidateLine, notebook: Notebook, first: int = 0) -> None:
        """Run the test against the candidate at the other end of ``line``.

        Args:
            line: The candidate.
            notebook: Where the results go.
            first: Number of the first case to run.
        """
        cases = Cases(line, self._n_cases, notebook, first)
        module = ModuleType("examination")
        sys.modules[module.__name__] = module
        try:
            fault = self._run(module.__dict__, line, cases)
            if fault is not None:
                notebook.complete(fault)
                return
            cases.stop(None)
        except BaseException as error:
            cases.stop(error)
        finally:
            del sys.modules[module.__name__]
        cases.finish()

    def _run(
        self, space: dict[str, Any], line: CandidateLine, cases: "Cases"
    ) -> dict[str, Any] | None:
        """Run the test in a namespace; return a complete report if no case could begin."""
        line.meet(SetupObjects(space, self._classes), knows_instances=self._instances)
        reply = line.greet(self._greeting)
        if "r" not in reply:
            return {name: described(reply[name]) for name in ("load", "syntax") if name in reply}
        space.update(import_library(self._library))
        space.update(line.offered(reply["r"], self._wanted))
        if self._entry not in space:
            return {"load": ["NameError", "", f"name {self._entry!r} is not defined", None]}
        candidate = space[self._entry]
        cases.begin(callable(candidate), {*self._wanted, *reply["r"]})
        if self._helpers is not None:
            exec(self._helpers, space)
        if self._setup is not None:
            exec(self._setup, space)
        space["__enter_case__"], space["__failed_case__"] = cases.enter, cases.failed
        exec(self._code, space)
        if self._check:
            space[self._check](candidate)
        return None


class NotRun(BaseException):
    """A case that is left to another process: it was run before, or the candidate is gone."""


class Cases:
    """The results of the cases of one run.

    A candidate whose process is gone fails the case under way. The later cases are not run: a fresh
    process runs them.

    Args:
        line: The candidate.
        count: How many cases the test has.
        notebook: Memory in which each result is recorded at once.
        first: Number of the first case to run.

    Attributes:
        loaded: Whether the program was loaded. One that is gone before fails all cases.
    """

    def __init__(self, line: CandidateLine, count: int, notebook: Notebook, first: int = 0) -> None:
        self._line = line
        self._notebook = notebook
        self._count = count
        self._first = first
        self._current = first - 1
        self.loaded = False
        self._faults: dict[int, list[Any]] = {}
        self._recorded: set[int] = set()
        self._theirs: Container[str] = ()
        self._has_function = False

    def begin(self, has_function: bool, theirs: Container[str]) -> None:
        """Say that the program is loaded.

        Args:
            has_function: Whether its entry point can be called.
            theirs: Names that the program defines, or should define for the test.
        """
        self.loaded = True
        self._has_function, self._theirs = has_function, theirs

    def enter(self, index: int) -> None:
        """Begin a case."""
        self._settle()
        if self._line.gone or index < self._first:
            raise NotRun
        self._current = index
        self._line.last = None
        self._notebook.turn_to(index)

    def failed(self, index: int, error: BaseException) -> None:
        """Record how a case failed."""
        if isinstance(error, NotRun):
            return
        self._faults[index] = self._row(index, error)
        if not self._line.gone:
            self._notebook.add(self._faults[index], index)
            self._recorded.add(index)

    def stop(self, error: BaseException | None) -> None:
        """End the run; an error outside the cases fails all cases that did not begin."""
        self._settle()
        if error is not None and not self._left_to_another:
            for index in range(self._current + 1, self._count):
                self._faults[index] = self._row(index, error)
            if self._current + 1 >= self._count and not self._faults:
                self._faults[self._count - 1] = self._row(self._count - 1, error)

    def finish(self) -> None:
        """Record the results that are missing from the notebook, once the run has ended."""
        for index in sorted(self._faults.keys() - self._recorded):
            self._notebook.add(self._faults[index], index)
        if not self._left_to_another:
            self._notebook.turn_to(self._count)

    @property
    def _left_to_another(self) -> bool:
        return bool(self._line.gone) and self.loaded

    def _settle(self) -> None:
        # A test that swallows every exception must not pass a candidate whose process is gone.
        if self._line.gone and self.loaded:
            index = max(self._current, self._first)
            if index not in self._faults:
                self._faults[index] = self._row(index, CandidateGone(self._line.gone))

    def _row(self, index: int, error: BaseException) -> list[Any]:
        fault = self._line.fault
        if isinstance(error, CandidateGone):
            return [index, "gone", "ProcessDied", str(error)[:MESSAGE_CHARS], None, None]
        if fault is not None and error is fault[0]:
            kind, _, message, line = described(fault[1]) or [None] * 4
            return [index, "error", kind, message, line, None]
        if isinstance(error, MemoryError):
            error.__traceback__ = None  # its frames hold the values that took the memory
            text = "the test exhausted its memory on the answer"
            return [index, "memory", "MemoryError", text, None, None]
        if isinstance(error, wire.UnencodableError):
            text = f"the test hands over what cannot cross: {error}"
            kind = "test" if self._line.asked or self._first else "early"
            return [index, kind, "UnencodableError", text[:MESSAGE_CHARS], None, None]
        kind = self._kind(error)
        got = self._line.last and [_trimmed(self._line.last[0], [MESSAGE_CHARS])]
        try:
            message = str(error)[:MESSAGE_CHARS]
        except BaseException:
            message = ""
        return [index, kind, type(error).__name__[:NAME_CHARS], message, None, got]

    def _kind(self, error: BaseException) -> str:
        """Say whether the test failed on the candidate's answers, or by itself."""
        lacks_name = type(error) is NameError
        if lacks_name and (self._first or getattr(error, "name", "") in self._theirs):
            return "wrong"  # a case that another process ran may have set the name
        if self._has_function and not self._first and not self._line.asked:
            return "early"
        return "test" if lacks_name or isinstance(error, ImportError) else "wrong"


def described(description: Any) -> list[Any] | None:
    """Return a candidate's description of an exception with bounded parts, None if it is none."""
    if type(description) is not list or len(description) != 4:
        return None
    return [
        part[:MESSAGE_CHARS]
        if type(part) is str
        else part
        if type(part) is int and 0 <= part < MAX_LINE
        else None
        for part in description
    ]


def _trimmed(tree: Any, room: list[int]) -> Any:
    """Return the beginning of an answer, short enough to send and show."""
    room[0] -= 1
    if room[0] < 0:
        return None
    if type(tree) is str:
        text = tree[: room[0]]
        room[0] -= len(text)
        return text
    if type(tree) is list:
        return [_trimmed(item, room) for item in tree[: room[0]]]
    if type(tree) is dict:
        # A tree has one tag of one letter.
        return {tag[:NAME_CHARS]: _trimmed(body, room) for tag, body in [*tree.items()][:1]}
    if type(tree) is int and not -wire.SMALL_INT < tree < wire.SMALL_INT:
        return None
    return tree
