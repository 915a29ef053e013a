"""Sequential decisions: seeds are added until a difference has a sign, or is shown to be small.

At a look at the data, a difference is a ``sign`` if its interval leaves 0 out, has ``no effect`` if
its interval lies within +-.02, and otherwise waits for more seeds. After the last look it is
``undecided``. Two corrections keep the chance of a false sign in a whole table at 5 %:

- for looking more than once: the levels of the looks follow Pocock's spending function,
  ``alpha ln(1 + (e - 1) S / S_max)``, which spends most at the first look. A seed costs minutes, so
  early decisions are worth more here than a last look at nearly the full level, which the function
  of O'Brien and Fleming would give. A t-test's p-value is compared with the level of the look. The
  recursion behind the levels is for known variances; with t-tests from 3 or 6 seeds on, the looks
  together spend up to 1.16 times as much (simulated), so 0.85 alpha is given to them.
- for several contrasts: Holm's procedure, in its group-sequential form. With j contrasts without a
  sign, the smallest p-value is compared with the level of the look for ``alpha / j``.

Sources: Lan and DeMets 1983, Biometrika 70 (spending functions); Armitage, McPherson and Rowe 1969
(the recursion); Jennison and Turnbull 2000, section 4.4 (levels for t-tests); Holm 1979; Ye et al.
2013, Statistics in Medicine 32 (Holm's procedure with several looks).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import e, log, sqrt
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from codegym.measuring.hierarchical import Estimate, SeedTable, estimate

ALPHA = 0.05
NO_EFFECT = 0.02
"""Largest absolute difference in pass@1 that counts as none."""
Verdict = Literal["sign", "no effect", "undecided"]
LEAST_SEEDS = 3
"""With two seeds Student's t has one degree of freedom, and Satterthwaite's approximation fails."""
_GRID = 601
_SHARE_FOR_LOOKS = 0.85


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """A difference between two arms: a table, or a table less tables of other tasks.

    Attributes:
        plus: Paired difference, by seed and cluster.
        minus: Paired differences on other tasks, which are subtracted.
    """

    plus: SeedTable
    minus: tuple[SeedTable, ...] = ()

    @property
    def seeds(self) -> int:
        """Return the number of seeds."""
        return len(self.plus.values)

    def estimate(self, seeds: int) -> Estimate:
        """Return the estimate from the first seeds."""
        widest = 1.0 + len(self.minus)
        return estimate(
            self.plus.first(seeds),
            *(table.first(seeds) for table in self.minus),
            bounds=(-widest, widest),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What the looks so far show of a difference.

    Attributes:
        verdict: ``sign``, ``no effect`` or ``undecided``.
        seeds: Number of seeds at the look that decided, or at the latest look.
        level: Level of that look, after both corrections.
        estimate: The estimate at that look; its interval at ``level`` is the reported one.
    """

    verdict: Verdict
    seeds: int
    level: float
    estimate: Estimate


@lru_cache(maxsize=512)
def look_levels(looks: tuple[int, ...], alpha: float = ALPHA) -> tuple[float, ...]:
    """Return the two-sided level of each look; together they spend ``alpha`` by the last look.

    Args:
        looks: Numbers of seeds, increasing.
        alpha: Chance of a false sign at any look.
    """
    from scipy.optimize import brentq
    from scipy.stats import norm

    levels: list[float] = []
    grid = density = np.zeros(0)
    spent = before = 0.0
    for look in looks:
        fraction = look / looks[-1]
        allowed = alpha * log(1.0 + (e - 1.0) * fraction) - spent
        spent, step = spent + allowed, sqrt(fraction - before)
        if not levels:
            bound = float(norm.isf(allowed / 2.0)) * sqrt(fraction)
        else:
            bound = float(brentq(_excess, 0.0, 12.0, args=(grid, density, step, allowed)))
        levels.append(float(2.0 * norm.sf(bound / sqrt(fraction))))
        finer = np.linspace(-bound, bound, _GRID)
        if not density.size:
            reached = norm.pdf(finer / step) / step
        else:
            reached = norm.pdf((finer[:, None] - grid) / step) / step @ density
        # A trapezoid rule's weights are part of the density.
        weights = np.full(_GRID, finer[1] - finer[0])
        weights[[0, -1]] /= 2.0
        grid, density, before = finer, reached * weights, fraction
    return tuple(levels)


def _excess(
    bound: float,
    grid: NDArray[np.float64],
    density: NDArray[np.float64],
    step: float,
    allowed: float,
) -> float:
    """Return the chance to leave [-bound, bound] at this look, less the allowed chance."""
    from scipy.stats import norm

    outside = norm.sf((bound - grid) / step) + norm.cdf((-bound - grid) / step)
    return float(outside @ density) - allowed


def decide(
    differences: Sequence[Difference], looks: Sequence[int], *, alpha: float = ALPHA
) -> list[Decision]:
    """Replay the looks at a table of differences; the result depends on the data alone.

    Args:
        differences: The contrasts of a table, with the same seeds.
        looks: Planned numbers of seeds, increasing. Looks beyond the seeds there are did not happen
            yet. With fewer seeds than the first look, or fewer than 3, nothing is decided.
        alpha: Chance of a false sign in the whole table, over all looks.
    """
    planned, count = tuple(looks), len(differences)
    alpha *= _SHARE_FOR_LOOKS if len(planned) > 1 else 1.0
    decisions: dict[int, Decision] = {}
    signs = 0
    present = min((each.seeds for each in differences), default=0)
    done = [look for look in planned if look <= present]
    for place, look in enumerate(done):
        if look < LEAST_SEEDS:
            continue
        open_ones = [n for n in range(count) if n not in decisions]
        found = {n: differences[n].estimate(look) for n in open_ones}
        for n in sorted(open_ones, key=lambda n: found[n].p_value):
            level = look_levels(planned, alpha / (count - signs))[place]
            if found[n].p_value > level:
                break
            decisions[n] = _decision("sign", look, level, found[n])
            signs += 1
        for n in open_ones:
            if n in decisions:
                continue
            level = look_levels(planned, alpha / max(1, count - signs))[place]
            interval = found[n].interval(level)
            if -NO_EFFECT <= interval.low and interval.high <= NO_EFFECT:
                decisions[n] = _decision("no effect", look, level, found[n])
    seeds, place = (done[-1], len(done) - 1) if done else (present, 0)
    level = look_levels(planned, alpha / max(1, count - signs))[place]
    return [
        decisions.get(n) or _decision("undecided", seeds, level, each.estimate(seeds))
        for n, each in enumerate(differences)
    ]


def _decision(verdict: Verdict, seeds: int, level: float, found: Estimate) -> Decision:
    return Decision(verdict=verdict, seeds=seeds, level=level, estimate=found)
