"""Grading: the environments' way to the judge, through one sandbox per process and isolation."""

import os
from collections.abc import Callable, Sequence

import codegym
from codegym.sandbox.base import Sandbox
from codegym.task import Task
from codegym.verdict import Verdict

Verdicts = Callable[[Sequence[tuple[str, Task]]], Sequence[Verdict]]

_sandboxes: dict[tuple[int, str], Sandbox] = {}


def make_grader(isolation: str) -> Verdicts:
    """Return a function that judges programs, each with its task, in one go.

    Args:
        isolation: ``auto`` uses the process's default sandbox; any other name one of its own,
            shared by all envs of this process that ask for it.
    """

    def grade(programs: Sequence[tuple[str, Task]]) -> Sequence[Verdict]:
        sandbox = None if isolation == "auto" else _shared_sandbox(isolation)
        verdicts: Sequence[Verdict] = codegym.judge_many(programs, sandbox=sandbox)
        return verdicts

    return grade


def _shared_sandbox(isolation: str) -> Sandbox:
    # Keyed by process: a fork must not talk to its parent's zygotes.
    key = (os.getpid(), isolation)
    if key not in _sandboxes:
        _sandboxes[key] = codegym.make_sandbox(isolation=isolation)
    return _sandboxes[key]
