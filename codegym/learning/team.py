"""Team: processes that train one policy together.

Every member holds the same weights and runs the same code on the same episodes. Of each minibatch
a member works through its share, gradients are added up over the team, and each member takes the
same optimiser step. What an agent computes from whole batches needs no care: it is equal in all.

Sums are taken in a fixed order, so that a team of a given size gives the same numbers every time.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np
import torch
import torch.distributed as dist

from codegym.errors import ConfigError
from codegym.trajectory import Batch

T = TypeVar("T")


class Team:
    """The processes of torch's default process group, or this process alone.

    Args:
        rank: Number of this process; 0 leads, and alone writes files.
        size: Number of processes; above 1, ``torch.distributed`` is initialised.

    Raises:
        ConfigError: There is no process group of this size.
    """

    def __init__(self, rank: int = 0, size: int = 1) -> None:
        there = dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1
        if size != 1 and (size != there or not 0 <= rank < size):
            raise ConfigError(
                "a team needs torch.distributed's process group",
                value=f"rank {rank} of {size}",
                expected=f"a rank of the group's {there} processes",
                cure="codegym train --processes N starts them",
            )
        self.rank, self.size = rank, size

    @property
    def leads(self) -> bool:
        """Whether this is the process that writes files and decides when to stop."""
        return self.rank == 0

    def pieces(self, batch: Batch, rows: int, *, by_prompt: bool = False) -> Iterator[Batch]:
        """Yield this member's share of a batch, in pieces of at most ``rows`` episodes.

        The shares are disjoint, hold every episode, and are about equally long; a member can have
        nothing to do.

        Args:
            batch: The episodes.
            rows: Most episodes of a piece.
            by_prompt: Keep episodes of the same prompt together, for policies that read it once.
        """
        if self.size == 1:
            yield from batch.pieces(rows, by_prompt=by_prompt)
            return
        order = np.argsort(batch.lengths + batch.prompt_lengths, kind="stable")
        own = order[self.rank :: self.size]
        numbers = batch.prompt_numbers()
        prompts = np.unique(numbers[order])
        if by_prompt and len(prompts) >= self.size:
            own = order[np.isin(numbers[order], prompts[self.rank :: self.size])]
        if len(own):
            yield from batch.select(own).pieces(rows, by_prompt=by_prompt)

    def seed(self, seed: int) -> int:
        """Return this member's seed: the given one where it is alone."""
        if self.size == 1:
            return seed
        return int(np.random.SeedSequence([seed, self.rank]).generate_state(1, np.uint64)[0] >> 2)

    def share(self, items: Sequence[T]) -> list[T]:
        """Return this member's share of some items; ``merge`` undoes the division."""
        return list(items[self.rank :: self.size])

    def merge(self, own: Sequence[T]) -> list[T]:
        """Return everybody's items in the order that ``share`` divided."""
        if self.size == 1:
            return list(own)
        shares = self.gather(own)
        return [
            shares[number % self.size][number // self.size]
            for number in range(sum(map(len, shares)))
        ]

    def sum_gradients(self, parameters: Sequence[torch.Tensor]) -> None:
        """Replace each gradient by the sum over the team; without one anywhere it stays None."""
        if self.size == 1:
            return
        for group in _alike(parameters):
            flat = torch.cat([_flat_gradient(parameter) for parameter in group])
            found = flat.new_tensor([parameter.grad is not None for parameter in group])
            flat = torch.cat((flat, found))
            dist.all_reduce(flat)
            start = 0
            for parameter, anywhere in zip(group, flat[-len(group) :].tolist(), strict=True):
                part = flat[start : start + parameter.numel()]
                parameter.grad = part.view_as(parameter) if anywhere else None
                start += parameter.numel()

    def sum(self, values: Mapping[str, float]) -> dict[str, float]:
        """Return the sums over the team; a member may lack a name."""
        if self.size == 1:
            return dict(values)
        every = self.gather(dict(values))
        names = dict.fromkeys(name for row in every for name in row)
        return {name: sum(row.get(name, 0.0) for row in every) for name in names}

    def gather(self, value: T) -> list[T]:
        """Return everybody's value, in the order of the ranks."""
        if self.size == 1:
            return [value]
        every: list[Any] = [None] * self.size
        dist.all_gather_object(every, value)
        return every

    def first(self, value: T) -> T:
        """Return the leader's value."""
        if self.size == 1:
            return value
        holder: list[T] = [value]
        dist.broadcast_object_list(holder, src=0)
        return holder[0]


def _alike(parameters: Sequence[torch.Tensor]) -> Iterator[list[torch.Tensor]]:
    """Yield the parameters that one buffer can hold, in their order."""
    groups: dict[tuple[torch.dtype, torch.device], list[torch.Tensor]] = {}
    for parameter in parameters:
        groups.setdefault((parameter.dtype, parameter.device), []).append(parameter)
    yield from groups.values()


def _flat_gradient(parameter: torch.Tensor) -> torch.Tensor:
    gradient = parameter.grad
    return torch.zeros_like(parameter).flatten() if gradient is None else gradient.flatten()
