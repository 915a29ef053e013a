"""stable-baselines3's PPO, A2C or DQN on the environment, without any code of codegym in between.

An MLP over token ids learns little; the example shows that the libraries fit together. For policies
that read sequences, ``codegym train --agent sb3_ppo`` runs the same PPO class.

    python examples/sb3_ppo.py --algorithm PPO --steps 2000
"""

import argparse

import stable_baselines3
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.evaluation import evaluate_policy

ENV = {"tasks": "atoms", "reward": "coderl", "max_tokens": 96, "budget": 32}
SETTINGS = {
    # gamma 1: the reward comes with the last token, and the first tokens earned it as well.
    "PPO": {"n_steps": 64, "batch_size": 64, "gamma": 1.0, "gae_lambda": 1.0},
    "A2C": {"n_steps": 16, "gamma": 1.0},
    "DQN": {"learning_starts": 200, "buffer_size": 5_000, "gamma": 1.0},
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--algorithm", choices=SETTINGS, default="PPO")
    parser.add_argument("--steps", type=int, default=2_000)
    options = parser.parse_args()
    envs = make_vec_env("codegym:CodeGym/Synthesis-v0", n_envs=4, seed=0, env_kwargs=ENV)
    algorithm = getattr(stable_baselines3, options.algorithm)
    settings = SETTINGS[options.algorithm]
    # verbose=1 prints a table of rewards and losses while it learns.
    model = algorithm("MlpPolicy", envs, seed=0, verbose=1, **settings)
    model.learn(options.steps, log_interval=1)
    mean, spread = evaluate_policy(model, envs, n_eval_episodes=8)
    print(f"{options.algorithm}: reward {mean:.3f} +- {spread:.3f} over 8 episodes")


if __name__ == "__main__":
    main()
