"""What agents share when they take their steps."""

import pytest

from codegym.learning.learner import ramp


def test_a_learning_rate_rises_over_the_warm_up_and_falls_over_the_budget() -> None:
    factors = [
        ramp(updates, warmup=8, progress=progress, final=0.1)
        for updates, progress in ((0, 0.0), (4, 0.0), (8, 0.0), (80, 0.5), (160, 1.0))
    ]
    assert factors == pytest.approx([0.0, 0.5, 1.0, 0.55, 0.1])
    assert ramp(160, warmup=8, progress=1.0, final=1.0) == 1.0
    # The critic's head start counts backwards; the actor rests meanwhile.
    assert ramp(-2, warmup=8, progress=0.0, final=1.0) == 0.0
