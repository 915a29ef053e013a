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


# Few clusters, a cluster as large as all others together, and effects of clusters that stay over
# seeds: chance in the choice of the clusters.
@pytest.mark.parametrize(
    "sizes",
    [
        [150, 150],
        [75] * 4,
        [19, *[1] * 19],
        [114, *[1] * 114],
        [1 + place % 5 for place in range(115)],
    ],
    ids=["two", "four", "one large of 20", "one large of 115", "unequal"],
)
@pytest.mark.parametrize("looks", [(2,), (3,), (6,), LOOKS])
def test_false_signs_stay_below_seven_percent_with_any_clusters(
    sizes: list[int], looks: tuple[int, ...]
) -> None:
    rng = np.random.default_rng(6)
    tasks = np.array(sizes, dtype=float)
    found = 0
    for seed_sd, cluster_sd, rest_sd in ((0.03, 0.0, 0.1), (0.0, 0.2, 0.0), (0.03, 0.1, 0.1)):
        for _ in range(200):
            values = rng.normal(0.0, 1.0, (looks[-1], 1)) * seed_sd
            values = values + rng.normal(0.0, 1.0, len(tasks)) * cluster_sd
            values += rng.normal(0.0, 1.0, (looks[-1], len(tasks))) * rest_sd / np.sqrt(tasks)
            drawn = Difference(plus=SeedTable(values, tasks))
            found += decide([drawn], looks)[0].verdict == "sign"
    assert found / 600 <= LARGEST_RATE


def test_no_variance_at_all_is_no_effect() -> None:
    nothing = Difference(plus=SeedTable(np.zeros((6, 5)), np.ones(5)))
    assert decide([nothing], (6,))[0].verdict == "no effect"
    # One task of a hundred that every seed gains is the choice of that task, not a sign.
    values = np.zeros((6, 100))
    values[:, 3] = 1.0
    (said,) = decide([Difference(plus=SeedTable(values, np.ones(100)))], (6,))
    assert said.verdict != "sign" and said.estimate.p_value == pytest.approx(0.32, abs=0.01)


def test_the_variance_of_unequal_clusters_by_hand() -> None:
    # Shares .5, .25, .25 with effects 0, .2, -.2: sum w^2 = .375, and
    # sum w^2 (1 - 2 w + .375) = .25 * .375 + 2 * .0625 * .875 = .203125.
    table = SeedTable(np.array([[0.0, 0.2, -0.2]] * 3), np.array([2.0, 1.0, 1.0]))
    found = estimate(table)
    of_clusters = 2 * 0.0625 * 0.04
    assert found.error**2 == pytest.approx(of_clusters * 0.375 / 0.203125)
    # They count as .375^2 / (.0625 + 2 * .00390625) = 2 clusters: one degree of freedom.
    assert found.freedom == pytest.approx(1.0)


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
