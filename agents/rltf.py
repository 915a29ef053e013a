"""RLTF: online reinforcement learning from unit-test feedback of several granularities.

Programs go through a FIFO buffer; a step on the supervised loss and a step on the feedback loss
take turns. The feedback loss of a program W of T tokens is ``- sum_t w_t log p(w_t) / T`` with

    w_t = (R(W) - R(baseline)) + fine_t

R is the run's reward; the reward ``rltf`` gives the paper's coarse and adaptive values. ``fine_t``
is what the reward's fine part puts on token t: ``-0.3 T / (E - S)`` inside the fault [S, E) under
the reward ``rltf``, 0 under a reward without a fine part.
Source: Liu et al. 2023 (2307.04349), equations 2 to 8; section 3.2 for the buffer. The settings are
those of its published code where the paper gives none.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np

from codegym import registry
from codegym.episode import Request
from codegym.learning.advantages import Floats, damp
from codegym.learning.learner import Columns, Learner, Optimiser, Tally, ramp
from codegym.learning.replay import ReplayBuffer, weighted_batch
from codegym.policy import Policy
from codegym.trajectory import Batch, Trajectory


@dataclass(frozen=True, slots=True, kw_only=True)
class RLTFConfig:
    """Settings of RLTF. What programs earn is a setting of the run's reward: ``rltf(fine=-0.2)``.

    Attributes:
        lr: Learning rate.
        baseline: ``best`` of the task's earlier programs (the paper), ``greedy`` for its latest
            greedy program (the published code), ``mean`` of the task's programs in this update. A
            task that is new has no best: its mean is taken.
        negative_scale: Factor on negative weights, see ``advantages.damp``; 1 in the paper. Below 1
            it keeps a small policy from collapsing.
        supervised: What the supervised steps learn from: ``reference`` solutions (the paper), the
            policy's ``own`` passing programs (needs no solutions), or ``none``.
        capacity: Programs in the buffer.
        minimum_fill: Programs that must be in the buffer before training starts.
        steps: Optimiser steps between two refreshes of the buffer.
        batch_size: Programs per step.
        online: False fills the buffer once, with the first policy's programs, and never again.
        warmup_steps: Steps over which the learning rate rises.
        final_lr: Share of the learning rate that is left at the end of the budget.
        weight_decay: AdamW's weight decay, on matrices only.
        tasks: Tasks drawn for one refresh.
        samples: Programs written for each.
        temperature: Sampling temperature.
        max_grad_norm: Largest norm of the gradient.
    """

    lr: float = 2e-6
    baseline: Literal["best", "greedy", "mean"] = "best"
    negative_scale: float = 1.0
    supervised: Literal["reference", "own", "none"] = "reference"
    capacity: int = 6400
    minimum_fill: int = 6400
    steps: int = 50
    batch_size: int = 32
    online: bool = True
    warmup_steps: int = 500
    final_lr: float = 0.0
    weight_decay: float = 0.05
    tasks: int = 16
    samples: int = 20
    temperature: float = 1.0
    max_grad_norm: float = 1.0


@registry.plugin("agents", "rltf")
class RLTF(Learner):
    """Learns from where and how programs fail."""

    name = "rltf"
    config_class = RLTFConfig
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "paper": {},
        "small": {"lr": 3e-4, "negative_scale": 0.2, "supervised": "own", "capacity": 512,
                  "minimum_fill": 256, "steps": 8, "warmup_steps": 32, "final_lr": 1.0,
                  "weight_decay": 0.0, "tasks": 64, "samples": 4},
    }  # fmt: skip
    default_reward = "rltf"

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
        self.references = ReplayBuffer(config.capacity)
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
        """Refresh the buffer and take ``steps`` steps, supervised and feedback in turn.

        Where no feedback has a weight, as under a reward of 0, every step is a supervised step: a
        run without feedback takes as many optimiser steps as a run with it.
        """
        policy, config = self.policy, self.config
        self.updates += 1
        metrics = self.refresh(trajectories)
        if len(self.buffer) < config.minimum_fill:
            return metrics
        policy.module.train()
        # Weights of 0 give no gradient, but the optimiser's momentum would still step.
        silent = not any(entry.weights.any() for entry in self.buffer.entries)
        losses: dict[str, list[float]] = {"supervised_loss": [], "feedback_loss": []}
        tally, norms = Tally(), []
        for _ in range(config.steps):
            supervised = (silent or self._steps % 2 == 0) and config.supervised != "none"
            shown = supervised and config.supervised == "reference"
            batch = self.draw(supervised) if supervised or not silent else None
            self._steps += 1
            if batch is None:
                continue
            total = 0.0
            for piece in batch.pieces(32):
                # Imitation: the likelihood itself. Feedback: the distribution sampled from.
                temperature = 1.0 if supervised else piece.temperatures
                scored = policy.evaluate(piece, temperature=temperature)
                columns = Columns.of(piece, scored)
                # L = - sum_t w_t log p(w_t) / T; a supervised step has w_t = 1
                loss = -(columns["weights"] * scored.log_probs).sum() / batch.n_tokens
                self.optimiser.add(loss)
                total += float(loss.detach())
                if not shown:
                    tally.add(scored, columns, temperature=1.0 if supervised else None)
            scale = ramp(
                self._steps, warmup=config.warmup_steps, progress=progress, final=config.final_lr
            )
            norms.append(self.optimiser.step(lr_scale=scale))
            losses["supervised_loss" if supervised else "feedback_loss"].append(total)
        means = {name: float(np.mean(values)) for name, values in losses.items() if values}
        written = [entry.policy_version for entry in self.buffer.entries]
        return metrics | means | tally.means() | {
            "loss": sum(means.values()),
            "grad_norm": float(np.mean(norms)) if norms else 0.0,
            "version_lag": policy.version - float(np.mean(written)),
            # An offline update writes nothing: what it trains on is its share of the budget.
            "programs": float(len(trajectories) or config.tasks * config.samples),
        }  # fmt: skip

    def weights(self, program: Trajectory, baseline: float) -> Floats:
        """Return w_t, (T,): the reward less its baseline, plus the fine part on each token."""
        fine = np.zeros(len(program), dtype=np.float32)
        if program.feedback is not None:
            # credit_t = fine_t / T + R [t is the last action], T the tokens of the judged program
            last = np.zeros(len(program), dtype=np.float32)
            last[-1] = program.reward
            fine = np.float32(program.feedback.n_tokens) * (program.credit - last)
        # w_t = (R(W) - R(baseline)) + fine_t
        weights = np.float32(program.reward - baseline) + fine
        if program.chosen is not None:
            weights = np.where(program.chosen, weights, np.float32(0.0))
        return damp(weights, self.config.negative_scale)

    def baselines(self, trajectories: Sequence[Trajectory]) -> dict[str, float]:
        """Return R(baseline) of each task that programs were written for."""
        rewards: dict[str, list[float]] = {}
        greedy: dict[str, float] = {}
        for program in trajectories:
            if program.greedy:
                greedy[program.task_id] = program.reward
            elif not program.demonstration:
                rewards.setdefault(program.task_id, []).append(program.reward)
        means = {task: float(np.mean(earned)) for task, earned in rewards.items()}
        if self.config.baseline == "best":
            return {task: self._best.get(task, mean) for task, mean in means.items()}
        return means | greedy

    def refresh(self, trajectories: Sequence[Trajectory]) -> dict[str, float]:
        """Put new programs into the buffer with the weights of their tokens."""
        own = [row for row in trajectories if not row.demonstration and not row.greedy]
        for solution in trajectories:
            if solution.demonstration:
                self.references.push(solution, np.ones(len(solution), dtype=np.float32))
        baselines = self.baselines(trajectories)
        for program in own:
            self.buffer.push(program, self.weights(program, baselines[program.task_id]))
        for program in own:
            best = self._best.get(program.task_id, program.reward)
            self._best[program.task_id] = max(best, program.reward)
        metrics = {"buffer": float(len(self.buffer))}
        if own:
            located = [row.feedback is not None and row.feedback.tokens != (0, 0) for row in own]
            metrics["fine_share"] = float(np.mean(located))
            metrics["baseline"] = float(np.mean([baselines[row.task_id] for row in own]))
        return metrics

    def draw(self, supervised: bool) -> Batch | None:
        """Draw the programs of a step; None if there is nothing to imitate."""
        config, pad_id = self.config, self.policy.tokenizer.pad_id
        if not supervised:
            return weighted_batch(self.buffer.sample(self.rng, config.batch_size), pad_id=pad_id)
        if config.supervised == "reference":
            entries = self.references.sample(self.rng, config.batch_size)
        else:
            entries = self.buffer.sample_passing(self.rng, config.batch_size)
        if not entries:
            return None
        batch = Batch.from_trajectories(entries, pad_id=pad_id)
        return batch.with_columns(weights=batch.mask.astype(np.float32))

    def state_dict(self) -> dict[str, Any]:
        """Return the learner's state, the buffers, the best rewards and the step count."""
        return super().state_dict() | {
            "buffer": self.buffer.state_dict(),
            "references": self.references.state_dict(),
            "best": dict(self._best),
            "steps": self._steps,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what ``state_dict`` returned."""
        super().load_state_dict(state)
        self.buffer.load_state_dict(state["buffer"])
        self.references.load_state_dict(state["references"])
        self._best = dict(state["best"])
        self._steps = state["steps"]
