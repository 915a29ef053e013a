"""sb3-contrib's MaskablePPO: every program it writes parses, from the first step on.

Its buffer keeps a 4-byte number for each action of each step. ``PackedMaskBuffer`` keeps a bit,
which is 32 times less: 103 MB instead of 3.3 GB for 2,048 steps of 8 environments over 50,257
tokens.

    python examples/maskable_ppo.py --steps 2000
"""

import argparse
import ast
from typing import Any

import gymnasium as gym
import numpy as np
from sb3_contrib import MaskablePPO
from sb3_contrib.common.maskable.buffers import (
    MaskableRolloutBuffer,
    MaskableRolloutBufferSamples,
)
from sb3_contrib.common.maskable.utils import get_action_masks
from stable_baselines3.common.buffers import RolloutBuffer

ENV = {"tasks": "atoms", "reward": "coderl", "max_tokens": 96, "budget": 32}


class PackedMaskBuffer(MaskableRolloutBuffer):
    """Keeps masks as bits and unpacks those of a minibatch."""

    def reset(self) -> None:
        """Make room for the bits, and for the rest as the base of all buffers does."""
        self.mask_dims = int(self.action_space.n)
        shape = (self.buffer_size, self.n_envs, -(-self.mask_dims // 8))
        self.action_masks = np.full(shape, 255, dtype=np.uint8)
        RolloutBuffer.reset(self)

    def add(self, *args: Any, action_masks: np.ndarray | None = None, **kwargs: Any) -> None:
        """Keep one step of every env."""
        if action_masks is not None:
            masks = action_masks.reshape((self.n_envs, self.mask_dims)).astype(bool)
            self.action_masks[self.pos] = np.packbits(masks, axis=1)
        RolloutBuffer.add(self, *args, **kwargs)

    def _get_samples(self, batch_inds: np.ndarray, env: Any = None) -> MaskableRolloutBufferSamples:
        bits = self.action_masks[batch_inds].reshape(len(batch_inds), -1)
        masks = np.unpackbits(bits, axis=1, count=self.mask_dims).astype(np.float32)
        flat = (self.values, self.log_probs, self.advantages, self.returns)
        data = (
            self.observations[batch_inds],
            self.actions[batch_inds],
            *(column[batch_inds].flatten() for column in flat),
            masks,
        )
        return MaskableRolloutBufferSamples(*map(self.to_torch, data))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=2_000)
    options = parser.parse_args()
    env = gym.make("codegym:CodeGym/Synthesis-v0", **ENV)
    model = MaskablePPO(
        "MlpPolicy",
        env,
        n_steps=256,
        gamma=1.0,
        gae_lambda=1.0,
        rollout_buffer_class=PackedMaskBuffer,
        seed=0,
    )
    model.learn(options.steps)
    for seed in range(3):
        obs, _ = env.reset(seed=seed)
        ended = False
        while not ended:
            action, _ = model.predict(obs, action_masks=get_action_masks(env))
            obs, reward, ended, _, info = env.step(action)
        ast.parse(info["program"])
        print(f"{info['task_id']}: reward {reward}\n{info['program']}\n")


if __name__ == "__main__":
    main()
