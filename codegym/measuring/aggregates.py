"""Aggregates of several runs over several tasks: interquartile mean, profile, improvement.

A table holds a score for each run (seed) and each task. Intervals resample the runs of each task
on their own, 2,000 times, as the package rliable does; they cover the choice of seeds. rliable
itself is not used: it needs arch, statsmodels, pandas and seaborn, and these few formulas need
scipy alone.
Source: Agarwal et al. 2021 (2108.13264), sections 4.2 and 4.3.
"""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from codegym.measuring.statistics import Interval

Array = NDArray[np.float64]
_RESAMPLES = 2000


def interquartile_mean(scores: Array) -> float:
    """Return the mean of the middle half of all scores, (runs, tasks)."""
    from scipy.stats import trim_mean

    return float(trim_mean(scores, 0.25, axis=None))


def profile(scores: Array, thresholds: Sequence[float]) -> list[float]:
    """Return the share of scores above each threshold: the performance profile."""
    return [float((scores > threshold).mean()) for threshold in thresholds]


def probability_of_improvement(better: Array, worse: Array) -> float:
    """Return the chance that a run of one agent scores above a run of another, over tasks.

    The mean over tasks of ``P(X > Y) + P(X = Y) / 2``, over all pairs of runs.

    Args:
        better: (runs, tasks).
        worse: (runs, tasks), the same tasks.
    """
    above = better[:, None] > worse[None, :]
    equal = better[:, None] == worse[None, :]
    return float((above + 0.5 * equal).mean())


def stratified(
    figure: Callable[..., float], *tables: Array, seed: int = 0, resamples: int = _RESAMPLES
) -> Interval:
    """Return a figure of some tables with its 95 % interval.

    The runs of each task of each table are resampled on their own.

    Args:
        figure: Takes the tables.
        tables: (runs, tasks) each.
        seed: Seed of the resampling.
        resamples: How many times.
    """
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(resamples):
        drawn = [
            np.take_along_axis(table, rng.integers(len(table), size=table.shape), axis=0)
            for table in tables
        ]
        found.append(figure(*drawn))
    mean = figure(*tables)
    low, high = np.quantile(found, (0.025, 0.975))
    return Interval(mean, min(mean, float(low)), max(mean, float(high)))
