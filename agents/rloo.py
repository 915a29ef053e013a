"""RLOO: REINFORCE whose baseline for each program is the mean reward of the task's other programs.

``L = - sum_i sum_t (R_i - mean_{j != i} R_j) log p(w_t)``, an unbiased gradient without a critic.
Source: Ahmadian et al. 2024 (2402.14740), equation 8.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from codegym import registry
from codegym.learning.advantages import leave_one_out, spread, standardise
from codegym.learning.agent import Request
from codegym.learning.learner import Learner, Optimiser, ramp
from codegym.policy import Policy
from codegym.trajectory import Batch, Trajectory


@dataclass(frozen=True, slots=True, kw_only=True)
class RLOOConfig:
    """Settings of RLOO; the defaults suit a transformer of under a million weights.

    Attributes:
        lr: Learning rate.
        minibatches: Optimiser steps per update.
        warmup_updates: Updates over which the learning rate rises.
        final_lr: Share of the learning rate that is left at the end of the budget.
        tasks: Tasks drawn for one update.
        samples: Programs written for each, at least 2.
        temperature: Of the sampling.
        max_grad_norm: Gradient clipping.
    """

    lr: float = 1.5e-4
    minibatches: int = 2
    warmup_updates: int = 8
    final_lr: float = 1.0
    tasks: int = 32
    samples: int = 8
    temperature: float = 1.0
    max_grad_norm: float = 1.0


@registry.plugin("agents", "rloo")
class RLOO(Learner):
    """Compares each program with the task's others."""

    name = "rloo"
    config_class = RLOOConfig
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "small": {},
        "paper": {"lr": 1e-6, "samples": 4, "tasks": 128, "minibatches": 1},
    }

    def __init__(self, policy: Policy, config: RLOOConfig, *, seed: int) -> None:
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
        """Take ``minibatches`` steps on the programs that differ from their group."""
        policy, config = self.policy, self.config
        self.updates += 1
        batch = Batch.from_trajectories(trajectories, pad_id=policy.tokenizer.pad_id)
        groups = np.unique([one.task_id for one in trajectories], return_inverse=True)[1]
        per_program = leave_one_out(batch.rewards, groups)
        used = np.flatnonzero(per_program != 0)
        metrics = {"used_share": len(used) / len(batch)}
        if not len(used):
            return metrics
        advantages = spread(per_program, batch.mask)
        batch = batch.with_columns(weights=standardise(advantages, batch.mask, centre=False))
        batch = batch.select(used)
        policy.module.train()
        scale = ramp(
            self.updates, warmup=config.warmup_updates, progress=progress, final=config.final_lr
        )
        return metrics | self.weighted_steps(batch, minibatches=config.minibatches, lr_scale=scale)
