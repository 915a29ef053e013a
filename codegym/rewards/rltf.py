"""RLTF's reward: coarse by outcome, adaptive by the share of tests, fine by the failing line."""

import numpy as np

from codegym import registry
from codegym.grading.feedback import Feedback, Granularity
from codegym.grading.verdict import Outcome, Verdict
from codegym.rewards.coderl import coarse_outcome
from codegym.rewards.reward import Floats, Reward


@registry.plugin("rewards", "rltf")
class RLTF(Reward):
    """Coarse, adaptive and fine-grained feedback of unit tests.

    The whole program earns +1 passed, -0.6 did not finish, -1 does not compile; a program that only
    gives wrong answers earns ``-0.3 + 1.3 * pass_rate`` in place of the flat -0.3, as in the
    published code: taken literally, equation 6 would count it in both terms. ``fine`` gives the
    tokens of the fault ``-0.3 * alpha`` with ``alpha = T / (E - S)``, so that a fault of a single
    line weighs as much as a whole program. Each term can be switched off, for ablations.

    Args:
        coarse: Whether the outcome earns a reward. False leaves the adaptive term alone: +1 passed,
            ``-0.3 + 1.3 * pass_rate`` for wrong answers, 0 otherwise.
        adaptive: Whether wrong answers are priced by the share of tests that passed.
        fine: Value of a located fault; 0 switches fine feedback off.
        alpha: Whether the fault's weight is scaled to that of a whole program. False gives every
            token of the fault ``fine``, as the paper's published code does.

    Source: RLTF (2307.04349), section 3.3, equations 4 to 8.
    """

    def __init__(
        self,
        *,
        coarse: bool = True,
        adaptive: bool = True,
        fine: float = -0.3,
        alpha: bool = True,
    ) -> None:
        self._coarse, self._adaptive = bool(coarse), bool(adaptive)
        self._fine, self._alpha = float(fine), bool(alpha)
        self.low = -1.0 if coarse else -0.3 if adaptive else 0.0
        self.high = 1.0 if coarse or adaptive else 0.0

    def __call__(self, verdict: Verdict, feedback: Feedback | None = None) -> float:
        """Return the value of the whole program."""
        outcome = coarse_outcome(verdict.outcome)
        if self._adaptive and outcome in (Outcome.PASSED, Outcome.FAILED):
            return -0.3 + 1.3 * verdict.pass_rate if outcome is Outcome.FAILED else 1.0
        if not self._coarse:
            return 0.0
        if outcome is Outcome.PASSED:
            return 1.0
        if outcome is Outcome.FAILED:
            return -0.3
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
        terms = f"coarse={self._coarse}, adaptive={self._adaptive}"
        return f"rltf({terms}, fine={self._fine!r}, alpha={self._alpha})"
