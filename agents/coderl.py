"""CodeRL: offline programs whose tokens are weighted by a critic that predicts the outcome.

1. The first policy writes ``capacity`` programs, and one greedy program per task as a baseline.
2. A critic learns the outcome class of each program; the logits of a program are the maximum over
   its tokens. It reads the first policy's hidden states and is then frozen.
3. Steps on reference solutions (or on passing programs) and steps on
   ``- (R(W) - R(W_greedy)) * sum_t q_t log p(w_t)`` take turns, where ``q_t`` is the critic's
   probability, at token t, of the outcome the program really had.

Source: Le et al. 2022 (2207.01780), sections 3.2 and 3.3; the head is that of its published code.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from torch import nn

from codegym import registry
from codegym.learning.agent import Request
from codegym.learning.learner import Learner, Optimiser, Tally
from codegym.learning.outcome_critic import CLASSES, OutcomeCritic
from codegym.learning.replay import ReplayBuffer
from codegym.policy import Policy
from codegym.rewards import make_reward
from codegym.trajectory import Batch, Trajectory


@dataclass(frozen=True, slots=True, kw_only=True)
class CodeRLConfig:
    """Settings of CodeRL; the defaults suit a transformer of under a million weights.

    Attributes:
        lr: Learning rate of the actor.
        critic: False gives every token the weight 1.
        critic_lr: Learning rate of the critic.
        critic_hidden: Width of the critic's hidden layer.
        critic_steps: Steps the critic learns for, before it is frozen.
        supervised: What the supervised steps learn from: ``reference`` solutions, the policy's
            ``own`` passing programs, or ``none``.
        negative_scale: Factor on negative weights; 1 in the paper.
        capacity: Programs written by the first policy.
        fill: Share of the budget after which training begins on what there is, at the latest; a
            short run would spend itself on filling the buffer.
        steps: Optimiser steps per update.
        batch_size: Programs per step.
        warmup_steps: Steps over which the learning rate rises.
        weight_decay: On matrices only.
        tasks: Tasks drawn per update while the buffer fills.
        samples: Programs written for each, beside the greedy one.
        temperature: Of the sampling.
        max_grad_norm: Gradient clipping.
    """

    lr: float = 3e-4
    critic: bool = True
    critic_lr: float = 1e-3
    critic_hidden: int = 128
    critic_steps: int = 100
    supervised: Literal["reference", "own", "none"] = "own"
    negative_scale: float = 0.2
    capacity: int = 4096
    fill: float = 0.5
    steps: int = 4
    batch_size: int = 128
    warmup_steps: int = 32
    weight_decay: float = 0.0
    tasks: int = 64
    samples: int = 4
    temperature: float = 1.0
    max_grad_norm: float = 1.0


@registry.plugin("agents", "coderl")
class CodeRL(Learner):
    """Learns offline, guided by a critic of outcomes."""

    name = "coderl"
    config_class = CodeRLConfig
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "small": {},
        "paper": {"lr": 2e-6, "supervised": "reference", "negative_scale": 1.0,
                  "capacity": 100_000, "batch_size": 32, "samples": 20, "weight_decay": 0.05},
    }  # fmt: skip

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
        self._references = ReplayBuffer(config.capacity)
        self._reward = make_reward("coderl")
        self._seed = seed
        self._steps = 0
        self._full = False
        self._weighted = False
        self.critic: OutcomeCritic | None = None

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
        self.updates += 1
        config = self.config
        self._fill(trajectories)
        metrics = {"buffer": float(len(self.buffer))}
        enough = len(self.buffer) == config.capacity or progress >= config.fill
        self._full = self._full or (enough and len(self.buffer) > 0)
        if not self._full:
            return metrics
        if not self._weighted:
            metrics |= self._weigh()
        self.policy.module.train()
        losses: dict[str, list[float]] = {"supervised_loss": [], "critic_weighted_loss": []}
        tally, norms = Tally(), []
        for _ in range(config.steps):
            supervised = self._steps % 2 == 0 and config.supervised != "none"
            shown = supervised and config.supervised == "reference"
            self._steps += 1
            batch = self._supervised_batch() if supervised else self._draw(self.buffer)
            if batch is None:
                continue
            terms = [
                self.weighted_loss(piece, batch.n_tokens, None if shown else tally)
                for piece in batch.pieces(32)
            ]
            scale = min(1.0, self._steps / config.warmup_steps)
            norms.append(self.optimiser.step(terms, lr_scale=scale))
            name = "supervised_loss" if supervised else "critic_weighted_loss"
            losses[name].append(sum(float(term.detach()) for term in terms))
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

    def _fill(self, trajectories: Sequence[Trajectory]) -> None:
        greedy = {one.task_id: self._value(one) for one in trajectories if one.greedy}
        for one in trajectories:
            if one.demonstration:
                self._references.push(one, np.ones(len(one), dtype=np.float32))
            elif not one.greedy and len(self.buffer) < self.config.capacity:
                value = self._value(one)
                advantage = value - greedy[one.task_id]
                if advantage < 0:
                    advantage *= self.config.negative_scale
                credit = np.full(len(one), advantage, dtype=np.float32)
                self.buffer.push(replace(one, reward=value), credit)

    def _value(self, one: Trajectory) -> float:
        assert one.verdict is not None
        return self._reward(one.verdict, one.feedback)

    def _weigh(self) -> dict[str, float]:
        """Train the critic and multiply each token's credit by its q_t."""
        self._weighted = True
        if not self.config.critic:
            return {}
        accuracy = self._train_critic()
        assert self.critic is not None
        weighed = ReplayBuffer(self.config.capacity)
        entries = list(self.buffer.entries)
        for start in range(0, len(entries), 128):
            part = entries[start : start + 128]
            shares = self.critic.shares(part).numpy()
            for row, entry in enumerate(part):
                q = shares[row, : len(entry.actions), CLASSES.index(entry.reward)]
                weighed.add(replace(entry, token_rewards=entry.token_rewards * q))
        self.buffer = weighed
        return {"critic_accuracy": accuracy}

    def _train_critic(self) -> float:
        """Fit the critic to the outcomes in the buffer; return its accuracy at the end."""
        config = self.config
        self.critic = OutcomeCritic(self.policy, hidden=config.critic_hidden, seed=self._seed)
        self.critic.logits(list(self.buffer.entries)[:1])
        assert self.critic.head is not None
        adam = torch.optim.AdamW(self.critic.head.parameters(), lr=config.critic_lr)
        hits = []
        for _ in range(config.critic_steps):
            entries = self.buffer.sample(self.rng, config.batch_size)
            logits, mask = self.critic.logits(entries)
            logits = logits.masked_fill(~mask[..., None], -torch.inf).amax(dim=1)
            truth = torch.tensor([CLASSES.index(entry.reward) for entry in entries])
            truth = truth.to(logits.device)
            loss = nn.functional.cross_entropy(logits, truth)
            adam.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            adam.step()
            hits.append(float((logits.argmax(dim=-1) == truth).float().mean()))
        return float(np.mean(hits[-10:]))

    def keepsakes(self) -> dict[str, Any]:
        """Return the critic, for critic sampling."""
        return {} if self.critic is None else {"outcome_critic": self.critic.state_dict()}

    def _draw(self, buffer: ReplayBuffer) -> Batch:
        entries = buffer.sample(self.rng, self.config.batch_size)
        batch = Batch.from_trajectories(entries, pad_id=self.policy.tokenizer.pad_id)
        return batch.with_columns(weights=batch.token_rewards)

    def _supervised_batch(self) -> Batch | None:
        if self.config.supervised == "reference":
            return self._draw(self._references)
        passing = [entry for entry in self.buffer.entries if entry.passed]
        chosen = [
            passing[int(i)] for i in self.rng.permutation(len(passing))[: self.config.batch_size]
        ]
        if not chosen:
            return None
        batch = Batch.from_trajectories(chosen, pad_id=self.policy.tokenizer.pad_id)
        return batch.with_columns(weights=batch.mask.astype(np.float32))

    def state_dict(self) -> dict[str, Any]:
        """Return the learner's state, the buffers and how far training has come."""
        return super().state_dict() | {
            "buffer": self.buffer.state_dict(),
            "references": self._references.state_dict(),
            "steps": self._steps,
            "full": self._full,
            "weighted": self._weighted,
            "critic": None if self.critic is None else self.critic.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what ``state_dict`` returned."""
        super().load_state_dict(state)
        self.buffer.load_state_dict(state["buffer"])
        self._references.load_state_dict(state["references"])
        self._steps = state["steps"]
        self._full = state["full"]
        self._weighted = state["weighted"]
        kept = state["critic"]
        self.critic = None if kept is None else OutcomeCritic.from_state(kept, self.policy)
