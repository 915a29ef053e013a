"""Pairs: which atom may follow which, and which pairs no training composition may hold.

A pair is redundant when the two atoms together do nothing, always give the same result, or do what
one atom of the domain does alone; no composition holds a redundant pair. Pairs that behave alike
are held out together. Behaviour is what atoms return on fixed probes, for several parameters.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import permutations
from random import Random
from typing import Any

from codegym.atoms import Atom, catalogue
from codegym.atoms.inputs import BOUNDARIES, sample

PROBES = 16
Pair = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Pairs:
    """What may follow what, among the atoms up to one level.

    Attributes:
        following: Name of each atom -> the atoms of one argument that may follow it.
        classes: Each pair in ``following`` -> the first pair that behaves like it.
    """

    following: Mapping[str, tuple[Atom, ...]]
    classes: Mapping[Pair, Pair]


@lru_cache(maxsize=4)
def pairs_of(level: int) -> Pairs:
    """Find the pairs that are not redundant, and those that behave alike.

    Args:
        level: 1, 2 or 3, see ``Atom``.
    """
    atoms = [atom for atom in catalogue().values() if atom.level <= level]
    alone = {print_ for atom in atoms for print_ in fingerprints(atom)}
    following: dict[str, list[Atom]] = {atom.name: [] for atom in atoms}
    first_of: dict[frozenset[Any], Pair] = {}
    classes: dict[Pair, Pair] = {}
    candidates = [
        (max(first.level, second.level), first, second)
        for first in atoms
        for second in atoms
        if second.arguments == (first.returns,)
    ]
    # Lower levels first, so that a pair is in the same class in every domain that holds it.
    for _, first, second in sorted(candidates, key=lambda row: row[0]):
        prints = frozenset(_pair_prints(first, second))
        if prints - {None} <= alone:
            continue
        pair = (first.name, second.name)
        classes[pair] = first_of.setdefault(prints, pair)
        following[first.name].append(second)
    return Pairs({name: tuple(found) for name, found in following.items()}, classes)


def fingerprints(atom: Atom) -> Iterator[tuple[Any, ...]]:
    """Yield what an atom returns on the probes, for each value of its parameters."""
    for values in _all_values(atom):
        yield _print(atom.arguments, _apply(atom, probes(atom.arguments), values))


@lru_cache(maxsize=64)
def probes(types: tuple[str, ...]) -> tuple[tuple[Any, ...], ...]:
    """Return fixed arguments of some types: every boundary value, then random ones."""
    rng = Random("probes/" + ",".join(types))
    edges = [BOUNDARIES[kind] for kind in types]
    fixed = [tuple(rng.choice(edge) for edge in edges) for _ in range(PROBES // 4)]
    return (*fixed, *sample(types, rng, n=PROBES - len(fixed)))


@lru_cache(maxsize=100_000)
def is_held_out(pair: Pair, *, share: float, seed: int) -> bool:
    """Tell whether a pair is kept away from training.

    Pairs that behave alike, such as a filter before and after a reversal, go the same way. The
    answer is the same in every domain.

    Args:
        pair: Names of the producer and of the consumer.
        share: Share of pairs to hold out, in [0, 1].
        seed: Another seed holds out other pairs.
    """
    return fraction(f"pair/{seed}/{'.'.join(pair_class(pair))}") < share


def pair_class(pair: Pair) -> Pair:
    """Return the first pair that behaves like this one, itself for a pair into a join."""
    atoms = catalogue()
    return pairs_of(max(atoms[name].level for name in pair)).classes.get(pair, pair)


@lru_cache(maxsize=100_000)
def fraction(text: str) -> float:
    """Return a number in [0, 1) that depends on a text alone, evenly spread."""
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=6).digest()) / (1 << 48)


def _all_values(atom: Atom) -> list[tuple[Any, ...]]:
    rows: list[tuple[Any, ...]] = [()]
    for values in atom.parameters.values():
        rows = [(*row, value) for row in rows for value in values]
    return rows


def _pair_prints(first: Atom, second: Atom) -> Iterator[tuple[Any, ...] | None]:
    """Yield the pair's outputs for up to six choices of parameters; None for an unusable one."""
    inputs = probes(first.arguments)
    left, right = _all_values(first), _all_values(second)
    choices = {
        (left[i * (len(left) - 1) // 2], right[j * (len(right) - 1) // 2])
        for i, j in permutations(range(3), 2)
    }
    for mine, its in sorted(choices):
        middle = _apply(first, inputs, mine)
        outputs = _apply(second, [(value,) for value in middle], its)
        texts = [repr(value) for value in outputs]
        same = len(first.arguments) == 1 and texts == [repr(value) for (value,) in inputs]
        yield None if same or len(set(texts)) == 1 else (first.arguments, *texts)


def _apply(atom: Atom, rows: Sequence[tuple[Any, ...]], values: tuple[Any, ...]) -> list[Any]:
    return [atom.function(*row, *values) for row in rows]


def _print(types: tuple[str, ...], outputs: list[Any]) -> tuple[Any, ...]:
    return (types, *(repr(value) for value in outputs))
