"""Reward: Verdict (and Feedback) -> float, with declared bounds; pure; composes by + and *."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from math import inf, isfinite, isnan

import numpy as np
from numpy.typing import NDArray

from codegym.errors import ConfigError
from codegym.grading.feedback import Feedback
from codegym.grading.verdict import Verdict
from codegym.tasks.task import Task

Floats = NDArray[np.float32]


class Reward(ABC):
    """The price of a judged program.

    A reward is a class in its own file and registers with ``registry.plugin("rewards", NAME)``; its
    constructor's keyword arguments are what an expression may set: ``"rltf(fine=-0.2)"``.

    Attributes:
        low: No program earns less.
        high: No program earns more.
    """

    low: float
    high: float

    @abstractmethod
    def __call__(self, verdict: Verdict, feedback: Feedback | None = None) -> float:
        """Return the reward of a whole program, within ``[low, high]``."""

    def bind(self, task: Task, program: str) -> "Reward":
        """Return this reward for a program of a task.

        ``codegym.rewards.credit.price`` calls it first. Rewards that look at the text or at the
        reference solution override it; all others are the same for every program.
        """
        return self

    @property
    def is_fine(self) -> bool:
        """Whether this reward ever weighs tokens; where it does not, nobody asks it to."""
        return type(self).fine is not Reward.fine

    def fine(self, verdict: Verdict, feedback: Feedback) -> Floats:
        """Return the weight that fine-grained feedback puts on each token's log-probability.

        Returns:
            (T,) array, T = ``feedback.n_tokens``. The default has none: zeros.
        """
        return np.zeros(feedback.n_tokens, dtype=np.float32)

    def credit(self, verdict: Verdict, feedback: Feedback) -> Floats:
        """Return the reward received after each action.

        Returns:
            (T,) array, T = ``feedback.n_tokens``: the reward of the whole program on the last
            action, plus ``fine / T`` on the actions it weighs, so that the sum is the reward plus
            the mean fine weight, however long the program is.
        """
        count = feedback.n_tokens
        credit = np.zeros(count, dtype=np.float32)
        if not count:
            return credit
        if self.is_fine:
            credit = self.fine(verdict, feedback) / np.float32(count)
            credit[-1] += self(verdict, feedback)
        else:
            credit[-1] = self(verdict, feedback)
        return credit

    def __add__(self, other: "Reward | float") -> "Reward":
        return Sum(self, as_reward(other))

    def __radd__(self, other: float) -> "Reward":
        return Sum(as_reward(other), self)

    def __sub__(self, other: "Reward | float") -> "Reward":
        return Sum(self, Product(Constant(-1.0), as_reward(other)))

    def __rsub__(self, other: float) -> "Reward":
        return Sum(as_reward(other), -self)

    def __mul__(self, other: "Reward | float") -> "Reward":
        return Product(self, as_reward(other))

    def __rmul__(self, other: float) -> "Reward":
        return Product(as_reward(other), self)

    def __neg__(self) -> "Reward":
        return Product(Constant(-1.0), self)


class Constant(Reward):
    """The same for every program."""

    def __init__(self, value: float) -> None:
        self.low = self.high = float(value)

    def __call__(self, verdict: Verdict, feedback: Feedback | None = None) -> float:
        """Return the constant."""
        return self.low

    def __repr__(self) -> str:
        return f"{self.low!r}"


class FunctionReward(Reward):
    """What a function of the verdict returns; its bounds are not known.

    Args:
        function: Takes a ``Verdict`` and returns a finite number, the same for the same verdict.
    """

    low, high = -inf, inf

    def __init__(self, function: Callable[[Verdict], float]) -> None:
        self._function = function

    def __call__(self, verdict: Verdict, feedback: Feedback | None = None) -> float:
        """Return the function's number.

        Raises:
            ConfigError: It is none, or not finite.
        """
        value = self._function(verdict)
        if not isinstance(value, int | float) or not isfinite(value):
            name = getattr(self._function, "__name__", "a reward function")
            raise ConfigError(f"{name} returned no reward", value=value, expected="a finite number")
        return float(value)

    def __repr__(self) -> str:
        return str(getattr(self._function, "__name__", self._function))


class Sum(Reward):
    """The sum of two rewards, whole and fine."""

    def __init__(self, left: Reward, right: Reward) -> None:
        self._left, self._right = left, right
        self.low, self.high = left.low + right.low, left.high + right.high

    def __call__(self, verdict: Verdict, feedback: Feedback | None = None) -> float:
        """Return the sum."""
        return self._left(verdict, feedback) + self._right(verdict, feedback)

    def bind(self, task: Task, program: str) -> Reward:
        """Bind both."""
        return Sum(self._left.bind(task, program), self._right.bind(task, program))

    @property
    def is_fine(self) -> bool:
        """Whether either of them ever weighs tokens."""
        return self._left.is_fine or self._right.is_fine

    def fine(self, verdict: Verdict, feedback: Feedback) -> Floats:
        """Return the sum of both weights."""
        return self._left.fine(verdict, feedback) + self._right.fine(verdict, feedback)

    def __repr__(self) -> str:
        return f"{self._left!r}+{self._right!r}"


class Product(Reward):
    """The product of two rewards; the fine weights of each are scaled by the other's value."""

    def __init__(self, left: Reward, right: Reward) -> None:
        self._left, self._right = left, right
        corners = [_times(a, b) for a in (left.low, left.high) for b in (right.low, right.high)]
        self.low, self.high = min(corners), max(corners)

    def __call__(self, verdict: Verdict, feedback: Feedback | None = None) -> float:
        """Return the product."""
        return self._left(verdict, feedback) * self._right(verdict, feedback)

    def bind(self, task: Task, program: str) -> Reward:
        """Bind both."""
        return Product(self._left.bind(task, program), self._right.bind(task, program))

    @property
    def is_fine(self) -> bool:
        """Whether either of them ever weighs tokens."""
        return self._left.is_fine or self._right.is_fine

    def fine(self, verdict: Verdict, feedback: Feedback) -> Floats:
        """Return the weights of each times the value of the other."""
        left, right = self._left, self._right
        scaled: Iterable[Floats] = (
            left.fine(verdict, feedback) * np.float32(right(verdict, feedback)),
            right.fine(verdict, feedback) * np.float32(left(verdict, feedback)),
        )
        total = np.zeros(feedback.n_tokens, dtype=np.float32)
        for part in scaled:
            total += part
        return total

    def __repr__(self) -> str:
        return f"({self._left!r})*({self._right!r})"


def as_reward(value: Reward | float) -> Reward:
    """Return a reward unchanged and a number as a constant reward."""
    return value if isinstance(value, Reward) else Constant(value)


def _times(a: float, b: float) -> float:
    product = a * b
    return (0.0 if a == 0 or b == 0 else inf) if isnan(product) else product
