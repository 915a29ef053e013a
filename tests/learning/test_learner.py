"""What agents share when they take their steps."""

import numpy as np
import pytest
import torch

from codegym.checks.symbol_world import SymbolWorld
from codegym.episode import Request
from codegym.learning.learner import Columns, Optimiser, Tally, ramp
from codegym.trajectory import Batch


def test_a_learning_rate_rises_over_the_warm_up_and_falls_over_the_budget() -> None:
    factors = [
        ramp(updates, warmup=8, progress=progress, final=0.1)
        for updates, progress in ((0, 0.0), (4, 0.0), (8, 0.0), (80, 0.5), (160, 1.0))
    ]
    assert factors == pytest.approx([0.0, 0.5, 1.0, 0.55, 0.1])
    assert ramp(160, warmup=8, progress=1.0, final=1.0) == 1.0
    # The critic's head start counts backwards; the actor rests meanwhile.
    assert ramp(-2, warmup=8, progress=0.0, final=1.0) == 0.0
    assert ramp(1, warmup=0, progress=0.0, final=1.0) == 1.0


def test_gradients_of_pieces_add_up_to_the_wholes() -> None:
    world = SymbolWorld(seed=0)
    policies = [world.policy() for _ in range(2)]
    episodes = world.experience(policies[0], Request(tasks=8), 0)
    batch = Batch.from_trajectories(episodes, pad_id=0)
    norms = []
    for policy, rows in zip(policies, (8, 3), strict=True):
        optimiser = Optimiser(policy, lr=1e-3, value_lr=1e-3)
        for piece in batch.pieces(rows):
            optimiser.add(-policy.evaluate(piece).log_probs.sum())
        norms.append(optimiser.step())
        assert policy.version == 1
    assert norms[0] == pytest.approx(norms[1], rel=1e-5)
    # A step forgets its gradients.
    assert optimiser.step() == 0.0


def test_a_step_without_the_actor_moves_the_value_head_alone() -> None:
    world = SymbolWorld(seed=0)
    policy = world.policy()
    batch = Batch.from_trajectories(world.experience(policy, Request(tasks=4), 0), pad_id=0)
    before = [weight.detach().clone() for weight in policy.module.parameters()]
    optimiser = Optimiser(policy, lr=1e-3, value_lr=1e-3)
    scored = policy.evaluate(batch)
    optimiser.add((scored.values - 1.0).square().sum() + scored.log_probs.sum())
    optimiser.step(train_actor=False)
    head = {id(weight) for weight in policy.value_parameters()}
    for old, new in zip(before, policy.module.parameters(), strict=True):
        assert torch.equal(old, new) != (id(new) in head)


def test_two_temperatures_are_not_compared() -> None:
    world = SymbolWorld(seed=0)
    policy = world.policy()
    episodes = world.experience(policy, Request(tasks=4, temperature=0.6), 0)
    batch = Batch.from_trajectories(episodes, pad_id=0)
    tally = Tally()
    scored = policy.evaluate(batch, temperature=1.0)
    tally.add(scored, Columns.of(batch, scored), temperature=1.0)
    assert set(tally.means()) == {"entropy"}
    scored = policy.evaluate(batch, temperature=batch.temperatures)
    tally.add(scored, Columns.of(batch, scored))
    means = tally.means()
    assert means["approx_kl"] == pytest.approx(0.0, abs=1e-6) and means["clipfrac"] == 0.0
    assert Tally().means() == {}
    assert np.isfinite(means["entropy"])
