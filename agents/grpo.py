"""GRPO: a clipped policy gradient whose baseline is the mean of the programs of the same task.

``A_i = (R_i - mean(R)) / std(R)`` over the programs of a task, the same for every token of a
program; ``L = - mean_i mean_t min(r_t A_i, clip(r_t, 1 - low, 1 + high) A_i) + beta KL``, the
divergence from the policy that training began with.
Source: Shao et al. 2024 (2402.03300), equations 3 and 4; the defaults are its section 4.2. The
presets ``dr_grpo`` (2503.20783: no division by the deviation, a constant divisor) and ``dapo``
(2503.14476: clip-higher, mean over tokens, dynamic sampling, overlong punishment) are the preset
``small`` with those papers' switches of the same loss.
"""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
import torch

from codegym import registry
from codegym.episode import Request
from codegym.learning.advantages import Floats, damp, group_sums, soft_overlong_punishment
from codegym.learning.learner import Columns, Learner, Optimiser, Tally, ramp
from codegym.learning.replay import Experience, ReplayBuffer, weighted_batch
from codegym.policy import Policy
from codegym.trajectory import Batch, Trajectory


@dataclass(frozen=True, slots=True, kw_only=True)
class GRPOConfig:
    """Settings of GRPO.

    Attributes:
        lr: Learning rate.
        scale: Divide the advantages of a group by its standard deviation.
        average: What the loss is averaged over: ``sequence`` means within each program and then
            over programs (GRPO), ``token`` over all tokens (DAPO), ``constant`` divides each
            program's sum by ``max_new_tokens`` instead of its length (Dr. GRPO).
        max_new_tokens: Longest program, in tokens; the trainer fills it in from the run.
        drop_even_groups: Leave out groups whose programs all earned the same.
        dynamic_sampling: Write on until ``tasks`` groups show a contrast before any step is taken
            (DAPO); no step is between, so that all of them are the present policy's.
        overlong: What happens to programs that were not finished: ``keep`` treats them like the
            others, ``filter`` takes them out of the loss, ``punish`` lowers the reward of long
            programs softly, by a whole 1 from ``max_new_tokens`` on (DAPO).
        overlong_cache: Tokens before ``max_new_tokens`` over which the punishment rises from 0.
        clip_low: The ratio's lower bound is 1 less this.
        clip_high: The ratio's upper bound is 1 plus this.
        kl_coef: Weight beta of the divergence from the policy that training began with.
        negative_scale: Factor on negative advantages, see ``advantages.damp``; 1 in the papers.
        minibatches: Optimiser steps per epoch.
        epochs: Passes over each update's programs.
        warmup_updates: Updates over which the learning rate rises; 0 for no warm-up.
        final_lr: Share of the learning rate that is left at the end of the budget.
        tasks: Tasks drawn for one update.
        samples: Programs written for each: the size of a group.
        temperature: Sampling temperature.
        max_grad_norm: Largest norm of the gradient.
    """

    lr: float = 1e-6
    scale: bool = True
    average: Literal["sequence", "token", "constant"] = "sequence"
    max_new_tokens: int = 64
    drop_even_groups: bool = False
    dynamic_sampling: bool = False
    overlong: Literal["keep", "filter", "punish"] = "keep"
    overlong_cache: int = 16
    clip_low: float = 0.2
    clip_high: float = 0.2
    kl_coef: float = 0.04
    negative_scale: float = 1.0
    minibatches: int = 1
    epochs: int = 1
    warmup_updates: int = 0
    final_lr: float = 1.0
    tasks: int = 16
    samples: int = 64
    temperature: float = 1.0
    max_grad_norm: float = 1.0


_SMALL: Mapping[str, Any] = {
    "lr": 3e-4, "average": "token", "drop_even_groups": True, "kl_coef": 0.0,
    "negative_scale": 0.2, "minibatches": 8, "warmup_updates": 8, "tasks": 32, "samples": 8,
}  # fmt: skip


@registry.plugin("agents", "grpo")
class GRPO(Learner):
    """Compares programs of one task with one another."""

    name = "grpo"
    config_class = GRPOConfig
    learns_in_a_team = True
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "paper": {},
        "small": _SMALL,
        "dr_grpo": {**_SMALL, "scale": False, "average": "constant", "drop_even_groups": False,
                    "negative_scale": 1.0},
        "dapo": {**_SMALL, "average": "token", "clip_high": 0.28, "dynamic_sampling": True,
                 "overlong": "punish", "negative_scale": 1.0},
    }  # fmt: skip

    def __init__(self, policy: Policy, config: GRPOConfig, *, seed: int) -> None:
        optimiser = Optimiser(
            policy, lr=config.lr, value_lr=config.lr, max_grad_norm=config.max_grad_norm
        )
        super().__init__(policy, config, seed=seed, optimiser=optimiser)
        self.waiting = ReplayBuffer(4 * config.tasks * config.samples)
        self.reference = copy.deepcopy(policy) if config.kl_coef else None

    def request(self) -> Request:
        """Ask for a group of programs per task."""
        config = self.config
        return Request(tasks=config.tasks, samples=config.samples, temperature=config.temperature)

    def update(
        self, trajectories: Sequence[Trajectory], *, progress: float = 0.0
    ) -> dict[str, float]:
        """Take ``epochs * minibatches`` steps on the groups' contrasts."""
        config = self.config
        self.updates += 1
        rewards = np.array([program.reward for program in trajectories], dtype=np.float32)
        if config.overlong == "punish":
            batch = Batch.from_trajectories(trajectories, pad_id=self.policy.tokenizer.pad_id)
            rewards = rewards + soft_overlong_punishment(
                batch.mask.sum(axis=1), longest=config.max_new_tokens, cache=config.overlong_cache
            )
        # A_i = (R_i - mean(R)) / std(R), the mean and the sample deviation of the task's programs
        tasks = np.unique([program.task_id for program in trajectories], return_inverse=True)[1]
        sums, counts = group_sums(rewards, tasks)
        centred = rewards - sums / counts
        squares, _ = group_sums(centred**2, tasks)
        deviation = np.sqrt(squares / np.maximum(counts - 1, 1)) + 1e-4
        relative = (centred / deviation if config.scale else centred).astype(np.float32)

        advantages = damp(relative, config.negative_scale)
        used = self._choose(trajectories, advantages)
        metrics = {"used_share": len(used) / len(trajectories)}
        if config.dynamic_sampling:
            for entry in used:
                self.waiting.add(entry)
            metrics["waiting"] = float(len(self.waiting))
            if len(self.waiting) < config.tasks * config.samples:
                return metrics
            used = list(self.waiting.entries)
            self.waiting = ReplayBuffer(self.waiting.capacity)
        if not used:
            return metrics
        scale = ramp(
            self.updates, warmup=config.warmup_updates, progress=progress, final=config.final_lr
        )
        batch = weighted_batch(used, pad_id=self.policy.tokenizer.pad_id)
        return metrics | self._learn(batch, scale)

    def _choose(self, programs: Sequence[Trajectory], advantages: Floats) -> list[Experience]:
        """Return the programs that take part in the loss, weighted by their advantages."""
        config = self.config
        used = np.ones(len(programs), dtype=np.bool_)
        if config.drop_even_groups or config.dynamic_sampling:
            used = advantages != 0
        if config.overlong == "filter":
            used = used & np.array([program.finished for program in programs])
        return [
            Experience.of(program, np.full(len(program), advantages[row], dtype=np.float32))
            for row, program in enumerate(programs)
            if used[row]
        ]

    def _learn(self, batch: Batch, lr_scale: float) -> dict[str, float]:
        """Take the steps on programs whose advantages are the column ``weights``."""
        policy, config = self.policy, self.config
        policy.module.train()
        tally = Tally(self.team, clip_low=config.clip_low, clip_high=config.clip_high)
        norms = []
        for _ in range(config.epochs):
            for minibatch in batch.minibatches(config.minibatches, self.rng):
                for piece in self.pieces(minibatch):
                    scored = policy.evaluate(piece, temperature=piece.temperatures)
                    columns = Columns.of(piece, scored)
                    share = columns.mask * self._shares(piece, minibatch).to(columns.mask.device)
                    # r_t = p(w_t) / p_old(w_t)
                    ratio = (scored.log_probs - columns.old_log_probs).exp()
                    clipped = ratio.clamp(1.0 - config.clip_low, 1.0 + config.clip_high)
                    # L = - mean min(r_t A, clip(r_t, 1 - low, 1 + high) A)
                    gain = torch.min(ratio * columns["weights"], clipped * columns["weights"])
                    policy_loss = -(gain * share).sum()
                    # KL = mean (p_ref / p - log(p_ref / p) - 1), never negative
                    kl = torch.zeros_like(policy_loss)
                    if self.reference is not None:
                        with torch.no_grad():
                            anchor = self.reference.evaluate(
                                piece, temperature=piece.temperatures
                            ).log_probs
                        gap = anchor - scored.log_probs
                        kl = ((gap.exp() - gap - 1.0) * share).sum()
                    self.optimiser.add(policy_loss + config.kl_coef * kl)
                    tally.add(scored, columns)
                    tally.add_losses(policy_loss=float(policy_loss.detach()), kl=float(kl.detach()))
                norms.append(self.optimiser.step(lr_scale=lr_scale))
        means = {name: value / len(norms) for name, value in tally.losses().items()}
        return (
            means
            | tally.means()
            | {
                "loss": means["policy_loss"] + config.kl_coef * means["kl"],
                "grad_norm": float(np.mean(norms)),
                "lr": config.lr * lr_scale,
            }
        )

    def _shares(self, piece: Batch, minibatch: Batch) -> torch.Tensor:
        """Return (B, 1) the share of each token of a program in the minibatch's average."""
        lengths = torch.from_numpy(piece.mask.sum(axis=1, keepdims=True))
        match self.config.average:
            case "token":
                return torch.full(lengths.shape, 1.0 / minibatch.n_tokens)
            case "constant":
                divisor = self.config.max_new_tokens * len(minibatch)
                return torch.full(lengths.shape, 1.0 / divisor)
        return 1.0 / (lengths * len(minibatch))

    def state_dict(self) -> dict[str, Any]:
        """Return the learner's state, the waiting programs and the reference's weights."""
        state = super().state_dict() | {"waiting": self.waiting.state_dict()}
        if self.reference is not None:
            state["reference"] = self.reference.module.state_dict()
        return state

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what ``state_dict`` returned."""
        super().load_state_dict(state)
        self.waiting.load_state_dict(state["waiting"])
        if self.reference is not None:
            self.reference.module.load_state_dict(state["reference"])
            self.reference.mark_updated()
