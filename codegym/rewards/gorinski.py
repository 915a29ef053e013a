"""Gorinski et al.'s reward: a sparse part for passing all tests, a complete part for each test."""

from codegym import registry
from codegym.grading.feedback import Feedback
from codegym.grading.verdict import Verdict
from codegym.rewards.reward import Reward


@registry.plugin("rewards", "gorinski")
class Gorinski(Reward):
    """``sparse * [all tests pass] + complete * (share of the tests that pass)``.

    A test that is passed counts whatever became of the others: three passes and a crash earn more
    than four wrong answers.

    Args:
        sparse: For a program that passes every test.
        complete: For the share of tests that pass.

    Source: Gorinski et al. 2023 (2310.13669), which names the two parts; their weights are ours.
    """

    def __init__(self, *, sparse: float = 0.5, complete: float = 0.5) -> None:
        self._sparse, self._complete = float(sparse), float(complete)
        ends = (0.0, self._complete, self._sparse + self._complete)
        self.low, self.high = min(ends), max(ends)

    def __call__(self, verdict: Verdict, feedback: Feedback | None = None) -> float:
        """Return the sum of the two parts."""
        return self._sparse * float(verdict.passed) + self._complete * verdict.pass_rate

    def __repr__(self) -> str:
        return f"gorinski(sparse={self._sparse!r}, complete={self._complete!r})"
