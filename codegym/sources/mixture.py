"""Mixture: several task sources as one, each with a weight.

    0.7*composites?depth=1-2&split=train + 0.3*mbpp?split=train

Sources stand apart by `` + `` with blanks around it; a source without a weight has the weight 1.
"""

import re
from collections.abc import Sequence

import numpy as np

from codegym.errors import ConfigError, TaskError
from codegym.sources.task_source import TaskSource, load_tasks
from codegym.tasks.task import Task

_SIZE = 1_000_000
_WEIGHT = re.compile(r"\s*([0-9.]+(?:[eE][+-]?[0-9]+)?)\s*\*\s*")


class Mixture(TaskSource):
    """Draws each task from one of several sources, by weight.

    Task i is a pure function of the sources, the weights and i; as with composed tasks there are as
    many as one asks for, and those of a small source come again and again.

    Args:
        sources: At least one.
        weights: Above 0, one for each; they are scaled to a sum of 1.

    Raises:
        ConfigError: Weights and sources do not go together.
    """

    def __init__(self, sources: Sequence[TaskSource], weights: Sequence[float]) -> None:
        if not sources or len(sources) != len(weights):
            raise ConfigError(
                "a mixture needs one weight for each source", value=(len(sources), len(weights))
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


def load_mixture(text: str) -> TaskSource:
    """Make the task source that a text names: one URI, or several with weights.

    Raises:
        ConfigError: A weight is unusable.
        UnknownNameError: No such source or option; names the nearest.
        TaskError: A task file is missing or malformed.
    """
    parts = re.split(r"\s+\+\s+", text.strip())
    if len(parts) == 1 and not _WEIGHT.match(parts[0]):
        return load_tasks(parts[0])
    weights, sources = [], []
    for part in parts:
        found = _WEIGHT.match(part)
        try:
            weights.append(float(found[1]) if found else 1.0)
        except ValueError:
            raise ConfigError("a weight is unreadable", value=part, expected="0.5*URI") from None
        sources.append(load_tasks(part[found.end() :] if found else part))
    return Mixture(sources, weights)
