"""Pass rate: the share of tests that passed."""

from codegym import registry
from codegym.grading.feedback import Feedback
from codegym.grading.verdict import Verdict
from codegym.rewards.reward import Reward


@registry.plugin("rewards", "pass_rate")
class PassRate(Reward):
    """Share of test cases that passed, in [0, 1]."""

    low, high = 0.0, 1.0

    def __call__(self, verdict: Verdict, feedback: Feedback | None = None) -> float:
        """Return the share."""
        return verdict.pass_rate

    def __repr__(self) -> str:
        return "pass_rate"
