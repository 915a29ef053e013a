"""TorchRL checks the environment in its wrapper, and rolls it out.

python examples/torchrl_rollout.py
"""

import gymnasium as gym
from torchrl.envs import GymWrapper, check_env_specs


def main() -> None:
    env = GymWrapper(
        gym.make("codegym:CodeGym/Synthesis-v0", tasks="atoms", max_tokens=96, budget=24)
    )
    check_env_specs(env)
    print(env.rollout(max_steps=24))


if __name__ == "__main__":
    main()
