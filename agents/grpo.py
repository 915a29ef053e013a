"""GRPO: a clipped policy gradient whose baseline is the mean of the programs of the same task.

``A_i = (R_i - mean(R)) / std(R)`` over a task's group, the same for every token of program i;
``L = - mean_t min(r_t A, clip(r_t, 1 - low, 1 + high) A) + kl_coef * KL(policy || reference)``.
Source: Shao et al. 2024 (2402.03300), equation 3. The presets ``dr_grpo`` (2503.20783: no division
by the deviation, a constant divisor) and ``dapo`` (2503.14476: clip-higher, mean over tokens,
dynamic sampling, overlong punishment) are switches of the same loss.
"""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
import torch

from codegym import registry
from codegym.learning.advantages import Floats, damp, group_relative, soft_overlong_punishment
from codegym.learning.agent import Request
from codegym.learning.learner import Columns, Learner, Optimiser, Tally, ramp
from codegym.learning.losses import clipped_surrogate, kl_to_reference
from codegym.learning.replay import Experience, ReplayBuffer
from codegym.policy import Policy
from codegym.trajectory import Batch, Trajectory


@dataclass(frozen=True, slots=True, kw_only=True)
class GRPOConfig:
    """Settings of GRPO; the defaults suit a transformer of under a million weights.

    Attributes:
        lr: Learning rate.
        scale: Divide the advantages of a group by its standard deviation.
        average: What the loss is averaged over: ``sequence`` means within each program and then
            over programs (GRPO), ``token`` over all tokens (DAPO), ``constant`` divides by the
            longest program instead of each one's own length (Dr. GRPO).
        drop_even_groups: Leave out groups whose programs all earned the same.
        dynamic_sampling: Write on until ``tasks`` groups show a contrast before any step is taken
            (DAPO); no step lies between, so that all of them are the present policy's.
        overlong: What becomes of programs that were not finished: ``keep`` as they are, ``filter``
            takes them out of the loss, ``punish`` lowers the reward of long ones softly (DAPO).
        overlong_length: Tokens from which ``punish`` takes off a whole 1.
        overlong_cache: Tokens before that over which it rises from 0.
        clip_low: Lower bound of the ratio is 1 less this.
        clip_high: Upper bound of the ratio is 1 plus this.
        kl_coef: Weight of the divergence from the policy that training began with.
        negative_scale: Factor on negative advantages, see ``advantages.damp``; 1 in the papers.
        minibatches: Optimiser steps per epoch.
        epochs: Passes over each update's programs.
        warmup_updates: Updates over which the learning rate rises.
        final_lr: Share of the learning rate that is left at the end of the budget.
        tasks: Tasks drawn for one update.
        samples: Programs written for each: the size of a group.
        temperature: Of the sampling.
        max_grad_norm: Gradient clipping.
    """

    lr: float = 3e-4
    scale: bool = True
    average: Literal["sequence", "token", "constant"] = "token"
    drop_even_groups: bool = True
    dynamic_sampling: bool = False
    overlong: Literal["keep", "filter", "punish"] = "keep"
    overlong_length: int = 64
    overlong_cache: int = 16
    clip_low: float = 0.2
    clip_high: float = 0.2
    kl_coef: float = 0.0
    negative_scale: float = 0.2
    minibatches: int = 8
    epochs: int = 1
    warmup_updates: int = 8
    final_lr: float = 1.0
    tasks: int = 32
    samples: int = 8
    temperature: float = 1.0
    max_grad_norm: float = 1.0


@registry.plugin("agents", "grpo")
class GRPO(Learner):
    """Compares programs of one task with one another."""

    name = "grpo"
    config_class = GRPOConfig
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "small": {},
        "paper": {"lr": 1e-6, "average": "sequence", "drop_even_groups": False, "kl_coef": 0.04,
                  "negative_scale": 1.0, "samples": 64, "tasks": 16, "minibatches": 1},
        "dr_grpo": {"scale": False, "average": "constant", "drop_even_groups": False,
                    "negative_scale": 1.0},
        "dapo": {"average": "token", "clip_high": 0.28, "drop_even_groups": True,
                 "dynamic_sampling": True, "overlong": "punish", "negative_scale": 1.0},
    }  # fmt: skip

    def __init__(self, policy: Policy, config: GRPOConfig, *, seed: int) -> None:
        optimiser = Optimiser(
            policy, lr=config.lr, value_lr=config.lr, max_grad_norm=config.max_grad_norm
        )
        super().__init__(policy, config, seed=seed, optimiser=optimiser)
        self._waiting = ReplayBuffer(4 * config.tasks * config.samples)
        self._reference = copy.deepcopy(policy) if config.kl_coef else None

    def request(self) -> Request:
        """Ask for a group of programs per task."""
        config = self.config
        return Request(tasks=config.tasks, samples=config.samples, temperature=config.temperature)

    def update(
        self, trajectories: Sequence[Trajectory], *, progress: float = 0.0
    ) -> dict[str, float]:
        """Take ``epochs * minibatches`` steps on the groups' contrasts."""
        policy, config = self.policy, self.config
        self.updates += 1
        used = self._contrast(trajectories)
        metrics = {"used_share": len(used) / len(trajectories)}
        if config.dynamic_sampling:
            for one in used:
                self._waiting.add(one)
            metrics["waiting"] = float(len(self._waiting))
            if len(self._waiting) < config.tasks * config.samples:
                return metrics
            used = list(self._waiting.entries)
            self._waiting = ReplayBuffer(self._waiting.capacity)
        if not used:
            return metrics
        batch = Batch.from_trajectories(used, pad_id=policy.tokenizer.pad_id)
        batch = batch.with_columns(advantages=self._weigh(batch.token_rewards, batch))
        policy.module.train()
        scale = ramp(
            self.updates, warmup=config.warmup_updates, progress=progress, final=config.final_lr
        )
        sums = dict.fromkeys(("policy_loss", "kl"), 0.0)
        tally = Tally(clip_low=config.clip_low, clip_high=config.clip_high)
        norms = []
        for _ in range(config.epochs):
            for minibatch in batch.minibatches(config.minibatches, self.rng):
                losses = [
                    self._loss(piece, minibatch, sums, tally) for piece in minibatch.pieces(32)
                ]
                norms.append(self.optimiser.step(losses, lr_scale=scale))
        means = {name: value / len(norms) for name, value in sums.items()}
        return (
            metrics
            | means
            | tally.means()
            | {
                "loss": means["policy_loss"] + config.kl_coef * means["kl"],
                "grad_norm": float(np.mean(norms)),
                "lr": config.lr * scale,
            }
        )

    def _contrast(self, trajectories: Sequence[Trajectory]) -> list[Experience]:
        """Return the programs that take part in the loss, their advantages as token rewards."""
        config = self.config
        rewards = np.array([one.reward for one in trajectories], dtype=np.float32)
        if config.overlong == "punish":
            lengths = np.array([len(one) for one in trajectories])
            rewards = rewards + soft_overlong_punishment(
                lengths, longest=config.overlong_length, cache=config.overlong_cache
            )
        groups = np.unique([one.task_id for one in trajectories], return_inverse=True)[1]
        per_program = group_relative(rewards, groups, scale=config.scale)
        per_program = damp(per_program, config.negative_scale)
        used = np.ones(len(rewards), dtype=np.bool_)
        if config.drop_even_groups or config.dynamic_sampling:
            used = per_program != 0
        if config.overlong == "filter":
            used = used & np.array([one.finished for one in trajectories])
        return [
            Experience.of(one, np.full(len(one), per_program[row], dtype=np.float32))
            for row, one in enumerate(trajectories)
            if used[row]
        ]

    def _loss(
        self, piece: Batch, minibatch: Batch, sums: dict[str, float], tally: Tally
    ) -> torch.Tensor:
        """Return a piece's share of the minibatch's loss, and add what is logged to ``sums``."""
        config, count = self.config, minibatch.n_tokens
        scored = self.policy.evaluate(piece)
        columns = Columns.of(piece, scored)
        weight = count if config.average == "token" else len(minibatch)
        loss = clipped_surrogate(
            scored.log_probs,
            columns.old_log_probs,
            columns.extra["advantages"],
            weight,
            clip_low=config.clip_low,
            clip_high=config.clip_high,
        )
        sums["policy_loss"] += float(loss.detach())
        if self._reference is not None:
            with torch.no_grad():
                anchor = self._reference.evaluate(piece).log_probs
            kl = kl_to_reference(scored.log_probs, anchor, columns.mask, count)
            loss = loss + config.kl_coef * kl
            sums["kl"] += float(kl.detach())
        tally.add(scored, columns)
        return loss

    def _weigh(self, advantages: Floats, batch: Batch) -> Floats:
        """Fold the way of averaging into the advantages; the surrogate is linear in their size."""
        divisor = np.ones(len(batch), dtype=np.float32)
        if self.config.average == "sequence":
            divisor = batch.lengths.astype(np.float32)
        elif self.config.average == "constant":
            divisor = np.full(len(batch), batch.lengths.max(), dtype=np.float32)
        weighed: Floats = advantages / divisor[:, None]
        return weighed

    def state_dict(self) -> dict[str, Any]:
        """Return the learner's state and the reference's weights."""
        state = super().state_dict() | {"waiting": self._waiting.state_dict()}
        if self._reference is not None:
            state["reference"] = self._reference.module.state_dict()
        return state

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what ``state_dict`` returned."""
        super().load_state_dict(state)
        self._waiting.load_state_dict(state["waiting"])
        if self._reference is not None:
            self._reference.module.load_state_dict(state["reference"])
