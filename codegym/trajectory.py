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
        actions: (T,) int64 ids after the prompt: the policy's actions, end tokens included, and
            what the environment wrote between two programs of the episode.
        log_probs: (T,) float32, of each action under the distribution it was drawn from; 0 where
            the environment wrote.
        values: (T,) float32, the critic's estimate before each action; 0 where the environment
            wrote.
        reward: Reward of the last program, from the run's Reward.
        credit: (T,) float32, the reward received after each action, from the run's Reward: the
            whole reward on the last action, and what its fine part puts on other tokens.
        finished: Whether the policy ended the last program itself; False if the budget cut it.
        program: Text of the last program.
        verdict: Verdict on the last program; None for an episode that was not judged.
        feedback: Where the last program's fault lies; its tokens count in ``actions``.
        policy_version: Weight version of the policy that chose the actions.
        temperature: Sampling temperature of the actions.
        given: How many of the prompt's last tokens are the beginning of the program, given to the
            policy and not written by it.
        demonstration: Whether it is a reference solution played back instead of the policy's own.
        greedy: Whether the most probable token was taken throughout.
        masks: (T, ceil(V / 8)) uint8, in bits the tokens that were allowed at each action; None
            where all were.
        chosen: (T,) bool, False where the environment wrote; None where every action is the
            policy's. Nothing is learnt from the others: no action, no log-probability, no gradient.
        turns: Number of programs that were written in the episode.
    """

    task_id: str
    prompt: NDArray[np.int64]
    actions: NDArray[np.int64]
    log_probs: NDArray[np.float32]
    values: NDArray[np.float32]
    reward: float
    credit: NDArray[np.float32]
    finished: bool
    program: str
    verdict: Verdict | None = None
    feedback: Feedback | None = None
    policy_version: int = 0
    temperature: float = 1.0
    given: int = 0
    demonstration: bool = False
    greedy: bool = False
    masks: NDArray[np.uint8] | None = None
    chosen: NDArray[np.bool_] | None = None
    turns: int = 1

    def __len__(self) -> int:
        return len(self.actions)

    @property
    def passed(self) -> bool:
        """Whether the program passed all its tests; without a verdict, whether it earned 1."""
        return self.reward >= 1.0 if self.verdict is None else self.verdict.passed


class Episode(Protocol):
    """What ``Batch`` reads of an episode; ``Trajectory`` implements it."""

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
    def credit(self) -> NDArray[np.float32]:
        """(T,)."""
        ...

    @property
    def reward(self) -> float:
        """Reward of the episode."""
        ...

    @property
    def temperature(self) -> float:
        """Sampling temperature."""
        ...

    @property
    def chosen(self) -> NDArray[np.bool_] | None:
        """(T,), or None."""
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
        lengths: (B,) int64, number of tokens of each row after its prompt.
        actions: (B, T) int64, those tokens alone, padded with ``pad_id``.
        mask: (B, T) bool, True on the policy's actions: False on padding and on what the
            environment wrote in between.
        log_probs, values, credit: (B, T) float32, 0 where the mask is False.
        rewards: (B,) float32.
        temperatures: (B,) float32, sampling temperature of each row.
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
    credit: NDArray[np.float32]
    rewards: NDArray[np.float32]
    temperatures: NDArray[np.float32]
    columns: Mapping[str, NDArray[np.float32]] = field(default_factory=dict)
    masks: NDArray[np.uint8] | None = None

    def __len__(self) -> int:
        return len(self.lengths)

    @property
    def n_tokens(self) -> int:
        """Number of the policy's actions."""
        return int(self.mask.sum())

    @classmethod
    def from_trajectories(cls, trajectories: Sequence[Episode], *, pad_id: int) -> "Batch":
        """Pad episodes into one batch.

        Raises:
            ValueError: There are no episodes, or an episode has no action.
        """
        if not trajectories or any(len(episode.actions) == 0 for episode in trajectories):
            raise ValueError("a batch needs episodes, each with at least one action")
        lengths = np.array([len(episode.actions) for episode in trajectories], dtype=np.int64)
        prompt_lengths = np.array([len(episode.prompt) for episode in trajectories], dtype=np.int64)
        rows, width = len(trajectories), int(lengths.max())
        tokens = np.full((rows, int((lengths + prompt_lengths).max())), pad_id, dtype=np.int64)
        actions = np.full((rows, width), pad_id, dtype=np.int64)
        floats = np.zeros((3, rows, width), dtype=np.float32)
        for row, episode in enumerate(trajectories):
            count, start = len(episode.actions), len(episode.prompt)
            tokens[row, :start] = episode.prompt
            tokens[row, start : start + count] = episode.actions
            actions[row, :count] = episode.actions
            for plane, source in enumerate((episode.log_probs, episode.values, episode.credit)):
                floats[plane, row, :count] = source
        return cls(
            tokens=tokens,
            prompt_lengths=prompt_lengths,
            lengths=lengths,
            actions=actions,
            mask=_stack_chosen(trajectories, lengths, width),
            log_probs=floats[0],
            values=floats[1],
            credit=floats[2],
            rewards=np.array([episode.reward for episode in trajectories], dtype=np.float32),
            temperatures=np.array(
                [episode.temperature for episode in trajectories], dtype=np.float32
            ),
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
            credit=self.credit[rows, :width],
            rewards=self.rewards[rows],
            temperatures=self.temperatures[rows],
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

    def pieces(self, rows: int, *, by_prompt: bool = False) -> Iterator["Batch"]:
        """Yield parts of at most ``rows`` episodes of like length, so that little is padding.

        Args:
            rows: Most episodes of a part.
            by_prompt: Keep episodes of the same prompt together, for policies that read it once.
        """
        totals = self.lengths + self.prompt_lengths
        order = np.argsort(totals, kind="stable")
        if by_prompt:
            groups = self.prompt_numbers()
            longest = np.zeros(len(self), dtype=np.int64)
            np.maximum.at(longest, groups, totals)
            order = np.lexsort((totals, groups, longest[groups]))
        for start in range(0, len(order), rows):
            yield self.select(order[start : start + rows])

    def prompt_numbers(self) -> NDArray[np.int64]:
        """Return (B,) numbers that are equal where the prompts are."""
        first: dict[bytes, int] = {}
        return np.array(
            [
                first.setdefault(self.tokens[row, :length].tobytes(), row)
                for row, length in enumerate(self.prompt_lengths)
            ],
            dtype=np.int64,
        )


def _stack_chosen(
    episodes: Sequence[Episode], lengths: NDArray[np.int64], width: int
) -> NDArray[np.bool_]:
    """Return (B, T) which places hold an action of the policy."""
    mask: NDArray[np.bool_] = np.arange(width) < lengths[:, None]
    for row, episode in enumerate(episodes):
        if episode.chosen is not None:
            mask[row, : len(episode.chosen)] &= episode.chosen
    return mask


def _stack_masks(episodes: Sequence[Episode], width: int) -> NDArray[np.uint8] | None:
    """Pad the masks of episodes; what has none, and padding, allows everything."""
    masks = [episode.masks for episode in episodes]
    size = next((mask.shape[1] for mask in masks if mask is not None), None)
    if size is None:
        return None
    stacked = np.full((len(masks), width, size), 255, dtype=np.uint8)
    for row, mask in enumerate(masks):
        if mask is not None:
            stacked[row, : len(mask)] = mask
    return stacked
