"""Optimiser: AdamW over a policy's weights; Learner: what every agent with gradients shares."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from codegym.learning.agent import Agent
from codegym.learning.losses import policy_gradient
from codegym.policy import Evaluation, Policy
from codegym.trajectory import Batch


class Optimiser:
    """One optimiser step as every agent takes it: clip, step, tell the policy.

    Args:
        policy: Whose weights are trained.
        lr: Learning rate of the actor.
        value_lr: Learning rate of the value head.
        betas: AdamW's.
        weight_decay: AdamW's, on the actor's matrices only.
        max_grad_norm: The actor's gradient is scaled down to this norm.

    Attributes:
        lr: Learning rate of the actor, before any schedule.
    """

    def __init__(
        self,
        policy: Policy,
        *,
        lr: float,
        value_lr: float,
        betas: tuple[float, float] = (0.9, 0.99),
        weight_decay: float = 0.0,
        max_grad_norm: float = 1.0,
    ) -> None:
        self._policy = policy
        self.lr = lr
        head = {id(parameter) for parameter in policy.value_parameters()}
        trained = [p for p in policy.module.parameters() if p.requires_grad]
        actor = [p for p in trained if id(p) not in head]
        self._actor = actor
        self._value = [p for p in trained if id(p) in head]
        self._max_grad_norm = max_grad_norm
        self._adamw = torch.optim.AdamW(
            [
                {"params": [p for p in actor if p.dim() > 1], "weight_decay": weight_decay},
                {"params": [p for p in actor if p.dim() <= 1], "weight_decay": 0.0},
                {"params": self._value, "lr": value_lr, "weight_decay": 0.0},
            ],
            lr=lr,
            betas=betas,
            fused=True,
        )
        self._base_lr = [float(group["lr"]) for group in self._adamw.param_groups]

    def step(
        self, losses: Iterable[Tensor], *, lr_scale: float = 1.0, train_actor: bool = True
    ) -> float:
        """Sum the gradients of some losses and take one step.

        Args:
            losses: Scalar tensors, worked through one by one so that memory stays small.
            lr_scale: Factor on the actor's learning rate, for schedules.
            train_actor: False leaves the actor as it is and trains the value head alone.

        Returns:
            Norm of the actor's gradient before it was clipped; 0.0 if nothing had a gradient.
        """
        self._adamw.zero_grad(set_to_none=True)
        for loss in losses:
            if loss.requires_grad:
                loss.backward()  # type: ignore[no-untyped-call]
        if not train_actor:
            for parameter in self._actor:
                parameter.grad = None
        norm = torch.nn.utils.clip_grad_norm_(self._actor, self._max_grad_norm)
        torch.nn.utils.clip_grad_norm_(self._value, 1.0)
        for group, base in zip(self._adamw.param_groups[:2], self._base_lr[:2], strict=True):
            group["lr"] = base * lr_scale
        self._adamw.step()
        self._policy.mark_updated()
        return float(norm)

    def state_dict(self) -> dict[str, Any]:
        """Return AdamW's state."""
        return self._adamw.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore AdamW's state; the learning rates stay those of the settings."""
        self._adamw.load_state_dict(state)
        for group, base in zip(self._adamw.param_groups, self._base_lr, strict=True):
            group["lr"] = base


def ramp(updates: int, *, warmup: int, progress: float, final: float) -> float:
    """Return the factor on a learning rate: up over the warm-up, then down to ``final``.

    Args:
        updates: Updates taken, the present one included.
        warmup: Updates over which the factor rises to 1.
        progress: Share of the budget spent, in [0, 1]; the factor falls in a straight line.
        final: The factor at the end of the budget; 1 keeps the rate.
    """
    return min(1.0, max(0, updates) / warmup) * (1.0 - (1.0 - final) * progress)


@dataclass(frozen=True, slots=True)
class Columns:
    """A piece of a batch as tensors beside a policy's scores, all (B, T) on one device."""

    mask: Tensor
    old_log_probs: Tensor
    extra: dict[str, Tensor]

    @classmethod
    def of(cls, piece: Batch, scored: Evaluation) -> "Columns":
        """Move a piece's arrays to where the scores are."""
        device = scored.log_probs.device
        return cls(
            mask=torch.from_numpy(piece.mask).to(device),
            old_log_probs=torch.from_numpy(piece.log_probs).to(device),
            extra={name: torch.from_numpy(c).to(device) for name, c in piece.columns.items()},
        )


class Tally:
    """Adds up what every agent logs of its policy while it learns, as means over real tokens.

    ``approx_kl`` is the estimate ``r - 1 - log r`` of the divergence of the policy from the one
    that wrote the programs, ``r`` the ratio of their probabilities (Schulman's k3, never negative);
    ``clipfrac`` the share of tokens whose ratio has left ``[1 - clip_low, 1 + clip_high]``.

    Args:
        clip_low: See above.
        clip_high: See above.
    """

    def __init__(self, *, clip_low: float = 0.2, clip_high: float = 0.2) -> None:
        self._low, self._high = 1.0 - clip_low, 1.0 + clip_high
        self._sums = dict.fromkeys(("entropy", "approx_kl", "clipfrac"), 0.0)
        self._tokens = 0

    def add(self, scored: Evaluation, columns: Columns) -> None:
        """Take one piece of a batch, as it was scored before its step."""
        drift = (scored.log_probs.detach() - columns.old_log_probs)[columns.mask]
        ratio = drift.exp()
        self._sums["entropy"] += float(scored.entropy.detach()[columns.mask].sum())
        self._sums["approx_kl"] += float((ratio - 1.0 - drift).sum())
        self._sums["clipfrac"] += float(((ratio < self._low) | (ratio > self._high)).sum())
        self._tokens += len(drift)

    def means(self) -> dict[str, float]:
        """Return the metrics; none if nothing was added."""
        if not self._tokens:
            return {}
        return {name: value / self._tokens for name, value in self._sums.items()}


class Learner(Agent):
    """An agent that takes gradient steps: one optimiser, one generator, and their state.

    Args:
        policy: What it trains.
        config: Its settings.
        seed: Of the shuffling.
        optimiser: Takes its steps.
    """

    def __init__(self, policy: Policy, config: Any, *, seed: int, optimiser: Optimiser) -> None:
        self.policy = policy
        self.config = config
        self.updates = 0
        self.rng = np.random.default_rng(seed)
        self.optimiser = optimiser

    def weighted_loss(self, piece: Batch, count: int, tally: Tally | None) -> Tensor:
        """Return ``- sum_t w_t log p(a_t) / count``, where w is the batch's column ``weights``.

        Args:
            piece: Some episodes.
            count: What to divide by, usually the real tokens of the whole batch.
            tally: Is told about the piece; None where the episodes are not the policy's own.
        """
        scored = self.policy.evaluate(piece)
        columns = Columns.of(piece, scored)
        if tally is not None:
            tally.add(scored, columns)
        return policy_gradient(scored.log_probs, columns.extra["weights"], count)

    def weighted_steps(
        self, batch: Batch, *, minibatches: int, lr_scale: float
    ) -> dict[str, float]:
        """Take one step of ``weighted_loss`` per minibatch and return what is logged of them."""
        total, tally, norms = 0.0, Tally(), []
        for minibatch in batch.minibatches(minibatches, self.rng):
            count = minibatch.n_tokens
            losses = [self.weighted_loss(piece, count, tally) for piece in minibatch.pieces(32)]
            norms.append(self.optimiser.step(losses, lr_scale=lr_scale))
            total += sum(float(loss.detach()) for loss in losses) * count
        return tally.means() | {
            "loss": total / batch.n_tokens,
            "grad_norm": float(np.mean(norms)),
            "lr": self.optimiser.lr * lr_scale,
        }

    def state_dict(self) -> dict[str, Any]:
        """Return the optimiser, the counter and the shuffling generator."""
        return {
            "optimiser": self.optimiser.state_dict(),
            "updates": self.updates,
            "rng": self.rng.bit_generator.state,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what ``state_dict`` returned."""
        self.optimiser.load_state_dict(state["optimiser"])
        self.updates = state["updates"]
        self.rng.bit_generator.state = state["rng"]
