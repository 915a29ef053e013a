"""SB3PPO: the loss is stable-baselines3's, the credit is the tokens', holes are refused."""

from typing import Any

import numpy as np
import pytest
from stable_baselines3 import PPO as StableBaselines3PPO

from codegym import registry
from codegym.checks.symbol_world import SymbolWorld
from codegym.errors import ConfigError


def make(policy: Any = None, **settings: Any) -> Any:
    cls = registry.get("agents", "sb3_ppo")
    policy = policy or SymbolWorld(seed=0).policy()
    return cls(policy, cls.config_class(**{"lr": 1e-3, "epochs": 1} | settings), seed=1)


def test_the_loss_is_stable_baselines3s_own() -> None:
    agent = make()
    assert type(agent.ppo).train is StableBaselines3PPO.train
    assert agent.ppo.clip_range_vf is None
    assert make(clip_range_vf=0.2).ppo.clip_range_vf(1.0) == 0.2


def test_the_defaults_are_stable_baselines3s_own() -> None:
    agent = registry.get("agents", "sb3_ppo")
    config = agent.config_class()
    theirs = StableBaselines3PPO("MlpPolicy", "CartPole-v1", device="cpu")
    assert (config.lr, config.epochs, config.batch_size) == (
        theirs.learning_rate, theirs.n_epochs, theirs.batch_size,
    )  # fmt: skip
    assert (config.gamma, config.gae_lambda) == (theirs.gamma, theirs.gae_lambda)
    assert (config.vf_coef, config.ent_coef) == (theirs.vf_coef, theirs.ent_coef)
    assert config.max_grad_norm == theirs.max_grad_norm


def test_credit_of_tokens_reaches_the_buffer(program: Any) -> None:
    agent = make(gamma=1.0, gae_lambda=1.0)
    agent.update([
        program(2.0, row=0, length=3, fine=[-3.0, 0.0, 0.0]), program(1.0, row=1, length=3),
    ])  # fmt: skip
    # Credit -1, 0, 2 is still to come as 1, 2, 2.
    np.testing.assert_allclose(agent.ppo.rollout_buffer.returns, [1, 2, 2, 1, 1, 1])


@pytest.mark.parametrize(("scale", "centres"), [(0.5, False), (1.0, True)])
def test_damped_advantages_are_not_centred(program: Any, scale: float, centres: bool) -> None:
    agent = make(gamma=1.0, gae_lambda=1.0, negative_scale=scale)
    agent.update([program(r, row=i, length=1) for i, r in enumerate((1.0, -1.0, 0.0, 3.0))])
    assert agent.ppo.normalize_advantage is centres
    expected = np.array([1.0, -scale, 0.0, 3.0])
    # Divided by the root mean square where damped.
    size = 1.0 if centres else np.sqrt((1 + 0.25 + 9) / 4)
    np.testing.assert_allclose(agent.ppo.rollout_buffer.advantages, expected / size, rtol=1e-4)


def test_what_an_environment_wrote_is_refused_with_a_cure(program: Any) -> None:
    agent = make()
    with pytest.raises(ConfigError, match="an agent other than sb3_ppo"):
        agent.update([program(1.0, length=3, chosen=[True, False, True])])
    assert agent.updates == 0


def test_metrics_have_the_fields_names() -> None:
    world = SymbolWorld(seed=0)
    agent = make(world.policy(), tasks=4, samples=2)
    metrics = agent.update(world.experience(agent.policy, agent.request(), 0))
    assert {"loss", "policy_loss", "value_loss", "entropy", "approx_kl", "clipfrac"} < set(metrics)
    assert metrics["entropy"] > 1.0 and metrics["approx_kl"] == pytest.approx(0.0, abs=1e-6)
