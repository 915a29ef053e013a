"""RFT: online rejection fine-tuning. The policy imitates its own programs that earn enough.

``L = - sum_{R_i >= threshold} sum_t log p(w_it) / (number of their tokens)``: with a 0/1 reward,
REINFORCE without a baseline. Programs that fail teach nothing, and tasks that are already solved
act as replay, which makes it the steadiest baseline at this scale. With ``per_task = 1`` hard tasks
that were solved count as much as easy ones: the entropy falls at half the pace, and long runs live
on it.
Source: Zelikman et al. 2022 (2203.14465), Yuan et al. 2023 (2308.01825), made online. The papers
alternate whole rounds of sampling and of training from the base model; what the settings below have
in common with them is how programs are chosen: all different ones that pass.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from codegym import registry
from codegym.episode import Request
from codegym.learning.learner import Columns, Learner, Optimiser, Tally, ramp
from codegym.learning.replay import program_key
from codegym.policy import Policy
from codegym.trajectory import Batch, Trajectory


@dataclass(frozen=True, slots=True, kw_only=True)
class RFTConfig:
    """Settings of RFT.

    Attributes:
        lr: Learning rate; 1e-3 collapses a small policy within a minute on the small domain.
        threshold: Least reward of a program that is imitated.
        minibatches: Optimiser steps per update.
        warmup_updates: Updates over which the learning rate rises; 0 for no warm-up.
        final_lr: Share of the learning rate that is left at the end of the budget.
        tasks: Tasks drawn for one update.
        samples: Programs written for each.
        per_task: Most programs of a task to imitate, the first that differ; 0 for all of them,
            repetitions too.
        temperature: Sampling temperature.
        max_grad_norm: Largest norm of the gradient.
    """

    lr: float = 2e-5
    threshold: float = 1.0
    minibatches: int = 8
    warmup_updates: int = 0
    final_lr: float = 1.0
    tasks: int = 64
    samples: int = 100
    per_task: int = 100
    temperature: float = 0.7
    max_grad_norm: float = 1.0


_SMALL: Mapping[str, Any] = {"lr": 3e-4, "warmup_updates": 8, "samples": 4, "per_task": 0,
                             "temperature": 1.0}  # fmt: skip


@registry.plugin("agents", "rft")
class RFT(Learner):
    """Imitates its own best programs."""

    name = "rft"
    config_class = RFTConfig
    learns_in_a_team = True
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "paper": {},
        "small": _SMALL,
        "long": {**_SMALL, "lr": 5e-4, "final_lr": 0.05, "samples": 8, "per_task": 1},
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
        """Take ``minibatches`` steps on the programs that earn enough; none if there are none."""
        policy, config = self.policy, self.config
        self.updates += 1
        kept = [program for program in trajectories if program.reward >= config.threshold]
        # A program cut at its budget has no end token: imitating it would teach never to end.
        kept = [program for program in kept if program.finished]
        if config.per_task:
            kept = _different(kept, config.per_task)
        metrics = {"kept": float(len(kept)), "kept_share": len(kept) / len(trajectories)}
        if not kept:
            return metrics
        batch = Batch.from_trajectories(kept, pad_id=policy.tokenizer.pad_id)
        scale = ramp(
            self.updates, warmup=config.warmup_updates, progress=progress, final=config.final_lr
        )
        policy.module.train()
        tally, norms = Tally(self.team), []
        for minibatch in batch.minibatches(config.minibatches, self.rng):
            for piece in self.pieces(minibatch):
                # Imitation: the likelihood itself, whatever temperature the programs came from.
                scored = policy.evaluate(piece, temperature=1.0)
                # L = - sum_i sum_t log p(w_it) / T; log p is 0 on padding
                loss = -scored.log_probs.sum() / minibatch.n_tokens
                self.optimiser.add(loss)
                tally.add(scored, Columns.of(piece, scored), temperature=1.0)
                tally.add_losses(loss=float(loss.detach()) * minibatch.n_tokens)
            norms.append(self.optimiser.step(lr_scale=scale))
        return (
            metrics
            | tally.means()
            | {
                "loss": tally.losses()["loss"] / batch.n_tokens,
                "grad_norm": float(np.mean(norms)),
                "lr": config.lr * scale,
            }
        )


def _different(programs: Sequence[Trajectory], per_task: int) -> list[Trajectory]:
    """Return at most ``per_task`` programs of each task that differ in more than spacing."""
    keys: set[str] = set()
    counts: Counter[str] = Counter()
    kept = []
    for program in programs:
        key = program_key(program.task_id, program.program)
        if key not in keys and counts[program.task_id] < per_task:
            keys.add(key)
            counts[program.task_id] += 1
            kept.append(program)
    return kept
