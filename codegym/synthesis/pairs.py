"""Pairs: which atom may follow which, and which pairs training compositions must not hold.

A pair is redundant if the two atoms together do nothing, always give the same result, or do the
same as a single atom of the domain; no composition holds a redundant pair. Pairs with equal
behaviour are held out together. Behaviour means the outputs of atoms on fixed probes, for several
parameters.
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
    """Allowed successions among the atoms up to a level.

    Attributes:
        following: Name of each atom -> the atoms of one argument that may follow it.
        classes: Each pair in ``following`` -> the first pair with the same behaviour.
    """

    following: Mapping[str, tuple[Atom, ...]]
    classes: Mapping[Pair, Pair]


@lru_cache(maxsize=4)
def pairs_of(level: int) -> Pairs:
    """Find the pairs that are not redundant, and group pairs with equal behaviour.

    Args:
        level: 1, 2 or 3; see ``Atom``.
    """
    atoms = [atom for atom in catalogue().values() if atom.level <= level]
    alone = {fingerprint for atom in atoms for fingerprint in fingerprints(atom)}
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
        outputs = frozenset(_pair_fingerprints(first, second))
        if outputs - {None} <= alone:
            continue
        pair = (first.name, second.name)
        classes[pair] = first_of.setdefault(outputs, pair)
        following[first.name].append(second)
    return Pairs({name: tuple(found) for name, found in following.items()}, classes)


def fingerprints(atom: Atom) -> Iterator[tuple[Any, ...]]:
    """Yield the outputs of an atom on the probes, for each choice of its parameters."""
    for values in _all_values(atom):
        yield _fingerprint(atom.arguments, _apply(atom, probes(atom.arguments), values))


@lru_cache(maxsize=64)
def probes(types: tuple[str, ...]) -> tuple[tuple[Any, ...], ...]:
    """Return fixed arguments of some types: drawn boundary values, then random values."""
    rng = Random("probes/" + ",".join(types))
    edges = [BOUNDARIES[kind] for kind in types]
    fixed = [tuple(rng.choice(edge) for edge in edges) for _ in range(PROBES // 4)]
    return (*fixed, *sample(types, rng, n=PROBES - len(fixed)))


@lru_cache(maxsize=100_000)
def is_held_out(pair: Pair, *, share: float, seed: int) -> bool:
    """Return whether training never uses a pair.

    Pairs with equal behaviour, such as a filter before and after a reversal, get the same answer.
    The answer is the same in every domain.

    Args:
        pair: Names of the producer and of the consumer.
        share: Share of pairs to hold out, in [0, 1].
        seed: Another seed holds out other pairs.
    """
    return fraction(f"pair/{seed}/{'.'.join(pair_class(pair))}") < share


def pair_class(pair: Pair) -> Pair:
    """Return the first pair with the same behaviour; a pair that ends in a join is its own."""
    atoms = catalogue()
    return pairs_of(max(atoms[name].level for name in pair)).classes.get(pair, pair)


@lru_cache(maxsize=100_000)
def fraction(text: str) -> float:
    """Return a hash of a text as a number in [0, 1), evenly spread."""
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=6).digest()) / (1 << 48)


def _all_values(atom: Atom) -> list[tuple[Any, ...]]:
    rows: list[tuple[Any, ...]] = [()]
    for values in atom.parameters.values():
        rows = [(*row, value) for row in rows for value in values]
    return rows


def _pair_fingerprints(first: Atom, second: Atom) -> Iterator[tuple[Any, ...] | None]:
    """Yield a pair's outputs for up to six parameter choices; None if they show no effect."""
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


def _fingerprint(types: tuple[str, ...], outputs: list[Any]) -> tuple[Any, ...]:
    return (types, *(repr(value) for value in outputs))
