"""SFT: supervised fine-tuning on reference solutions that passed their tests in the sandbox.

``L = - sum_t log p(w_t | prompt, w_<t) / T`` over the program's tokens; the prompt's are left out.
Source: the supervised loss of RLTF (2307.04349, equation 2), with the settings of its published
code; also that of Chen et al. (2406.10305).
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np

from codegym import registry
from codegym.episode import Request
from codegym.learning.learner import Learner, Optimiser, Tally, ramp
from codegym.policy import Policy
from codegym.trajectory import Batch, Trajectory


@dataclass(frozen=True, slots=True, kw_only=True)
class SFTConfig:
    """Settings of SFT.

    Attributes:
        lr: Peak learning rate.
        schedule: How the learning rate falls over the budget: in a straight line or by a cosine.
        final_lr: Share of the learning rate that is left at the end of the budget.
        weight_decay: AdamW's weight decay, on matrices only.
        batch_size: Programs per optimiser step.
        warmup_steps: Steps over which the learning rate rises.
        demonstrations: Reference solutions drawn for one update, sorted into batches of like
            length.
    """

    lr: float = 2e-5
    schedule: Literal["linear", "cosine"] = "linear"
    final_lr: float = 0.0
    weight_decay: float = 0.05
    batch_size: int = 8
    warmup_steps: int = 500
    demonstrations: int = 512


@registry.plugin("agents", "sft")
class SFT(Learner):
    """Imitates reference solutions."""

    name = "sft"
    config_class = SFTConfig
    learns_in_a_team = True
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "paper": {},
        "small": {"lr": 3e-3, "schedule": "cosine", "final_lr": 0.05, "warmup_steps": 50},
    }
    learns_from = "demonstrations"

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
        self.updates += 1
        policy.module.train()
        batch = Batch.from_trajectories(trajectories, pad_id=policy.tokenizer.pad_id)
        pieces = list(batch.pieces(config.batch_size))
        spent = min(progress, 1.0)
        if config.schedule == "cosine":
            spent = 0.5 * (1.0 - math.cos(math.pi * spent))
        tally, norms, scale = Tally(self.team), [], 0.0
        for index in self.rng.permutation(len(pieces)):
            piece = pieces[index]
            for part in self.pieces(piece):
                scored = policy.evaluate(part)
                # L = - sum_t log p(w_t) / T; log p is 0 on padding
                loss = -scored.log_probs.sum() / piece.n_tokens
                self.optimiser.add(loss)
                tally.add_losses(
                    loss=float(loss.detach()) * piece.n_tokens,
                    entropy=float(scored.entropy.detach().sum()),
                )
            self._steps += 1
            scale = ramp(
                self._steps, warmup=config.warmup_steps, progress=spent, final=config.final_lr
            )
            norms.append(self.optimiser.step(lr_scale=scale))
        return {name: total / batch.n_tokens for name, total in tally.losses().items()} | {
            "grad_norm": float(np.mean(norms)),
            "lr": config.lr * scale,
        }

    def state_dict(self) -> dict[str, Any]:
        """Return the learner's state and the number of steps taken."""
        return super().state_dict() | {"steps": self._steps}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what ``state_dict`` returned."""
        super().load_state_dict(state)
        self._steps = state["steps"]
