"""Mixture: several weighted task sources that act as a single source.

0.7*composites?depth=1-2&split=train + 0.3*mbpp?split=train
"""

from collections.abc import Sequence

import numpy as np

from codegym.errors import ConfigError, TaskError
from codegym.tasks.task import Task
from codegym.tasks.task_source import TaskSource

_SIZE = 1_000_000


class Mixture(TaskSource):
    """Draws the source of each task by weight, then a task of that source.

    Task i is a pure function of the sources, the weights and i. A mixture has a million tasks, so
    the tasks of a small source repeat.

    Args:
        sources: The sources, at least one.
        weights: A weight above 0 for each source; the weights are scaled to a sum of 1.

    Raises:
        ConfigError: The numbers of weights and sources differ, or a weight is not above 0.
    """

    def __init__(self, sources: Sequence[TaskSource], weights: Sequence[float]) -> None:
        if not sources or len(sources) != len(weights):
            raise ConfigError(
                "a mixture needs a weight for each source", value=(len(sources), len(weights))
            )
        if not all(0 < weight < float("inf") for weight in weights):
            raise ConfigError("a weight is unusable", value=list(weights), expected="above 0")
        self.sources = tuple(sources)
        self.weights = tuple(weight / sum(weights) for weight in weights)
        self._ends = np.cumsum(self.weights)[:-1]
        self.uri = " + ".join(
            f"{weight:g}*{source.uri}" for weight, source in zip(self.weights, sources, strict=True)
        )

    def __len__(self) -> int:
        return _SIZE

    def __getitem__(self, index: int) -> Task:
        """Return task ``index``.

        Raises:
            IndexError: ``index`` is out of range.
        """
        number = index + _SIZE if index < 0 else index
        if not 0 <= number < _SIZE:
            raise IndexError(f"task {index} of {_SIZE}")
        chance, place = np.random.default_rng(number).random(2)
        source = self.sources[int(np.searchsorted(self._ends, chance, side="right"))]
        return source[int(place * len(source))]

    def find(self, task_id: str) -> Task:
        """Return the task of that id.

        Raises:
            TaskError: No source has it.
        """
        for source in self.sources[:-1]:
            try:
                return source.find(task_id)
            except TaskError:
                continue
        return self.sources[-1].find(task_id)
