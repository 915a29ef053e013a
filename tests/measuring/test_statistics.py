"""pass@k against brute force, intervals against published values."""

from itertools import combinations

import pytest

from codegym.measuring.statistics import paired_gain, pass_at_k, proportion


@pytest.mark.parametrize("n", range(1, 7))
def test_pass_at_k_equals_brute_force(n: int) -> None:
    for c in range(n + 1):
        passed = [True] * c + [False] * (n - c)
        for k in range(1, n + 1):
            subsets = list(combinations(passed, k))
            assert pass_at_k(n, c, k) == pytest.approx(sum(map(any, subsets)) / len(subsets))


@pytest.mark.parametrize(("n", "c", "k"), [(3, 4, 1), (3, 1, 4), (3, 1, 0), (3, -1, 1)])
def test_pass_at_k_refuses_nonsense(n: int, c: int, k: int) -> None:
    with pytest.raises(ValueError, match="pass@k needs"):
        pass_at_k(n, c, k)


def test_wilson_interval_by_hand() -> None:
    # 8 of 10: centre (.8 + 3.8415/20) / 1.38415 = .71672, half width .22656.
    got = proportion([1.0] * 8 + [0.0] * 2)
    assert got.mean == pytest.approx(0.8)
    assert (got.low, got.high) == pytest.approx((0.49016, 0.94331), abs=2e-5)


def test_interval_of_a_certain_result_is_not_empty() -> None:
    got = proportion([0.0] * 50)
    assert got.low == pytest.approx(0.0, abs=1e-12)
    assert 0.05 < got.high < 0.08


def test_bootstrap_covers_the_mean_and_is_seeded() -> None:
    values = [0.0, 0.5, 1.0, 0.5] * 20
    got = proportion(values, seed=3)
    assert got.low < 0.5 < got.high
    assert got == proportion(values, seed=3)


def test_paired_gain_is_tighter_than_two_intervals() -> None:
    before = [0.0, 1.0] * 50
    after = [0.1, 1.0] * 50
    gain = paired_gain(before, after)
    assert gain.mean == pytest.approx(0.05)
    assert 0.03 < gain.low < 0.05 < gain.high < 0.07


def test_no_tasks_is_an_error() -> None:
    with pytest.raises(ValueError, match="no tasks"):
        proportion([])
