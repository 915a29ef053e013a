"""RLOO: REINFORCE whose baseline for each program is the mean reward of the task's other programs.

``L = - 1/N sum_i (R_i - mean_{j != i} R_j) sum_t log p(w_it)``, an unbiased gradient without a
critic.
Source: Ahmadian et al. 2024 (2402.14740), equation 8. The charge on leaving the first policy, which
the paper adds to its learnt reward, is left out: the reward here is the tests'.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np

from codegym import registry
from codegym.episode import Request
from codegym.learning.advantages import group_sums, spread, standardise
from codegym.learning.learner import Columns, Learner, Optimiser, Tally, ramp
from codegym.policy import Policy
from codegym.trajectory import Batch, Trajectory


@dataclass(frozen=True, slots=True, kw_only=True)
class RLOOConfig:
    """Settings of RLOO.

    Attributes:
        lr: Learning rate.
        average: What the loss is divided by: the number of programs (``program``, the paper) or of
            their tokens (``token``), without the programs that equal their baseline.
        standardise: Divide the advantages by their root mean square.
        minibatches: Optimiser steps per update.
        warmup_updates: Updates over which the learning rate rises; 0 for no warm-up.
        final_lr: Share of the learning rate that is left at the end of the budget.
        tasks: Tasks drawn for one update.
        samples: Programs written for each, at least 2.
        temperature: Sampling temperature.
        max_grad_norm: Largest norm of the gradient.
    """

    lr: float = 1e-6
    average: Literal["program", "token"] = "program"
    standardise: bool = False
    minibatches: int = 1
    warmup_updates: int = 0
    final_lr: float = 1.0
    tasks: int = 128
    samples: int = 4
    temperature: float = 1.0
    max_grad_norm: float = 1.0


@registry.plugin("agents", "rloo")
class RLOO(Learner):
    """Compares each program with the task's others."""

    name = "rloo"
    config_class = RLOOConfig
    learns_in_a_team = True
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "paper": {},
        "small": {"lr": 1.5e-4, "average": "token", "standardise": True, "minibatches": 2,
                  "warmup_updates": 8, "tasks": 32, "samples": 8},
    }  # fmt: skip

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
        """Take ``minibatches`` steps on the programs that differ from their baseline."""
        policy, config = self.policy, self.config
        self.updates += 1
        batch = Batch.from_trajectories(trajectories, pad_id=policy.tokenizer.pad_id)
        tasks = np.unique([program.task_id for program in trajectories], return_inverse=True)[1]
        # A_i = R_i - mean_{j != i} R_j; 0 for a program without others
        sums, counts = group_sums(batch.rewards, tasks)
        others = (sums - batch.rewards) / np.maximum(counts - 1, 1)
        per_program = np.where(counts > 1, batch.rewards - others, 0.0).astype(np.float32)

        advantages = spread(per_program, batch.mask)
        if config.standardise:
            advantages = standardise(advantages, batch.mask, centre=False)
        used = np.flatnonzero(per_program != 0)
        metrics = {"used_share": len(used) / len(batch)}
        if not len(used):
            return metrics
        batch = batch.with_columns(advantages=advantages)
        if config.average == "token":
            batch = batch.select(used)
        scale = ramp(
            self.updates, warmup=config.warmup_updates, progress=progress, final=config.final_lr
        )
        policy.module.train()
        weight, tally, norms = 0, Tally(self.team), []
        for minibatch in batch.minibatches(config.minibatches, self.rng):
            count = minibatch.n_tokens if config.average == "token" else len(minibatch)
            for piece in self.pieces(minibatch):
                scored = policy.evaluate(piece, temperature=piece.temperatures)
                columns = Columns.of(piece, scored)
                # L = - sum_i A_i sum_t log p(w_it) / N
                loss = -(columns["advantages"] * scored.log_probs).sum() / count
                self.optimiser.add(loss)
                tally.add(scored, columns)
                tally.add_losses(loss=float(loss.detach()) * count)
            weight += count
            norms.append(self.optimiser.step(lr_scale=scale))
        metrics |= {"loss": tally.losses()["loss"] / weight, "lr": config.lr * scale}
        return metrics | tally.means() | {"grad_norm": float(np.mean(norms))}
