"""Gradient estimators: why an effect is there or not, measured at fixed checkpoints.

An agent follows the gradient of a few hundred programs. How well that works is decided by two
figures of its estimator, which need no training:

- ``noise``: the variance of a batch's gradient over the square of its mean's length,
  ``E|g - E g|^2 / |E g|^2``. Above 1, a single batch is more noise than signal.
- ``cosine``: of a batch's gradient with the gradient of pass@1 that many times more programs give,
  ``sum_t (R - mean of the task) grad log p(w_t)``, R being 1 for a pass.

Estimators differ in the weights of the tokens alone, so every one sees the same programs. A
difference between arms whose estimators have the same two figures is not to be expected.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from codegym.episode import Request
from codegym.learning.advantages import Floats, damp, explained_variance
from codegym.policy import Policy
from codegym.rewards import make_reward
from codegym.rewards.reward import Reward
from codegym.trajectory import Batch, Trajectory

DAMPING = 0.1
"""Factor on negative weights where they are damped."""
_REWARDS = {
    "coarse": "rltf(adaptive=false, fine=0)",
    "fine": "rltf(adaptive=false)",
    "adaptive": "rltf",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """The figures of an estimator.

    Attributes:
        noise: Variance of a batch's gradient over the square of its mean's length.
        cosine: Mean cosine of a batch's gradient with the large-sample gradient.
        signal: Cosine of the mean of all batches with the large-sample gradient.
    """

    noise: float
    cosine: float
    signal: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """Programs of a checkpoint.

    Attributes:
        policy: The policy that wrote them.
        batches: Batches as an agent sees them; the programs of a task are in one batch.
        many: Further programs for the large-sample gradient.
    """

    policy: Policy
    batches: Sequence[Sequence[Trajectory]]
    many: Sequence[Trajectory]


Weigh = Callable[[Sequence[Trajectory]], list[Floats]]


def by_task_mean(programs: Sequence[Trajectory], rewards: Sequence[float]) -> Floats:
    """Return each reward less the mean reward of its task, (programs,)."""
    earned: dict[str, list[float]] = {}
    for program, reward in zip(programs, rewards, strict=True):
        earned.setdefault(program.task_id, []).append(reward)
    means = {task: float(np.mean(values)) for task, values in earned.items()}
    pairs = zip(programs, rewards, strict=True)
    return np.array([reward - means[each.task_id] for each, reward in pairs], dtype=np.float32)


def passes(programs: Sequence[Trajectory]) -> list[float]:
    """Return 1 for each program that passed, 0 for the others."""
    return [float(program.passed) for program in programs]


def with_task_baseline(programs: Sequence[Trajectory]) -> list[Floats]:
    """Return the weights of the gradient of pass@1, with the task's mean as baseline."""
    weights = by_task_mean(programs, passes(programs))
    return [np.full(len(each), w, np.float32) for each, w in zip(programs, weights, strict=True)]


def with_update_baseline(programs: Sequence[Trajectory]) -> list[Floats]:
    """Return weights with the mean of the batch as baseline: an actor-critic without critic."""
    earned = passes(programs)
    mean = float(np.mean(earned))
    return [
        np.full(len(each), reward - mean, np.float32)
        for each, reward in zip(programs, earned, strict=True)
    ]


def with_feedback(reward: Reward) -> Weigh:
    """Return a function that weighs programs by RLTF's feedback, less the mean of the task."""

    def weigh(programs: Sequence[Trajectory]) -> list[Floats]:
        judged = [(each, each.verdict, each.feedback) for each in programs]
        earned = [reward(v, f) if v and f else 0.0 for _, v, f in judged]
        weights = by_task_mean(programs, earned)
        return [
            np.full(len(each), weight, np.float32)
            + (reward.fine(v, f)[: len(each)] if v and f else np.float32(0.0))
            for (each, v, f), weight in zip(judged, weights, strict=True)
        ]

    return weigh


class Critic:
    """A feed-forward critic on hidden states, fitted by regression on the passes of programs.

    Args:
        policy: The policy whose hidden states it reads while it is fitted.
        programs: Programs of that policy.
        seed: Seed of its first weights.
    """

    def __init__(self, policy: Policy, programs: Sequence[Trajectory], *, seed: int = 0) -> None:
        hidden, mask = _hidden(policy, programs)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self._head = nn.Sequential(nn.Linear(hidden.shape[-1], 64), nn.GELU(), nn.Linear(64, 1))
        states = hidden[mask]
        earned = torch.tensor(passes(programs))[:, None].expand(mask.shape)[mask]
        adam = torch.optim.Adam(self._head.parameters(), lr=3e-3)
        for _ in range(200):
            loss = (self._head(states)[:, 0] - earned).square().mean()
            adam.zero_grad()
            loss.backward()
            adam.step()

    @torch.no_grad()
    def values(self, policy: Policy, programs: Sequence[Trajectory]) -> list[Floats]:
        """Return the estimates before each token, read from the hidden states of a policy."""
        hidden, mask = _hidden(policy, programs)
        found = self._head(hidden)[..., 0]
        return [row[real].numpy() for row, real in zip(found, mask, strict=True)]

    def weights(self, policy: Policy) -> Weigh:
        """Return a function that weighs programs by their advantage over this critic."""

        def weigh(programs: Sequence[Trajectory]) -> list[Floats]:
            values = self.values(policy, programs)
            return [
                np.float32(reward) - row
                for reward, row in zip(passes(programs), values, strict=True)
            ]

        return weigh


def explained(critic: Critic, sample: Sample) -> float:
    """Return the explained variance of a critic on programs that it was not fitted on."""
    programs = [each for batch in sample.batches for each in batch]
    values = np.concatenate(critic.values(sample.policy, programs))
    earned = np.concatenate(
        [
            np.full(len(each), reward, np.float32)
            for each, reward in zip(programs, passes(programs), strict=True)
        ]
    )
    return explained_variance(values, earned)


@torch.no_grad()
def _hidden(policy: Policy, programs: Sequence[Trajectory]) -> tuple[torch.Tensor, torch.Tensor]:
    batch = Batch.from_trajectories(programs, pad_id=policy.tokenizer.pad_id)
    rows = [policy.evaluate(piece).hidden.float().cpu() for piece in _in_order(batch)]
    width = batch.mask.shape[1]
    hidden = torch.cat([nn.functional.pad(row, (0, 0, 0, width - row.shape[1])) for row in rows])
    return hidden, torch.from_numpy(batch.mask)


def _in_order(batch: Batch, size: int = 64) -> list[Batch]:
    return [
        batch.select(np.arange(at, min(at + size, len(batch)))) for at in range(0, len(batch), size)
    ]


def gradient(
    policy: Policy, programs: Sequence[Trajectory], weights: Sequence[Floats]
) -> torch.Tensor:
    """Return the gradient of ``sum_t w_t log p(w_t) / T`` in the actor's weights, as a vector."""
    head = {id(parameter) for parameter in policy.value_parameters()}
    actor = [p for p in policy.module.parameters() if p.requires_grad and id(p) not in head]
    policy.module.zero_grad(set_to_none=True)
    batch = Batch.from_trajectories(programs, pad_id=policy.tokenizer.pad_id)
    column = np.zeros(batch.mask.shape, dtype=np.float32)
    for row, values in zip(column, weights, strict=True):
        row[: len(values)] = values
    batch = batch.with_columns(weights=column)
    for piece in batch.pieces(32):
        scored = policy.evaluate(piece, temperature=piece.temperatures)
        column_t = torch.from_numpy(piece.columns["weights"]).to(scored.log_probs.device)
        ((column_t * scored.log_probs).sum() / batch.n_tokens).backward()  # type: ignore[no-untyped-call]
    found = torch.cat(
        [torch.zeros(p.numel()) if p.grad is None else p.grad.flatten().cpu() for p in actor]
    )
    policy.module.zero_grad(set_to_none=True)
    return found


def figures_of(gradients: torch.Tensor, large: torch.Tensor) -> Figures:
    """Return the figures of an estimator.

    Args:
        gradients: (batches, weights).
        large: (weights,) the large-sample gradient.
    """
    mean = gradients.mean(dim=0)
    variance = float((gradients - mean).square().sum()) / (len(gradients) - 1)
    # The mean of n batches holds 1/n of the variance, which is no signal.
    signal = float(mean.square().sum()) - variance / len(gradients)
    cosines = torch.nn.functional.cosine_similarity(gradients, large[None], dim=1)
    together = torch.nn.functional.cosine_similarity(mean, large, dim=0)
    return Figures(
        noise=variance / max(signal, 1e-12 * variance) if variance else 0.0,
        cosine=float(cosines.mean()),
        signal=float(together),
    )


def measure(sample: Sample, estimators: Mapping[str, Weigh]) -> dict[str, dict[str, Any]]:
    """Return the figures of each estimator, plain and with damped negative weights.

    Args:
        sample: Programs of a checkpoint.
        estimators: Name -> a function that weighs the tokens of a batch.
    """
    large = gradient(sample.policy, sample.many, with_task_baseline(sample.many))
    found: dict[str, dict[str, Any]] = {}
    for name, weigh in estimators.items():
        weights = [weigh(batch) for batch in sample.batches]
        for scale, suffix in ((1.0, ""), (DAMPING, ", damped")):
            rows = [
                gradient(sample.policy, batch, [damp(row, scale) for row in row_weights])
                for batch, row_weights in zip(sample.batches, weights, strict=True)
            ]
            found[name + suffix] = asdict(figures_of(torch.stack(rows), large))
    return found


def draw(policy: Policy, env: Any, *, tasks: int, batches: int, seed: int = 0) -> Sample:
    """Let a policy write four programs for each task of each batch, and as many again.

    Args:
        policy: The policy.
        env: Environment of the training tasks.
        tasks: Tasks of a batch.
        batches: Number of batches.
        seed: Seed of the sampling.
    """
    from codegym.rollout.collect import collect

    policy.module.eval()
    rng = torch.Generator().manual_seed(seed)
    wanted = Request(tasks=2 * tasks * batches, samples=4)
    written = [each for each in collect(env, policy, wanted, rng=rng) if len(each)]
    half, size = len(written) // 2, 4 * tasks
    rows = [written[at : at + size] for at in range(0, half - size + 1, size)]
    return Sample(policy=policy, batches=rows, many=written[half:])


def estimators_of(
    families: Sequence[str], sample: Sample, frozen: Critic | None = None
) -> tuple[dict[str, Weigh], dict[str, float]]:
    """Return the estimators of some families, and the explained variance of the critics.

    Args:
        families: ``critic``, ``feedback`` or both.
        sample: Programs of the checkpoint.
        frozen: The critic of an earlier checkpoint; without it, frozen and synced are the same.
    """
    found: dict[str, Weigh] = {}
    explains = {}
    if "critic" in families:
        synced = Critic(sample.policy, sample.many)
        found["critic none"] = with_update_baseline
        found["critic synced"] = synced.weights(sample.policy)
        found["critic frozen"] = (frozen or synced).weights(sample.policy)
        explains = {
            "critic synced": explained(synced, sample),
            "critic frozen": explained(frozen or synced, sample),
        }
    if "feedback" in families:
        found |= {name: with_feedback(make_reward(text)) for name, text in _REWARDS.items()}
    return found, explains
