"""PPO: what the divergence from the reference costs, by hand, and PPOCoder's numbers."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from stable_baselines3 import PPO as StableBaselines3PPO

from codegym import registry
from codegym.checks.symbol_world import SymbolWorld
from codegym.policy import Evaluation
from codegym.trajectory import Batch, Trajectory


def make(world: SymbolWorld, **settings: Any) -> Any:
    cls = registry.get("agents", "ppo")
    fast = {"lr": 1e-3, "value_lr": 1e-2, "warmup_updates": 1, "tasks": 2, "samples": 1}
    return cls(world.policy(), cls.config_class(**fast | settings), seed=1)


class Reference:
    """A reference that gives every action the same log-probability."""

    def evaluate(self, batch: Batch) -> Evaluation:
        log_probs = torch.from_numpy(np.where(batch.mask, -1.0, 0.0).astype(np.float32))
        return Evaluation(
            log_probs=log_probs, entropy=log_probs, values=log_probs, hidden=log_probs[..., None]
        )


def program(one: Trajectory, actions: list[int], log_probs: list[float]) -> Trajectory:
    nothing = np.zeros(len(actions), dtype=np.float32)
    return replace(
        one,
        actions=np.array(actions),
        log_probs=np.array(log_probs, dtype=np.float32),
        values=nothing,
        token_rewards=nothing,
    )


def test_the_charge_by_hand() -> None:
    world = SymbolWorld(seed=0)
    agent = make(world, kl_coef=0.5, kl_target=2.0, kl_horizon=10.0)
    agent._reference = Reference()
    first, second = world.experience(agent.policy, agent.request(), 0)
    rows = [
        program(replace(first, reward=1.0), [3, 1], [-0.5, -1.5]),
        program(replace(second, reward=-1.0), [1], [-3.0]),
    ]
    charged, metrics = agent._charge(rows)
    # log p - log p_ref = 0.5, -0.5 and -2; each is charged 0.5 times that, rewards come last.
    np.testing.assert_allclose(charged[0].token_rewards, [-0.25, 0.25 + 1.0])
    np.testing.assert_allclose(charged[1].token_rewards, [1.0 - 1.0])
    # kl = (0.5 - 0.5 - 2) / 2 programs = -1; -1 / 2 - 1 is clipped to -0.2; 2 programs of 10.
    assert metrics == pytest.approx({"kl": -1.0, "kl_coef": 0.5})
    assert agent._beta == pytest.approx(0.5 * (1 - 0.2 * 2 / 10))


@pytest.mark.parametrize(("kl", "rises"), [(0.5, False), (4.0, True)])
def test_the_coefficient_steers_to_its_target(kl: float, rises: bool) -> None:
    world = SymbolWorld(seed=0)
    agent = make(world, kl_coef=0.1, kl_target=1.0, kl_horizon=10.0)
    agent._reference = Reference()
    (one, _) = world.experience(agent.policy, agent.request(), 0)
    agent._charge([program(one, [1], [kl - 1.0])])
    assert (agent._beta > 0.1) == rises


def test_the_loss_is_stable_baselines3s_own() -> None:
    agent = make(SymbolWorld(seed=0))
    assert type(agent._ppo).train is StableBaselines3PPO.train
    assert agent._ppo.clip_range_vf is None


def test_ppocoders_numbers() -> None:
    cls = registry.get("agents", "ppo")
    config = cls.config_class(**cls.presets["ppocoder"])
    assert (config.gamma, config.gae_lambda, config.clip_range) == (1.0, 0.95, 0.2)
    assert (config.clip_range_vf, config.vf_coef, config.lr) == (0.2, 1e-3, 1e-6)
    assert (config.kl_coef, config.kl_target, config.kl_horizon) == (0.1, 1.0, 10_000)
    assert (config.batch_size, config.epochs) == (32, 1)
    world = SymbolWorld(seed=0)
    agent = make(world, **{**cls.presets["ppocoder"], "tasks": 8})
    metrics = agent.update(world.experience(agent.policy, agent.request(), 0))
    assert metrics["kl"] == pytest.approx(0.0, abs=1e-5)
    assert agent._ppo.clip_range_vf(1.0) == 0.2
