"""A judge that loses every second program, as a sandbox that breaks would."""

from itertools import count

from codegym.errors import SandboxError
from codegym.grading.async_judge import AsyncJudge
from codegym.grading.verdict import Verdict

_numbers = count()


def _lost(pairs):
    if next(_numbers) % 2:
        raise SandboxError("the sandbox broke, twice")
    return [Verdict.no_program(n_cases=1) for _ in pairs]


judge = AsyncJudge(stand_in=_lost)
