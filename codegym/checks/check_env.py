"""check_env: tests that an environment keeps the contracts of Gymnasium and of codegym.

Beyond Gymnasium's own checker: the spec survives JSON, the same seed and actions give the same
results, the infos hold what they promise, the vector form equals the single one, and the fast road
(``codegym.episode.ProgramEnv``), where there is one, gives what stepping gives.
"""

import warnings
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from gymnasium.envs.registration import EnvSpec
from gymnasium.utils.env_checker import check_env as gymnasium_check
from gymnasium.utils.env_checker import data_equivalence
from gymnasium.vector import AutoresetMode, SyncVectorEnv, VectorEnv

from codegym.checks.fast_road import check_fast_road
from codegym.errors import CodegymError, ConformanceError
from codegym.registration import import_packages

_EPISODES = 4
_STEPS = 60
_LAST_KEYS = ("task_id", "program", "verdict", "feedback", "token_rewards", "cut")


def check_env(env_id: str, **kwargs: Any) -> None:
    """Check an environment; programs are run in the sandbox.

    Args:
        env_id: The id it is registered under.
        kwargs: Keyword arguments of the environment.

    Raises:
        ConformanceError: A promise is broken; the message says which.
    """
    if env_id not in gym.registry:
        import_packages()
    env = gym.make(env_id, **kwargs)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            gymnasium_check(env.unwrapped, skip_render_check=True)
        except CodegymError:
            raise
        except Exception as error:
            raise ConformanceError(f"Gymnasium's checker: {error}") from error
    _check_spec(env)
    plays = [_play(gym.make(env_id, **kwargs)) for _ in range(2)]
    _claim(
        data_equivalence(plays[0], plays[1]),
        "the same seed and actions give the same results",
        env_id,
    )
    if isinstance(env.action_space, spaces.Discrete):
        for episode in plays[0]:
            _check_episode(episode)
        spec = env.spec
        if spec is not None and spec.vector_entry_point is not None:
            for mode in AutoresetMode:
                _check_vector(env_id, mode, kwargs)
    check_fast_road(env_id, **kwargs)


def _check_spec(env: gym.Env[Any, Any]) -> None:
    spec = env.spec
    _claim(spec is not None, "an environment has a spec", env)
    assert spec is not None
    try:
        again = EnvSpec.from_json(spec.to_json())
    except (TypeError, ValueError) as error:
        raise ConformanceError(f"the spec does not survive JSON: {error}") from error
    _claim(again.kwargs == spec.kwargs, "the spec survives JSON", again.kwargs)


def _play(env: gym.Env[Any, Any]) -> list[list[Any]]:
    """Play a few episodes of random actions; one list of steps each, its reset first."""
    env.action_space.seed(0)
    episodes = []
    for episode in range(_EPISODES):
        steps: list[Any] = [env.reset(seed=episode)]
        for number in range(_STEPS * 10):
            action = _action(env, number)
            steps.append((action, *env.step(action)))
            if steps[-1][3] or steps[-1][4]:
                break
        episodes.append(steps)
    return episodes


def _action(env: gym.Env[Any, Any], number: int) -> Any:
    inner: Any = env.unwrapped
    if isinstance(env.action_space, spaces.Discrete) and number == _STEPS:
        return inner.tokenizer.end_id
    return env.action_space.sample()


def _check_episode(steps: list[Any]) -> None:
    _, first = steps[0]
    for name in ("task_id", "prompt", "length"):
        _claim(name in first, f"info holds {name!r} at reset", first.keys())
    for _, _, reward, terminated, truncated, info in steps[1:-1]:
        _claim(reward == 0.0, "no reward before the end", reward)
        _claim(not terminated and not truncated, "an episode ends once", info)
    _, _, reward, terminated, truncated, info = steps[-1]
    _claim(terminated and not truncated, "an episode ends as terminated", (terminated, truncated))
    for name in _LAST_KEYS:
        _claim(name in info, f"info holds {name!r} at the last step", info.keys())
    count = len(steps) - 1
    credit = info["token_rewards"]
    _claim(len(credit) == count, "one token reward for each action", (len(credit), count))
    _claim(info["task_id"] == first["task_id"], "an episode has one task", info["task_id"])
    _claim(info["verdict"].cut is info["cut"], "what was cut says so", info["cut"])


def _check_vector(env_id: str, mode: AutoresetMode, kwargs: dict[str, Any]) -> None:
    count = 3
    native = gym.make_vec(env_id, num_envs=count, autoreset_mode=mode.value, **kwargs)
    single = [lambda: gym.make(env_id, **kwargs)] * count
    sync = SyncVectorEnv(single, autoreset_mode=mode)
    _claim(native.metadata["autoreset_mode"] is mode, "metadata names the autoreset mode", mode)
    inner: Any = gym.make(env_id, **kwargs).unwrapped
    both: list[VectorEnv[Any, Any, Any]] = [native, sync]
    _same(mode, *(envs.reset(seed=5) for envs in both))
    rng = np.random.default_rng(0)
    for _ in range(_STEPS):
        actions = rng.integers(inner.tokenizer.vocab_size, size=count)
        actions[rng.random(count) < 0.1] = inner.tokenizer.end_id
        steps = [envs.step(actions) for envs in both]
        _same(mode, *steps)
        if mode is AutoresetMode.DISABLED and steps[0][2].any():
            marks = [{"reset_mask": steps[0][2].copy()} for _ in both]
            _same(mode, *(envs.reset(options=mark) for envs, mark in zip(both, marks, strict=True)))


def _same(mode: AutoresetMode, mine: Any, theirs: Any) -> None:
    promise = f"the vector form equals the single one (autoreset {mode.value})"
    for left, right in zip(mine, theirs, strict=True):
        if not isinstance(left, dict):
            _claim(bool(np.array_equal(left, right)), promise, (left, right))
            continue
        _claim(left.keys() == right.keys(), promise, (left.keys(), right.keys()))
        for key, value in left.items():
            if isinstance(value, dict):
                _same(mode, (value,), (right[key],))
            else:
                same = all(
                    bool(np.array_equal(a, b)) if key == "final_obs" else a == b
                    for a, b in zip(value.tolist(), right[key].tolist(), strict=True)
                )
                _claim(same, f"{promise}: {key}", (value, right[key]))


def _claim(holds: bool, promise: str, value: object) -> None:
    if not holds:
        raise ConformanceError(f"broken: {promise}", value=value)
