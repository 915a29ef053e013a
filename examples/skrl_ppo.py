"""skrl's PPO trains on the environment through skrl's Gymnasium wrapper.

python examples/skrl_ppo.py --steps 2048
"""

import argparse
import tempfile
from typing import Any

import gymnasium as gym
import torch
from skrl.agents.torch.ppo import PPO, PPO_CFG
from skrl.envs.wrappers.torch import wrap_env
from skrl.memories.torch import RandomMemory
from skrl.models.torch import CategoricalMixin, DeterministicMixin, Model
from skrl.trainers.torch import SequentialTrainer
from torch import nn


def body(tokens: int, outputs: int) -> nn.Sequential:
    embedding = nn.EmbeddingBag(tokens, 64, padding_idx=0, mode="mean")
    return nn.Sequential(embedding, nn.Tanh(), nn.Linear(64, outputs))


class Policy(CategoricalMixin, Model):
    """Reads a bag of tokens and gives a logit for each next token."""

    def __init__(self, env: Any) -> None:
        Model.__init__(self, observation_space=env.observation_space, action_space=env.action_space)
        CategoricalMixin.__init__(self)
        self.net = body(env.action_space.n, env.action_space.n)

    def compute(
        self, inputs: dict[str, Any], role: str = ""
    ) -> tuple[torch.Tensor, dict[str, Any]]:
        """Return the logits."""
        return self.net(inputs["observations"].long()), {}


class Value(DeterministicMixin, Model):
    """Reads a bag of tokens and gives a value."""

    def __init__(self, env: Any) -> None:
        Model.__init__(self, observation_space=env.observation_space, action_space=env.action_space)
        DeterministicMixin.__init__(self)
        self.net = body(env.action_space.n, 1)

    def compute(
        self, inputs: dict[str, Any], role: str = ""
    ) -> tuple[torch.Tensor, dict[str, Any]]:
        """Return the values."""
        return self.net(inputs["observations"].long()), {}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--steps", type=int, default=2048)
    steps = parser.parse_args().steps
    torch.manual_seed(0)
    env = wrap_env(
        gym.make_vec(
            "codegym:CodeGym/Synthesis-v0",
            num_envs=4,
            tasks="atoms",
            max_tokens=96,
            budget=24,
            reward="rltf",
        )
    )
    config = PPO_CFG(rollouts=32, learning_epochs=2, discount_factor=1.0, gae_lambda=1.0)
    with tempfile.TemporaryDirectory() as folder:
        config.experiment.directory = folder
        agent = PPO(
            models={"policy": Policy(env), "value": Value(env)},
            memory=RandomMemory(memory_size=32, num_envs=env.num_envs),
            observation_space=env.observation_space,
            action_space=env.action_space,
            cfg=config,
        )
        trainer = SequentialTrainer(
            env=env, agents=agent, cfg={"timesteps": steps // env.num_envs, "headless": True}
        )
        trainer.train()
    print(f"trained for {steps} steps")


if __name__ == "__main__":
    main()
