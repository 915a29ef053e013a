"""SFT: supervised fine-tuning on reference solutions that passed their tests in the sandbox.

Maximises ``sum_t log p(w_t | prompt, w_<t)`` over the program's tokens, the prompt's left out.
Source: the supervised loss of RLTF (2307.04349, equation 2) and of Chen et al. (2406.10305).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from codegym import registry
from codegym.learning.agent import Request
from codegym.learning.learner import Learner, Optimiser
from codegym.learning.losses import policy_gradient
from codegym.policy import Policy
from codegym.trajectory import Batch, Trajectory


@dataclass(frozen=True, slots=True, kw_only=True)
class SFTConfig:
    """Settings of SFT; the defaults suit a transformer of under a million weights.

    Attributes:
        lr: Peak learning rate; annealed by a cosine to a twentieth of it over the budget.
        weight_decay: On matrices only.
        batch_size: Programs per optimiser step.
        warmup_steps: Steps of linear warm-up.
        demonstrations: Drawn for one update and sorted into batches of like length.
    """

    lr: float = 3e-3
    weight_decay: float = 0.05
    batch_size: int = 8
    warmup_steps: int = 50
    demonstrations: int = 512


@registry.plugin("agents", "sft")
class SFT(Learner):
    """Learns from demonstrations."""

    name = "sft"
    config_class = SFTConfig
    from_demonstrations = True

    def __init__(self, policy: Policy, config: SFTConfig, *, seed: int) -> None:
        optimiser = Optimiser(
            policy,
            lr=config.lr,
            value_lr=config.lr,
            betas=(0.9, 0.95),
            weight_decay=config.weight_decay,
        )
        super().__init__(policy, config, seed=seed, optimiser=optimiser)
        self._steps = 0

    def request(self) -> Request:
        """Ask for demonstrations alone."""
        return Request(demonstrations=self.config.demonstrations)

    def update(
        self, trajectories: Sequence[Trajectory], *, progress: float = 0.0
    ) -> dict[str, float]:
        """Take one optimiser step for every ``batch_size`` demonstrations."""
        policy, config = self.policy, self.config
        policy.module.train()
        batch = Batch.from_trajectories(trajectories, pad_id=policy.tokenizer.pad_id)
        batches = list(batch.pieces(config.batch_size))
        cosine = 0.05 + 0.95 * 0.5 * (1 + math.cos(math.pi * min(progress, 1.0)))
        loss_sum, entropy, grad_norms = 0.0, 0.0, []
        for index in self.rng.permutation(len(batches)):
            piece = batches[index]
            scored = policy.evaluate(piece)
            ones = torch.ones_like(scored.log_probs)
            loss = policy_gradient(scored.log_probs, ones, piece.n_tokens)
            self._steps += 1
            scale = cosine * min(1.0, self._steps / config.warmup_steps)
            grad_norms.append(self.optimiser.step([loss], lr_scale=scale))
            loss_sum += loss.item() * piece.n_tokens
            entropy += float(scored.entropy.detach().sum())
        self.updates += 1
        return {
            "loss": loss_sum / batch.n_tokens,
            "entropy": entropy / batch.n_tokens,
            "grad_norm": float(np.mean(grad_norms)),
            "lr": config.lr * scale,
        }

    def state_dict(self) -> dict[str, Any]:
        """Return the learner's state and the number of steps taken."""
        return super().state_dict() | {"steps": self._steps}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what ``state_dict`` returned."""
        super().load_state_dict(state)
        self._steps = state["steps"]
