"""SequenceRolloutBuffer: stable-baselines3's rollout buffer, read by whole sequences.

The plain buffer hands out single steps, each with its whole prefix, so that a program of 30 tokens
is read 30 times per epoch. This buffer cuts the rollout into segments of one episode and hands out
packed sequences, over each of which the trunk runs once. ``batch_size`` then counts sequences.

A packed row is ``[start, length, W, K, temperature, W ids ..., masks ...]``: ``length`` actions
follow the ``start`` ids that were there before the segment; the temperature is the bits of a
float32; the masks the actions were written under, if any, take K words of 64 bits per action. A row
is wider than an observation, which tells the two apart. The other tensors are flat over the
actions, row by row.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from gymnasium import spaces
from numpy.typing import NDArray
from stable_baselines3.common.buffers import RolloutBuffer
from stable_baselines3.common.type_aliases import RolloutBufferSamples
from stable_baselines3.common.vec_env import VecNormalize

from codegym.errors import ConfigError
from codegym.learning.advantages import gae
from codegym.trajectory import Batch, Trajectory

_HEAD = 5
_WORD_BYTES = 8


def pack(
    tokens: NDArray[np.integer],
    starts: NDArray[np.int64],
    lengths: NDArray[np.int64],
    *,
    masks: NDArray[np.uint8] | None = None,
    temperatures: NDArray[np.float32] | None = None,
) -> NDArray[np.int64]:
    """Return packed rows.

    Args:
        tokens: (S, W) ids.
        starts: (S,) ids before the actions of each row.
        lengths: (S,) actions of each row.
        masks: (S, T, ceil(V / 8)) bits of what was allowed; None where everything was.
        temperatures: (S,) sampling temperatures; None where all are 1.
    """
    rows, width = tokens.shape
    words = np.empty((rows, 0), dtype=np.int64)
    each = 0
    if masks is not None:
        spare = -masks.shape[2] % _WORD_BYTES
        padded = np.pad(masks, ((0, 0), (0, 0), (0, spare)))
        words = padded.reshape(rows, -1).view(np.int64)
        each = padded.shape[2] // _WORD_BYTES
    sizes = np.broadcast_to(np.array([width, each]), (rows, 2))
    if temperatures is None:
        temperatures = np.ones(rows, dtype=np.float32)
    bits = temperatures.astype(np.float32).view(np.int32)[:, None]
    return np.concatenate(
        (starts[:, None], lengths[:, None], sizes, bits, tokens, words), axis=1, dtype=np.int64
    )


def unpack(packed: NDArray[np.int64], *, pad_id: int) -> Batch:
    """Return packed rows as a batch, whose mask in row order is the order of the flat tensors."""
    starts, lengths = packed[:, 0], packed[:, 1]
    room, each = (int(size) for size in packed[0, 2:4])
    width, total = int(lengths.max()), int((starts + lengths).max())
    tokens = packed[:, _HEAD : _HEAD + total]
    mask = np.arange(width) < lengths[:, None]
    columns = np.where(mask, starts[:, None] + np.arange(width), 0)
    blank = np.zeros(mask.shape, dtype=np.float32)
    masks = None
    if each:
        words = np.ascontiguousarray(packed[:, _HEAD + room :][:, : width * each])
        masks = words.view(np.uint8).reshape(len(packed), width, each * _WORD_BYTES)
    return Batch(
        tokens=tokens,
        prompt_lengths=starts,
        lengths=lengths,
        actions=np.where(mask, np.take_along_axis(tokens, columns, axis=1), pad_id),
        mask=mask,
        log_probs=blank,
        values=blank,
        credit=blank,
        rewards=blank[:, 0],
        temperatures=packed[:, 4].astype(np.int32).view(np.float32),
        masks=masks,
    )


@dataclass(frozen=True, slots=True)
class _Sequences:
    """Packed rows and, for each, the places of its actions in the flat arrays."""

    packed: NDArray[np.int64]
    cells: list[NDArray[np.int64]]


class SequenceRolloutBuffer(RolloutBuffer):
    """A rollout of token-level episodes, for PPO's and A2C's ``rollout_buffer_class``.

    Args:
        buffer_size: Steps per env.
        observation_space: A box of ids, one row of ``max_tokens``.
        action_space: The ids.
        device, gae_lambda, gamma, n_envs: As in stable-baselines3.
        pad_id: Fills observations on the right.
        seed: Seed of the order in which sequences are handed out.
    """

    def __init__(
        self,
        buffer_size: int,
        observation_space: spaces.Space,  # type: ignore[type-arg]
        action_space: spaces.Space,  # type: ignore[type-arg]
        device: torch.device | str = "auto",
        gae_lambda: float = 1.0,
        gamma: float = 1.0,
        n_envs: int = 1,
        *,
        pad_id: int = 0,
        seed: int = 0,
    ) -> None:
        self._pad_id = pad_id
        self._loaded: _Sequences | None = None
        self.rng = np.random.default_rng(seed)
        super().__init__(
            buffer_size,
            observation_space,
            action_space,
            device,
            gae_lambda=gae_lambda,
            gamma=gamma,
            n_envs=n_envs,
        )

    def reset(self) -> None:
        """Empty the buffer."""
        super().reset()
        self._loaded = None

    def load(
        self,
        trajectories: Sequence[Trajectory],
        *,
        rewards: Sequence[NDArray[np.float32]] | None = None,
    ) -> None:
        """Take finished episodes instead of steps, with advantages and returns computed.

        Args:
            trajectories: Episodes that were written by ``Policy.generate`` or ``act``.
            rewards: For each episode, (T,) the reward received after each action; the episodes'
                ``credit`` if None.

        Raises:
            ValueError: There are no episodes, or an episode has no action.
            ConfigError: An episode is longer than an observation, or the environment wrote part of
                it; or the rewards do not fit the episodes.
        """
        _refuse_holes(trajectories)
        batch = Batch.from_trajectories(trajectories, pad_id=self._pad_id)
        width = self.obs_shape[0]
        if batch.tokens.shape[1] > width:
            raise ConfigError(
                "an episode is too long",
                value=batch.tokens.shape[1],
                expected=f"at most {width} tokens, the policy's max_tokens",
            )
        received = batch.credit if rewards is None else _pad_rewards(rewards, batch)
        advantages, returns = gae(
            received, batch.values, batch.mask, gamma=self.gamma, gae_lambda=self.gae_lambda
        )
        self.reset()
        self.actions = batch.actions[batch.mask][:, None]
        self.values, self.log_probs = batch.values[batch.mask], batch.log_probs[batch.mask]
        self.advantages, self.returns = advantages[batch.mask], returns[batch.mask]
        self.full = True
        tokens = np.full((len(batch), width), self._pad_id, dtype=np.int64)
        tokens[:, : batch.tokens.shape[1]] = batch.tokens
        self._loaded = _Sequences(
            packed=pack(
                tokens,
                batch.prompt_lengths,
                batch.lengths,
                masks=batch.masks,
                temperatures=batch.temperatures,
            ),
            cells=np.split(np.arange(len(self.values)), np.cumsum(batch.lengths)[:-1]),
        )

    def get(self, batch_size: int | None = None) -> Iterator[RolloutBufferSamples]:  # type: ignore[override]
        """Yield ``batch_size`` packed sequences at a time, all of them if None, shuffled."""
        if not self.full:
            raise ConfigError("the rollout buffer is not full yet", value=self.pos)
        sequences = self._loaded or self._cut()
        count = len(sequences.cells)
        order = self.rng.permutation(count)
        for start in range(0, count, batch_size or count):
            rows = order[start : start + (batch_size or count)]
            cells = np.concatenate([sequences.cells[row] for row in rows])
            yield RolloutBufferSamples(
                observations=self.to_torch(sequences.packed[rows]),
                actions=self._flat(self.actions, cells).long(),
                old_values=self._flat(self.values, cells),
                old_log_prob=self._flat(self.log_probs, cells),
                advantages=self._flat(self.advantages, cells),
                returns=self._flat(self.returns, cells),
            )

    def _get_samples(
        self, batch_inds: NDArray[np.int64], env: VecNormalize | None = None
    ) -> RolloutBufferSamples:
        raise ConfigError(
            "this buffer hands out sequences, not steps", cure="SequenceRolloutBuffer.get"
        )

    def _flat(self, array: NDArray[np.generic], cells: NDArray[np.int64]) -> torch.Tensor:
        return self.to_torch(array.reshape(-1)[cells])

    def _cut(self) -> _Sequences:
        """Cut every env's column of steps where an episode starts."""
        starts = self.episode_starts.astype(bool)
        starts[0] = True
        # Column-major, so that a segment ends where the next segment of the same env starts.
        envs, first = np.nonzero(starts.T)
        after = np.append(first[1:], 0)
        after[np.append(envs[1:] != envs[:-1], True)] = len(starts)
        lengths = after - first
        last = self.observations[after - 1, envs]
        before = (self.observations[first, envs] != self._pad_id).sum(axis=1)
        tokens = last.astype(np.int64)
        tokens[np.arange(len(envs)), before + lengths - 1] = self.actions[after - 1, envs, 0]
        cells = [
            np.arange(begin, end) * self.n_envs + env
            for env, begin, end in zip(envs, first, after, strict=True)
        ]
        return _Sequences(packed=pack(tokens, before, lengths), cells=cells)


def _refuse_holes(trajectories: Sequence[Trajectory]) -> None:
    for episode in trajectories:
        if episode.chosen is not None and not episode.chosen.all():
            raise ConfigError(
                "the environment wrote part of an episode, and stable-baselines3's sequences are "
                "of the policy's actions alone, without a gap",
                value=f"{int((~episode.chosen).sum())} tokens in task {episode.task_id!r}",
                expected="episodes of one program",
                cure="train episodes of several programs with an agent other than sb3_ppo",
            )


def _pad_rewards(rewards: Sequence[NDArray[np.float32]], batch: Batch) -> NDArray[np.float32]:
    """Return (B, T) rewards, 0 on padding."""
    sizes = [len(row) for row in rewards]
    if sizes != batch.lengths.tolist():
        raise ConfigError(
            "the rewards do not fit the episodes",
            value=sizes,
            expected=f"one for each action: {batch.lengths.tolist()}",
        )
    padded = np.zeros_like(batch.credit)
    for row, received in enumerate(rewards):
        padded[row, : len(received)] = received
    return padded
