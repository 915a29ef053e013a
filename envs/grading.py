"""Grading: the environments' way to the judge, all at once or while the next tokens are written."""

import os
from collections.abc import Callable, Sequence
from typing import Any

from codegym.errors import ConfigError, SandboxError, SandboxUnavailableError
from codegym.grading.judge import Judge
from codegym.grading.verdict import Verdict
from codegym.sandbox import Sandbox, make_sandbox
from codegym.tasks.task import Task

Pairs = Sequence[tuple[str, Task]]
Verdicts = Callable[[Pairs], Sequence[Verdict]]
# A verdict, or why there is none.
Graded = Verdict | SandboxError

_sandboxes: dict[str, Sandbox] = {}


class Grader:
    """Judges programs in the sandbox, with tickets of its own.

    A program that the sandbox could not run, twice, gives its error in the place of a verdict; a
    machine that can isolate nothing raises.

    Args:
        isolation: ``auto`` uses the process's default sandbox; any other name one that all envs of
            this process share.
        judge: Judges instead of the sandbox; for tests.
    """

    def __init__(self, isolation: str = "auto", *, judge: Verdicts | None = None) -> None:
        if judge is not None and not callable(judge):
            raise ConfigError(
                "judge is unusable",
                value=judge,
                expected="a function from (program, task) pairs to verdicts, or None",
            )
        self._isolation, self._stand_in = isolation, judge
        self._judge: Judge | None = None
        self._process = 0
        self._count = 0
        self._ready: list[tuple[int, Graded]] = []

    def grade(self, pairs: Pairs) -> list[Graded]:
        """Judge programs, each with its task, side by side; return what became of each in order.

        Raises:
            SandboxUnavailableError: This machine refuses the isolation.
        """
        if self._stand_in is not None:
            return self._stood_in(pairs)
        judge = self._begin()
        tickets = [judge.submit(program, task) for program, task in pairs]
        graded: dict[int, Graded] = {}
        while len(graded) < len(tickets):
            graded.update(_collect(judge, None))
        return [graded[ticket] for ticket in tickets]

    def submit(self, program: str, task: Task) -> int:
        """Begin judging a program; return the ticket under which it will be collected."""
        if self._stand_in is not None:
            self._count += 1
            self._ready.append((self._count, self._stood_in([(program, task)])[0]))
            return self._count
        return self._begin().submit(program, task)

    def collect(self, timeout_s: float | None = None) -> list[tuple[int, Graded]]:
        """Return what was judged since the last call, waiting so long for the first of it.

        None waits until there is something, or nothing is under way.
        """
        if self._judge is None:
            ready, self._ready = self._ready, []
            return ready
        return _collect(self._judge, timeout_s)

    def __getstate__(self) -> dict[str, Any]:
        # A copy, or a pickle in another process, begins without what is under way here.
        return self.__dict__ | {"_judge": None, "_process": 0, "_ready": []}

    def _stood_in(self, pairs: Pairs) -> list[Graded]:
        assert self._stand_in is not None
        try:
            return list(self._stand_in(pairs))
        except SandboxError as error:
            return [error] * len(pairs)

    def _begin(self) -> Judge:
        # A fork must not wait for tickets of its parent's.
        if self._judge is None or self._process != os.getpid():
            self._process = os.getpid()
            self._judge = Judge(None if self._isolation == "auto" else _shared(self._isolation))
        return self._judge


def _collect(judge: Judge, timeout_s: float | None) -> list[tuple[int, Graded]]:
    try:
        return list(judge.collect(timeout_s))
    except SandboxUnavailableError:
        raise
    except SandboxError as error:
        if error.ticket is None:
            raise
        return [(error.ticket, error)]


def _shared(isolation: str) -> Sandbox:
    if isolation not in _sandboxes:
        _sandboxes[isolation] = make_sandbox(isolation=isolation)
    return _sandboxes[isolation]
