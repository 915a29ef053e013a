"""Splits: assigns each composition to a data set, by its key alone.

ATOMS (Atom_base) holds single atoms. A composition with a held-out pair, or deeper than the domain
trains on, is in C (test). Of the other compositions, a tenth of the sets of atoms go to B with all
their orders, as new compositions of seen atoms; the rest are in A (train). The split is a function
of the key, so the four sets are disjoint; ``assert_disjoint`` checks this on keys that were drawn.

Source: Chen et al., arXiv 2406.10305 (names of the sets, apart by construction); the rule is ours.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from codegym.atoms import Atom
from codegym.errors import ConfigError, ConformanceError, UnknownNameError
from codegym.synthesis.composition import Composition
from codegym.synthesis.pairs import fraction, is_held_out, pair_class

_FEW_CHOICES = 4


class Split(StrEnum):
    """The four disjoint sets of compositions."""

    ATOMS = "atoms"
    A = "a"
    B = "b"
    C = "c"


@dataclass(frozen=True, slots=True, kw_only=True)
class Domain:
    """A set of atoms and the depth of its training compositions.

    Attributes:
        level: Highest level of the domain's atoms.
        train_depth: Largest number of atoms in a training composition.
    """

    level: int
    train_depth: int


DOMAINS: Mapping[str, Domain] = {
    "small": Domain(level=1, train_depth=2),
    "big": Domain(level=2, train_depth=3),
    "all": Domain(level=3, train_depth=3),
}
"""small: 34 atoms on list[int] and int; big: 59 with str and list[str]; all: 100."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitRule:
    """Rule that assigns compositions to splits.

    Attributes:
        train_depth: Deepest composition of A and B.
        pair_share: Share of adjacent pairs of atoms that only C may hold.
        key_share: Share of the remaining keys that belong to B instead of A.
        seed: Seed of the held-out pairs and keys, independent of the seed of the tasks.
    """

    train_depth: int
    pair_share: float = 0.2
    key_share: float = 0.1
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("pair_share", "key_share"):
            if not 0 <= getattr(self, name) < 1:
                raise ConfigError(
                    f"{name} is not a share", value=getattr(self, name), expected="in [0, 1)"
                )

    def split_of(self, composition: Composition) -> Split:
        """Return the split of a composition."""
        if composition.depth == 1:
            return Split.ATOMS
        if composition.depth > self.train_depth or any(
            is_held_out(pair, share=self.pair_share, seed=self.seed) for pair in composition.pairs
        ):
            return Split.C
        names = [atom.name for atom in composition.atoms]
        if composition.depth == 2:
            names = list(pair_class((names[0], names[1])))
        drawn = fraction(f"key/{self.seed}/{'.'.join(sorted(names))}")
        return Split.B if drawn < self.key_share else Split.A


def has_held_out_parameters(atom: Atom) -> bool:
    """Return whether training leaves out some parameters of an atom.

    Training uses all parameters of an atom with fewer than four choices.
    """
    return math.prod(len(values) for values in atom.parameters.values()) >= _FEW_CHOICES


def are_held_out(atom: Atom, values: Mapping[str, object], rule: SplitRule) -> bool:
    """Return whether training never uses a single atom with these parameters."""
    drawn = fraction(f"parameters/{rule.seed}/{atom.name}/{sorted(values.items())}")
    return has_held_out_parameters(atom) and drawn < rule.pair_share


def domain_named(name: str) -> Domain:
    """Return the domain of a name.

    Raises:
        UnknownNameError: The domain is unknown; the error holds the nearest known name.
    """
    if name not in DOMAINS:
        raise UnknownNameError("domain", name, DOMAINS)
    return DOMAINS[name]


def assert_disjoint(keys: Mapping[Split, Iterable[str]]) -> None:
    """Check that no composition key belongs to two sets.

    Raises:
        ConformanceError: Two sets share a key.
    """
    owner: dict[str, Split] = {}
    for split, members in keys.items():
        for key in members:
            if owner.setdefault(key, split) is not split:
                raise ConformanceError(
                    f"a composition belongs to {owner[key].name} and to {split.name}", value=key
                )
