"""PPO in one file, in the style of CleanRL, on the native vector environment.

The network sees the last eight tokens only. That is enough to learn to write programs that parse,
and too little to solve tasks.

    python examples/cleanrl_ppo.py --iterations 20
"""

import argparse

import gymnasium as gym
import numpy as np
import torch
from torch import nn
from torch.distributions import Categorical

WINDOW = 8


class Network(nn.Module):
    """Scores the next token and the return from the last few tokens."""

    def __init__(self, vocab_size: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocab_size, 32)
        self.trunk = nn.Sequential(nn.Linear(32 * WINDOW, 128), nn.Tanh())
        self.actor = nn.Linear(128, vocab_size)
        self.critic = nn.Linear(128, 1)

    def forward(self, obs: torch.Tensor) -> tuple[Categorical, torch.Tensor]:
        """Read (B, T) ids; return the next token's distribution and the value (B,)."""
        # Rows are padded on the right with 0: find each row's last token, then look back from it.
        length = (obs != 0).cumsum(1).argmax(1)
        back = (length[:, None] - torch.arange(WINDOW)).clamp(min=0)
        hidden = self.trunk(self.embedding(obs.gather(1, back)).flatten(1))
        return Categorical(logits=self.actor(hidden)), self.critic(hidden).squeeze(1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--iterations", type=int, default=20)
    parser.add_argument("--envs", type=int, default=32)
    options = parser.parse_args()
    torch.manual_seed(0)
    envs = gym.make_vec(
        "codegym:CodeGym/Synthesis-v0",
        num_envs=options.envs,
        tasks="atoms",
        reward="coderl",
        max_tokens=80,
        budget=16,
        autoreset_mode="SameStep",
    )
    network = Network(int(envs.single_action_space.n))
    optimiser = torch.optim.Adam(network.parameters(), lr=1e-3)
    steps = 32
    obs, _ = envs.reset(seed=0)
    obs = torch.as_tensor(obs, dtype=torch.long)
    done = torch.zeros(options.envs)
    for iteration in range(options.iterations):
        rows, ended = [], []
        for _ in range(steps):
            with torch.no_grad():
                policy, value = network(obs)
                action = policy.sample()
            before = (obs, action, policy.log_prob(action), value, done)
            next_obs, reward, terminated, truncated, _ = envs.step(action.numpy())
            over = terminated | truncated
            ended += reward[over].tolist()
            rows.append((*before, torch.as_tensor(reward, dtype=torch.float32)))
            obs = torch.as_tensor(next_obs, dtype=torch.long)
            done = torch.as_tensor(over, dtype=torch.float32)
        b_obs, b_actions, b_log_probs, values, dones, rewards = map(
            torch.stack, zip(*rows, strict=True)
        )
        with torch.no_grad():
            next_value = network(obs)[1]
        advantages, last = torch.zeros_like(rewards), torch.zeros(options.envs)
        for t in reversed(range(steps)):
            follows = done if t == steps - 1 else dones[t + 1]
            ahead = next_value if t == steps - 1 else values[t + 1]
            delta = rewards[t] + ahead * (1 - follows) - values[t]
            advantages[t] = last = delta + last * (1 - follows)  # gamma = lambda = 1
        returns = (advantages + values).flatten()
        advantages = ((advantages - advantages.mean()) / (advantages.std() + 1e-8)).flatten()
        for batch in torch.randperm(steps * options.envs).split(256):
            policy, value = network(b_obs.flatten(0, 1)[batch])
            ratio = (
                policy.log_prob(b_actions.flatten()[batch]) - b_log_probs.flatten()[batch]
            ).exp()
            advantage = advantages[batch]
            surrogate = torch.min(ratio * advantage, ratio.clamp(0.8, 1.2) * advantage)
            value_loss = 0.5 * (value - returns[batch]).pow(2).mean()
            loss = value_loss - surrogate.mean() - 0.01 * policy.entropy().mean()
            optimiser.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(network.parameters(), 0.5)
            optimiser.step()
        mean = np.mean(ended) if ended else float("nan")
        print(f"iteration {iteration + 1}: {len(ended)} programs, reward {mean:.3f}")
    envs.close()


if __name__ == "__main__":
    main()
