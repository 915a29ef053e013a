"""Prompts, episodes and comparisons that the checks of a policy share.

In shapes, B is the number of episodes, T the longest number of actions.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from codegym.errors import ConformanceError
from codegym.policy import Evaluation, Generation, Policy
from codegym.trajectory import Batch, Trajectory

TOLERANCE = 1e-4
BUDGET = 12
TEXTS = (
    "def f(x):\n",
    "def add(a, b):\n    # sum\n",
    "x",
    "def longer(items, key):\n    if key:\n",
)


def prompts_of(policy: Policy) -> list[list[int]]:
    """Return the ids of the prompts that every check uses."""
    return [policy.tokenizer.encode(text) for text in TEXTS]


def seeded(seed: int = 0) -> torch.Generator:
    """Return a fresh generator."""
    return torch.Generator().manual_seed(seed)


def batch_of(
    prompts: Sequence[Sequence[int]],
    generation: Generation,
    policy: Policy,
    *,
    temperature: float = 1.0,
) -> Batch:
    """Return what ``generate`` wrote for some prompts as a batch."""
    n = len(generation.actions) // len(prompts)
    rows = zip(generation.actions, generation.log_probs, generation.values, strict=True)
    return Batch.from_trajectories(
        [
            episode_of(prompts[number // n], *row, temperature=temperature)
            for number, row in enumerate(rows)
        ],
        pad_id=policy.tokenizer.pad_id,
    )


def episode_of(
    prompt: Sequence[int],
    actions: NDArray[np.int64],
    log_probs: NDArray[np.float32] | None = None,
    values: NDArray[np.float32] | None = None,
    *,
    temperature: float = 1.0,
    chosen: NDArray[np.bool_] | None = None,
) -> Trajectory:
    """Return an episode; log-probabilities and values are 0 where none are given."""
    blank = np.zeros(len(actions), dtype=np.float32)
    return Trajectory(
        task_id="",
        prompt=np.array(prompt, dtype=np.int64),
        actions=actions,
        log_probs=blank if log_probs is None else log_probs,
        values=blank if values is None else values,
        reward=0.0,
        credit=blank,
        finished=True,
        program="",
        temperature=temperature,
        chosen=chosen,
    )


def require(kept: bool, complaint: str, value: object = None, expected: str = "") -> None:
    """Raise a ConformanceError unless a promise is kept."""
    if not kept:
        raise ConformanceError(complaint, value=value, expected=expected)


def require_close(found: Any, expected: Any, complaint: str) -> None:
    """Raise a ConformanceError unless all numbers agree to ``TOLERANCE``."""
    difference = float(np.abs(np.asarray(found) - np.asarray(expected)).max(initial=0.0))
    if not difference <= TOLERANCE:
        raise ConformanceError(complaint, value=difference, expected=f"at most {TOLERANCE}")


def numbers_of(scored: Evaluation) -> list[NDArray[np.float32]]:
    """Return (B, T) log-probabilities, values and entropies."""
    parts = (scored.log_probs, scored.values, scored.entropy)
    return [part.detach().float().cpu().numpy() for part in parts]


def stir(policy: Policy) -> Policy:
    """Make a fresh policy's numbers differ from row to row, and its programs end here and there."""
    shake(policy)
    tokenizer = policy.tokenizer
    endings = [tokenizer.encode(text) for text in ("", "return", "return x + y")]
    fit(
        policy,
        [
            (prompt, [*ending, tokenizer.end_id])
            for prompt in prompts_of(policy)
            for ending in endings
        ],
        steps=15,
    )
    return policy


def shake(policy: Policy) -> None:
    """Add noise to every weight that is trained, the same at every call."""
    rng = seeded(11)
    head = {id(weight) for weight in policy.value_parameters()}
    with torch.no_grad():
        for weight in (w for w in policy.module.parameters() if w.requires_grad):
            noise = torch.randn(weight.shape, generator=rng).to(weight)
            weight.add_(noise, alpha=0.5 if id(weight) in head else 0.05)
    policy.mark_updated()


def fit(policy: Policy, pairs: Sequence[tuple[list[int], list[int]]], *, steps: int) -> None:
    """Make answers to prompts more probable, by gradients of ``evaluate``."""
    batch = Batch.from_trajectories(
        [episode_of(prompt, np.array(answer, dtype=np.int64)) for prompt, answer in pairs],
        pad_id=policy.tokenizer.pad_id,
    )
    trained = [weight for weight in policy.module.parameters() if weight.requires_grad]
    optimizer = torch.optim.Adam(trained, lr=5e-3)
    for _ in range(steps):
        optimizer.zero_grad()
        loss = -policy.evaluate(batch).log_probs.sum()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    policy.mark_updated()
