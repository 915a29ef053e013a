"""Optimiser: AdamW over a policy's weights; Learner: the base class of agents with gradients."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from codegym.errors import ConfigError
from codegym.learning.agent import Agent
from codegym.learning.team import Team
from codegym.policy import Evaluation, Policy
from codegym.trajectory import Batch


class Optimiser:
    """AdamW over a policy's weights, the value head in a group with its learning rate.

    Gradients add up over calls of ``add`` until ``step`` applies them, so that a minibatch can be
    worked through in pieces while only one piece's activations are in memory.

    Args:
        policy: The policy to train.
        lr: Learning rate of the actor.
        value_lr: Learning rate of the value head.
        betas: AdamW's decay rates of the two moments.
        weight_decay: AdamW's weight decay, on the actor's matrices only.
        max_grad_norm: The actor's gradient is scaled down to this norm, the value head's to 1.

    Raises:
        ConfigError: A weight to train is not in float32.

    Attributes:
        lr: Learning rate of the actor, before any schedule.
        team: Processes whose gradients each step adds up; this one alone at first.
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
        self.team = Team()
        head = {id(parameter) for parameter in policy.value_parameters()}
        trained = [p for p in policy.module.parameters() if p.requires_grad]
        for parameter in trained:
            if parameter.dtype is not torch.float32:
                raise ConfigError(
                    "weights of few bits lose the small steps of learning",
                    value=str(parameter.dtype).removeprefix("torch."),
                    expected="trained weights in float32",
                    cure="train adapters, which stay in float32: hf:NAME?lora=8&dtype=bfloat16",
                )
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
        # Gradients that earlier training left behind belong to no step of this optimiser.
        self._adamw.zero_grad(set_to_none=True)

    def add(self, loss: Tensor) -> None:
        """Add the gradient of a scalar loss; a loss without a gradient adds nothing."""
        if loss.requires_grad:
            loss.backward()  # type: ignore[no-untyped-call]

    def step(self, *, lr_scale: float = 1.0, train_actor: bool = True) -> float:
        """Apply the gradients that were added, and forget them.

        Args:
            lr_scale: Factor on the actor's learning rate, for schedules.
            train_actor: False leaves the actor unchanged and trains the value head alone.

        Returns:
            Norm of the actor's gradient before it was clipped; 0.0 if nothing had a gradient.
        """
        if not train_actor:
            for parameter in self._actor:
                parameter.grad = None
        self.team.sum_gradients([*self._actor, *self._value])
        norm = torch.nn.utils.clip_grad_norm_(self._actor, self._max_grad_norm)
        torch.nn.utils.clip_grad_norm_(self._value, 1.0)
        for group, base in zip(self._adamw.param_groups[:2], self._base_lr[:2], strict=True):
            group["lr"] = base * lr_scale
        self._adamw.step()
        self._adamw.zero_grad(set_to_none=True)
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
        updates: Number of updates, the present one included.
        warmup: Updates over which the factor rises to 1; 0 begins with 1.
        progress: Share of the budget spent, in [0, 1]; the factor falls in a straight line.
        final: The factor at the end of the budget; 1 keeps the rate.
    """
    return min(1.0, max(0, updates) / max(warmup, 1)) * (1.0 - (1.0 - final) * progress)


@dataclass(frozen=True, slots=True)
class Columns:
    """The arrays of a piece of a batch as tensors on the device of its scores.

    Attributes:
        mask: (B, T) bool.
        old_log_probs: (B, T), under the distributions the actions were drawn from.
        old_values: (B, T), the critic's estimates when the programs were written.
        temperatures: (B, 1), sampling temperature of each row.
        extra: (B, T) each, the batch's further columns by name.
    """

    mask: Tensor
    old_log_probs: Tensor
    old_values: Tensor
    temperatures: Tensor
    extra: dict[str, Tensor]

    def __getitem__(self, name: str) -> Tensor:
        return self.extra[name]

    @classmethod
    def of(cls, piece: Batch, scored: Evaluation) -> "Columns":
        """Copy a piece's arrays to the device of its scores."""
        device = scored.log_probs.device
        return cls(
            mask=torch.from_numpy(piece.mask).to(device),
            old_log_probs=torch.from_numpy(piece.log_probs).to(device),
            old_values=torch.from_numpy(piece.values).to(device),
            temperatures=torch.from_numpy(piece.temperatures).to(device)[:, None],
            extra={name: torch.from_numpy(c).to(device) for name, c in piece.columns.items()},
        )


class Tally:
    """Metrics of the policy while it learns, as means over the policy's actions.

    ``approx_kl`` is the estimate ``r - 1 - log r`` of the divergence of the policy from the policy
    that wrote the programs, ``r`` the ratio of their probabilities (Schulman's k3, never negative);
    ``clipfrac`` is the share of actions whose ratio is outside ``[1 - clip_low, 1 + clip_high]``.
    Both compare two distributions at one temperature: programs scored at another temperature than
    they were sampled at count for the entropy alone.

    Args:
        team: Processes whose pieces are counted together; this one alone by default.
        clip_low: See above.
        clip_high: See above.
    """

    def __init__(
        self, team: Team | None = None, *, clip_low: float = 0.2, clip_high: float = 0.2
    ) -> None:
        self._team = team or Team()
        self._losses: dict[str, float] = {}
        self._low, self._high = 1.0 - clip_low, 1.0 + clip_high
        self._sums = dict.fromkeys(("entropy", "approx_kl", "clipfrac"), 0.0)
        self._tokens = self._compared = 0

    def add(
        self, scored: Evaluation, columns: Columns, *, temperature: float | None = None
    ) -> None:
        """Count the actions of a piece of a batch, with its scores before the step.

        Args:
            scored: The scores.
            columns: The piece.
            temperature: What it was scored at; None where each row was scored at the temperature
                it was sampled at.
        """
        mask = columns.mask
        same = mask if temperature is None else mask & (columns.temperatures == temperature)
        drift = (scored.log_probs.detach() - columns.old_log_probs)[same]
        ratio = drift.exp()
        self._sums["entropy"] += float(scored.entropy.detach()[mask].sum())
        self._sums["approx_kl"] += float((ratio - 1.0 - drift).sum())
        self._sums["clipfrac"] += float(((ratio < self._low) | (ratio > self._high)).sum())
        self._tokens += int(mask.sum())
        self._compared += len(drift)

    def add_losses(self, **losses: float) -> None:
        """Add a piece's part to each of some losses."""
        for name, loss in losses.items():
            self._losses[name] = self._losses.get(name, 0.0) + loss

    def losses(self) -> dict[str, float]:
        """Return the sum of each loss over all pieces; without those that had no piece."""
        return self._team.sum(self._losses)

    def means(self) -> dict[str, float]:
        """Return the metrics; without those that nothing was counted for."""
        counts = {"tokens": float(self._tokens), "compared": float(self._compared)}
        sums = self._team.sum(self._sums | counts)
        per = {"entropy": "tokens", "approx_kl": "compared", "clipfrac": "compared"}
        return {name: sums[name] / sums[count] for name, count in per.items() if sums[count]}


class Learner(Agent):
    """An agent with an optimiser, a generator for shuffling, and their state.

    Args:
        policy: The policy to train.
        config: Its settings.
        seed: Seed of the shuffling.
        optimiser: The optimiser of the policy's weights.

    Attributes:
        team: Processes that train the policy together; this one alone at first.
    """

    # Episodes that are worked through at a time; more need more memory and are no faster.
    rows_at_once: ClassVar[int] = 32

    def __init__(self, policy: Policy, config: Any, *, seed: int, optimiser: Optimiser) -> None:
        self.policy = policy
        self.config = config
        self.updates = 0
        self.rng = np.random.default_rng(seed)
        self.optimiser = optimiser
        self.team = Team()

    def join(self, team: Team) -> None:
        """Learn together with other processes, which hold the same weights."""
        self.team = self.optimiser.team = team

    def pieces(self, minibatch: Batch) -> Iterator[Batch]:
        """Yield the pieces of a minibatch that this process works through.

        A loss is a sum over the pieces, divided by what the whole minibatch holds: then its
        gradient is the minibatch's, however many processes share it.
        """
        return self.team.pieces(minibatch, self.rows_at_once, by_prompt=self.policy.shares_prompts)

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
