"""Task samplers: choose the training tasks of an update.

A sampler is named by ``name[?key=value&...]``: ``uniform``, ``success?floor=0.05``, ``curriculum``.
What it draws is a pure function of its state and of the generator, and its state changes in
``observe`` alone. A run that is stopped and resumed therefore draws the same tasks.
"""

import inspect
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, ClassVar, Literal

import numpy as np

from codegym import registry
from codegym.errors import ConfigError
from codegym.settings import arguments_of
from codegym.sources import TaskSource, parse_uri
from codegym.sources.composites import ProceduralSource
from codegym.synthesis import Curriculum, CurriculumConfig
from codegym.tasks.task import Task


class TaskSampler(ABC):
    """Draws tasks. Registers with ``registry.plugin("samplers", NAME)``.

    Args:
        source: The training tasks. Further keyword arguments are the keys of the sampler's name.

    Attributes:
        even: Whether pass rates of different updates can be compared: the tasks of a stage are
            as hard at its end as at its beginning.
    """

    even: ClassVar[bool] = True

    def __init__(self, source: TaskSource) -> None:
        self.source = source

    @abstractmethod
    def draw(self, count: int, rng: np.random.Generator) -> list[Task]:
        """Return ``count`` tasks, possibly repeated. Changes nothing but ``rng``."""

    def observe(self, task: Task, passed: Sequence[bool]) -> None:  # noqa: B027
        """Note which of a task's programs passed all tests; the default ignores it."""

    @property
    def stage(self) -> int:
        """A number that changes when tasks of another difficulty begin."""
        return 0

    def metrics(self) -> dict[str, float]:
        """Return what is logged beside the agent's metrics."""
        return {}

    def state_dict(self) -> dict[str, Any]:
        """Return what ``load_state_dict`` needs to go on as if never interrupted."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:  # noqa: B027
        """Restore what ``state_dict`` returned; the default has nothing to restore."""


def make_sampler(uri: str, source: TaskSource) -> TaskSampler:
    """Make the sampler that a string names.

    Raises:
        UnknownNameError: No such sampler or option; names the nearest.
        ConfigError: An option's value is unusable, or the source does not suit the sampler.
    """
    parsed = parse_uri(uri)
    cls = registry.get("samplers", parsed.name)
    known = list(inspect.signature(cls).parameters)[1:]
    sampler: TaskSampler = cls(
        source, **arguments_of(cls, parsed.options, f"task sampler {parsed.name!r}", known)
    )
    return sampler


class UniformSampler(TaskSampler):
    """Every task of the source is as likely as any other."""

    def draw(self, count: int, rng: np.random.Generator) -> list[Task]:
        """Draw with replacement."""
        return [self.source[int(i)] for i in rng.integers(len(self.source), size=count)]


class SuccessSampler(TaskSampler):
    """Prefers tasks that are sometimes solved: those always or never solved teach little.

    A few times more tasks than needed are drawn from the source, and chosen from with weight
    ``floor + 4 p (1 - p)``, where ``p = (passes + 1) / (programs + 2)`` and both counts fade by
    ``fade`` with every further look at the key. A key never seen has ``p = 1/2``, the full weight.

    Args:
        source: The training tasks.
        by: What shares a key: ``composition`` (a task without a composition has its own key) or
            ``task``.
        floor: Weight of a task that is always or never solved; the most is 1 more.
        fade: Share of the older counts that is kept at each look.
        candidates: How many times more tasks are drawn than are chosen.
    """

    even = False

    def __init__(
        self,
        source: TaskSource,
        *,
        by: Literal["composition", "task"] = "composition",
        floor: float = 0.1,
        fade: float = 0.8,
        candidates: int = 4,
    ) -> None:
        super().__init__(source)
        if not floor > 0:
            raise ConfigError("tasks would never come back", value=floor, expected="floor > 0")
        if not 0 <= fade <= 1:
            raise ConfigError("fade is not a share", value=fade, expected="in [0, 1]")
        if candidates < 1:
            raise ConfigError("there is nothing to choose from", value=candidates, expected=">= 1")
        self._by, self._floor, self._fade = by, floor, fade
        self._candidates = candidates
        self._counts: dict[str, tuple[float, float]] = {}

    def key(self, task: Task) -> str:
        """Return what a task is counted under."""
        key = task.metadata.get("key") if self._by == "composition" else None
        return key if isinstance(key, str) else task.task_id

    def weight(self, task: Task) -> float:
        """Return how much a task is preferred."""
        passes, programs = self._counts.get(self.key(task), (0.0, 0.0))
        p = (passes + 1.0) / (programs + 2.0)
        return self._floor + 4.0 * p * (1.0 - p)

    def draw(self, count: int, rng: np.random.Generator) -> list[Task]:
        """Draw candidates with replacement and choose among them without."""
        drawn = rng.integers(len(self.source), size=count * self._candidates)
        tasks = [self.source[int(i)] for i in drawn]
        weights = np.array([self.weight(task) for task in tasks])
        chosen = rng.choice(len(tasks), size=count, replace=False, p=weights / weights.sum())
        return [tasks[int(i)] for i in chosen]

    def observe(self, task: Task, passed: Sequence[bool]) -> None:
        """Count the programs under the task's key."""
        passes, programs = self._counts.get(self.key(task), (0.0, 0.0))
        self._counts[self.key(task)] = (
            self._fade * passes + sum(passed),
            self._fade * programs + len(passed),
        )

    def metrics(self) -> dict[str, float]:
        """Return how many keys were seen, and the mean of their success rates."""
        rates = [passes / programs for passes, programs in self._counts.values() if programs]
        return {
            "sampler/keys": float(len(self._counts)),
            "sampler/success": float(np.mean(rates)) if rates else 0.0,
        }

    def state_dict(self) -> dict[str, Any]:
        """Return the counts."""
        return {"counts": dict(self._counts)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore the counts."""
        self._counts = dict(state["counts"])


class CurriculumSampler(TaskSampler):
    """Composed tasks from shallow to deep; ``synthesis.Curriculum`` moves by the success rate.

    The lessons are the depths of the source, each with all below it: ``depth=1-3`` has three.

    Args:
        source: A source of compositions.
        window: How many programs of a lesson are looked at before moving.
        up_at: Success rate from which the next lesson begins.
        down_at: Success rate at or below which the lesson before comes back.
        review: Share of tasks drawn from lessons already passed.

    Raises:
        ConfigError: The source composes nothing, or a threshold is unusable.
    """

    def __init__(
        self,
        source: TaskSource,
        *,
        window: int = 512,
        up_at: float = 0.5,
        down_at: float = 0.02,
        review: float = 0.2,
    ) -> None:
        super().__init__(source)
        if not isinstance(source, ProceduralSource):
            raise ConfigError(
                "a curriculum moves over the depths of composed tasks",
                value=source.uri,
                expected="tasks such as composites?depth=1-3&split=train",
                cure="the sampler success suits any source",
            )
        depths = source.config.depths
        lessons = tuple(
            replace(source.config, min_depth=depths[0], max_depth=depth) for depth in depths
        )
        self._curriculum = Curriculum(
            CurriculumConfig(
                lessons=lessons,
                window=window,
                up_at=up_at,
                down_at=down_at,
                review=review,
                seed=source.seed,
            )
        )

    def draw(self, count: int, rng: np.random.Generator) -> list[Task]:
        """Draw tasks of the present lesson, and some of the lessons before."""
        return [self._curriculum.task(int(number)) for number in rng.integers(2**40, size=count)]

    def observe(self, task: Task, passed: Sequence[bool]) -> None:
        """Count every program in the curriculum."""
        for program_passed in passed:
            self._curriculum.observe(task, passed=program_passed)

    @property
    def stage(self) -> int:
        """Index of the present lesson."""
        return self._curriculum.level

    def metrics(self) -> dict[str, float]:
        """Return the present lesson and its success rate."""
        rate = self._curriculum.success_rate
        row = {"sampler/lesson": float(self._curriculum.level)}
        return row if rate is None else row | {"sampler/success": rate}

    def state_dict(self) -> dict[str, Any]:
        """Return the curriculum's state."""
        return self._curriculum.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore the curriculum's state."""
        self._curriculum.load_state_dict(state)
