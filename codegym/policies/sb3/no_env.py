"""NoEnv: the environment of a PPO that is trained by ``load_rollout`` alone."""

from typing import Any

import numpy as np
from gymnasium import spaces
from stable_baselines3.common.vec_env import VecEnv

from codegym.errors import EnvError
from codegym.policy import Policy


class NoEnv(VecEnv):
    """Spaces without an environment, for training on programs that were written elsewhere.

    Args:
        policy: The policy whose vocabulary and context the spaces have.
    """

    def __init__(self, policy: Policy) -> None:
        vocab = policy.tokenizer.vocab_size
        self.render_mode = None
        super().__init__(
            1, spaces.Box(0, vocab - 1, (policy.max_tokens,), np.int32), spaces.Discrete(vocab)
        )

    def reset(self) -> Any:
        """Refuse."""
        raise EnvError("this PPO has no env", cure="make_ppo(policy, env=...) to use learn()")

    def step_async(self, actions: Any) -> None:
        """Refuse."""
        self.reset()

    def step_wait(self) -> Any:
        """Refuse."""
        return self.reset()

    def close(self) -> None:
        """Do nothing: nothing is open."""

    def get_attr(self, attr_name: str, indices: Any = None) -> list[Any]:
        """Return an attribute of this object."""
        return [getattr(self, attr_name)]

    def set_attr(self, attr_name: str, value: Any, indices: Any = None) -> None:
        """Refuse."""
        self.reset()

    def env_method(self, method_name: str, *args: Any, indices: Any = None, **kwargs: Any) -> Any:
        """Refuse."""
        return self.reset()

    def env_is_wrapped(self, wrapper_class: Any, indices: Any = None) -> list[bool]:
        """Return False."""
        return [False]
