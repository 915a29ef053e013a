"""PPO by hand: the clipped loss, values, credit of tokens, the charge on divergence."""

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from codegym import registry
from codegym.checks.symbol_world import SymbolWorld
from codegym.trajectory import Batch

PLAIN = {"lr": 1e-3, "gamma": 1.0, "gae_lambda": 1.0, "epochs": 1, "minibatches": 1}


def make(policy: Any = None, **settings: Any) -> Any:
    cls = registry.get("agents", "ppo")
    policy = policy or SymbolWorld(seed=0).policy()
    return cls(policy, cls.config_class(**PLAIN | settings), seed=1)


def test_the_gradient_stops_outside_the_clip(table: Any, program: Any) -> None:
    # Returns 1 and -1, values 0: advantages 1 and -1, whose root mean square is 1.
    # Ratios 1.5 and 0.5: min(1.5, 1.2) + min(.5, .8) + min(-1.5, -1.2) + min(-.5, -.8)
    ratios = [math.log(1.5), math.log(0.5)]
    policy = table([ratios, ratios])
    agent = make(policy, vf_coef=0.5, ent_coef=0.1)
    metrics = agent.update([program(1.0, row=0), program(-1.0, row=1)])
    assert metrics["policy_loss"] == pytest.approx(-(1.2 + 0.5 - 1.5 - 0.8) / 4)
    # An unclipped term has the gradient -ratio * A / 4 tokens, a clipped one 0.
    expected = [[0.0, -0.125], [0.375, 0.0]]
    np.testing.assert_allclose(policy.gradient, expected, rtol=1e-4, atol=1e-9)
    # Values are 0, returns 1 and -1: mean square 1, gradient 0.5 * 2 (V - G) / 4; the entropy .5.
    assert metrics["value_loss"] == pytest.approx(1.0)
    np.testing.assert_allclose(policy.value_gradient, [[-0.25] * 2, [0.25] * 2], rtol=1e-6)
    assert metrics["loss"] == pytest.approx(metrics["policy_loss"] + 0.5 - 0.05)


def test_the_ratio_is_one_on_the_first_pass(table: Any, program: Any) -> None:
    policy = table([[-1.0, -2.0], [-1.0, -2.0]])
    rows = [program(r, row=i, old_log_probs=[-1.0, -2.0]) for i, r in enumerate((1.0, -1.0))]
    metrics = make(policy).update(rows)
    assert metrics["approx_kl"] == metrics["clipfrac"] == 0.0
    # The plain policy gradient: -A / 4.
    np.testing.assert_allclose(policy.gradient, [[-0.25] * 2, [0.25] * 2], rtol=1e-5)


def test_a_clipped_value_counts_no_less(table: Any, program: Any) -> None:
    # Values were 0.5 and are 0, returns are 1. Held to 0.5 - 0.2 = 0.3 the error is .49, less than
    # 1: the larger counts, and the gradient flows.
    policy = table([[-1.0]])
    agent = make(policy, clip_range_vf=0.2)
    metrics = agent.update([program(1.0, length=1, old_log_probs=[-1.0], values=[0.5])])
    assert metrics["value_loss"] == pytest.approx(1.0)
    np.testing.assert_allclose(policy.value_gradient, [[-2.0]])
    # Were 0, are 0.9 by another update, returns are 1: held to 0.2 the error is .64 instead of .01,
    # and the gradient stops.
    policy = table([[-1.0]])
    policy.module.values.data.fill_(0.9)
    agent = make(policy, clip_range_vf=0.2)
    metrics = agent.update([program(1.0, length=1, old_log_probs=[-1.0])])
    assert metrics["value_loss"] == pytest.approx(0.64)
    np.testing.assert_allclose(policy.value_gradient, [[0.0]])


def test_credit_of_tokens_reaches_the_advantages(table: Any, program: Any) -> None:
    # Credit -1, 0 and 2 + 1 of two rows of three tokens, lambda = gamma = 1, values 0: returns are
    # the credit still to come, 1, 2, 2 and 1, 1, 1; their root mean square sqrt(12 / 6).
    policy = table([[0.0] * 3] * 2)
    rows = [
        program(2.0, row=0, length=3, fine=[-3.0, 0.0, 0.0]),
        program(1.0, row=1, length=3),
    ]
    make(policy, centre=False).update(rows)
    expected = np.array([[1.0, 2.0, 2.0], [1.0, 1.0, 1.0]]) / math.sqrt(2.0) / -6
    np.testing.assert_allclose(policy.gradient, expected, rtol=1e-5)


def test_credit_crosses_what_the_environment_wrote(table: Any, program: Any) -> None:
    policy = table([[0.0] * 3])
    make(policy, centre=False).update([program(1.0, length=3, chosen=[True, False, True])])
    np.testing.assert_allclose(policy.gradient, [[-0.5, 0.0, -0.5]], rtol=1e-5)


@pytest.mark.parametrize(
    ("settings", "advantages"),
    [
        # Returns 3, -1, -1, 1: mean .5, deviation sqrt((6.25 + 2.25 + 2.25 + .25) / 4).
        ({}, np.array([2.5, -1.5, -1.5, 0.5]) / math.sqrt(11 / 4)),
        # Root mean square sqrt(12 / 4); signs are kept.
        ({"centre": False}, np.array([3.0, -1.0, -1.0, 1.0]) / math.sqrt(3)),
        ({"centre": False, "negative_scale": 0.5},
         np.array([3.0, -0.5, -0.5, 1.0]) / math.sqrt(10.5 / 4)),
    ],
)  # fmt: skip
def test_advantages_are_brought_to_unit_size(
    table: Any, program: Any, settings: dict[str, Any], advantages: np.ndarray
) -> None:
    policy = table([[0.0]] * 4)
    rows = [program(r, row=i, length=1) for i, r in enumerate((3.0, -1.0, -1.0, 1.0))]
    make(policy, **settings).update(rows)
    np.testing.assert_allclose(policy.gradient[:, 0], -advantages / 4, rtol=1e-5)


def test_the_charge_by_hand(table: Any, program: Any) -> None:
    policy = table([[-1.0, -1.0], [-1.0, -1.0]])
    agent = make(policy, kl_coef=0.5, kl_target=2.0, kl_horizon=10.0)
    rows = [
        program(1.0, row=0, old_log_probs=[-0.5, -1.5], temperature=0.5),
        program(-1.0, row=1, length=1, old_log_probs=[-3.0]),
    ]
    batch, metrics = agent.charge(Batch.from_trajectories(rows, pad_id=0))
    # log p - log p_ref = 0.5, -0.5 and -2; each is charged 0.5 times that.
    np.testing.assert_allclose(batch.columns["charge"], [[0.25, -0.25], [-1.0, 0.0]])
    assert agent.reference.asked == [[0.5, 1.0]], "at the temperature of the programs"
    # kl = (0.5 - 0.5 - 2) / 2 programs = -1; -1 / 2 - 1 is clipped to -0.2; 2 programs of 10.
    assert metrics == pytest.approx({"kl": -1.0, "kl_coef": 0.5})
    assert agent.beta == pytest.approx(0.5 * (1 - 0.2 * 2 / 10))


def test_the_charge_is_taken_off_the_credit(table: Any, program: Any) -> None:
    policy = table([[-1.0, -1.0]])
    agent = make(policy, kl_coef=0.5, centre=False)
    agent.update([program(1.0, old_log_probs=[-0.5, -1.5])])
    # Charges .25 and -.25 leave 0 + 1 and 1 + .25 to come: advantages 1 and 1.25. Ratios e^-.5 and
    # e^.5, the second above 1.2 and clipped.
    size = math.sqrt((1.0 + 1.25**2) / 2)
    np.testing.assert_allclose(
        policy.gradient, [[-math.exp(-0.5) * 1.0 / size / 2, 0.0]], rtol=1e-5
    )


@pytest.mark.parametrize(("kl", "rises"), [(0.5, False), (4.0, True)])
def test_the_coefficient_steers_to_its_target(
    table: Any, program: Any, kl: float, rises: bool
) -> None:
    agent = make(table([[-1.0]]), kl_coef=0.1, kl_target=1.0, kl_horizon=10.0)
    rows = [program(0.0, length=1, old_log_probs=[kl - 1.0])]
    agent.charge(Batch.from_trajectories(rows, pad_id=0))
    assert (agent.beta > 0.1) == rises


def test_the_papers_numbers() -> None:
    cls = registry.get("agents", "ppo")
    config = cls.config_class()
    assert (config.lr, config.epochs, config.clip_range) == (3e-4, 10, 0.2)
    assert (config.gamma, config.gae_lambda, config.minibatches) == (0.99, 0.95, 2048 // 64)
    assert (config.negative_scale, config.centre, config.kl_coef) == (1.0, True, 0.0)


def test_ppocoders_numbers() -> None:
    cls = registry.get("agents", "ppo")
    config = cls.config_class(**cls.presets["ppocoder"])
    assert (config.gamma, config.gae_lambda, config.clip_range) == (1.0, 0.95, 0.2)
    assert (config.clip_range_vf, config.vf_coef, config.lr) == (0.2, 1e-3, 1e-6)
    assert (config.kl_coef, config.kl_target, config.kl_horizon) == (0.1, 1.0, 10_000)
    assert (config.tasks * config.samples // config.minibatches, config.epochs) == (32, 1)
    world = SymbolWorld(seed=0)
    agent = cls(world.policy(), replace(config, tasks=8), seed=1)
    metrics = agent.update(world.experience(agent.policy, agent.request(), 0))
    assert metrics["kl"] == pytest.approx(0.0, abs=1e-5)


def test_the_kl_charge_follows_its_target() -> None:
    world = SymbolWorld(seed=0)
    agent = make(world.policy(), kl_coef=0.5, kl_horizon=1280.0, tasks=16, samples=8)
    agent.update(world.experience(agent.policy, agent.request(), 0))
    # The policy is its own reference at first: kl = 0, error -1 is clipped to -0.2,
    # 128 programs of a horizon of 1280 make it 0.5 * (1 - 0.2 * 0.1).
    metrics = agent.update(world.experience(agent.policy, agent.request(), 1))
    assert metrics["kl_coef"] == pytest.approx(0.49)
