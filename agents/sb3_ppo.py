"""SB3PPO: stable-baselines3's PPO class, trained on whole programs.

The loss, the clipping and the optimiser steps are ``stable_baselines3.PPO.train``, unmodified; this
file feeds it programs with the credit of each token, and reads the metrics it logs. The same method
written out is ``agents/ppo.py``.
Source: stable-baselines3, whose own defaults these are; Schulman et al. 2017 (1707.06347).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from stable_baselines3.common.logger import KVWriter, Logger

from codegym import registry
from codegym.episode import Request
from codegym.learning.advantages import damp, standardise
from codegym.learning.agent import Agent
from codegym.learning.learner import ramp
from codegym.policies.sb3.sequence_policy import load_rollout, make_ppo, ppo_state, restore_ppo
from codegym.policy import Policy
from codegym.trajectory import Trajectory

# Our name of each metric, and its sign and name in stable-baselines3's log.
_METRICS = {
    "loss": (1, "train/loss"),
    "policy_loss": (1, "train/policy_gradient_loss"),
    "value_loss": (1, "train/value_loss"),
    "entropy": (-1, "train/entropy_loss"),
    "approx_kl": (1, "train/approx_kl"),
    "clipfrac": (1, "train/clip_fraction"),
    "explained_variance": (1, "train/explained_variance"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class SB3PPOConfig:
    """Settings of stable-baselines3's PPO.

    Attributes:
        lr: Learning rate of the actor.
        value_lr: Learning rate of the critic.
        clip_range: How far the ratio of probabilities may move from 1.
        clip_range_vf: How far a value may move from its estimate when the program was written; 0
            does not clip it.
        gae_lambda: 1 gives every token the return less the critic's estimate.
        gamma: Discount per token.
        vf_coef: Weight of the value loss.
        ent_coef: Weight of the entropy bonus.
        negative_scale: Factor on negative advantages, see ``advantages.damp``. Below 1, advantages
            are divided by their root mean square and keep their signs; at 1 PPO centres them.
        epochs: Passes over each update's programs.
        batch_size: Programs per optimiser step; stable-baselines3 counts tokens, here a program
            stands for its tokens.
        warmup_updates: Updates over which the learning rate rises; 0 for no warm-up.
        final_lr: Share of the learning rate that is left at the end of the budget.
        tasks: Tasks drawn for one update.
        samples: Programs written for each.
        temperature: Sampling temperature.
        max_grad_norm: Largest norm of the gradient.
    """

    lr: float = 3e-4
    value_lr: float = 3e-4
    clip_range: float = 0.2
    clip_range_vf: float = 0.0
    gae_lambda: float = 0.95
    gamma: float = 0.99
    vf_coef: float = 0.5
    ent_coef: float = 0.0
    negative_scale: float = 1.0
    epochs: int = 10
    batch_size: int = 64
    warmup_updates: int = 0
    final_lr: float = 1.0
    tasks: int = 64
    samples: int = 4
    temperature: float = 1.0
    max_grad_norm: float = 0.5


class _LatestFigures(KVWriter):
    """A log of stable-baselines3 that keeps the latest figures instead of writing them."""

    def __init__(self) -> None:
        self.figures: dict[str, Any] = {}

    def write(
        self, key_values: dict[str, Any], key_excluded: dict[str, tuple[str, ...]], step: int = 0
    ) -> None:
        """Keep some figures."""
        self.figures = dict(key_values)

    def close(self) -> None:
        """Do nothing: nothing is open."""


@registry.plugin("agents", "sb3_ppo")
class SB3PPO(Agent):
    """stable-baselines3's PPO on programs."""

    name = "sb3_ppo"
    config_class = SB3PPOConfig
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "paper": {},
        "small": {"value_lr": 1e-3, "gae_lambda": 1.0, "gamma": 1.0, "negative_scale": 0.2,
                  "epochs": 1, "batch_size": 32, "warmup_updates": 8, "max_grad_norm": 1.0},
    }  # fmt: skip

    def __init__(self, policy: Policy, config: SB3PPOConfig, *, seed: int) -> None:
        self.policy = policy
        self.config = config
        self.updates = 0
        self.ppo = make_ppo(
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
            self.ppo.clip_range_vf = lambda remaining: config.clip_range_vf
        self._latest = _LatestFigures()
        self.ppo.set_logger(Logger(folder=None, output_formats=[self._latest]))

    def request(self) -> Request:
        """Ask for several programs per task."""
        config = self.config
        return Request(tasks=config.tasks, samples=config.samples, temperature=config.temperature)

    def update(
        self, trajectories: Sequence[Trajectory], *, progress: float = 0.0
    ) -> dict[str, float]:
        """Fill PPO's buffer and let it train.

        Raises:
            ConfigError: An environment wrote part of an episode; stable-baselines3's buffer has
                no place for actions that are not the policy's.
        """
        config = self.config
        load_rollout(self.ppo, trajectories)
        self.updates += 1
        scale = ramp(
            self.updates, warmup=config.warmup_updates, progress=progress, final=config.final_lr
        )
        self.ppo.lr_schedule = lambda remaining: config.lr * scale
        self._damp()
        self.ppo.train()
        self.policy.mark_updated()
        self.ppo.logger.dump(self.updates)
        figures = self._latest.figures
        metrics = {name: sign * float(figures[key]) for name, (sign, key) in _METRICS.items()}
        return metrics | {"lr": config.lr * scale}

    def _damp(self) -> None:
        """Damp the negative advantages in PPO's buffer; its own centring would undo that."""
        scale, buffer = self.config.negative_scale, self.ppo.rollout_buffer
        if scale < 1.0:
            damped = damp(buffer.advantages, scale)
            buffer.advantages = standardise(damped, np.ones_like(damped, dtype=bool), centre=False)
        self.ppo.normalize_advantage = scale >= 1.0

    def state_dict(self) -> dict[str, Any]:
        """Return PPO's state and the counter."""
        return {"ppo": ppo_state(self.ppo), "updates": self.updates}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what ``state_dict`` returned."""
        restore_ppo(self.ppo, state["ppo"])
        self.updates = state["updates"]
