"""Dataset: logged episodes as a Minari dataset, which names the environment they come from.

A live env needs none of this: ``minari.DataCollector`` wraps it as any other.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import gymnasium as gym
import numpy as np

from codegym.envs.synthesis import SynthesisEnv
from codegym.errors import ConfigError, MissingExtraError
from codegym.trajectory import Trajectory

if TYPE_CHECKING:
    from minari import MinariDataset


def record(
    trajectories: Sequence[Trajectory],
    env: "gym.Env[Any, Any]",
    name: str,
    *,
    description: str,
    author: str = "",
) -> "MinariDataset":
    """Write episodes as a Minari dataset under the folder that Minari keeps.

    Args:
        trajectories: The episodes; each becomes observations (T + 1, max_tokens), actions (T,) and
            rewards (T,), 0 but for the last.
        env: The env they were played in, as ``gym.make`` gave it.
        name: Name of the dataset, with its version: ``"codegym/atoms-v0"``.
        description: What the episodes are.
        author: Who made them.

    Raises:
        MissingExtraError: Minari is not installed (extra ``minari``).
        ConfigError: No episodes, or an episode that is longer than the env's observations.
    """
    try:
        import minari
        from minari.data_collector import EpisodeBuffer
    except ImportError as error:
        raise MissingExtraError("minari", "minari") from error
    if not trajectories:
        raise ConfigError("no episodes to record", expected="at least one")
    inner = env.unwrapped
    assert isinstance(inner, SynthesisEnv)
    buffers = [
        EpisodeBuffer(
            id=number,
            observations=observations_of(
                episode, inner.episodes.max_tokens, inner.tokenizer.pad_id
            ),
            actions=episode.actions.astype(np.int64),
            rewards=[0.0] * (len(episode) - 1) + [episode.reward],
            terminations=[False] * (len(episode) - 1) + [True],
            truncations=[False] * len(episode),
        )
        for number, episode in enumerate(trajectories)
    ]
    return minari.create_dataset_from_buffers(
        dataset_id=name,
        buffer=buffers,
        env=env,
        description=description,
        author=author or None,
    )


def observations_of(trajectory: Trajectory, max_tokens: int, pad_id: int) -> np.ndarray[Any, Any]:
    """Return what the env showed before each action and after the last.

    Returns:
        (T + 1, max_tokens) int32.

    Raises:
        ConfigError: The episode is longer than that.
    """
    start, count = len(trajectory.prompt), len(trajectory)
    if start + count > max_tokens:
        raise ConfigError(
            "an episode is longer than the env's observations",
            value=start + count,
            expected=f"at most {max_tokens} tokens",
        )
    shown = np.full((count + 1, max_tokens), pad_id, dtype=np.int32)
    shown[:, :start] = trajectory.prompt
    for step in range(count):
        shown[step + 1 :, start + step] = trajectory.actions[step]
    return shown
