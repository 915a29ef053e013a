"""PPO: stable-baselines3's own PPO class, trained on whole programs.

The loss, the clipping and the optimiser steps are ``stable_baselines3.PPO.train``, unmodified; what
stands here is how programs reach it. With ``kl_coef`` above 0 each token is also charged
``-beta * (log p - log p_ref)``, and beta follows the divergence to its target:
``beta <- beta * (1 + clip(kl / target - 1, -0.2, 0.2) * programs / horizon)``.
Source: Schulman et al. 2017 (1707.06347); the controller is Ziegler et al. 2019 (1909.08593),
section 2.2, with PPOCoder's numbers (2301.13816) as the preset ``ppocoder``.
"""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import torch

from codegym import registry
from codegym.learning.advantages import damp, standardise
from codegym.learning.agent import Agent, Request
from codegym.learning.learner import ramp
from codegym.policies.sb3.sequence_policy import load_rollout, make_ppo, ppo_state, restore_ppo
from codegym.policy import Policy
from codegym.trajectory import Batch, Trajectory


@dataclass(frozen=True, slots=True, kw_only=True)
class PPOConfig:
    """Settings of PPO; the defaults suit a transformer of under a million weights.

    Attributes:
        lr: Learning rate of the actor.
        value_lr: Learning rate of the critic.
        clip_range: How far the ratio of probabilities may move from 1.
        clip_range_vf: How far a value may move from the one when the program was written; 0 does
            not clip it.
        gae_lambda: 1 gives every token the return less the critic's estimate. The usual 0.95 would
            leave the first of thirty tokens a fifth of the credit.
        gamma: Discount per token.
        vf_coef: Weight of the value loss.
        ent_coef: Weight of the entropy bonus.
        epochs: Passes over each update's programs.
        batch_size: Programs per optimiser step.
        kl_coef: First value of beta, the charge on leaving the policy that training began with.
        kl_target: Divergence per program that beta steers to, in nats.
        kl_horizon: Programs over which beta adapts.
        negative_scale: Factor on negative advantages, see ``advantages.damp``. Below 1, advantages
            are divided by their deviation and keep their signs; at 1 PPO centres them as well.
        warmup_updates: Updates over which the learning rate rises.
        final_lr: Share of the learning rate that is left at the end of the budget.
        tasks: Tasks drawn for one update.
        samples: Programs written for each.
        temperature: Of the sampling.
        max_grad_norm: Gradient clipping.
    """

    lr: float = 3e-4
    value_lr: float = 1e-3
    clip_range: float = 0.2
    clip_range_vf: float = 0.0
    gae_lambda: float = 1.0
    gamma: float = 1.0
    vf_coef: float = 0.5
    ent_coef: float = 0.0
    epochs: int = 1
    batch_size: int = 32
    kl_coef: float = 0.0
    kl_target: float = 1.0
    kl_horizon: float = 10_000.0
    negative_scale: float = 0.2
    warmup_updates: int = 8
    final_lr: float = 1.0
    tasks: int = 64
    samples: int = 4
    temperature: float = 1.0
    max_grad_norm: float = 1.0


@registry.plugin("agents", "ppo")
class PPO(Agent):
    """stable-baselines3's PPO on programs."""

    name = "ppo"
    config_class = PPOConfig
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "small": {},
        "ppocoder": {"lr": 1e-6, "value_lr": 1e-6, "gae_lambda": 0.95, "vf_coef": 1e-3,
                     "clip_range_vf": 0.2, "kl_coef": 0.1, "negative_scale": 1.0,
                     "batch_size": 32, "tasks": 32,
                     "samples": 1},
    }  # fmt: skip

    def __init__(self, policy: Policy, config: PPOConfig, *, seed: int) -> None:
        self.policy = policy
        self.config = config
        self.updates = 0
        self._beta = config.kl_coef
        self._reference = copy.deepcopy(policy) if config.kl_coef else None
        self._ppo = make_ppo(
            policy,
            learning_rate=config.lr,
            value_learning_rate=config.value_lr,
            batch_size=config.batch_size,
            n_epochs=config.epochs,
            clip_range=config.clip_range,
            vf_coef=config.vf_coef,
            ent_coef=config.ent_coef,
            max_grad_norm=config.max_grad_norm,
            gamma=config.gamma,
            gae_lambda=config.gae_lambda,
            seed=seed,
        )
        if config.clip_range_vf:
            self._ppo.clip_range_vf = lambda remaining: config.clip_range_vf

    def request(self) -> Request:
        """Ask for several programs per task."""
        config = self.config
        return Request(tasks=config.tasks, samples=config.samples, temperature=config.temperature)

    def update(
        self, trajectories: Sequence[Trajectory], *, progress: float = 0.0
    ) -> dict[str, float]:
        """Fill PPO's buffer and let it train."""
        config = self.config
        self.updates += 1
        scale = ramp(
            self.updates, warmup=config.warmup_updates, progress=progress, final=config.final_lr
        )
        self._ppo.lr_schedule = lambda remaining: config.lr * scale
        charged, metrics = self._charge(trajectories)
        load_rollout(self._ppo, charged, token_rewards=True)
        self._damp()
        self._ppo.train()
        self.policy.mark_updated()
        logged = self._ppo.logger.name_to_value
        return metrics | {
            "loss": float(logged["train/loss"]),
            "policy_loss": float(logged["train/policy_gradient_loss"]),
            "value_loss": float(logged["train/value_loss"]),
            "entropy": -float(logged["train/entropy_loss"]),
            "approx_kl": float(logged["train/approx_kl"]),
            "clipfrac": float(logged["train/clip_fraction"]),
            "explained_variance": float(logged["train/explained_variance"]),
            "lr": config.lr * scale,
        }

    def _damp(self) -> None:
        """Damp the negative advantages in PPO's buffer; its own centring would undo that."""
        scale, buffer = self.config.negative_scale, self._ppo.rollout_buffer
        if scale < 1.0:
            damped = damp(buffer.advantages, scale)
            buffer.advantages = standardise(damped, np.ones_like(damped, dtype=bool), centre=False)
        self._ppo.normalize_advantage = scale >= 1.0

    def _charge(
        self, trajectories: Sequence[Trajectory]
    ) -> tuple[list[Trajectory], dict[str, float]]:
        """Put each reward on its last token and charge the divergence from the reference."""
        charges = [np.zeros(len(one), dtype=np.float32) for one in trajectories]
        metrics: dict[str, float] = {}
        if self._reference is not None:
            batch = Batch.from_trajectories(trajectories, pad_id=self.policy.tokenizer.pad_id)
            with torch.no_grad():
                anchor = self._reference.evaluate(batch).log_probs.cpu().numpy()
            drift = batch.log_probs - anchor
            charges = [-self._beta * drift[row, :n] for row, n in enumerate(batch.lengths)]
            kl = float(drift.sum() / len(batch))
            metrics = {"kl": kl, "kl_coef": self._beta}
            error = float(np.clip(kl / self.config.kl_target - 1.0, -0.2, 0.2))
            self._beta *= 1.0 + error * len(batch) / self.config.kl_horizon
        for one, charge in zip(trajectories, charges, strict=True):
            charge[-1] += one.reward
        charged = [
            replace(one, token_rewards=charge)
            for one, charge in zip(trajectories, charges, strict=True)
        ]
        return charged, metrics

    def state_dict(self) -> dict[str, Any]:
        """Return PPO's state, the counter, beta and the reference's weights."""
        state = {"ppo": ppo_state(self._ppo), "updates": self.updates, "beta": self._beta}
        if self._reference is not None:
            state["reference"] = self._reference.module.state_dict()
        return state

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what ``state_dict`` returned."""
        restore_ppo(self._ppo, state["ppo"])
        self.updates = state["updates"]
        self._beta = state["beta"]
        if self._reference is not None:
            self._reference.module.load_state_dict(state["reference"])
