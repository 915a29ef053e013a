"""Reward: Verdict (and Feedback) -> float, with declared bounds; pure; composes by + and *."""

from abc import ABC, abstractmethod

import numpy as np
from numpy.typing import NDArray

from codegym.feedback import Feedback
from codegym.verdict import Verdict


class Reward(ABC):
    """The price of one judged program.

    Attributes:
        low: No program earns less.
        high: No program earns more.
    """

    low: float
    high: float

    @abstractmethod
    def __call__(self, verdict: Verdict, feedback: Feedback | None = None) -> float:
        """Return the reward of a whole program, within ``[low, high]``."""

    def tokens(self, verdict: Verdict, feedback: Feedback) -> NDArray[np.float32]:
        """Return the reward as credit over the episode's tokens.

        Returns:
            (T,) array, T = ``feedback.n_tokens``. The default puts everything on the last token.
        """
        credit = np.zeros(feedback.n_tokens, dtype=np.float32)
        if feedback.n_tokens:
            credit[-1] = self(verdict, feedback)
        return credit
