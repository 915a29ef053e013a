"""OutcomeCritic: predicts the outcome of a program, token by token.

It reads the hidden states of the policy that wrote the programs it learnt from, and keeps that
policy's weights: the hidden states of a policy that has learnt since are different.
Source: CodeRL, Le et al. 2022 (2207.01780), section 3.2.2; the head is that of its published code.
"""

import copy
from collections.abc import Mapping, Sequence
from typing import Any, Self

import torch
from torch import nn

from codegym.grading.verdict import Outcome
from codegym.policy import Policy
from codegym.rewards.coderl import coarse_outcome
from codegym.trajectory import Batch, Episode

CLASSES = (Outcome.PASSED, Outcome.FAILED, Outcome.RUNTIME_ERROR, Outcome.SYNTAX_ERROR)


def outcome_class(outcome: Outcome) -> int:
    """Return the number of an outcome's class in ``CLASSES``."""
    return CLASSES.index(coarse_outcome(outcome))


class OutcomeHead(nn.Module):
    """Hidden states (..., d) -> logits (..., 4) of the outcome classes."""

    def __init__(self, d_model: int, hidden: int, *, seed: int) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.layers = nn.Sequential(
                nn.Linear(d_model, hidden), nn.ReLU(), nn.Linear(hidden, len(CLASSES))
            )

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        """Return the logits at each token."""
        logits: torch.Tensor = self.layers(hidden)
        return logits


class OutcomeCritic:
    """A head on the hidden states of a frozen policy.

    Args:
        policy: The policy whose hidden states it reads; a copy of its present weights is kept.
        hidden: Width of the head's hidden layer.
        seed: Seed of the head's first weights.
    """

    def __init__(self, policy: Policy, *, hidden: int, seed: int) -> None:
        self._reader = copy.deepcopy(policy)
        self._reader.module.requires_grad_(False)
        self._width, self._seed = hidden, seed
        self.head: OutcomeHead | None = None

    def logits(self, episodes: Sequence[Episode]) -> tuple[torch.Tensor, torch.Tensor]:
        """Return (B, T, 4) logits with gradients in the head, and the (B, T) mask."""
        batch = Batch.from_trajectories(episodes, pad_id=self._reader.tokenizer.pad_id)
        with torch.no_grad():
            hidden = self._reader.evaluate(batch).hidden.float()
        if self.head is None:
            self.head = OutcomeHead(hidden.shape[-1], self._width, seed=self._seed)
            self.head.to(hidden.device)
        return self.head(hidden), torch.from_numpy(batch.mask).to(hidden.device)

    @torch.no_grad()
    def shares(self, episodes: Sequence[Episode]) -> torch.Tensor:
        """Return (B, T, 4) probabilities of the outcome classes at each token, on the CPU."""
        return self.logits(episodes)[0].softmax(dim=-1).cpu()

    def state_dict(self) -> dict[str, Any]:
        """Return the head and the weights of the policy it reads."""
        return {
            "width": self._width,
            "seed": self._seed,
            "head": None if self.head is None else self.head.state_dict(),
            "reader": self._reader.module.state_dict(),
        }

    @classmethod
    def from_state(cls, state: Mapping[str, Any], policy: Policy) -> Self:
        """Make a critic from what ``state_dict`` returned.

        Args:
            state: See ``state_dict``.
            policy: A policy of the same shape; its weights do not matter.
        """
        critic = cls(policy, hidden=state["width"], seed=state["seed"])
        critic._reader.module.load_state_dict(state["reader"])
        critic._reader.mark_updated()
        if state["head"] is not None:
            d_model = state["head"]["layers.0.weight"].shape[1]
            critic.head = OutcomeHead(d_model, state["width"], seed=state["seed"])
            critic.head.load_state_dict(state["head"])
            critic.head.to(critic._reader.value_parameters()[0].device)
        return critic
