"""Authors: who writes the programs of a rollout, here or on other machines.

A rollout is cut into calls of ``Policy.generate``, and each call's draws follow from the generator
alone: ``Policy.skip`` moves the generator past a call without writing. So calls can be written
anywhere and in any order, to the same bits.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from inspect import signature
from typing import TYPE_CHECKING, Protocol

from codegym.errors import ConfigError
from codegym.grammar import shared_mask
from codegym.policy import Constraint, Generation, Policy

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteCall:
    """One call of ``Policy.generate`` as plain values.

    Attributes:
        prompts: Ids of each prompt.
        n, budget, temperature, top_p, deterministic: As of ``Policy.generate``.
        heads: Texts with which the programs begin, where only valid Python may be written; None
            where everything may be.
    """

    prompts: Sequence[Sequence[int]]
    n: int
    budget: int
    temperature: float
    top_p: float
    deterministic: bool
    heads: Sequence[str] | None = None


def write_call(policy: Policy, call: WriteCall, rng: "torch.Generator | None") -> Generation:
    """Let a policy write the programs of a call.

    Raises:
        MissingExtraError: lark, which ``heads`` need, is not installed.
        ConfigError: The policy takes no constraint, the tokenizer lacks a character, or a head is
            not of the grammar.
        PromptTooLongError: A prompt leaves no room for a program.
    """
    constraint: dict[str, Constraint] = {}
    if call.heads is not None:
        constraint["constraint"] = _python(policy, call.heads)
    return policy.generate(
        call.prompts,
        n=call.n,
        budget=call.budget,
        temperature=call.temperature,
        top_p=call.top_p,
        deterministic=call.deterministic,
        rng=rng,
        **constraint,
    )


def skip_call(policy: Policy, call: WriteCall, rng: "torch.Generator") -> None:
    """Move a generator past a call, as ``write_call`` does.

    Raises:
        ConfigError: The policy's draws cannot be foreseen.
    """
    if not call.deterministic:
        policy.skip(rng, programs=len(call.prompts) * call.n, budget=call.budget)


def _python(policy: Policy, heads: Sequence[str]) -> Constraint:
    """Return the constraint that keeps programs valid Python."""
    if "constraint" not in signature(policy.generate).parameters:
        raise ConfigError(
            "this policy cannot be kept to a grammar",
            value=policy.name,
            expected="a generate that takes a constraint",
            cure="leave grammar out",
        )
    mask = shared_mask(policy.tokenizer)
    return Constraint(mask=mask, states=[mask.start(head) for head in heads])


class Writings(Protocol):
    """Programs of some calls, in the order of the calls; an iterator.

    Attributes:
        later: Whether the programs are written while the caller does something else.
    """

    later: bool

    def ready(self, count: int) -> bool:
        """Say whether the programs of the next so many calls are there; False after the last."""
        ...

    def __iter__(self) -> Iterator[Generation]: ...

    def __next__(self) -> Generation:
        """Return the next call's programs; wait for them."""
        ...


class Author(Protocol):
    """Writes with the weights that a policy had when the author was made."""

    def write(self, calls: Sequence[WriteCall], rng: "torch.Generator | None") -> Writings:
        """Begin to write the programs of some calls."""
        ...


class Authors(Protocol):
    """Makes authors."""

    def pin(self, policy: Policy) -> Author:
        """Return an author with a policy's present weights."""
        ...


class LocalAuthors:
    """Lets the policy itself write, when its programs are asked for."""

    def pin(self, policy: Policy) -> "LocalAuthor":
        """Return the policy as an author; its weights must not change while it writes."""
        return LocalAuthor(policy)


class LocalAuthor:
    """Writes in this process.

    Args:
        policy: Who writes.
    """

    def __init__(self, policy: Policy) -> None:
        self._policy = policy

    def write(self, calls: Sequence[WriteCall], rng: "torch.Generator | None") -> "LocalWritings":
        """Write the programs of each call when it is asked for."""
        return LocalWritings(self._policy, calls, rng)


class LocalWritings:
    """Programs that are written when they are asked for."""

    later = False

    def __init__(
        self, policy: Policy, calls: Sequence[WriteCall], rng: "torch.Generator | None"
    ) -> None:
        self._policy, self._calls, self._rng = policy, iter(calls), rng

    def ready(self, count: int) -> bool:
        """Return False: nothing is written before it is asked for."""
        return False

    def __iter__(self) -> Iterator[Generation]:
        return self

    def __next__(self) -> Generation:
        return write_call(self._policy, next(self._calls), self._rng)
