"""RLlib's PPO on the environment. Its encoders take floats, so the ids are cast on the way.

python examples/rllib_ppo.py
"""

import gymnasium as gym
import numpy as np
import ray
from ray.rllib.algorithms.ppo import PPOConfig
from ray.tune.registry import register_env


def make(config: dict) -> gym.Env:
    env = gym.make("codegym:CodeGym/Synthesis-v0", **config)
    return gym.wrappers.DtypeObservation(env, np.float32)


def main() -> None:
    ray.init(num_cpus=1, include_dashboard=False, log_to_driver=False)
    register_env("codegym", make)
    config = (
        PPOConfig()
        .environment("codegym", env_config={"tasks": "atoms", "reward": "coderl", "max_tokens": 96})
        .env_runners(num_env_runners=0, num_envs_per_env_runner=4)
        .training(train_batch_size=512, minibatch_size=128, num_epochs=2, gamma=1.0)
    )
    result = config.build_algo().train()
    print("reward", result["env_runners"]["episode_return_mean"])


if __name__ == "__main__":
    main()
