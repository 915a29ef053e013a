"""Team share: do the gradients of two processes add up to the gradient of one?"""

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import torch

from codegym.checks.symbol_world import SymbolWorld
from codegym.errors import ConformanceError
from codegym.learning.agent import Agent
from codegym.learning.team import Team

T = TypeVar("T")
_TOLERANCE = 1e-3


class _Stepped(Exception):
    """The agent takes its first step."""


class _Member(Team):
    """A member of a team whose others are imagined; it ends an update before its first step."""

    def __init__(self, rank: int, size: int) -> None:
        super().__init__()
        self.rank, self.size = rank, size
        self.gradient = torch.zeros(0)

    def sum_gradients(self, parameters: Sequence[torch.Tensor]) -> None:
        """Keep the gradients, and go no further."""
        parts = [torch.zeros_like(each) if each.grad is None else each.grad for each in parameters]
        self.gradient = torch.cat([part.detach().flatten().double() for part in parts])
        raise _Stepped

    def merge(self, own: Sequence[T]) -> list[T]:
        """Return what this member has."""
        return list(own)

    def gather(self, value: T) -> list[T]:
        """Return what this member has."""
        return [value]

    def first(self, value: T) -> T:
        """Return what this member has."""
        return value

    def sum(self, values: Mapping[str, float]) -> dict[str, float]:
        """Return what this member has."""
        return dict(values)


def check_shares(
    agent_class: type[Agent], config: Any, world: SymbolWorld, *, patience: int
) -> None:
    """Require of an agent that ``learns_in_a_team`` that shares of its first step add up.

    Args:
        agent_class: The agent.
        config: Its settings.
        world: Where its episodes come from.
        patience: Updates that it may take to fill its buffers before it learns.

    Raises:
        ConformanceError: They do not.
    """
    whole, *parts = (
        _first_gradient(agent_class, config, world, _Member(*place), patience)
        for place in ((0, 1), (0, 2), (1, 2))
    )
    norm = float(whole.norm())
    difference = float((sum(parts[1:], parts[0]) - whole).norm())
    if difference > _TOLERANCE * max(norm, 1e-12):
        raise ConformanceError(
            "an agent that learns in a team works through more than its share of a minibatch, or "
            "less",
            value=f"the shares' gradients differ from the whole by {difference:.3g}",
            expected=f"a sum equal to the gradient of one process, of norm {norm:.3g}",
            cure="take losses as sums over self.pieces(minibatch), divided by what the whole "
            "minibatch holds; or leave learns_in_a_team out",
        )


def _first_gradient(
    agent_class: type[Agent], config: Any, world: SymbolWorld, member: _Member, patience: int
) -> torch.Tensor:
    agent = agent_class(world.policy(), config, seed=5)
    agent.join(member)
    writer = world.policy()
    try:
        for number in range(patience):
            agent.update(world.experience(writer, agent.request(), number), progress=0.5)
    except _Stepped:
        return member.gradient
    raise ConformanceError(
        "an agent that learns in a team takes no step with the team's optimiser",
        value=agent_class.name,
        cure="step with the learner's optimiser, or leave learns_in_a_team out",
    )
