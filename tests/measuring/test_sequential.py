"""Sequential verdicts: levels against published values, Holm by hand, false signs by simulation."""

import numpy as np
import pytest
from scipy import stats

from codegym.measuring.calibration import LARGEST_RATE, NullModel, false_sign_rate
from codegym.measuring.hierarchical import SeedTable, estimate
from codegym.measuring.sequential import Difference, decide, look_levels
from codegym.measuring.statistics import paired_gain

LOOKS = (6, 7, 8, 9, 10, 11, 12)


def programs(
    rng: np.random.Generator, *, seeds: int, seed_sd: float, effect: float = 0.0
) -> tuple[np.ndarray, list[str]]:
    """Differences between two arms: 300 tasks of 115 compositions, eight programs a task."""
    clusters = np.sort(np.concatenate([np.arange(115), rng.integers(115, size=185)]))
    level = rng.normal(0.0, 1.2, 115)[clusters] + rng.normal(0.0, 0.6, 300)
    rows = []
    for _ in range(seeds):
        arms = []
        for shift in (effect, 0.0):
            # .22 is the slope of pass@1 in the logit at these tasks.
            moved = rng.normal(shift, seed_sd) / 0.18 + rng.normal(0.0, 0.5, 115)[clusters]
            chance = 1.0 / (1.0 + np.exp(-(level + moved)))
            arms.append(rng.binomial(8, chance) / 8)
        rows.append(arms[0] - arms[1])
    return np.array(rows), [str(number) for number in clusters]


def test_an_estimate_by_hand() -> None:
    # Two clusters with two tasks and one task; the seeds' means are .5 and 1/6.
    table = SeedTable.of_tasks(np.array([[1.0, 0.0, 0.5], [0.5, 0.0, 0.0]]), ["a", "a", "b"])
    assert table.values.tolist() == [[0.5, 0.5], [0.25, 0.0]]
    assert table.by_seed == pytest.approx([0.5, 1 / 6])
    found = estimate(table)
    assert found.mean == pytest.approx(1 / 3)
    # Clusters' effects: (0 + 1/12) / 2 and (0 - 1/6) / 2; cells: -1/24 and 1/12, 1/24 and -1/12.
    of_seeds = (1 / 6) ** 2 * 2 / 2
    of_clusters = 2 * ((2 / 3) ** 2 / 24**2 + (1 / 3) ** 2 / 12**2)
    of_rest = 2 * 2 * ((2 / 3) ** 2 / 24**2 + (1 / 3) ** 2 / 12**2) / 2
    assert of_clusters == pytest.approx(of_rest)
    assert found.error**2 == pytest.approx(of_seeds)


def test_the_variance_is_that_of_a_bootstrap_over_seeds_and_clusters() -> None:
    rng = np.random.default_rng(0)
    effects = rng.normal(0, 0.3, 40)
    values = rng.normal(0, 0.05, (6, 1)) + effects + rng.normal(0, 0.05, (6, 40))
    table = SeedTable(values, rng.integers(1, 5, 40).astype(float))
    means = []
    for _ in range(4000):
        chosen = rng.integers(40, size=40)
        sizes = table.sizes[chosen]
        rows = values[rng.integers(6, size=6)][:, chosen]
        means.append((rows @ sizes).mean() / sizes.sum())
    assert estimate(table).error == pytest.approx(np.std(means), rel=0.08)


def test_a_single_seed_has_no_interval_and_a_single_cluster_has_one() -> None:
    alone = estimate(SeedTable.of_tasks(np.array([[0.1, 0.2]]), ["a", "b"]))
    assert (alone.interval().low, alone.interval().high, alone.p_value) == (-1.0, 1.0, 1.0)
    together = estimate(SeedTable.of_tasks(np.array([[0.1], [0.3], [0.2]]), ["a"]))
    half = stats.t.isf(0.025, 2) * 0.1 / np.sqrt(3)
    assert together.interval().low == pytest.approx(0.2 - half)
    with pytest.raises(ValueError, match="seeds and tasks"):
        SeedTable.of_tasks(np.zeros((1, 2)), ["a"])


def test_levels_of_looks_spend_five_percent() -> None:
    # Pocock's spending at five equal looks, bounds of Jennison and Turnbull's software: 2.4380,
    # 2.4268, 2.4101, 2.3966, 2.3859.
    bounds = [stats.norm.isf(level / 2) for level in look_levels((1, 2, 3, 4, 5))]
    assert bounds == pytest.approx([2.4380, 2.4268, 2.4101, 2.3966, 2.3859], abs=2e-3)
    assert look_levels((4,)) == pytest.approx((0.05,))
    rng = np.random.default_rng(1)
    walks = np.cumsum(rng.normal(size=(40_000, 12)), axis=1)
    crossed = np.zeros(len(walks), dtype=bool)
    for look, level in zip(LOOKS, look_levels(LOOKS), strict=True):
        crossed |= np.abs(walks[:, look - 1]) / np.sqrt(look) > stats.norm.isf(level / 2)
    assert crossed.mean() == pytest.approx(0.05, abs=0.004)


def test_holm_and_the_three_verdicts_by_hand() -> None:
    def constant(mean: float, spread: float) -> Difference:
        steps = np.array([-1.0, 1.0, -1.0, 1.0]) * spread
        return Difference(plus=SeedTable((mean + steps)[:, None], np.ones(1)))

    # t = mean / (spread / sqrt(3)): 17.3, 4.95, 4.68 and .577 with three degrees of freedom.
    table = [constant(0.2, 0.02), constant(0.2, 0.07), constant(0.2, 0.074), constant(0.01, 0.03)]
    p_values = [each.estimate(4).p_value for each in table]
    assert p_values == pytest.approx([0.0004, 0.0158, 0.0184, 0.6042], abs=2e-4)
    # Holm: .05 / 4 is met by the first; .05 / 3 = .0167 by the second; .05 / 2 by the third.
    assert [each.verdict for each in decide(table, (4,))] == ["sign", "sign", "sign", "undecided"]
    # With a fourth that is no sign either, the second needs .05 / 4 = .0125 and misses it.
    table[0] = constant(0.0, 0.005)
    said = decide(table, (4,))
    assert [each.verdict for each in said] == ["no effect", "undecided", "undecided", "undecided"]
    assert said[0].estimate.interval(said[0].level).high < 0.02


def test_decisions_stay_and_looks_that_did_not_happen_decide_nothing() -> None:
    rng = np.random.default_rng(2)
    values = np.concatenate([rng.normal(0.2, 0.01, 6), rng.normal(-0.2, 0.01, 6)])[:, None]
    changed = Difference(plus=SeedTable(values, np.ones(1)))
    (said,) = decide([changed], LOOKS)
    assert (said.verdict, said.seeds) == ("sign", 6) and said.estimate.mean > 0
    (early,) = decide([Difference(plus=SeedTable(values[:5], np.ones(1)))], LOOKS)
    assert (early.verdict, early.seeds) == ("undecided", 5)


@pytest.mark.parametrize("seed_sd", [0.01, 0.034])
@pytest.mark.parametrize("looks", [(3,), LOOKS])
def test_false_signs_stay_below_seven_percent(seed_sd: float, looks: tuple[int, ...]) -> None:
    rng = np.random.default_rng(3)
    found = by_tasks = 0
    for number in range(200):
        values, clusters = programs(rng, seeds=looks[-1], seed_sd=seed_sd)
        drawn = Difference(plus=SeedTable.of_tasks(values, clusters))
        found += decide([drawn], looks)[0].verdict == "sign"
        if number >= 40:
            continue
        gain = paired_gain(np.zeros(300), values[: looks[0]].mean(axis=0))
        by_tasks += not gain.low <= 0 <= gain.high
    assert found / 200 <= LARGEST_RATE
    # Resampling tasks alone finds a sign in noise far more often.
    assert by_tasks / 40 > (0.3 if seed_sd > 0.02 else 0.07)


def test_an_effect_is_found() -> None:
    rng = np.random.default_rng(4)
    signs = 0
    for _ in range(20):
        values, clusters = programs(rng, seeds=12, seed_sd=0.01, effect=0.04)
        drawn = Difference(plus=SeedTable.of_tasks(values, clusters))
        signs += decide([drawn], LOOKS)[0].verdict == "sign"
    assert signs >= 18


def test_the_calibration_recovers_the_null_arms_variances_and_its_rate() -> None:
    rng = np.random.default_rng(5)
    sizes = np.ones(100)
    values = rng.normal(0, 0.03, (400, 1)) + rng.normal(0, 0.1, (400, 100))
    model = NullModel.fit(SeedTable(values, sizes))
    assert model.seed_sd == pytest.approx(0.03, rel=0.1)
    assert model.cluster_sd < 0.02 and model.rest_sd.mean() == pytest.approx(0.1, rel=0.05)
    assert 0.01 < false_sign_rate(model, LOOKS) <= LARGEST_RATE
    with pytest.raises(ValueError, match="two seeds"):
        NullModel.fit(SeedTable(values[:1], sizes))
