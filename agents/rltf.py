"""RLTF: online reinforcement learning from unit-test feedback of several granularities.

Programs go through a FIFO buffer; a step on the supervised loss and a step on the feedback loss
take turns. The feedback loss of a program W of T tokens is ``- sum_t w_t log p(w_t)`` with

    w_t = (R(W) - R(baseline))  +  fine * alpha  where t lies in the fault [S, E)

R is coarse (passed 1, wrong answer -0.3, runtime error -0.6, syntax error -1.0) with the adaptive
value ``-0.3 + 1.3 * pass_rate`` in the place of -0.3, and ``alpha = T / (E - S)``. Taken literally,
equation 6 would count a wrong answer in both terms; like the published code we replace.
Source: Liu et al. 2023 (2307.04349), equations 2 to 8; section 3.2 for the buffer.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np

from codegym import registry
from codegym.grading.verdict import Outcome
from codegym.learning.advantages import Floats, damp
from codegym.learning.agent import Request
from codegym.learning.learner import Learner, Optimiser, Tally, ramp
from codegym.learning.replay import Experience, ReplayBuffer
from codegym.policy import Policy
from codegym.rewards.rltf import RLTF as RLTFReward
from codegym.trajectory import Batch, Trajectory


@dataclass(frozen=True, slots=True, kw_only=True)
class RLTFConfig:
    """Settings of RLTF; the defaults suit a transformer of under a million weights.

    Attributes:
        lr: Learning rate.
        coarse: Whether the outcome earns a reward.
        adaptive: Whether wrong answers earn by the share of tests that passed.
        fine: Value of a located fault; 0 switches fine feedback off.
        alpha: Whether a fault weighs as much as a whole program whatever its length; False is
            what the published code does.
        baseline: ``best`` of the task's earlier programs (the paper), ``greedy`` for its latest
            greedy one (the published code), ``mean`` of the task's programs in this update. A task
            never seen before has no best: its mean is taken.
        negative_scale: Factor on negative weights; 1 in the paper. Below 1 keeps a small policy
            from collapsing.
        supervised: What the supervised steps learn from: ``reference`` solutions (the paper), the
            policy's ``own`` passing programs (needs no solutions), or ``none``.
        capacity: Programs in the buffer.
        minimum_fill: Programs that must lie in the buffer before training starts.
        steps: Optimiser steps between two refreshes of the buffer.
        batch_size: Programs per step.
        online: False fills the buffer once, with the first policy's programs, and never again.
        warmup_steps: Steps over which the learning rate rises.
        final_lr: Share of the learning rate that is left at the end of the budget.
        weight_decay: On matrices only.
        tasks: Tasks drawn for one refresh.
        samples: Programs written for each.
        temperature: Of the sampling.
        max_grad_norm: Gradient clipping.
    """

    lr: float = 3e-4
    coarse: bool = True
    adaptive: bool = True
    fine: float = -0.3
    alpha: bool = True
    baseline: Literal["best", "greedy", "mean"] = "best"
    negative_scale: float = 0.2
    supervised: Literal["reference", "own", "none"] = "own"
    capacity: int = 512
    minimum_fill: int = 256
    steps: int = 8
    batch_size: int = 32
    online: bool = True
    warmup_steps: int = 32
    final_lr: float = 1.0
    weight_decay: float = 0.0
    tasks: int = 64
    samples: int = 4
    temperature: float = 1.0
    max_grad_norm: float = 1.0


@registry.plugin("agents", "rltf")
class RLTF(Learner):
    """Learns from where and how programs fail."""

    name = "rltf"
    config_class = RLTFConfig
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "small": {},
        "paper": {"lr": 2e-6, "negative_scale": 1.0, "supervised": "reference", "capacity": 6400,
                  "minimum_fill": 6400, "steps": 50, "batch_size": 32, "warmup_steps": 500,
                  "weight_decay": 0.05, "tasks": 16, "samples": 20},
    }  # fmt: skip

    def __init__(self, policy: Policy, config: RLTFConfig, *, seed: int) -> None:
        optimiser = Optimiser(
            policy,
            lr=config.lr,
            value_lr=config.lr,
            weight_decay=config.weight_decay,
            max_grad_norm=config.max_grad_norm,
        )
        super().__init__(policy, config, seed=seed, optimiser=optimiser)
        self.buffer = ReplayBuffer(config.capacity)
        self._references = ReplayBuffer(config.capacity)
        self._reward = RLTFReward(adaptive=config.adaptive, fine=config.fine, alpha=config.alpha)
        self._best: dict[str, float] = {}
        self._steps = 0

    def request(self) -> Request:
        """Ask for programs, and for reference solutions where those are learnt from."""
        config = self.config
        if not config.online and len(self.buffer) == config.capacity:
            return Request()
        return Request(
            tasks=config.tasks,
            samples=config.samples,
            temperature=config.temperature,
            greedy=config.baseline == "greedy",
            demonstrations=config.tasks if config.supervised == "reference" else 0,
        )

    def update(
        self, trajectories: Sequence[Trajectory], *, progress: float = 0.0
    ) -> dict[str, float]:
        """Refresh the buffer and take ``steps`` steps, supervised and feedback in turn."""
        self.updates += 1
        metrics = self._refresh(trajectories)
        if len(self.buffer) < self.config.minimum_fill:
            return metrics
        self.policy.module.train()
        losses: dict[str, list[float]] = {"supervised_loss": [], "feedback_loss": []}
        tally, norms = Tally(), []
        for _ in range(self.config.steps):
            supervised = self._steps % 2 == 0 and self.config.supervised != "none"
            shown = supervised and self.config.supervised == "reference"
            batch = self._supervised_batch() if supervised else self._feedback_batch()
            self._steps += 1
            if batch is None:
                continue
            terms = [
                self.weighted_loss(piece, batch.n_tokens, None if shown else tally)
                for piece in batch.pieces(32)
            ]
            scale = ramp(
                self._steps,
                warmup=self.config.warmup_steps,
                progress=progress,
                final=self.config.final_lr,
            )
            norms.append(self.optimiser.step(terms, lr_scale=scale))
            total = sum(float(term.detach()) for term in terms)
            losses["supervised_loss" if supervised else "feedback_loss"].append(total)
        means = {name: float(np.mean(values)) for name, values in losses.items() if values}
        written = [entry.policy_version for entry in self.buffer.entries]
        return (
            metrics
            | means
            | tally.means()
            | {
                "loss": sum(means.values()),
                "grad_norm": float(np.mean(norms)) if norms else 0.0,
                "version_lag": self.policy.version - float(np.mean(written)),
                # An offline update writes nothing: what it trains on is its share of the budget.
                "programs": float(len(trajectories) or self.config.tasks * self.config.samples),
            }
        )

    def _feedback_batch(self) -> Batch | None:
        config = self.config
        if not (config.coarse or config.adaptive or config.fine):
            # Weights of 0 give no gradient, but the optimiser's momentum would still step.
            return None
        entries = self.buffer.sample(self.rng, self.config.batch_size)
        batch = Batch.from_trajectories(entries, pad_id=self.policy.tokenizer.pad_id)
        return batch.with_columns(weights=batch.token_rewards)

    def _supervised_batch(self) -> Batch | None:
        if self.config.supervised == "reference":
            entries = self._references.sample(self.rng, self.config.batch_size)
        else:
            passing = [entry for entry in self.buffer.entries if entry.passed]
            entries = _choose(passing, self.rng, self.config.batch_size)
        if not entries:
            return None
        batch = Batch.from_trajectories(entries, pad_id=self.policy.tokenizer.pad_id)
        return batch.with_columns(weights=batch.mask.astype(np.float32))

    def _refresh(self, trajectories: Sequence[Trajectory]) -> dict[str, float]:
        """Put new programs into the buffer with the weights of their tokens."""
        own = [one for one in trajectories if not one.demonstration and not one.greedy]
        for one in trajectories:
            if one.demonstration:
                self._references.push(one, np.ones(len(one), dtype=np.float32))
        baselines = self._baselines(trajectories)
        fine_share = []
        for one in own:
            weights = self.credit(one, baselines[one.task_id])
            fine_share.append(float(one.feedback is not None and one.feedback.tokens != (0, 0)))
            self.buffer.push(one, weights)
        for one in own:
            self._best[one.task_id] = max(self._best.get(one.task_id, -1.0), self.value(one))
        metrics = {"buffer": float(len(self.buffer))}
        if own:
            metrics["fine_share"] = float(np.mean(fine_share))
            metrics["baseline"] = float(np.mean([baselines[one.task_id] for one in own]))
        return metrics

    def value(self, one: Trajectory) -> float:
        """Return R(W): what the coarse and adaptive terms give a whole program."""
        assert one.verdict is not None
        failed = one.verdict.outcome is Outcome.FAILED
        by_tests = one.verdict.passed or (failed and self.config.adaptive)
        if not self.config.coarse and not (by_tests and self.config.adaptive):
            return 0.0
        return self._reward(one.verdict)

    def credit(self, one: Trajectory, baseline: float) -> Floats:
        """Return w_t of the module's docstring, (T,)."""
        assert one.verdict is not None and one.feedback is not None
        whole = self.value(one) - baseline if self.config.coarse or self.config.adaptive else 0.0
        weights = np.float32(whole) + self._reward.fine(one.verdict, one.feedback)
        return damp(weights, self.config.negative_scale)

    def _baselines(self, trajectories: Sequence[Trajectory]) -> dict[str, float]:
        values: dict[str, list[float]] = {}
        greedy: dict[str, float] = {}
        for one in trajectories:
            if one.greedy:
                greedy[one.task_id] = self.value(one)
            elif not one.demonstration:
                values.setdefault(one.task_id, []).append(self.value(one))
        means = {task: float(np.mean(own)) for task, own in values.items()}
        if self.config.baseline == "best":
            return {task: self._best.get(task, mean) for task, mean in means.items()}
        return means | greedy

    def state_dict(self) -> dict[str, Any]:
        """Return the learner's state, the buffers, the best rewards and the step count."""
        return super().state_dict() | {
            "buffer": self.buffer.state_dict(),
            "references": self._references.state_dict(),
            "best": dict(self._best),
            "steps": self._steps,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what ``state_dict`` returned."""
        super().load_state_dict(state)
        self.buffer.load_state_dict(state["buffer"])
        self._references.load_state_dict(state["references"])
        self._best = dict(state["best"])
        self._steps = state["steps"]


def _choose(
    entries: Sequence[Experience], rng: np.random.Generator, count: int
) -> list[Experience]:
    chosen = rng.permutation(len(entries))[:count]
    return [entries[int(index)] for index in chosen]
