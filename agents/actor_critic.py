"""Actor-critic: REINFORCE with a simple feed-forward critic that is kept in sync with the policy.

``L = - sum_t (R - V(s_t)) log p(w_t | s_t) + 1/2 sum_t (V(s_t) - R)^2``, gamma = 1. The critic is
the policy's value head: it reads the actor's last hidden state and its gradient stops there.
Source: Gorinski et al. 2023 (2310.13669), our reading where the paper's numbers are not public.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from codegym import registry
from codegym.advantages import Floats, damp, explained_variance, gae, spread, standardise
from codegym.agent import Request
from codegym.losses import policy_gradient, value_error
from codegym.optimisation import Columns, Learner, Optimiser, Tally
from codegym.policy import Policy
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
        minibatches: Optimiser steps per update.
        critic_updates: First updates in which only the critic learns.
        warmup_updates: Updates over which the actor's learning rate then rises.
        tasks: Tasks drawn for one update.
        samples: Programs written for each.
        temperature: Of the sampling.
        max_grad_norm: Gradient clipping.
    """

    lr: float = 3e-4
    value_lr: float = 1e-3
    critic: Literal["synced", "frozen", "none"] = "synced"
    gae_lambda: float = 1.0
    negative_scale: float = 0.2
    minibatches: int = 8
    critic_updates: int = 3
    warmup_updates: int = 8
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
        batch = Batch.from_trajectories(trajectories, pad_id=policy.tokenizer.pad_id)
        advantages, returns = self._credit(batch)
        batch = batch.with_columns(advantages=advantages, returns=returns)
        head_start = 0 if config.critic == "none" else config.critic_updates
        critic_alone = self.updates < head_start
        critic_learns = config.critic == "synced" or critic_alone
        scale = min(1.0, max(0, self.updates + 1 - head_start) / config.warmup_updates)
        self.updates += 1
        sums = dict.fromkeys(("policy_loss", "value_loss"), 0.0)
        tally, norms = Tally(), []
        for minibatch in batch.minibatches(config.minibatches, self.rng):
            losses, count = [], minibatch.n_tokens
            for piece in minibatch.pieces(32):
                scored = policy.evaluate(piece)
                columns = Columns.of(piece, scored)
                actor = policy_gradient(scored.log_probs, columns.extra["advantages"], count)
                critic = value_error(scored.values, columns.extra["returns"], columns.mask, count)
                losses.append(actor + critic if critic_learns else actor)
                sums["policy_loss"] += float(actor.detach()) * count
                sums["value_loss"] += float(critic.detach()) * count
                tally.add(scored, columns)
            norms.append(self.optimiser.step(losses, lr_scale=scale, train_actor=not critic_alone))
        metrics = {name: value / batch.n_tokens for name, value in sums.items()}
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
