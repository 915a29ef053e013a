"""SequenceVecEnv: a Gymnasium vector environment for stable-baselines3's algorithms."""

from typing import Any

import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv
from numpy.typing import NDArray
from stable_baselines3.common.vec_env import VecEnv
from stable_baselines3.common.vec_env.base_vec_env import VecEnvIndices, VecEnvStepReturn

from codegym.errors import ConfigError, EnvError


class SequenceVecEnv(VecEnv):
    """Makes a native vector environment one of stable-baselines3's, without a copy per environment.

    Args:
        envs: A vector environment that resets in the same step, as stable-baselines3's do:
            ``gym.make_vec("codegym:CodeGym/Synthesis-v0", num_envs=64,
            autoreset_mode="SameStep")``.

    Raises:
        ConfigError: The vector environment resets in another way.
    """

    def __init__(self, envs: VectorEnv[Any, Any, Any]) -> None:
        mode = envs.metadata.get("autoreset_mode")
        if mode is not AutoresetMode.SAME_STEP:
            raise ConfigError(
                "the vector env resets in a way stable-baselines3 does not know",
                value=mode,
                expected='autoreset_mode="SameStep"',
            )
        self.envs = envs
        self._actions: NDArray[Any] = np.zeros(envs.num_envs, dtype=np.int64)
        self._returns = np.zeros(envs.num_envs)
        self._lengths = np.zeros(envs.num_envs, dtype=np.int64)
        super().__init__(envs.num_envs, envs.single_observation_space, envs.single_action_space)

    def reset(self) -> NDArray[Any]:
        """Start an episode in every env."""
        seeds: Any = self._seeds if any(seed is not None for seed in self._seeds) else None
        obs, infos = self.envs.reset(seed=seeds)
        self.reset_infos = [_row(infos, index) for index in range(self.num_envs)]
        self._reset_seeds()
        self._reset_options()
        self._returns[:] = 0
        self._lengths[:] = 0
        return np.asarray(obs)

    def step_async(self, actions: NDArray[Any]) -> None:
        """Keep the actions for ``step_wait``."""
        self._actions = actions

    def step_wait(self) -> VecEnvStepReturn:
        """Step every environment; where an episode ended, show the next one's first observation."""
        obs, rewards, terminated, truncated, infos = self.envs.step(self._actions)
        dones = terminated | truncated
        self._returns += rewards
        self._lengths += 1
        rows: list[dict[str, Any]] = [{} for _ in range(self.num_envs)]
        for index in np.flatnonzero(dones).tolist():
            rows[index] = _row(infos["final_info"], index) | {
                "terminal_observation": infos["final_obs"][index],
                "TimeLimit.truncated": bool(truncated[index] and not terminated[index]),
                "episode": {
                    "r": float(self._returns[index]),
                    "l": int(self._lengths[index]),
                    "t": 0.0,
                },
            }
        self._returns[dones] = 0
        self._lengths[dones] = 0
        return np.asarray(obs), rewards.astype(np.float32), dones, rows

    def close(self) -> None:
        """Close the vector env."""
        self.envs.close()

    def get_attr(self, attr_name: str, indices: VecEnvIndices = None) -> list[Any]:
        """Return an attribute of the vector env, once per env."""
        return [getattr(self.envs, attr_name)] * len(list(self._get_indices(indices)))

    def set_attr(self, attr_name: str, value: Any, indices: VecEnvIndices = None) -> None:
        """Refuse: the envs are one array."""
        raise EnvError("the envs of a native vector env have no attributes of their own")

    def env_method(
        self,
        method_name: str,
        *method_args: Any,
        indices: VecEnvIndices = None,
        **method_kwargs: Any,
    ) -> list[Any]:
        """Refuse: the envs are one array."""
        raise EnvError("the envs of a native vector env have no methods of their own")

    def env_is_wrapped(self, wrapper_class: Any, indices: VecEnvIndices = None) -> list[bool]:
        """Return False for each: single environments cannot be wrapped here."""
        return [False] * len(list(self._get_indices(indices)))


def _row(infos: dict[str, Any], index: int) -> dict[str, Any]:
    """Return the infos of one environment; ``_key`` marks the environments that have ``key``."""
    found: dict[str, Any] = {}
    for key, value in infos.items():
        if key.startswith("_") or not infos.get(f"_{key}", np.ones(index + 1, bool))[index]:
            continue
        found[key] = _row(value, index) if isinstance(value, dict) else value[index]
    return found
