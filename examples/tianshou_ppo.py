"""tianshou's PPO trains on the environment in tianshou's vector form.

python examples/tianshou_ppo.py --steps 2048
"""

import argparse
from typing import Any

import gymnasium as gym
import torch
from tianshou.algorithm import PPO
from tianshou.algorithm.modelfree.reinforce import ProbabilisticActorPolicy
from tianshou.algorithm.optim import AdamOptimizerFactory
from tianshou.data import Collector, CollectStats, VectorReplayBuffer
from tianshou.env import DummyVectorEnv
from tianshou.utils.torch_utils import policy_within_training_step
from torch import nn


class Body(nn.Module):
    """Reads a bag of tokens and gives numbers; with tianshou's signature of a network."""

    def __init__(self, tokens: int, outputs: int) -> None:
        super().__init__()
        embedding = nn.EmbeddingBag(tokens, 64, padding_idx=0, mode="mean")
        self.net = nn.Sequential(embedding, nn.Tanh(), nn.Linear(64, outputs))

    def forward(self, obs: Any, state: Any = None, info: Any = None) -> tuple[torch.Tensor, Any]:
        """Return the logits and the state."""
        return self.net(torch.as_tensor(obs).long()), state


class Critic(Body):
    """Gives a single number."""

    def forward(self, obs: Any, state: Any = None, info: Any = None) -> Any:
        """Return the values."""
        return super().forward(obs)[0]


class OneShape(gym.Wrapper[Any, Any, Any, Any]):
    """Drops ``token_rewards`` from info: tianshou's buffer wants one shape for each key.

    Programs of different lengths have different numbers of token rewards.
    """

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        """Step the environment and leave the token rewards out."""
        *step, info = self.env.step(action)
        info.pop("token_rewards", None)
        return *step, info


def make() -> gym.Env[Any, Any]:
    """Make an environment."""
    return OneShape(
        gym.make(
            "codegym:CodeGym/Synthesis-v0", tasks="atoms", max_tokens=96, budget=24, reward="rltf"
        )
    )


def main() -> None:
    """Train, and print what was earned on the way."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--steps", type=int, default=2048)
    steps = parser.parse_args().steps
    torch.manual_seed(0)
    envs = DummyVectorEnv([make] * 4)
    single = make()
    tokens = int(single.action_space.n)
    policy = ProbabilisticActorPolicy(
        actor=Body(tokens, tokens),
        dist_fn=lambda logits: torch.distributions.Categorical(logits=logits),
        action_space=single.action_space,
        action_scaling=False,
    )
    algorithm = PPO(
        policy=policy,
        critic=Critic(tokens, 1),
        optim=AdamOptimizerFactory(lr=1e-3),
        gamma=1.0,
        gae_lambda=1.0,
    )
    collector = Collector[CollectStats](algorithm, envs, VectorReplayBuffer(steps, 4))
    collector.reset()
    for _ in range(max(1, steps // 256)):
        with policy_within_training_step(algorithm.policy):
            stats = collector.collect(n_step=256)
            algorithm.update(buffer=collector.buffer, batch_size=64, repeat=2)
        collector.reset_buffer(keep_statistics=True)
        print(f"{stats.n_collected_episodes} episodes, mean reward {stats.returns.mean():.2f}")


if __name__ == "__main__":
    main()
