"""CodeRL: offline programs whose tokens are weighted by a critic that predicts the outcome.

1. The first policy writes ``capacity`` programs, and one greedy program per task as a baseline.
2. A critic learns the outcome class of each program; the logits of a program are the maximum over
   its tokens. It reads the first policy's hidden states and is then frozen.
3. Steps on reference solutions (or on passing programs) and steps on
   ``L = - (R(W) - R(W_greedy)) sum_t q_t log p(w_t) / T`` take turns, where ``q_t`` is the critic's
   probability, at token t, of the outcome the program really had.

R is the run's reward; the reward ``coderl`` gives the paper's four values.
Source: Le et al. 2022 (2207.01780), sections 3.2 and 3.3; the head is that of its published code.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from torch import nn

from codegym import registry
from codegym.episode import Request
from codegym.learning.advantages import damp
from codegym.learning.learner import Columns, Learner, Optimiser, Tally, ramp
from codegym.learning.outcome_critic import OutcomeCritic, outcome_class
from codegym.learning.replay import Experience, ReplayBuffer, weighted_batch
from codegym.policy import Policy
from codegym.trajectory import Batch, Trajectory


@dataclass(frozen=True, slots=True, kw_only=True)
class CodeRLConfig:
    """Settings of CodeRL.

    Attributes:
        lr: Learning rate of the actor.
        critic: False gives every token the weight 1.
        critic_lr: Learning rate of the critic.
        critic_hidden: Width of the critic's hidden layer.
        critic_steps: Steps the critic learns for, before it is frozen.
        supervised: What the supervised steps learn from: ``reference`` solutions, the policy's
            ``own`` passing programs, or ``none``.
        negative_scale: Factor on negative weights, see ``advantages.damp``; 1 in the paper.
        capacity: Programs written by the first policy.
        fill: Share of the budget after which training begins at the latest, on the programs there
            are; a short run would spend itself on filling the buffer.
        steps: Optimiser steps per update.
        batch_size: Programs per step.
        warmup_steps: Steps over which the learning rate rises.
        final_lr: Share of the learning rate that is left at the end of the budget.
        weight_decay: AdamW's weight decay, on matrices only.
        tasks: Tasks drawn per update while the buffer fills.
        samples: Programs written for each, beside the greedy one.
        temperature: Sampling temperature.
        max_grad_norm: Largest norm of the gradient.
    """

    lr: float = 2e-6
    critic: bool = True
    critic_lr: float = 1e-3
    critic_hidden: int = 128
    critic_steps: int = 100
    supervised: Literal["reference", "own", "none"] = "reference"
    negative_scale: float = 1.0
    capacity: int = 100_000
    fill: float = 0.5
    steps: int = 4
    batch_size: int = 32
    warmup_steps: int = 32
    final_lr: float = 1.0
    weight_decay: float = 0.05
    tasks: int = 64
    samples: int = 20
    temperature: float = 1.0
    max_grad_norm: float = 1.0


@registry.plugin("agents", "coderl")
class CodeRL(Learner):
    """Learns offline, its tokens weighted by a frozen critic."""

    name = "coderl"
    config_class = CodeRLConfig
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "paper": {},
        "small": {"lr": 3e-4, "supervised": "own", "negative_scale": 0.2, "capacity": 4096,
                  "batch_size": 128, "weight_decay": 0.0, "samples": 4},
    }  # fmt: skip
    default_reward = "coderl"

    def __init__(self, policy: Policy, config: CodeRLConfig, *, seed: int) -> None:
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
        self.critic: OutcomeCritic | None = None
        self._seed = seed
        self._steps = 0
        self._full = False
        self._weighted = False

    def request(self) -> Request:
        """Ask for programs until there are enough, then for nothing."""
        config = self.config
        if self._full:
            return Request()
        return Request(
            tasks=config.tasks,
            samples=config.samples,
            temperature=config.temperature,
            greedy=True,
            demonstrations=config.tasks if config.supervised == "reference" else 0,
        )

    def update(
        self, trajectories: Sequence[Trajectory], *, progress: float = 0.0
    ) -> dict[str, float]:
        """Fill the buffer; once there is enough in it, take ``steps`` steps on it."""
        policy, config = self.policy, self.config
        self.updates += 1
        self.fill(trajectories)
        metrics = {"buffer": float(len(self.buffer))}
        enough = len(self.buffer) == config.capacity or progress >= config.fill
        self._full = self._full or (enough and len(self.buffer) > 0)
        if not self._full:
            return metrics
        if not self._weighted:
            metrics |= self.weigh()
        policy.module.train()
        losses: dict[str, list[float]] = {"supervised_loss": [], "critic_weighted_loss": []}
        tally, norms = Tally(), []
        for _ in range(config.steps):
            supervised = self._steps % 2 == 0 and config.supervised != "none"
            shown = supervised and config.supervised == "reference"
            self._steps += 1
            batch = self.draw(supervised)
            if batch is None:
                continue
            total = 0.0
            for piece in batch.pieces(32):
                # Imitation: the likelihood itself. Feedback: the distribution sampled from.
                temperature = 1.0 if supervised else piece.temperatures
                scored = policy.evaluate(piece, temperature=temperature)
                columns = Columns.of(piece, scored)
                # L = - sum_t (R - R_greedy) q_t log p(w_t) / T; a supervised step has weight 1
                loss = -(columns["weights"] * scored.log_probs).sum() / batch.n_tokens
                self.optimiser.add(loss)
                total += float(loss.detach())
                if not shown:
                    tally.add(scored, columns, temperature=1.0 if supervised else None)
            scale = ramp(
                self._steps, warmup=config.warmup_steps, progress=progress, final=config.final_lr
            )
            norms.append(self.optimiser.step(lr_scale=scale))
            losses["supervised_loss" if supervised else "critic_weighted_loss"].append(total)
        means = {name: float(np.mean(values)) for name, values in losses.items() if values}
        return (
            metrics
            | means
            | tally.means()
            | {
                "loss": sum(means.values()),
                "grad_norm": float(np.mean(norms)) if norms else 0.0,
                "programs": float(len(trajectories) or config.tasks * config.samples),
            }
        )

    def fill(self, trajectories: Sequence[Trajectory]) -> None:
        """Keep programs, weighted by their advantage over the task's greedy program.

        Programs without a verdict are left out, and so are those whose greedy program has none.
        """
        greedy = {row.task_id: row.reward for row in trajectories if row.greedy}
        for program in trajectories:
            if program.demonstration:
                self.references.push(program, np.ones(len(program), dtype=np.float32))
            elif program.greedy or program.verdict is None or program.task_id not in greedy:
                continue
            elif len(self.buffer) < self.config.capacity:
                # R(W) - R(W_greedy)
                advantage = program.reward - greedy[program.task_id]
                weights = np.full(len(program), advantage, dtype=np.float32)
                self.buffer.push(program, damp(weights, self.config.negative_scale))

    def weigh(self) -> dict[str, float]:
        """Train the critic and multiply the weight of each token by its q_t."""
        self._weighted = True
        if not self.config.critic:
            return {}
        self.critic = OutcomeCritic(self.policy, hidden=self.config.critic_hidden, seed=self._seed)
        accuracy = self._train(self.critic)
        weighed = ReplayBuffer(self.config.capacity)
        entries = list(self.buffer.entries)
        for start in range(0, len(entries), 128):
            part = entries[start : start + 128]
            shares = self.critic.shares(part).numpy()
            for row, entry in enumerate(part):
                # q_t = softmax(critic's logits at token t)[the program's true outcome]
                q = shares[row, : len(entry.actions), _class_of(entry)]
                weighed.add(replace(entry, weights=entry.weights * q))
        self.buffer = weighed
        return {"critic_accuracy": accuracy}

    def _train(self, critic: OutcomeCritic) -> float:
        """Fit the critic to the outcomes in the buffer; return its accuracy at the end."""
        config = self.config
        critic.logits(list(self.buffer.entries)[:1])
        assert critic.head is not None
        adam = torch.optim.AdamW(critic.head.parameters(), lr=config.critic_lr)
        hits = []
        for _ in range(config.critic_steps):
            entries = self.buffer.sample(self.rng, config.batch_size)
            logits, mask = critic.logits(entries)
            # A program's logits are the maximum over its tokens.
            logits = logits.masked_fill(~mask[..., None], -torch.inf).amax(dim=1)
            truth = torch.tensor([_class_of(entry) for entry in entries]).to(logits.device)
            loss = nn.functional.cross_entropy(logits, truth)
            adam.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            adam.step()
            hits.append(float((logits.argmax(dim=-1) == truth).float().mean()))
        return float(np.mean(hits[-10:]))

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

    def artifacts(self) -> dict[str, Any]:
        """Return the critic, for critic sampling."""
        return {} if self.critic is None else {"outcome_critic": self.critic.state_dict()}

    def state_dict(self) -> dict[str, Any]:
        """Return the learner's state, the buffers and how far training has come."""
        return super().state_dict() | {
            "buffer": self.buffer.state_dict(),
            "references": self.references.state_dict(),
            "steps": self._steps,
            "full": self._full,
            "weighted": self._weighted,
            "critic": None if self.critic is None else self.critic.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what ``state_dict`` returned."""
        super().load_state_dict(state)
        self.buffer.load_state_dict(state["buffer"])
        self.references.load_state_dict(state["references"])
        self._steps = state["steps"]
        self._full = state["full"]
        self._weighted = state["weighted"]
        kept = state["critic"]
        self.critic = None if kept is None else OutcomeCritic.from_state(kept, self.policy)


def _class_of(entry: Experience) -> int:
    """Return the outcome class of a judged program."""
    assert entry.outcome is not None, "the buffer holds judged programs"
    return outcome_class(entry.outcome)
