"""RLTF's reward: coarse by outcome, adaptive by the share of tests, fine by the failing line."""

import numpy as np

from codegym import registry
from codegym.grading.feedback import Feedback, Granularity
from codegym.grading.verdict import Outcome, Verdict
from codegym.rewards.coderl import worst
from codegym.rewards.reward import Floats, Reward


@registry.plugin("rewards", "rltf")
class RLTF(Reward):
    """Coarse, adaptive and fine-grained feedback of unit tests.

    The whole program earns +1 passed, -0.6 did not finish, -1 does not compile; one that only
    gives wrong answers earns ``-0.3 + 1.3 * pass_rate``, which takes the place of the flat -0.3.
    ``fine`` gives the tokens of the fault ``-0.3 * alpha`` with ``alpha = T / (E - S)``, so that a
    one-line fault weighs as much as a whole program.

    Args:
        adaptive: Whether wrong answers are priced by the share of tests that passed.
        fine: Value of a located fault; 0 switches fine feedback off.
        alpha: Whether the fault's weight is scaled to that of a whole program. False gives every
            token of the fault ``fine``, which is what the paper's published code does.

    Source: RLTF (2307.04349), section 3.3, equations 4 to 8.
    """

    low, high = -1.0, 1.0

    def __init__(self, *, adaptive: bool = True, fine: float = -0.3, alpha: bool = True) -> None:
        self._adaptive, self._fine, self._alpha = bool(adaptive), float(fine), bool(alpha)

    def __call__(self, verdict: Verdict, feedback: Feedback | None = None) -> float:
        """Return the value of the whole program."""
        outcome = worst(verdict)
        if outcome is Outcome.PASSED:
            return 1.0
        if outcome is Outcome.FAILED:
            return -0.3 + 1.3 * verdict.pass_rate if self._adaptive else -0.3
        return -0.6 if outcome is Outcome.RUNTIME_ERROR else -1.0

    def fine(self, verdict: Verdict, feedback: Feedback) -> Floats:
        """Return ``fine * alpha`` on the tokens of the fault, 0 elsewhere, as (T,)."""
        weights = np.zeros(feedback.n_tokens, dtype=np.float32)
        start, end = feedback.tokens
        if feedback.granularity is not Granularity.IGNORE and end > start:
            alpha = feedback.n_tokens / (end - start) if self._alpha else 1.0
            weights[start:end] = self._fine * alpha
        return weights

    def __repr__(self) -> str:
        return f"rltf(adaptive={self._adaptive}, fine={self._fine!r}, alpha={self._alpha})"
