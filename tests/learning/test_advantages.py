"""Advantages against numbers worked out by hand."""

import numpy as np
import pytest

from codegym.learning import advantages

MASK = np.array([[True, True, True], [True, False, False]])
VALUES = np.array([[0.5, 0.25, 0.75], [0.2, 9.0, 9.0]], dtype=np.float32)
REWARDS = np.array([[0.0, 0.0, 1.0], [-1.0, 0.0, 0.0]], dtype=np.float32)


def test_gae_by_hand() -> None:
    # gamma = .5, lambda = .5. Row 0, backwards:
    #   t=2: delta = 1 - .75 = .25                         A = .25
    #   t=1: delta = 0 + .5*.75 - .25 = .125               A = .125 + .25*.25 = .1875
    #   t=0: delta = 0 + .5*.25 - .5 = -.375               A = -.375 + .25*.1875 = -.328125
    # Row 1: delta = -1 - .2 = -1.2, padding stays 0.
    adv, returns = advantages.gae(REWARDS, VALUES, MASK, gamma=0.5, gae_lambda=0.5)
    np.testing.assert_allclose(adv, [[-0.328125, 0.1875, 0.25], [-1.2, 0, 0]], rtol=1e-6)
    np.testing.assert_allclose(returns, [[0.171875, 0.4375, 1.0], [-1.0, 0, 0]], rtol=1e-5)


def test_gae_without_discount_is_return_minus_value() -> None:
    adv, returns = advantages.gae(REWARDS, VALUES, MASK)
    np.testing.assert_allclose(adv[0], 1.0 - VALUES[0])
    np.testing.assert_allclose(returns, [[1, 1, 1], [-1, 0, 0]], atol=1e-6)


def test_gae_carries_credit_across_what_the_environment_wrote() -> None:
    # gamma = .5, lambda = .5; the hole at t = 1 takes no time, whatever stands in it.
    #   t=2: delta = 1 - .75 = .25                         A = .25
    #   t=0: delta = 0 + .5*.75 - .5 = -.125               A = -.125 + .25*.25 = -.0625
    mask = np.array([[True, False, True, False]])
    values = np.array([[0.5, 9.0, 0.75, 9.0]], dtype=np.float32)
    credit = np.array([[0.0, 0.0, 1.0, 0.0]], dtype=np.float32)
    adv, returns = advantages.gae(credit, values, mask, gamma=0.5, gae_lambda=0.5)
    np.testing.assert_allclose(adv, [[-0.0625, 0.0, 0.25, 0.0]])
    np.testing.assert_allclose(returns, [[0.4375, 0.0, 1.0, 0.0]])


def test_group_sums() -> None:
    sums, counts = advantages.group_sums(np.array([1.0, 2.0, 4.0]), np.array([7, 3, 7]))
    assert sums.tolist() == [5.0, 2.0, 5.0] and counts.tolist() == [2, 1, 2]


def test_standardise_ignores_padding_and_keeps_signs_without_centring() -> None:
    adv = np.array([[1.0, 3.0, 100.0]], dtype=np.float32)
    mask = np.array([[True, True, False]])
    # Mean 2, deviation 1 over the two actions; root mean square sqrt(5).
    np.testing.assert_allclose(advantages.standardise(adv, mask, centre=True), [[-1, 1, 0]], 1e-5)
    got = advantages.standardise(adv, mask, centre=False)
    np.testing.assert_allclose(got, np.array([[1, 3, 0]]) / np.sqrt(5), 1e-5)


def test_equal_advantages_keep_their_size_without_centring() -> None:
    adv = np.array([[-1.0, -1.0, -1.0]], dtype=np.float32)
    mask = np.ones((1, 3), dtype=np.bool_)
    np.testing.assert_allclose(advantages.standardise(adv, mask, centre=False), adv, 1e-5)
    np.testing.assert_array_equal(advantages.standardise(adv, mask, centre=True), adv * 0)


def test_spread() -> None:
    got = advantages.spread(np.array([2.0, 5.0], dtype=np.float32), MASK)
    np.testing.assert_array_equal(got, [[2, 2, 2], [5, 0, 0]])


def test_explained_variance() -> None:
    target = np.array([0.0, 2.0], dtype=np.float32)
    # Residuals 0 and 1: variance .25 of the target's 1.
    assert advantages.explained_variance(
        np.array([0.0, 1.0], dtype=np.float32), target
    ) == pytest.approx(0.75)
    assert np.isnan(advantages.explained_variance(target, np.ones(2, dtype=np.float32)))


def test_negatives_are_damped_and_keep_their_signs() -> None:
    damped = advantages.damp(np.array([[2.0, -1.0, 0.0]], dtype=np.float32), 0.2)
    assert damped.dtype == np.float32
    np.testing.assert_allclose(damped, [[2.0, -0.2, 0.0]])
    np.testing.assert_array_equal(advantages.damp(damped, 1.0), damped)
