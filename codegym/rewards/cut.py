"""Cut: 1 for a program that the token budget cut; subtract it to price unfinished programs."""

from codegym import registry
from codegym.grading.feedback import Feedback
from codegym.grading.verdict import Verdict
from codegym.rewards.reward import Reward


@registry.plugin("rewards", "cut")
class Cut(Reward):
    """1 if the budget ended the program, 0 if the policy did: ``"binary - 0.2*cut"``."""

    low, high = 0.0, 1.0

    def __call__(self, verdict: Verdict, feedback: Feedback | None = None) -> float:
        """Return 1 or 0."""
        return 1.0 if verdict.cut else 0.0

    def __repr__(self) -> str:
        return "cut"
