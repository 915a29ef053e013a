"""RFT: online rejection fine-tuning. The policy imitates those of its own programs that pass.

``L = - sum_{passing programs} sum_t log p(w_t) / (number of their tokens)``: REINFORCE with a 0/1
reward and no baseline. Programs that fail teach nothing, and tasks that are already solved act as
replay, which is what makes it the steadiest baseline at this scale. With ``per_task = 1`` hard
tasks that were solved count as much as easy ones: the entropy falls at half the pace, and long runs
live on it.
Source: Zelikman et al. 2022 (2203.14465), Yuan et al. 2023 (2308.01825), made online.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from codegym import registry
from codegym.learning.agent import Request
from codegym.learning.learner import Learner, Optimiser, ramp
from codegym.learning.replay import program_key
from codegym.policy import Policy
from codegym.trajectory import Batch, Trajectory


@dataclass(frozen=True, slots=True, kw_only=True)
class RFTConfig:
    """Settings of RFT; the defaults suit a transformer of under a million weights.

    Attributes:
        lr: Learning rate; 1e-3 collapses within a minute on the small domain.
        minibatches: Optimiser steps per update.
        warmup_updates: Updates over which the learning rate rises.
        final_lr: Share of the learning rate that is left at the end of the budget.
        tasks: Tasks drawn for one update.
        samples: Programs written for each.
        per_task: Different passing programs of a task to imitate, the first ones; 0 for all,
            repetitions too.
        temperature: Of the sampling.
        max_grad_norm: Gradient clipping.
    """

    lr: float = 3e-4
    minibatches: int = 8
    warmup_updates: int = 8
    final_lr: float = 1.0
    tasks: int = 64
    samples: int = 4
    per_task: int = 0
    temperature: float = 1.0
    max_grad_norm: float = 1.0


@registry.plugin("agents", "rft")
class RFT(Learner):
    """Imitates its own passing programs."""

    name = "rft"
    config_class = RFTConfig
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "small": {},
        "long": {"lr": 5e-4, "final_lr": 0.05, "samples": 8, "per_task": 1},
    }

    def __init__(self, policy: Policy, config: RFTConfig, *, seed: int) -> None:
        optimiser = Optimiser(
            policy, lr=config.lr, value_lr=config.lr, max_grad_norm=config.max_grad_norm
        )
        super().__init__(policy, config, seed=seed, optimiser=optimiser)

    def request(self) -> Request:
        """Ask for several programs per task."""
        config = self.config
        return Request(tasks=config.tasks, samples=config.samples, temperature=config.temperature)

    def update(
        self, trajectories: Sequence[Trajectory], *, progress: float = 0.0
    ) -> dict[str, float]:
        """Take ``minibatches`` steps on the passing programs; none if nothing passed."""
        policy, config = self.policy, self.config
        self.updates += 1
        kept = [one for one in trajectories if one.verdict is not None and one.verdict.passed]
        # A program cut at its budget has no end token: imitating it would teach never to end.
        kept = [one for one in kept if one.finished]
        if config.per_task:
            kept = _different(kept, config.per_task)
        metrics = {"kept": float(len(kept)), "kept_share": len(kept) / len(trajectories)}
        if not kept:
            return metrics
        policy.module.train()
        batch = Batch.from_trajectories(kept, pad_id=policy.tokenizer.pad_id)
        batch = batch.with_columns(weights=batch.mask.astype(np.float32))
        scale = ramp(
            self.updates, warmup=config.warmup_updates, progress=progress, final=config.final_lr
        )
        return metrics | self.weighted_steps(batch, minibatches=config.minibatches, lr_scale=scale)


def _different(programs: Sequence[Trajectory], per_task: int) -> list[Trajectory]:
    """Return at most ``per_task`` programs of each task that differ in more than spacing."""
    keys: set[str] = set()
    counts: Counter[str] = Counter()
    kept = []
    for one in programs:
        key = program_key(one.task_id, one.program)
        if key not in keys and counts[one.task_id] < per_task:
            keys.add(key)
            counts[one.task_id] += 1
            kept.append(one)
    return kept
