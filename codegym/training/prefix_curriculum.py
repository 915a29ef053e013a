"""Prefix curriculum: programs begin with a part of the reference solution, less and less of it.

The given tokens belong to the prompt: they are no actions, have no log-probability and get no
gradient. Held-out tasks are always written from nothing.
Source: StepCoder, Dou et al. 2024 (2402.01391), section 3.1 (curriculum of code completion
subtasks); the paper cuts at conditional statements, here the share of tokens is cut.
"""

import inspect
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Sequence
from typing import Any

from codegym.errors import ConfigError, UnknownNameError
from codegym.settings import arguments_of
from codegym.sources import parse_uri


class PrefixCurriculum(ABC):
    """Chooses the share of a reference solution that programs begin with.

    Args:
        start: The share at first, in (0, 1).
    """

    def __init__(self, *, start: float) -> None:
        if not 0 < start < 1:
            raise ConfigError("start is no share to begin with", value=start, expected="in (0, 1)")
        self.start = start

    @abstractmethod
    def share(self, progress: float) -> float:
        """Return the share in [0, 1) at some share of the budget spent."""

    @property
    def stage(self) -> int:
        """A number that changes with the share."""
        return 0

    def observe(self, passed: Sequence[bool]) -> None:  # noqa: B027
        """Note which programs passed all tests; the default ignores it."""

    def state_dict(self) -> dict[str, Any]:
        """Return what ``load_state_dict`` needs to go on as if never interrupted."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:  # noqa: B027
        """Restore what ``state_dict`` returned; the default has nothing to restore."""


class ByProgress(PrefixCurriculum):
    """Shortens the prefix evenly over the training.

    Args:
        start: The share at first.
        until: Share of the budget after which nothing is given.
    """

    def __init__(self, *, start: float = 0.8, until: float = 0.5) -> None:
        super().__init__(start=start)
        if not 0 < until <= 1:
            raise ConfigError("until is no share of a budget", value=until, expected="in (0, 1]")
        self._until = until

    def share(self, progress: float) -> float:
        """Return ``start * (1 - progress / until)``, at least 0."""
        return max(0.0, self.start * (1.0 - progress / self._until))


class BySuccess(PrefixCurriculum):
    """Shortens the prefix by a step whenever enough programs have passed.

    Args:
        start: The share at first.
        step: How much less is given each time.
        up_at: Success rate from which less is given.
        window: How many programs are looked at before that.
    """

    def __init__(
        self,
        *,
        start: float = 0.8,
        step: float = 0.1,
        up_at: float = 0.5,
        window: int = 512,
    ) -> None:
        super().__init__(start=start)
        if not 0 < step <= 1:
            raise ConfigError("step is unusable", value=step, expected="in (0, 1]")
        if not 0 < up_at <= 1:
            raise ConfigError("up_at is no success rate", value=up_at, expected="in (0, 1]")
        if window < 1:
            raise ConfigError("the window is empty", value=window, expected=">= 1")
        self._step, self._up_at = step, up_at
        self._steps = 0
        self._results: deque[bool] = deque(maxlen=window)

    def share(self, progress: float) -> float:
        """Return ``start - steps * step``, at least 0."""
        # Rounded, so that 0.8 - 8 * 0.1 is nothing instead of almost nothing.
        return max(0.0, round(self.start - self._steps * self._step, 9))

    @property
    def stage(self) -> int:
        """How often the prefix was shortened."""
        return self._steps

    def observe(self, passed: Sequence[bool]) -> None:
        """Count the programs; after a step the count begins anew."""
        self._results.extend(passed)
        full = len(self._results) == self._results.maxlen
        if full and sum(self._results) >= self._up_at * len(self._results):
            self._steps += 1
            self._results.clear()

    def state_dict(self) -> dict[str, Any]:
        """Return the steps taken and the results since."""
        return {"steps": self._steps, "results": list(self._results)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what ``state_dict`` returned."""
        self._steps = state["steps"]
        self._results = deque(state["results"], maxlen=self._results.maxlen)


_KINDS: dict[str, type[PrefixCurriculum]] = {"progress": ByProgress, "success": BySuccess}


def make_prefix_curriculum(uri: str) -> PrefixCurriculum | None:
    """Make the prefix curriculum that a string names: ``success?start=0.8&step=0.1``.

    Args:
        uri: ``success`` or ``progress`` with options, or ``none``.

    Raises:
        UnknownNameError: No such curriculum or option; names the nearest.
        ConfigError: An option's value is unusable.
    """
    parsed = parse_uri(uri)
    if uri == "none":
        return None
    if parsed.name not in _KINDS:
        raise UnknownNameError("prefix curriculum", parsed.name, ["none", *_KINDS])
    cls: Any = _KINDS[parsed.name]
    known = list(inspect.signature(cls).parameters)
    options = arguments_of(cls, parsed.options, f"prefix curriculum {parsed.name!r}", known)
    made: PrefixCurriculum = cls(**options)
    return made
