"""Aggregates: by hand, and intervals over runs."""

import numpy as np
import pytest

from codegym.measuring.aggregates import (
    interquartile_mean,
    probability_of_improvement,
    profile,
    stratified,
)


def test_aggregates_by_hand() -> None:
    scores = np.array([[0.0, 0.2, 0.4, 0.6], [0.8, 1.0, 0.1, 0.3]])
    # Sorted: 0 .1 | .2 .3 .4 .6 | .8 1.
    assert interquartile_mean(scores) == pytest.approx(0.375)
    assert profile(scores, (0.0, 0.35, 1.0)) == pytest.approx([7 / 8, 4 / 8, 0.0])
    better, worse = np.array([[1.0, 0.0], [0.5, 0.5]]), np.array([[0.5, 0.5], [0.0, 0.0]])
    # First task: 1 > .5, 1 > 0, .5 = .5, .5 > 0; second: 0 < .5, 0 = 0, .5 = .5, .5 > 0.
    assert probability_of_improvement(better, worse) == pytest.approx((3.5 + 2.0) / 8)
    assert probability_of_improvement(worse, better) == pytest.approx(1 - (3.5 + 2.0) / 8)


def test_intervals_cover_the_choice_of_runs() -> None:
    rng = np.random.default_rng(0)
    same = np.tile(rng.random(20), (4, 1))
    found = stratified(interquartile_mean, same, resamples=50)
    assert found.low == pytest.approx(found.mean) == pytest.approx(found.high)
    noisy = same + rng.normal(0, 0.1, same.shape)
    wide = stratified(interquartile_mean, noisy, resamples=200)
    assert wide.low < wide.mean < wide.high and wide.high - wide.low < 0.2
    assert wide == stratified(interquartile_mean, noisy, resamples=200)
