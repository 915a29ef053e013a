"""Length: share of a token allowance that a program uses; subtract it to prefer short programs."""

from codegym import registry
from codegym.errors import ConfigError
from codegym.grading.feedback import Feedback
from codegym.grading.verdict import Verdict
from codegym.rewards.reward import Reward


@registry.plugin("rewards", "length")
class Length(Reward):
    """Tokens written over tokens allowed, at most 1: ``"binary - 0.1*length(full=128)"``.

    Args:
        full: Number of tokens at which the value reaches 1.

    Raises:
        ConfigError: ``full`` is not positive.
    """

    low, high = 0.0, 1.0

    def __init__(self, *, full: int = 256) -> None:
        if not full > 0:
            raise ConfigError("setting 'full' is unusable", value=full, expected="> 0")
        self._full = full

    def __call__(self, verdict: Verdict, feedback: Feedback | None = None) -> float:
        """Return the share; 0 without feedback."""
        return 0.0 if feedback is None else min(1.0, feedback.n_tokens / self._full)

    def __repr__(self) -> str:
        return f"length(full={self._full})"
