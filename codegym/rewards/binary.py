"""Binary: 1 if every test passes, else 0."""

from codegym import registry
from codegym.grading.feedback import Feedback
from codegym.grading.verdict import Verdict
from codegym.rewards.reward import Reward


@registry.plugin("rewards", "binary")
class Binary(Reward):
    """1 for a program that passes all its tests, 0 for any other program."""

    low, high = 0.0, 1.0

    def __call__(self, verdict: Verdict, feedback: Feedback | None = None) -> float:
        """Return 1 or 0."""
        return 1.0 if verdict.passed else 0.0

    def __repr__(self) -> str:
        return "binary"
