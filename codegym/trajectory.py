"""Trajectory: one episode as a learner sees it; Batch: many, padded and masked.

Arrays are NumPy, so that the env and the grader need no torch. In shapes, B is the number of
episodes, T the longest number of actions, L the longest prompt plus actions.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from codegym.grading.feedback import Feedback
from codegym.grading.verdict import Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Trajectory:
    """One episode.

    Attributes:
        task_id: The task that was played.
        prompt: (P,) int64 ids of the prompt.
        actions: (T,) int64 ids that were chosen, the end token included where it was.
        log_probs: (T,) float32, of each action when it was chosen.
        values: (T,) float32, the critic's estimate before each action.
        reward: Of the whole program.
        token_rewards: (T,) float32, credit over the tokens; its meaning is the reward's.
        finished: Whether the policy ended the program itself; False if the budget cut it.
        program: The program's text.
        verdict: None for an episode that was not judged.
        feedback: None for an episode that was not judged.
        policy_version: The policy's weight version that chose the actions.
        given: How many of the prompt's last tokens are the beginning of the program, given to the
            policy and not written by it.
        demonstration: Whether it is a reference solution played back instead of the policy's own.
        greedy: Whether the most probable token was taken throughout.
        masks: (T, ceil(V / 8)) uint8, in bits the tokens that were allowed at each action; None
            where all were.
    """

    task_id: str
    prompt: NDArray[np.int64]
    actions: NDArray[np.int64]
    log_probs: NDArray[np.float32]
    values: NDArray[np.float32]
    reward: float
    token_rewards: NDArray[np.float32]
    finished: bool
    program: str
    verdict: Verdict | None = None
    feedback: Feedback | None = None
    policy_version: int = 0
    given: int = 0
    demonstration: bool = False
    greedy: bool = False
    masks: NDArray[np.uint8] | None = None

    def __len__(self) -> int:
        return len(self.actions)


class Episode(Protocol):
    """What ``Batch`` reads of an episode; a Trajectory is one."""

    @property
    def prompt(self) -> NDArray[np.int64]:
        """(P,) ids."""
        ...

    @property
    def actions(self) -> NDArray[np.int64]:
        """(T,) ids."""
        ...

    @property
    def log_probs(self) -> NDArray[np.float32]:
        """(T,)."""
        ...

    @property
    def values(self) -> NDArray[np.float32]:
        """(T,)."""
        ...

    @property
    def token_rewards(self) -> NDArray[np.float32]:
        """(T,)."""
        ...

    @property
    def reward(self) -> float:
        """Of the whole program."""
        ...

    @property
    def masks(self) -> NDArray[np.uint8] | None:
        """(T, ceil(V / 8)) bits, or None."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Episodes side by side, padded on the right.

    Attributes:
        tokens: (B, L) int64, prompt then actions, padded with ``pad_id``.
        prompt_lengths: (B,) int64.
        lengths: (B,) int64, number of actions of each row.
        actions: (B, T) int64, the actions alone, padded with ``pad_id``.
        mask: (B, T) bool, True on real actions.
        log_probs, values, token_rewards: (B, T) float32, 0 on padding.
        rewards: (B,) float32.
        columns: Further (B, T) arrays that an agent adds, such as its advantages; they are cut
            and selected like the rest.
        masks: (B, T, ceil(V / 8)) uint8, as of ``Trajectory``; None where no row has any.
    """

    tokens: NDArray[np.int64]
    prompt_lengths: NDArray[np.int64]
    lengths: NDArray[np.int64]
    actions: NDArray[np.int64]
    mask: NDArray[np.bool_]
    log_probs: NDArray[np.float32]
    values: NDArray[np.float32]
    token_rewards: NDArray[np.float32]
    rewards: NDArray[np.float32]
    columns: Mapping[str, NDArray[np.float32]] = field(default_factory=dict)
    masks: NDArray[np.uint8] | None = None

    def __len__(self) -> int:
        return len(self.lengths)

    @property
    def n_tokens(self) -> int:
        """Number of real actions."""
        return int(self.lengths.sum())

    @classmethod
    def from_trajectories(cls, trajectories: Sequence[Episode], *, pad_id: int) -> "Batch":
        """Pad episodes into one batch.

        Raises:
            ValueError: There are no episodes, or one has no action.
        """
        if not trajectories or any(len(one.actions) == 0 for one in trajectories):
            raise ValueError("a batch needs episodes, each with at least one action")
        lengths = np.array([len(one.actions) for one in trajectories], dtype=np.int64)
        prompt_lengths = np.array([len(one.prompt) for one in trajectories], dtype=np.int64)
        rows, width = len(trajectories), int(lengths.max())
        tokens = np.full((rows, int((lengths + prompt_lengths).max())), pad_id, dtype=np.int64)
        actions = np.full((rows, width), pad_id, dtype=np.int64)
        floats = np.zeros((3, rows, width), dtype=np.float32)
        for row, one in enumerate(trajectories):
            count, start = len(one.actions), len(one.prompt)
            tokens[row, :start] = one.prompt
            tokens[row, start : start + count] = one.actions
            actions[row, :count] = one.actions
            for plane, source in enumerate((one.log_probs, one.values, one.token_rewards)):
                floats[plane, row, :count] = source
        return cls(
            tokens=tokens,
            prompt_lengths=prompt_lengths,
            lengths=lengths,
            actions=actions,
            mask=np.arange(width) < lengths[:, None],
            log_probs=floats[0],
            values=floats[1],
            token_rewards=floats[2],
            rewards=np.array([one.reward for one in trajectories], dtype=np.float32),
            masks=_stack_masks(trajectories, width),
        )

    def select(self, rows: NDArray[np.int64]) -> "Batch":
        """Return some rows as a batch of their own, its padding cut to the longest of them."""
        width = int(self.lengths[rows].max())
        total = int((self.lengths + self.prompt_lengths)[rows].max())
        return Batch(
            tokens=self.tokens[rows, :total],
            prompt_lengths=self.prompt_lengths[rows],
            lengths=self.lengths[rows],
            actions=self.actions[rows, :width],
            mask=self.mask[rows, :width],
            log_probs=self.log_probs[rows, :width],
            values=self.values[rows, :width],
            token_rewards=self.token_rewards[rows, :width],
            rewards=self.rewards[rows],
            columns={name: column[rows, :width] for name, column in self.columns.items()},
            masks=None if self.masks is None else self.masks[rows, :width],
        )

    def with_columns(self, **columns: NDArray[np.float32]) -> "Batch":
        """Return the same batch with further (B, T) arrays."""
        return replace(self, columns={**self.columns, **columns})

    def minibatches(self, count: int, rng: np.random.Generator) -> Iterator["Batch"]:
        """Yield at most ``count`` random, disjoint parts of about equal size."""
        for rows in np.array_split(rng.permutation(len(self)), min(count, len(self))):
            yield self.select(rows)

    def pieces(self, rows: int) -> Iterator["Batch"]:
        """Yield parts of at most ``rows`` episodes of like length, so that little is padding."""
        order = np.argsort(self.lengths + self.prompt_lengths, kind="stable")
        for start in range(0, len(order), rows):
            yield self.select(order[start : start + rows])


def _stack_masks(episodes: Sequence[Episode], width: int) -> NDArray[np.uint8] | None:
    """Pad the masks of episodes; what has none, and padding, allows everything."""
    masks = [one.masks for one in episodes]
    size = next((mask.shape[1] for mask in masks if mask is not None), None)
    if size is None:
        return None
    stacked = np.full((len(masks), width, size), 255, dtype=np.uint8)
    for row, mask in enumerate(masks):
        if mask is not None:
            stacked[row, : len(mask)] = mask
    return stacked
