"""Splits: which data set a composition belongs to, decided by its key alone.

ATOMS (Atom_base) holds single atoms. A composition whose depth the domain trains on, and which
holds no held-out pair, is in A (train), but for every tenth set of atoms, all of whose orders are
in B: a new composition of seen atoms. A composition with a held-out pair, or deeper than the
domain trains on, is in C. Since the answer is a function of the key, the four are disjoint;
``assert_disjoint`` checks it on keys that were really drawn.

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
    """One of the four disjoint sets of compositions."""

    ATOMS = "atoms"
    A = "a"
    B = "b"
    C = "c"


@dataclass(frozen=True, slots=True, kw_only=True)
class Domain:
    """A set of atoms and how deep training goes on it.

    Attributes:
        level: Atoms up to this level belong to it.
        train_depth: Compositions of more atoms are never trained on.
    """

    level: int
    train_depth: int


DOMAINS: Mapping[str, Domain] = {
    "small": Domain(level=1, train_depth=2),
    "big": Domain(level=2, train_depth=3),
    "all": Domain(level=3, train_depth=3),
}
"""small: 34 atoms on list[int] and int; big: 59 with str and list[str]; all: the 100."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitRule:
    """How the sets are told apart.

    Attributes:
        train_depth: Deepest composition of A and B.
        pair_share: Share of adjacent pairs of atoms that only C may hold.
        key_share: Share of the other keys that B takes from A.
        seed: Another seed holds out other pairs and keys; not the seed of the tasks.
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
        """Return the one set that a composition belongs to."""
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
    """Tell whether some parameters of an atom are kept away from training.

    An atom with fewer than four choices of parameters is always trained on in full.
    """
    return math.prod(len(values) for values in atom.parameters.values()) >= _FEW_CHOICES


def are_held_out(atom: Atom, values: Mapping[str, object], rule: SplitRule) -> bool:
    """Tell whether an atom, alone, is never trained on with these parameters."""
    drawn = fraction(f"parameters/{rule.seed}/{atom.name}/{sorted(values.items())}")
    return has_held_out_parameters(atom) and drawn < rule.pair_share


def domain_named(name: str) -> Domain:
    """Return a domain.

    Raises:
        UnknownNameError: No such domain; names the nearest.
    """
    if name not in DOMAINS:
        raise UnknownNameError("domain", name, DOMAINS)
    return DOMAINS[name]


def assert_disjoint(keys: Mapping[Split, Iterable[str]]) -> None:
    """Check that no composition key stands in two sets.

    Raises:
        ConformanceError: Two sets share a key.
    """
    owner: dict[str, Split] = {}
    for split, members in keys.items():
        for key in members:
            if owner.setdefault(key, split) is not split:
                raise ConformanceError(
                    f"one composition stands in {owner[key].name} and in {split.name}", value=key
                )
