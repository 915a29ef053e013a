"""Composition: atoms wired output to input, as a chain or as a chain with a single fork."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any

from codegym.atoms import Atom, catalogue
from codegym.errors import ConfigError, UnknownNameError

Parameters = tuple[dict[str, Any], ...]
"""A dictionary of parameter values for each atom, in the order of ``Composition.atoms``."""


@dataclass(frozen=True, kw_only=True)
class Fork:
    """Two branches over the same value, joined by an atom of two arguments.

    Attributes:
        left: Chain that computes the first argument; empty for the value itself.
        right: Chain that computes the second argument; empty for the value itself.
        join: The atom of two arguments.
    """

    left: tuple[Atom, ...]
    right: tuple[Atom, ...]
    join: Atom

    def __str__(self) -> str:
        branches = (".".join(a.name for a in branch) or "_" for branch in (self.left, self.right))
        return f"{self.join.name}({','.join(branches)})"


@dataclass(frozen=True)
class Composition:
    """Stages applied in sequence; at most a single stage is a fork.

    The composition has two arguments if its first stage is an atom of two arguments.

    Attributes:
        stages: Atoms and forks, in the order of application.
        argument: Type that a leading fork reads; "" if the first stage is an atom.
    """

    stages: tuple[Atom | Fork, ...]
    argument: str = ""

    @cached_property
    def key(self) -> str:
        """Name of the composition: ``keep_even.total``, ``gap(largest,smallest).square``."""
        return ".".join(
            stage.name if isinstance(stage, Atom) else str(stage) for stage in self.stages
        )

    @cached_property
    def atoms(self) -> tuple[Atom, ...]:
        """Every atom, in the order of the solution's statements."""
        found: list[Atom] = []
        for stage in self.stages:
            if isinstance(stage, Fork):
                found += [*stage.left, *stage.right, stage.join]
            else:
                found.append(stage)
        return tuple(found)

    @property
    def depth(self) -> int:
        """Number of atoms."""
        return len(self.atoms)

    @property
    def arguments(self) -> tuple[str, ...]:
        """Types of the one or two arguments."""
        first = self.stages[0]
        return (self.argument,) if isinstance(first, Fork) else first.arguments

    @property
    def returns(self) -> str:
        """Type of the result."""
        last = self.stages[-1]
        return last.join.returns if isinstance(last, Fork) else last.returns

    @cached_property
    def pairs(self) -> tuple[tuple[str, str], ...]:
        """Names of every (producer, consumer) pair of atoms."""
        found: list[tuple[str, str]] = []
        last: Atom | None = None
        for stage in self.stages:
            if isinstance(stage, Fork):
                for branch in (stage.left, stage.right):
                    path = [atom for atom in (last, *branch, stage.join) if atom is not None]
                    found += [(a.name, b.name) for a, b in pairwise(path)]
                last = stage.join
            else:
                if last is not None:
                    found.append((last.name, stage.name))
                last = stage
        return tuple(dict.fromkeys(found))

    def draw(self, rng: Any) -> Parameters:
        """Draw the parameters of every atom."""
        return tuple(atom.draw(rng) if atom.parameters else {} for atom in self.atoms)

    def bind(self, parameters: Parameters, *, without: int = -1) -> Callable[..., Any]:
        """Return the composed function.

        Args:
            parameters: A dictionary for each atom.
            without: Index of an atom to leave out, or -1; the atom must return its argument type.
        """
        return _pipeline(self.stages, list(parameters), without)


def read_key(key: str, *, argument: str = "") -> Composition:
    """Build the composition of a key.

    Args:
        key: A value of ``Composition.key``.
        argument: The composition's argument type if it begins with a fork.

    Raises:
        UnknownNameError: The key names an atom that is not in the catalogue.
        ConfigError: The key is malformed.
    """
    stages: list[Atom | Fork] = []
    for match in re.finditer(r"(?:^|\.)([^.()]+)(?:\(([^()]*),([^()]*)\))?", key):
        join = _named(match[1])
        if match[2] is None:
            stages.append(join)
        else:
            left, right = (_branch(text) for text in match.group(2, 3))
            stages.append(Fork(left=left, right=right, join=join))
    composition = Composition(
        tuple(stages), argument if stages and isinstance(stages[0], Fork) else ""
    )
    if composition.key != key:
        raise ConfigError("not the key of a composition", value=key)
    return composition


def _branch(text: str) -> tuple[Atom, ...]:
    return () if text == "_" else tuple(_named(name) for name in text.split("."))


def _named(name: str) -> Atom:
    if name not in catalogue():
        raise UnknownNameError("atom", name, catalogue())
    return catalogue()[name]


def _pipeline(
    stages: Sequence[Atom | Fork], parameters: list[dict[str, Any]], without: int
) -> Callable[..., Any]:
    calls: list[tuple[Callable[..., Any], tuple[Any, ...]]] = []
    at = 0
    for stage in stages:
        if isinstance(stage, Fork):
            calls.append((_fork(stage, parameters, at, without), ()))
            at += len(stage.left) + len(stage.right) + 1
            continue
        if at != without:
            calls.append((stage.function, tuple(parameters[at].values())))
        at += 1

    def run(*values: Any) -> Any:
        for function, fixed in calls:
            values = (function(*values, *fixed),)
        return values[0]

    return run


def _fork(
    fork: Fork, parameters: list[dict[str, Any]], at: int, without: int
) -> Callable[[Any], Any]:
    middle, end = at + len(fork.left), at + len(fork.left) + len(fork.right)
    left = _pipeline(fork.left, parameters[at:middle], without - at if without >= at else -1)
    right = _pipeline(fork.right, parameters[middle:end], without - middle)
    join, fixed = fork.join.function, tuple(parameters[end].values())

    def run(value: Any) -> Any:
        return join(left(value), right(value), *fixed)

    return run
