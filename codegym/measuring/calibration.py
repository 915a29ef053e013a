"""Calibration: how often the procedure finds a sign where there is none.

A null arm has the settings of another arm and other seeds. Its difference from that arm is chance
alone, and shows how large chance is here. A model is fitted to it: a difference of seed s in
cluster c is ``a_s + b_c + r_sc``, all normal around 0, with the variances that the null arm shows
(``r`` with a variance for each cluster). Comparisons drawn from the model go through the sequential
procedure, each alone, without the correction for several contrasts; the share with a sign is the
rate of false signs.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt

import numpy as np

from codegym.measuring.hierarchical import Array, SeedTable
from codegym.measuring.sequential import ALPHA, Difference, decide

COMPARISONS = 400
LARGEST_RATE = 0.07


@dataclass(frozen=True, slots=True, kw_only=True)
class NullModel:
    """Differences between two arms with the same settings.

    Attributes:
        seed_sd: Standard deviation of the seeds' effect a.
        cluster_sd: Standard deviation of the clusters' effect b.
        rest_sd: (C,) standard deviation of r in each cluster.
        sizes: (C,) number of tasks of each cluster.
    """

    seed_sd: float
    cluster_sd: float
    rest_sd: Array
    sizes: Array

    @classmethod
    def fit(cls, null: SeedTable) -> "NullModel":
        """Fit the model to a null arm's difference, whose true mean is 0.

        Raises:
            ValueError: The null arm has fewer than two seeds.
        """
        seeds, clusters = null.values.shape
        if seeds < 2:
            raise ValueError(f"a null arm needs two seeds, got {seeds}")
        shares = null.sizes / null.sizes.sum()
        centred = null.values - null.by_seed[:, None]
        effects = centred.mean(axis=0)
        rest = ((centred - effects) ** 2).sum(axis=0) / (seeds - 1)
        # The mean square of a seed's mean around the true mean, 0, holds r's share too.
        seed_variance = float((null.by_seed**2).mean() - (shares**2 * rest).sum())
        cluster_variance = float((effects**2 - rest / seeds).sum()) / clusters
        return cls(
            seed_sd=sqrt(max(0.0, seed_variance)),
            cluster_sd=sqrt(max(0.0, cluster_variance)),
            rest_sd=np.sqrt(rest),
            sizes=null.sizes,
        )

    def draw(self, seeds: int, rng: np.random.Generator) -> SeedTable:
        """Draw a comparison without an effect."""
        clusters = len(self.sizes)
        values = (
            rng.normal(0.0, self.seed_sd, (seeds, 1))
            + rng.normal(0.0, self.cluster_sd, clusters)
            + rng.normal(0.0, 1.0, (seeds, clusters)) * self.rest_sd
        )
        return SeedTable(values, self.sizes)


def false_sign_rate(
    model: NullModel,
    looks: Sequence[int],
    *,
    comparisons: int = COMPARISONS,
    alpha: float = ALPHA,
    seed: int = 0,
) -> float:
    """Return the share of comparisons without an effect in which the procedure finds a sign."""
    rng = np.random.default_rng(seed)
    found = 0
    for _ in range(comparisons):
        drawn = Difference(plus=model.draw(looks[-1], rng))
        found += decide([drawn], looks, alpha=alpha)[0].verdict == "sign"
    return found / comparisons
