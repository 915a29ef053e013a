"""pass@k against brute force, intervals against published values."""

from itertools import combinations

import pytest

from codegym.measuring.statistics import paired_gain, pass_at_k, proportion, unpaired_gain


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


def test_no_difference_is_not_certain() -> None:
    # Bonett and Price: one task gained and one lost are added, so sqrt(2 / 302 / 302) * 1.96.
    got = paired_gain([0.0] * 300, [0.0] * 300)
    assert got.mean == 0.0
    assert (got.low, got.high) == pytest.approx((-0.00918, 0.00918), abs=1e-5)
    assert got.signed() == "+0.000 [-0.009, +0.009]"
    assert paired_gain([1.0] * 5, [1.0] * 5).high > 0.3


def test_few_differences_are_judged_as_the_sign_test_judges_them() -> None:
    # Four tasks gained and none lost: the two-sided sign test gives 0.125, which proves nothing.
    few = paired_gain([0.0] * 300, [1.0] * 4 + [0.0] * 296)
    assert few.mean == pytest.approx(4 / 300) and few.low < 0.0 < few.mean < few.high
    # Nine gained and none lost: 0.004.
    assert paired_gain([0.0] * 300, [1.0] * 9 + [0.0] * 291).low > 0.0
    # From ten tasks on the tasks are resampled.
    many = paired_gain([0.0] * 300, [1.0] * 30 + [0.0] * 270)
    assert (many.low, many.high) == pytest.approx((0.067, 0.133), abs=0.008)


def test_a_certain_gain_stays_within_its_bounds() -> None:
    got = paired_gain([0.0] * 20, [1.0] * 20)
    assert got.high == got.mean == 1.0 and 0.6 < got.low < 1.0


def test_agresti_and_caffo_by_hand() -> None:
    # 0 of 10 against 3 of 10: p = 1/12 and 4/12, variance (11 + 32) / 144 / 12.
    got = unpaired_gain([0.0] * 10, [1.0] * 3 + [0.0] * 7)
    half = 1.959964 * (43 / 144 / 12) ** 0.5
    assert got.mean == pytest.approx(0.3)
    assert (got.low, got.high) == pytest.approx((0.25 - half, 0.25 + half))


def test_equal_shares_are_not_certain() -> None:
    got = proportion([0.5] * 40)
    assert got.mean == 0.5 and got.low < 0.4 and got.high > 0.6
