"""Curriculum: lessons from easy to hard, and a level that follows the success rate."""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from random import Random
from typing import Any

from codegym.errors import ConfigError
from codegym.synthesis.generate import SynthesisConfig, draw_task
from codegym.tasks.task import Task

LESSONS: tuple[SynthesisConfig, ...] = (
    SynthesisConfig(domain="small", min_depth=1, max_depth=1),
    SynthesisConfig(domain="small", min_depth=1, max_depth=2),
    SynthesisConfig(domain="big", min_depth=1, max_depth=2),
    SynthesisConfig(domain="big", min_depth=2, max_depth=3),
    SynthesisConfig(domain="all", min_depth=2, max_depth=3),
    SynthesisConfig(domain="all", min_depth=2, max_depth=3, shape="any", tests=12),
)
"""The default lessons: deeper, then more atoms and types, then forks and more tests."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CurriculumConfig:
    """Lessons and thresholds of a curriculum.

    Attributes:
        lessons: Settings of each lesson, from easy to hard.
        window: Number of results of a lesson needed before the level moves.
        up_at: Success rate at or above which the next lesson begins.
        down_at: Success rate at or below which the previous lesson returns.
        review: Share of tasks drawn from lessons already passed.
        seed: Seed of the tasks.
    """

    lessons: tuple[SynthesisConfig, ...] = LESSONS
    window: int = 256
    up_at: float = 0.7
    down_at: float = 0.1
    review: float = 0.2
    seed: int = 0

    def __post_init__(self) -> None:
        if not self.lessons:
            raise ConfigError("a curriculum needs lessons", value=self.lessons)
        if self.window < 1:
            raise ConfigError("the window is empty", value=self.window, expected=">= 1")
        if not 0 <= self.down_at < self.up_at <= 1:
            raise ConfigError(
                "the curriculum would oscillate",
                value=(self.down_at, self.up_at),
                expected="0 <= down_at < up_at <= 1",
            )
        if not 0 <= self.review < 1:
            raise ConfigError("review is not a share", value=self.review, expected="in [0, 1)")


class Curriculum:
    """Draws tasks at the current level and moves the level by their success rate.

    Args:
        config: Lessons and thresholds.

    Attributes:
        level: Index of the current lesson.

    Example:
        >>> curriculum = Curriculum(CurriculumConfig(window=4, review=0.0))
        >>> for task in curriculum.draw(4):
        ...     curriculum.observe(task, passed=True)
        >>> curriculum.level
        1
    """

    def __init__(self, config: CurriculumConfig | None = None) -> None:
        self.config = config or CurriculumConfig()
        self.level = 0
        self._drawn = 0
        self._results: deque[bool] = deque(maxlen=self.config.window)

    @property
    def success_rate(self) -> float | None:
        """Share of passed tasks in the window; None before the first result."""
        return sum(self._results) / len(self._results) if self._results else None

    def draw(self, n: int) -> list[Task]:
        """Return the next ``n`` tasks; the k-th draw depends on seed, level and k alone."""
        first, self._drawn = self._drawn, self._drawn + n
        return [self.task(first + number) for number in range(n)]

    def observe(self, task: Task, *, passed: bool) -> None:
        """Record the result of a task; results of other levels are ignored.

        Args:
            task: A task that ``draw`` returned.
            passed: Whether its program passed every test.
        """
        if task.metadata.get("lesson") != self.level:
            return
        self._results.append(passed)
        if len(self._results) < self.config.window:
            return
        rate = sum(self._results) / len(self._results)
        if rate >= self.config.up_at and self.level + 1 < len(self.config.lessons):
            self._move(self.level + 1)
        elif rate <= self.config.down_at and self.level > 0:
            self._move(self.level - 1)

    def state_dict(self) -> dict[str, Any]:
        """Return the state that ``load_state_dict`` needs to continue without a difference."""
        return {"level": self.level, "drawn": self._drawn, "results": list(self._results)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what ``state_dict`` returned.

        Raises:
            ConfigError: The state belongs to a curriculum with more lessons.
        """
        if not 0 <= state["level"] < len(self.config.lessons):
            raise ConfigError(
                "the state is of another curriculum",
                value=state["level"],
                expected=f"a level below {len(self.config.lessons)}",
            )
        self.level, self._drawn = state["level"], state["drawn"]
        self._results = deque(_flags(state["results"]), maxlen=self.config.window)

    def task(self, number: int) -> Task:
        """Return task ``number`` of the current level, without drawing it.

        Args:
            number: A number of at least 0; seed, level and number determine the task.
        """
        rng = Random(f"curriculum/{self.config.seed}/{self.level}/{number}")
        lesson = self.level
        if lesson and rng.random() < self.config.review:
            lesson = int(rng.random() * lesson)
        task = draw_task(
            self.config.lessons[lesson],
            rng,
            name=lambda key: f"curriculum/{self.config.seed}/{lesson}/{number}/{key}",
            split="train",
        )
        assert isinstance(task.metadata, dict)
        task.metadata["lesson"] = lesson
        return task

    def _move(self, level: int) -> None:
        self.level = level
        self._results.clear()


def _flags(values: Iterable[Any]) -> Iterable[bool]:
    return (bool(value) for value in values)
