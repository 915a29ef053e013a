"""Hierarchical estimates: means whose intervals cover the choice of seeds and the choice of tasks.

A figure is a table of seeds and tasks. Seeds are drawn at random, and so are the clusters of tasks:
tasks that share a composition pass and fail together, so 300 tasks of 115 compositions hold less
than 300 tasks' worth of evidence. The mean m over ``S`` seeds and ``C`` clusters has the variance

    V = V_seeds + max(0, V_clusters - V_rest)

``V_seeds`` is the variance of the seeds' means over S, ``V_clusters`` that of the clusters' effects
(cluster c weighs w_c, its share of the tasks), and ``V_rest`` what differences between single cells
add to ``V_clusters`` by chance. ``V_seeds + V_clusters`` is the variance of the bootstrap that
resamples seeds and clusters, with its factor ``S / (S - 1)`` and, because effects are measured
from their own weighted mean, ``sum w^2 / sum w^2 (1 - 2 w + sum w^2)``, which is ``C / (C - 1)``
for equal clusters; no resampling is needed to know it. The bootstrap's percentiles are not used:
with three to eight seeds they cover 0 too seldom. The interval is ``m +- t sqrt(V)`` instead, with
Student's t at Satterthwaite's degrees of freedom, but at most four with three seeds, where the
approximation gives up to .079 false signs instead of .05 (simulated). Clusters count as
``(sum w^2)^2 / sum w^4`` equal ones; where these are fewer than ten, a small V_clusters may be
chance, and the degrees of freedom are at most those of the clusters and of the seeds.
Sources: Owen 2007 (0712.1111), the pigeonhole bootstrap of crossed random effects; Davison and
Hinkley 1997, section 3.8, hierarchical resampling; Satterthwaite 1946, Biometrics Bulletin 2.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf, sqrt

import numpy as np
from numpy.typing import NDArray

from codegym.measuring.statistics import Interval

Array = NDArray[np.float64]
FEW_CLUSTERS = 10
FEW_SEEDS = 3


@dataclass(frozen=True, slots=True)
class SeedTable:
    """Figures by seed and by cluster of tasks.

    Attributes:
        values: (S, C) mean over the tasks of each cluster, for each seed.
        sizes: (C,) number of tasks of each cluster.
    """

    values: Array
    sizes: Array

    @classmethod
    def of_tasks(cls, values: Array, clusters: Sequence[str]) -> "SeedTable":
        """Average the tasks of each cluster.

        Args:
            values: (S, tasks).
            clusters: Cluster of each task.

        Raises:
            ValueError: There is no task or no seed, or the lengths differ.
        """
        if values.ndim != 2 or not values.size or values.shape[1] != len(clusters):
            raise ValueError(
                f"a table needs seeds and tasks, got {values.shape} for {len(clusters)} clusters"
            )
        _, places = np.unique(np.asarray(clusters), return_inverse=True)
        sizes = np.bincount(places).astype(np.float64)
        sums = np.stack([np.bincount(places, weights=row) for row in values])
        return cls(sums / sizes, sizes)

    def first(self, seeds: int) -> "SeedTable":
        """Return the table of the first seeds."""
        return SeedTable(self.values[:seeds], self.sizes)

    def __sub__(self, other: "SeedTable") -> "SeedTable":
        return SeedTable(self.values - other.values, self.sizes)

    @property
    def by_seed(self) -> Array:
        """Return the mean over tasks of each seed, (S,)."""
        means: Array = self.values @ self.sizes / self.sizes.sum()
        return means


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean with its standard error.

    Attributes:
        mean: The mean over seeds and tasks.
        error: Its standard error; infinite with one seed.
        freedom: Degrees of freedom of the standard error.
        bounds: Lowest and highest value that the mean can have.
    """

    mean: float
    error: float
    freedom: float
    bounds: tuple[float, float]

    @property
    def p_value(self) -> float:
        """Return the two-sided p-value of a mean of 0."""
        if self.error == inf:
            return 1.0
        if self.error == 0.0:
            return 1.0 if self.mean == 0.0 else 0.0
        from scipy.special import stdtr

        return float(2.0 * stdtr(self.freedom, -abs(self.mean) / self.error))

    def interval(self, level: float = 0.05) -> Interval:
        """Return the interval that misses the true mean with probability ``level``."""
        low, high = self.bounds
        if self.error < inf:
            from scipy.special import stdtrit

            half = -float(stdtrit(self.freedom, level / 2.0)) * self.error
            low, high = max(low, self.mean - half), min(high, self.mean + half)
        return Interval(self.mean, min(low, self.mean), max(high, self.mean))


def estimate(
    plus: SeedTable,
    *minus: SeedTable,
    bounds: tuple[float, float] = (-1.0, 1.0),
) -> Estimate:
    """Return the mean of a table, less the means of tables of other tasks.

    Args:
        plus: A table; for a paired difference of two arms, the difference of their tables.
        minus: Tables with the same seeds and other tasks, whose means are subtracted.
        bounds: Lowest and highest value that the result can have.
    """
    by_seed = plus.by_seed - sum((table.by_seed for table in minus), np.zeros(()))
    seeds, mean = len(by_seed), float(by_seed.mean())
    if seeds < 2:
        return Estimate(mean, inf, 0.0, bounds)
    variance = float(by_seed.var(ddof=1)) / seeds
    scale, most = variance**2 / (seeds - 1), inf if seeds > FEW_SEEDS else 2.0 * (seeds - 1)
    for table in (plus, *minus):
        of_clusters, of_rest, clusters = _cluster_variance(table)
        if clusters < FEW_CLUSTERS:
            most = min(most, seeds - 1, clusters - 1)
        if of_clusters > of_rest:
            own = max(1.0, clusters - 1)
            variance += of_clusters - of_rest
            scale += of_clusters**2 / own + of_rest**2 / (own * (seeds - 1))
    freedom = variance**2 / scale if scale > 0 else float(seeds - 1)
    return Estimate(mean, sqrt(variance), max(1.0, min(most, freedom)), bounds)


def _cluster_variance(table: SeedTable) -> tuple[float, float, float]:
    """Return V_clusters, V_rest and as how many equal clusters the clusters count.

    With a single cluster both variances are 0, and the seeds alone count.
    """
    seeds, clusters = table.values.shape
    if clusters < 2:
        return 0.0, 0.0, inf
    shares = table.sizes / table.sizes.sum()
    centred = table.values - table.by_seed[:, None]
    effects = centred.mean(axis=0)
    rest = centred - effects
    squares = float((shares**2).sum())
    unbiased = squares / float((shares**2 * (1.0 - 2.0 * shares + squares)).sum())
    equal = squares**2 / float((shares**4).sum())
    of_clusters = unbiased * float((shares**2 * effects**2).sum())
    cells = float((shares**2 * rest**2).sum()) / seeds / (seeds - 1)
    return of_clusters, unbiased * cells, equal
