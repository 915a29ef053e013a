"""PPO: proximal policy optimisation of whole programs, the actor and the critic in one policy.

``L = - mean_t min(r_t A_t, clip(r_t, 1 - eps, 1 + eps) A_t) + c1 mean_t (V_t - G_t)^2 - c2 H``;
A and G are generalised advantage estimates and returns over the credit of each token. With
``kl_coef`` above 0 each token is also charged ``beta (log p - log p_ref)``, and beta follows the
divergence to its target:
``beta <- beta (1 + clip(kl / target - 1, -0.2, 0.2) programs / horizon)``.
Source: Schulman et al. 2017 (1707.06347), equations 7 and 9; the defaults are its table 3 where a
step is a token (a minibatch is a share of the rollout here). The controller is Ziegler et al. 2019
(1909.08593), section 2.2; the preset ``ppocoder`` has the numbers of PPOCoder (2301.13816).
"""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch

from codegym import registry
from codegym.episode import Request
from codegym.learning.advantages import damp, explained_variance, gae, standardise
from codegym.learning.learner import Columns, Learner, Optimiser, Tally, ramp
from codegym.policy import Policy
from codegym.trajectory import Batch, Trajectory


@dataclass(frozen=True, slots=True, kw_only=True)
class PPOConfig:
    """Settings of PPO.

    Attributes:
        lr: Learning rate of the actor.
        value_lr: Learning rate of the critic.
        clip_range: How far the ratio of probabilities may move from 1: eps.
        clip_range_vf: How far a value may move from its estimate when the program was written,
            before its error counts no less; 0 does not clip it.
        gae_lambda: 1 gives every token the return less the critic's estimate; 0.95 leaves the first
            of thirty tokens a fifth of the credit.
        gamma: Discount per token.
        vf_coef: Weight c1 of the value loss.
        ent_coef: Weight c2 of the entropy bonus.
        centre: Subtract the mean advantage before the division by the root mean square; False keeps
            the sign of every advantage.
        negative_scale: Factor on negative advantages, see ``advantages.damp``; 1 in the papers.
        epochs: Passes over each update's programs.
        minibatches: Optimiser steps per pass.
        kl_coef: First value of beta, the charge on leaving the policy that training began with.
        kl_target: Divergence per program that beta steers to, in nats.
        kl_horizon: Programs over which beta adapts.
        warmup_updates: Updates over which the learning rate rises; 0 for no warm-up.
        final_lr: Share of the learning rate that is left at the end of the budget.
        tasks: Tasks drawn for one update.
        samples: Programs written for each.
        temperature: Sampling temperature.
        max_grad_norm: Largest norm of the actor's gradient.
    """

    lr: float = 3e-4
    value_lr: float = 3e-4
    clip_range: float = 0.2
    clip_range_vf: float = 0.0
    gae_lambda: float = 0.95
    gamma: float = 0.99
    vf_coef: float = 1.0
    ent_coef: float = 0.0
    centre: bool = True
    negative_scale: float = 1.0
    epochs: int = 10
    minibatches: int = 32
    kl_coef: float = 0.0
    kl_target: float = 1.0
    kl_horizon: float = 10_000.0
    warmup_updates: int = 0
    final_lr: float = 1.0
    tasks: int = 64
    samples: int = 4
    temperature: float = 1.0
    max_grad_norm: float = 1.0


@registry.plugin("agents", "ppo")
class PPO(Learner):
    """Takes several clipped steps on the same programs."""

    name = "ppo"
    config_class = PPOConfig
    learns_in_a_team = True
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "paper": {},
        "small": {"value_lr": 1e-3, "gae_lambda": 1.0, "gamma": 1.0, "vf_coef": 0.5,
                  "centre": False, "negative_scale": 0.2, "epochs": 1, "minibatches": 8,
                  "warmup_updates": 8},
        "ppocoder": {"lr": 1e-6, "value_lr": 1e-6, "gamma": 1.0, "vf_coef": 1e-3,
                     "clip_range_vf": 0.2, "kl_coef": 0.1, "epochs": 1, "minibatches": 1,
                     "warmup_updates": 8, "tasks": 32, "samples": 1},
    }  # fmt: skip

    def __init__(self, policy: Policy, config: PPOConfig, *, seed: int) -> None:
        optimiser = Optimiser(
            policy, lr=config.lr, value_lr=config.value_lr, max_grad_norm=config.max_grad_norm
        )
        super().__init__(policy, config, seed=seed, optimiser=optimiser)
        self.beta = config.kl_coef
        self.reference = copy.deepcopy(policy) if config.kl_coef else None

    def request(self) -> Request:
        """Ask for several programs per task."""
        config = self.config
        return Request(tasks=config.tasks, samples=config.samples, temperature=config.temperature)

    def update(
        self, trajectories: Sequence[Trajectory], *, progress: float = 0.0
    ) -> dict[str, float]:
        """Take ``epochs * minibatches`` steps on the programs."""
        policy, config = self.policy, self.config
        self.updates += 1
        batch = Batch.from_trajectories(trajectories, pad_id=policy.tokenizer.pad_id)
        batch, metrics = self.charge(batch)
        # A_t = sum_k (gamma lambda)^k d_{t+k}, d_t = credit_t - charge_t + gamma V_{t+1} - V_t;
        # G_t = A_t + V_t
        advantages, returns = gae(
            batch.credit - batch.columns["charge"],
            batch.values,
            batch.mask,
            gamma=config.gamma,
            gae_lambda=config.gae_lambda,
        )
        damped = damp(advantages, config.negative_scale)
        advantages = standardise(damped, batch.mask, centre=config.centre)
        batch = batch.with_columns(advantages=advantages, returns=returns)
        scale = ramp(
            self.updates, warmup=config.warmup_updates, progress=progress, final=config.final_lr
        )
        metrics |= self._learn(batch, scale)
        real = batch.mask
        return metrics | {
            "lr": config.lr * scale,
            "explained_variance": explained_variance(batch.values[real], returns[real]),
        }

    def _learn(self, batch: Batch, lr_scale: float) -> dict[str, float]:
        """Take the steps on programs with the columns ``advantages`` and ``returns``."""
        policy, config = self.policy, self.config
        policy.module.train()
        tally = Tally(self.team, clip_low=config.clip_range, clip_high=config.clip_range)
        norms = []
        for _ in range(config.epochs):
            for minibatch in batch.minibatches(config.minibatches, self.rng):
                count = minibatch.n_tokens
                for piece in self.pieces(minibatch):
                    scored = policy.evaluate(piece, temperature=piece.temperatures)
                    columns = Columns.of(piece, scored)
                    advantages, returns = columns["advantages"], columns["returns"]
                    # r_t = p(w_t) / p_old(w_t)
                    ratio = (scored.log_probs - columns.old_log_probs).exp()
                    # L_policy = - mean_t min(r_t A_t, clip(r_t, 1 - eps, 1 + eps) A_t)
                    clipped = ratio.clamp(1.0 - config.clip_range, 1.0 + config.clip_range)
                    policy_loss = -torch.min(ratio * advantages, clipped * advantages).sum() / count
                    # L_value = mean_t max((V_t - G_t)^2, (clip(V_t, V_old - d, V_old + d) - G_t)^2)
                    error = (scored.values - returns).square()
                    if config.clip_range_vf:
                        moved = scored.values - columns.old_values
                        moved = moved.clamp(-config.clip_range_vf, config.clip_range_vf)
                        error = torch.max(error, (columns.old_values + moved - returns).square())
                    value_loss = (error * columns.mask).sum() / count
                    # L = L_policy + c1 L_value - c2 H
                    entropy = scored.entropy.sum() / count
                    loss = policy_loss + config.vf_coef * value_loss - config.ent_coef * entropy
                    self.optimiser.add(loss)
                    tally.add(scored, columns)
                    tally.add_losses(
                        loss=float(loss.detach()),
                        policy_loss=float(policy_loss.detach()),
                        value_loss=float(value_loss.detach()),
                    )
                norms.append(self.optimiser.step(lr_scale=lr_scale))
        means = {name: value / len(norms) for name, value in tally.losses().items()}
        return means | tally.means() | {"grad_norm": float(np.mean(norms))}

    def charge(self, batch: Batch) -> tuple[Batch, dict[str, float]]:
        """Add the column ``charge``, what leaving the reference costs each token; steer beta."""
        charge = np.zeros_like(batch.values)
        if self.reference is None:
            return batch.with_columns(charge=charge), {}
        with torch.no_grad():
            scored = self.reference.evaluate(batch, temperature=batch.temperatures)
        # charge_t = beta (log p(w_t) - log p_ref(w_t))
        drift = np.where(batch.mask, batch.log_probs - scored.log_probs.cpu().numpy(), 0.0)
        charge = (self.beta * drift).astype(np.float32)
        kl = float(drift.sum() / len(batch))
        metrics = {"kl": kl, "kl_coef": self.beta}
        # beta <- beta (1 + clip(kl / target - 1, -0.2, 0.2) programs / horizon)
        error = float(np.clip(kl / self.config.kl_target - 1.0, -0.2, 0.2))
        self.beta *= 1.0 + error * len(batch) / self.config.kl_horizon
        return batch.with_columns(charge=charge), metrics

    def state_dict(self) -> dict[str, Any]:
        """Return the learner's state, beta and the reference's weights."""
        state = super().state_dict() | {"beta": self.beta}
        if self.reference is not None:
            state["reference"] = self.reference.module.state_dict()
        return state

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what ``state_dict`` returned."""
        super().load_state_dict(state)
        self.beta = state["beta"]
        if self.reference is not None:
            self.reference.module.load_state_dict(state["reference"])
            self.reference.mark_updated()
