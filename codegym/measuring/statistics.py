"""Statistics: pass@k, and 95 % confidence intervals of means and differences."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import comb, sqrt

import numpy as np
from numpy.typing import NDArray

_Z95 = 1.959963984540054
# With fewer tasks that differ than this, a bootstrap resamples the same few tasks again and again.
_FEW = 10


@dataclass(frozen=True, slots=True)
class Interval:
    """An estimate with its 95 % confidence interval."""

    mean: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.mean:.3f} [{self.low:.3f}, {self.high:.3f}]"

    def signed(self) -> str:
        """Return the text of a difference, with signs."""
        return f"{self.mean:+.3f} [{self.low:+.3f}, {self.high:+.3f}]"


def pass_at_k(n: int, c: int, k: int) -> float:
    """Return the unbiased estimate of the chance that one of ``k`` programs passes.

    ``1 - C(n - c, k) / C(n, k)``: the share of k-subsets of the n samples with a passing program.

    Args:
        n: Programs sampled for one task.
        c: How many of them passed.
        k: Size of the subset, at most ``n``.

    Raises:
        ValueError: Not ``0 <= c <= n`` and ``1 <= k <= n``.

    Source: Chen et al. 2021 (2107.03374), equation 1.

    Example:
        >>> pass_at_k(4, 2, 1), round(pass_at_k(4, 2, 2), 4)
        (0.5, 0.8333)
    """
    if not (0 <= c <= n and 1 <= k <= n):
        raise ValueError(f"pass@k needs 0 <= c <= n and 1 <= k <= n, got n={n}, c={c}, k={k}")
    return 1.0 - comb(n - c, k) / comb(n, k)


def proportion(per_task: Sequence[float] | NDArray[np.float64], *, seed: int = 0) -> Interval:
    """Return the mean over tasks of a quantity in [0, 1], with its interval.

    Wilson's score interval if every task is 0 or 1, or if all tasks are equal; otherwise 2,000
    bootstrap resamples of tasks.
    """
    values = np.asarray(per_task, dtype=np.float64)
    if values.size == 0:
        raise ValueError("no tasks to average over")
    if np.isin(values, (0.0, 1.0)).all() or (values == values[0]).all():
        return _wilson(float(values.sum()), values.size)
    return _bootstrap(values, seed)


def paired_gain(
    before: Sequence[float] | NDArray[np.float64],
    after: Sequence[float] | NDArray[np.float64],
    *,
    seed: int = 0,
) -> Interval:
    """Return the mean of ``after - before`` over the same tasks, each in [0, 1], with its interval.

    The tasks are resampled 2,000 times. Where fewer than ten tasks differ, resampling would claim
    too much, above all that a difference of 0 is certain: the interval is then Bonett and Price's,
    which adds a task that is gained and a task that is lost.

    Source: Bonett and Price 2012, Adjusted Wald confidence interval for a difference of binomial
    proportions based on paired data.
    """
    change = np.asarray(after, dtype=np.float64) - np.asarray(before)
    if np.count_nonzero(change) < min(_FEW, change.size) or (change == change[0]).all():
        added = np.append(change, (1.0, -1.0))
        return _around(float(change.mean()), float(added.mean()), float(added.var() / added.size))
    return _bootstrap(change, seed)


def unpaired_gain(
    before: Sequence[float] | NDArray[np.float64],
    after: Sequence[float] | NDArray[np.float64],
    *,
    seed: int = 0,
) -> Interval:
    """Return the mean of ``after`` minus the mean of ``before``, over different tasks.

    The two sets of tasks are resampled separately, 2,000 times. Where all tasks of a set are equal,
    the interval is Agresti and Caffo's, which adds a success and a failure to each set.

    Source: Agresti and Caffo 2000, Simple and effective confidence intervals for proportions and
    differences of proportions result from adding two successes and two failures.
    """
    old, new = np.asarray(before, dtype=np.float64), np.asarray(after, dtype=np.float64)
    difference = float(new.mean() - old.mean())
    if (old == old[0]).all() or (new == new[0]).all():
        more_old, more_new = np.append(old, (0.0, 1.0)), np.append(new, (0.0, 1.0))
        variance = more_old.var() / more_old.size + more_new.var() / more_new.size
        return _around(difference, float(more_new.mean() - more_old.mean()), float(variance))
    rng = np.random.default_rng(seed)
    means = _resampled_means(new, rng) - _resampled_means(old, rng)
    low, high = np.quantile(means, (0.025, 0.975))
    return Interval(difference, float(low), float(high))


def _around(mean: float, centre: float, variance: float) -> Interval:
    """Return the interval of a difference in [-1, 1] from its adjusted centre and variance."""
    half = _Z95 * sqrt(variance)
    low, high = max(-1.0, centre - half), min(1.0, centre + half)
    return Interval(mean, min(mean, low), max(mean, high))


def _wilson(successes: float, n: int) -> Interval:
    p, z2 = successes / n, _Z95**2
    centre = (p + z2 / (2 * n)) / (1 + z2 / n)
    half = _Z95 * sqrt(p * (1 - p) / n + z2 / (4 * n * n)) / (1 + z2 / n)
    # Rounding must not push a bound past the mean.
    return Interval(p, min(p, max(0.0, centre - half)), max(p, min(1.0, centre + half)))


def _bootstrap(values: NDArray[np.float64], seed: int) -> Interval:
    means = _resampled_means(values, np.random.default_rng(seed))
    low, high = np.quantile(means, (0.025, 0.975))
    return Interval(float(values.mean()), float(low), float(high))


def _resampled_means(
    values: NDArray[np.float64], rng: np.random.Generator, resamples: int = 2000
) -> NDArray[np.float64]:
    means: NDArray[np.float64] = values[
        rng.integers(values.size, size=(resamples, values.size))
    ].mean(axis=1)
    return means
