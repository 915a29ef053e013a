"""Actor-critic: REINFORCE with a simple feed-forward critic that learns together with the policy.

``L = - sum_t (G_t - V(s_t)) log p(w_t | s_t) / T + 1/2 sum_t (V(s_t) - G_t)^2 / T``, gamma = 1, G_t
the reward still to come. The critic is the policy's value head: it reads the actor's last hidden
state, and its gradient stops there.
Source: Gorinski et al. 2023 (2310.13669). Its numbers are not public: those below are ours, its
method is the default (a critic in sync, replay without duplicates, no other weighting). The reward
``gorinski`` gives its sparse and complete parts.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal

import numpy as np
import torch

from codegym import registry
from codegym.episode import Request
from codegym.learning.advantages import Floats, damp, explained_variance, gae, standardise
from codegym.learning.learner import Columns, Learner, Optimiser, Tally, ramp
from codegym.learning.replay import Experience, ReplayBuffer
from codegym.policy import Policy
from codegym.trajectory import Batch, Trajectory


@dataclass(frozen=True, slots=True, kw_only=True)
class ActorCriticConfig:
    """Settings of the actor-critic.

    Attributes:
        lr: Learning rate of the actor.
        value_lr: Learning rate of the critic.
        critic: ``synced`` trains it with every update (the paper's method), ``frozen`` trains it
            in the first ``critic_updates`` alone (CodeRL's way), ``none`` uses the mean reward of
            the update instead.
        gae_lambda: 1 gives every token the return less the critic's estimate.
        negative_scale: Factor on negative advantages, see ``advantages.damp``. Below 1, unlikely
            tokens of failing programs are pushed down less, which keeps a small policy from
            collapsing.
        standardise: Divide the advantages by their root mean square.
        replay: Programs kept for replay, equal syntax trees of a task once; 0 keeps none.
        replayed: Programs drawn from them for each update. The present critic estimates their
            values, and their tokens are weighted by ``min(1, p / p_old)``.
        minibatches: Optimiser steps per update.
        critic_updates: First updates in which only the critic learns.
        warmup_updates: Updates over which the actor's learning rate then rises; 0 for none.
        final_lr: Share of the learning rate that is left at the end of the budget.
        tasks: Tasks drawn for one update.
        samples: Programs written for each.
        temperature: Sampling temperature.
        max_grad_norm: Largest norm of the actor's gradient.
    """

    lr: float = 1e-5
    value_lr: float = 1e-4
    critic: Literal["synced", "frozen", "none"] = "synced"
    gae_lambda: float = 1.0
    negative_scale: float = 1.0
    standardise: bool = False
    replay: int = 4096
    replayed: int = 64
    minibatches: int = 1
    critic_updates: int = 0
    warmup_updates: int = 0
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
    learns_in_a_team = True
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "paper": {},
        "small": {"lr": 3e-4, "value_lr": 1e-2, "negative_scale": 0.05, "standardise": True,
                  "replay": 0, "minibatches": 2, "critic_updates": 3, "warmup_updates": 8},
    }  # fmt: skip

    def __init__(self, policy: Policy, config: ActorCriticConfig, *, seed: int) -> None:
        optimiser = Optimiser(
            policy, lr=config.lr, value_lr=config.value_lr, max_grad_norm=config.max_grad_norm
        )
        super().__init__(policy, config, seed=seed, optimiser=optimiser)
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
        old, metrics = self.replay(trajectories)
        batch = Batch.from_trajectories([*trajectories, *old], pad_id=policy.tokenizer.pad_id)
        advantages, returns = self.advantages(batch)
        batch = batch.with_columns(advantages=advantages, returns=returns)
        head_start = 0 if config.critic == "none" else config.critic_updates
        critic_alone = self.updates < head_start
        critic_learns = config.critic == "synced" or critic_alone
        self.updates += 1
        scale = ramp(
            self.updates - head_start,
            warmup=config.warmup_updates,
            progress=progress,
            final=config.final_lr,
        )
        tally, norms = Tally(self.team), []
        for minibatch in batch.minibatches(config.minibatches, self.rng):
            count = minibatch.n_tokens
            for piece in self.pieces(minibatch):
                scored = policy.evaluate(piece, temperature=piece.temperatures)
                columns = Columns.of(piece, scored)
                weights = columns["advantages"]
                if old:
                    # rho_t = min(1, p / p_old): what the present policy would not write counts less
                    drift = scored.log_probs.detach() - columns.old_log_probs
                    weights = weights * drift.exp().clamp(max=1.0)
                # L_actor = - sum_t rho_t (G_t - V_t) log p(w_t) / T
                actor = -(weights * scored.log_probs).sum() / count
                # L_critic = 1/2 sum_t (V(s_t) - G_t)^2 / T
                error = (scored.values - columns["returns"]) * columns.mask
                critic = 0.5 * error.square().sum() / count
                self.optimiser.add(actor + critic if critic_learns else actor)
                tally.add(scored, columns)
                tally.add_losses(
                    policy_loss=float(actor.detach()) * count,
                    value_loss=float(critic.detach()) * count,
                )
            norms.append(self.optimiser.step(lr_scale=scale, train_actor=not critic_alone))
        real, losses = batch.mask, tally.losses()
        means = {name: loss / batch.n_tokens for name, loss in losses.items()}
        return (
            metrics
            | tally.means()
            | means
            | {
                "loss": sum(losses.values()) / batch.n_tokens,
                "grad_norm": float(np.mean(norms)),
                "lr": config.lr * scale,
                "explained_variance": explained_variance(batch.values[real], returns[real]),
            }
        )

    def advantages(self, batch: Batch) -> tuple[Floats, Floats]:
        """Return the advantages and returns of a batch, both (B, T)."""
        config = self.config
        if config.critic == "none":
            # G_t is the credit still to come; the baseline is the mean reward.
            nothing = np.zeros_like(batch.values)
            returns, _ = gae(batch.credit, nothing, batch.mask)
            baseline = batch.rewards.mean()
            advantages = np.where(batch.mask, returns - baseline, np.float32(0.0))
        else:
            # A_t = G_t - V_t where lambda is 1
            advantages, returns = gae(
                batch.credit, batch.values, batch.mask, gae_lambda=config.gae_lambda
            )
        advantages = damp(advantages, config.negative_scale)
        if config.standardise:
            advantages = standardise(advantages, batch.mask, centre=False)
        return advantages, returns

    def replay(self, new: Sequence[Trajectory]) -> tuple[list[Experience], dict[str, float]]:
        """Draw older programs, with the present critic's values of them, and keep the new ones."""
        if self.buffer is None:
            return [], {}
        old = self.buffer.sample(self.rng, self.config.replayed) if len(self.buffer) else []
        if old:
            batch = Batch.from_trajectories(old, pad_id=self.policy.tokenizer.pad_id)
            with torch.no_grad():
                scored = self.policy.evaluate(batch, temperature=batch.temperatures)
            values = scored.values.cpu().numpy()
            old = [
                replace(entry, values=values[row, : len(entry.actions)])
                for row, entry in enumerate(old)
            ]
        distinct = sum(map(self.buffer.push, new))
        lag = [self.policy.version - entry.policy_version for entry in old]
        return old, {
            "buffer": float(len(self.buffer)),
            "distinct_share": distinct / len(new),
            "version_lag": float(np.mean(lag)) if lag else 0.0,
        }

    def state_dict(self) -> dict[str, Any]:
        """Return the learner's state and the buffer."""
        state = super().state_dict()
        return state if self.buffer is None else state | {"buffer": self.buffer.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what ``state_dict`` returned."""
        super().load_state_dict(state)
        if self.buffer is not None:
            self.buffer.load_state_dict(state["buffer"])
