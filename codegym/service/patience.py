"""Patience: pauses between attempts, and when to give up."""

import asyncio
import math
import random
import time
from email.utils import parsedate_to_datetime

FIRST_S, LONGEST_S = 0.1, 20.0
# A service that asks for more is asked again after this long.
MOST_ASKED_S = 300.0


class Patience:
    """Waits between attempts: at random, up to a bound that doubles, and at least as long as asked.

    Source of the random pause: Brooker 2015, "Exponential Backoff And Jitter" ("full jitter").

    Args:
        patience_s: Seconds after which there is no further attempt.
        rng: Random numbers of the pauses.
    """

    def __init__(self, patience_s: float, rng: random.Random | None = None) -> None:
        self._until = time.monotonic() + patience_s
        self._bound_s = FIRST_S
        self._rng = rng or random.Random()

    def pause_s(self, asked_s: float = 0.0) -> float:
        """Return the next pause; where the service asks for one, it is no shorter."""
        pause_s = min(asked_s, MOST_ASKED_S) + self._rng.uniform(0.0, self._bound_s)
        self._bound_s = min(2.0 * self._bound_s, LONGEST_S)
        return pause_s

    async def wait(self, asked_s: float = 0.0) -> bool:
        """Wait for the next attempt; False, at once, if it would come too late."""
        pause_s = self.pause_s(asked_s)
        if time.monotonic() + pause_s > self._until:
            return False
        await asyncio.sleep(pause_s)
        return True


def retry_after_s(header: str | None) -> float:
    """Return the seconds of a ``Retry-After`` header: a number, or a date; 0 for anything else."""
    if not header:
        return 0.0
    try:
        seconds = float(header)
    except ValueError:
        try:
            seconds = parsedate_to_datetime(header).timestamp() - time.time()
        except (ValueError, TypeError, OverflowError):
            return 0.0
    return max(seconds, 0.0) if math.isfinite(seconds) else 0.0
