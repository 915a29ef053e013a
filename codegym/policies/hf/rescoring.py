"""Rescoring: log-probabilities and values of tokens that an engine has written."""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from codegym.errors import CodegymError
from codegym.policies.decoding.token_sampling import TokenSampler
from codegym.policies.hf.hf_config import HFConfig
from codegym.policy import Evaluation, Generation
from codegym.tokenizers.tokenizer import Tokenizer
from codegym.trajectory import Batch, Trajectory

_ROWS = 32


class EngineError(CodegymError):
    """An engine could not be reached, or its answer was no tokens."""


class EnginePolicy(Protocol):
    """What an engine needs of the policy it writes for; ``HFPolicy`` has it."""

    @property
    def tokenizer(self) -> Tokenizer:
        """What ids mean."""
        ...

    @property
    def max_tokens(self) -> int:
        """Longest prompt plus program."""
        ...

    @property
    def version(self) -> int:
        """Rises with every change of weights."""
        ...

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        ...

    @property
    def adapted(self) -> bool:
        """Whether adapters alone are trained."""
        ...

    def folded(self) -> AbstractContextManager[Any]:
        """Give the language model itself, with its adapters folded in."""
        ...

    @property
    def config(self) -> HFConfig:
        """How programs are asked for and cut."""
        ...

    def evaluate(self, batch: Batch, *, temperature: float, top_p: float) -> Evaluation:
        """Score whole episodes; see ``HFPolicy.evaluate``."""
        ...

    def save(self, folder: Path) -> None:
        """Write the policy."""
        ...


@torch.no_grad()
def rescore(
    policy: EnginePolicy,
    prompts: Sequence[Sequence[int]],
    written: Sequence[Sequence[int]],
    *,
    n: int,
    budget: int,
    sampler: TokenSampler,
) -> Generation:
    """Cut tokens at their end, and compute their log-probabilities and values.

    Args:
        policy: The policy they are scored by.
        prompts: The prompts they continue.
        written: Prompt-major tokens; what follows an end token is cut off.
        n: Programs per prompt.
        budget: Most tokens of a program.
        sampler: How the engine drew them; the log-probabilities are those of its distributions.
    """
    cut = [_cut(policy, prompts[row // n], tokens, budget) for row, tokens in enumerate(written)]
    finished = np.array([bool(tokens[-1] == policy.tokenizer.end_id) for tokens in cut])
    unscored = Generation(actions=cut, log_probs=[], values=[], finished=finished)
    return score_again(policy, prompts, unscored, n=n, sampler=sampler)


@torch.no_grad()
def score_again(
    policy: EnginePolicy,
    prompts: Sequence[Sequence[int]],
    written: Generation,
    *,
    n: int,
    sampler: TokenSampler,
) -> Generation:
    """Return programs with the log-probabilities and values that ``evaluate`` gives them.

    Args:
        policy: The policy they are scored by.
        prompts: The prompts they continue.
        written: The programs.
        n: Programs per prompt.
        sampler: How they were drawn.
    """
    log_probs: list[NDArray[np.float32]] = []
    values: list[NDArray[np.float32]] = []
    top_p = 1.0 if sampler.deterministic else sampler.top_p
    for start in range(0, len(written.actions), _ROWS):
        batch = _batch(policy, prompts, written, slice(start, start + _ROWS), n=n)
        scored = policy.evaluate(batch, temperature=sampler.temperature, top_p=top_p)
        for source, target in ((scored.log_probs, log_probs), (scored.values, values)):
            rows = source.float().cpu().numpy()
            target.extend(row[:length] for row, length in zip(rows, batch.lengths, strict=True))
    return replace(written, log_probs=log_probs, values=values)


def _cut(
    policy: EnginePolicy, prompt: Sequence[int], tokens: Sequence[int], budget: int
) -> NDArray[np.int64]:
    end = policy.tokenizer.end_id
    kept = list(tokens)[: min(budget, policy.max_tokens - len(prompt))]
    if end in kept:
        kept = kept[: kept.index(end) + 1]
    before = policy.config.prompting.first_stop(kept, policy.tokenizer)
    if before >= 0:
        kept = [*kept[:before], end]
    if not kept:
        raise EngineError("the engine wrote no token", expected="at least one")
    return np.array(kept, dtype=np.int64)


def _batch(
    policy: EnginePolicy,
    prompts: Sequence[Sequence[int]],
    written: Generation,
    rows: slice,
    *,
    n: int,
) -> Batch:
    episodes = []
    for row in range(len(written.actions))[rows]:
        ids = written.actions[row]
        blank = np.zeros(len(ids), dtype=np.float32)
        episodes.append(
            Trajectory(
                task_id="",
                prompt=np.array(prompts[row // n], dtype=np.int64),
                actions=ids,
                log_probs=blank,
                values=blank,
                reward=0.0,
                credit=blank,
                finished=False,
                program="",
                masks=None if written.masks is None else written.masks[row],
            )
        )
    return Batch.from_trajectories(episodes, pad_id=policy.tokenizer.pad_id)
