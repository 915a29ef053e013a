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


def test_leave_one_out_by_hand() -> None:
    rewards = np.array([1, 0, 0, 3, 7], dtype=np.float32)
    groups = np.array([5, 5, 5, 2, 9])
    # Group 5: 1 - 0, 0 - 1/2, 0 - 1/2; groups of one give nothing.
    np.testing.assert_allclose(advantages.leave_one_out(rewards, groups), [1, -0.5, -0.5, 0, 0])


def test_group_relative_by_hand() -> None:
    rewards = np.array([1, 0, 0, 1, 1], dtype=np.float32)
    groups = np.array([0, 0, 0, 1, 1])
    # Group 0: mean 1/3, sample deviation sqrt((4/9 + 1/9 + 1/9) / 2) = sqrt(1/3) = .57735.
    scaled = advantages.group_relative(rewards, groups, eps=0.0 + 1e-12)
    np.testing.assert_allclose(scaled, [1.154701, -0.57735, -0.57735, 0, 0], rtol=1e-5)
    plain = advantages.group_relative(rewards, groups, scale=False)
    np.testing.assert_allclose(plain, [2 / 3, -1 / 3, -1 / 3, 0, 0], rtol=1e-6)


def test_standardise_ignores_padding_and_keeps_signs_without_centring() -> None:
    adv = np.array([[1.0, 3.0, 100.0]], dtype=np.float32)
    mask = np.array([[True, True, False]])
    # Mean 2, deviation 1 over the two real entries.
    np.testing.assert_allclose(advantages.standardise(adv, mask, centre=True), [[-1, 1, 0]], 1e-5)
    np.testing.assert_allclose(advantages.standardise(adv, mask, centre=False), [[1, 3, 0]], 1e-5)


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
