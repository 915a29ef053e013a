"""A tiny task source and a judge without a sandbox, and what is left out unless asked for."""

import os

import pytest

# Before torch is imported, here and in the processes that tests start: the tests' networks are so
# small that a second thread mostly waits for the first.
os.environ.setdefault("OMP_NUM_THREADS", "1")

from hypothesis import settings

from codegym import registry
from codegym.grading.verdict import CaseResult, Outcome, Verdict
from codegym.sources import TaskSource
from codegym.tasks.task import Task

# The same examples on every machine, and no time limit that a busy one could miss.
settings.register_profile("same-everywhere", derandomize=True, deadline=None)
settings.load_profile("same-everywhere")


@registry.plugin("sources", "tiny")
class Tiny(TaskSource):
    """Add k to a number; ``long`` makes one prompt in five long."""

    def __init__(self, *, n: int = 9, long: int = 0) -> None:
        self._n, self._long = n, long

    def __len__(self) -> int:
        return self._n

    def __getitem__(self, index: int) -> Task:
        if not -len(self) <= index < len(self):
            raise IndexError(index)
        k = index % len(self)
        note = "# note\n" * (self._long if k % 5 == 0 else k % 3)
        return Task.from_calls(
            f"{note}def f(x):\n",
            "f",
            [((1,), 1 + k), ((5,), 5 + k)],
            task_id=f"tiny/{k}",
            canonical_solution=f"    return x+{k}",
        )


def judge(pairs):
    """Judge by text alone: the reference passes, odd lengths fail, the rest does not compile."""
    return [_verdict(program, task) for program, task in pairs]


def _verdict(program, task):
    if program == task.prompt + task.canonical_solution:
        return Verdict.from_cases([CaseResult(outcome=Outcome.PASSED)] * 2)
    if len(program) % 2:
        return Verdict.from_cases(
            [CaseResult(outcome=Outcome.PASSED), CaseResult(outcome=Outcome.FAILED)]
        )
    last = program.count("\n") + 1
    return Verdict.syntax_error(
        n_cases=2, error_type="SyntaxError", message="invalid syntax", line=last
    )


@pytest.fixture
def tiny():
    """Keyword arguments of an env over the tiny source, judged without a sandbox."""
    return {"tasks": "tiny", "tokenizer": "lexemes", "max_tokens": 48, "judge": judge}


def pytest_collection_modifyitems(config, items):
    """Leave tests marked slow out, unless -m says what to run."""
    if config.option.markexpr:
        return
    slow = [item for item in items if item.get_closest_marker("slow")]
    items[:] = [item for item in items if not item.get_closest_marker("slow")]
    config.hook.pytest_deselected(items=slow)
