"""Actor-critic: REINFORCE with a simple feed-forward critic that is kept in sync with the policy.

``L = - sum_t (R - V(s_t)) log p(w_t | s_t) + 1/2 sum_t (V(s_t) - R)^2``, gamma = 1. The critic is
the policy's value head: it reads the actor's last hidden state and its gradient stops there.
Source: Gorinski et al. 2023 (2310.13669), our reading where the paper's numbers are not public.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import torch

from codegym import registry
from codegym.learning.advantages import Floats, damp, explained_variance, gae, spread, standardise
from codegym.learning.agent import Request
from codegym.learning.learner import Columns, Learner, Optimiser, Tally, ramp
from codegym.learning.losses import policy_gradient, value_error
from codegym.learning.replay import Experience, ReplayBuffer
from codegym.policy import Policy
from codegym.rewards import make_reward
from codegym.trajectory import Batch, Trajectory


@dataclass(frozen=True, slots=True, kw_only=True)
class ActorCriticConfig:
    """Settings of the actor-critic; the defaults suit a transformer of under a million weights.

    Attributes:
        lr: Learning rate of the actor.
        value_lr: Learning rate of the critic.
        critic: ``synced`` trains it with every update (the paper's method), ``frozen`` trains it
            in the first ``critic_updates`` alone (CodeRL's way), ``none`` uses the mean reward of
            the update instead.
        gae_lambda: 1 gives every token the return less the critic's estimate.
        negative_scale: Factor on negative advantages. Below 1, unlikely tokens of failing programs
            are pushed down less, which keeps a small policy from collapsing.
        sparse_coef: Weight of the reward's sparse part: 1 where all tests pass.
        complete_coef: Weight of its complete part: RLTF's adaptive value, so that a program that
            passes some tests earns more than one that passes none, and one that does not run the
            least. With both at 0 programs earn the run's own reward.
        replay: Programs kept for replay, equal syntax trees of a task once; 0 keeps none.
        replayed: Programs drawn from them for each update. Their critic is the present one, their
            tokens are weighed by ``min(1, p / p_old)``.
        minibatches: Optimiser steps per update.
        critic_updates: First updates in which only the critic learns.
        warmup_updates: Updates over which the actor's learning rate then rises.
        final_lr: Share of the learning rate that is left at the end of the budget.
        tasks: Tasks drawn for one update.
        samples: Programs written for each.
        temperature: Of the sampling.
        max_grad_norm: Gradient clipping.
    """

    lr: float = 3e-4
    value_lr: float = 1e-2
    critic: Literal["synced", "frozen", "none"] = "synced"
    gae_lambda: float = 1.0
    negative_scale: float = 0.05
    sparse_coef: float = 0.0
    complete_coef: float = 0.0
    replay: int = 0
    replayed: int = 64
    minibatches: int = 2
    critic_updates: int = 3
    warmup_updates: int = 8
    final_lr: float = 1.0
    tasks: int = 64
    samples: int = 4
    temperature: float = 1.0
    max_grad_norm: float = 1.0


@registry.plugin("agents", "actor_critic")
class ActorCritic(Learner):
    """REINFORCE with a critic in sync."""

    name = "actor_critic"
    config_class = ActorCriticConfig

    def __init__(self, policy: Policy, config: ActorCriticConfig, *, seed: int) -> None:
        optimiser = Optimiser(
            policy, lr=config.lr, value_lr=config.value_lr, max_grad_norm=config.max_grad_norm
        )
        super().__init__(policy, config, seed=seed, optimiser=optimiser)
        self._complete = make_reward("rltf")
        self.buffer = ReplayBuffer(config.replay, distinct=True) if config.replay else None

    def request(self) -> Request:
        """Ask for several programs per task."""
        config = self.config
        return Request(tasks=config.tasks, samples=config.samples, temperature=config.temperature)

    def update(
        self, trajectories: Sequence[Trajectory], *, progress: float = 0.0
    ) -> dict[str, float]:
        """Take ``minibatches`` steps on the episodes' advantages."""
        policy, config = self.policy, self.config
        policy.module.train()
        episodes = [replace(one, reward=self.reward(one)) for one in trajectories]
        old, metrics = self._replay(episodes)
        batch = Batch.from_trajectories([*episodes, *old], pad_id=policy.tokenizer.pad_id)
        advantages, returns = self._credit(batch)
        batch = batch.with_columns(advantages=advantages, returns=returns)
        head_start = 0 if config.critic == "none" else config.critic_updates
        critic_alone = self.updates < head_start
        critic_learns = config.critic == "synced" or critic_alone
        scale = ramp(
            self.updates + 1 - head_start,
            warmup=config.warmup_updates,
            progress=progress,
            final=config.final_lr,
        )
        self.updates += 1
        sums = dict.fromkeys(("policy_loss", "value_loss"), 0.0)
        tally, norms = Tally(), []
        for minibatch in batch.minibatches(config.minibatches, self.rng):
            losses, count = [], minibatch.n_tokens
            for piece in minibatch.pieces(32):
                scored = policy.evaluate(piece)
                columns = Columns.of(piece, scored)
                weights = columns.extra["advantages"]
                if old:
                    drift = scored.log_probs.detach() - columns.old_log_probs
                    weights = weights * drift.exp().clamp(max=1.0)
                actor = policy_gradient(scored.log_probs, weights, count)
                critic = value_error(scored.values, columns.extra["returns"], columns.mask, count)
                losses.append(actor + critic if critic_learns else actor)
                sums["policy_loss"] += float(actor.detach()) * count
                sums["value_loss"] += float(critic.detach()) * count
                tally.add(scored, columns)
            norms.append(self.optimiser.step(losses, lr_scale=scale, train_actor=not critic_alone))
        metrics |= {name: value / batch.n_tokens for name, value in sums.items()}
        real = batch.mask
        return (
            metrics
            | tally.means()
            | {
                "loss": metrics["policy_loss"] + metrics["value_loss"],
                "grad_norm": float(np.mean(norms)),
                "lr": config.lr * scale,
                "explained_variance": explained_variance(batch.values[real], returns[real]),
            }
        )

    def reward(self, one: Trajectory) -> float:
        """Return what a program earns: its sparse and complete parts, or the run's own reward."""
        config = self.config
        if not (config.sparse_coef or config.complete_coef) or one.verdict is None:
            return one.reward
        sparse = float(one.verdict.passed)
        complete = self._complete(one.verdict, one.feedback)
        return float(config.sparse_coef * sparse + config.complete_coef * complete)

    def _replay(self, episodes: Sequence[Trajectory]) -> tuple[list[Experience], dict[str, float]]:
        """Draw older programs, with what the present critic says of them, and keep the new ones."""
        if self.buffer is None:
            return [], {}
        old = self.buffer.sample(self.rng, self.config.replayed) if len(self.buffer) else []
        if old:
            batch = Batch.from_trajectories(old, pad_id=self.policy.tokenizer.pad_id)
            with torch.no_grad():
                values = self.policy.evaluate(batch).values.cpu().numpy()
            old = [
                replace(one, values=values[row, : len(one.actions)]) for row, one in enumerate(old)
            ]
        nothing = [np.zeros(len(one), dtype=np.float32) for one in episodes]
        new = sum(map(self.buffer.push, episodes, nothing))
        lag = [self.policy.version - one.policy_version for one in old]
        return old, {
            "buffer": float(len(self.buffer)),
            "distinct_share": new / len(episodes),
            "version_lag": float(np.mean(lag)) if lag else 0.0,
        }

    def _credit(self, batch: Batch) -> tuple[Floats, Floats]:
        """Return the advantages and returns of a batch, both (B, T)."""
        last = np.zeros_like(batch.values)
        last[np.arange(len(batch)), batch.lengths - 1] = batch.rewards
        if self.config.critic == "none":
            centred = (batch.rewards - batch.rewards.mean()).astype(np.float32)
            advantages, returns = spread(centred, batch.mask), spread(batch.rewards, batch.mask)
        else:
            advantages, returns = gae(
                last, batch.values, batch.mask, gae_lambda=self.config.gae_lambda
            )
        damped = damp(advantages, self.config.negative_scale)
        return standardise(damped, batch.mask, centre=False), returns

    def state_dict(self) -> dict[str, Any]:
        """Return the learner's state and the buffer."""
        state = super().state_dict()
        return state if self.buffer is None else state | {"buffer": self.buffer.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what ``state_dict`` returned."""
        super().load_state_dict(state)
        if self.buffer is not None:
            self.buffer.load_state_dict(state["buffer"])
