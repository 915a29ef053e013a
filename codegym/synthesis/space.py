"""Space: draws or lists the compositions of a domain without storing them."""

from bisect import bisect_right
from collections.abc import Iterator
from functools import lru_cache
from itertools import accumulate
from random import Random

from codegym.atoms import Atom, catalogue
from codegym.synthesis.composition import Composition, Fork
from codegym.synthesis.pairs import pairs_of


class Space:
    """All chains, and all chains with a single fork, over some atoms.

    Args:
        level: Highest level of the atoms; redundant pairs of this level are left out.
        atoms: Names of the allowed atoms; empty for all of the level.
        types: Allowed types of arguments, results and intermediate values; empty for all.
    """

    def __init__(
        self,
        level: int,
        *,
        atoms: frozenset[str] = frozenset(),
        types: frozenset[str] = frozenset(),
    ) -> None:
        self.atoms = tuple(
            atom
            for atom in catalogue().values()
            if atom.level <= level
            and (not atoms or atom.name in atoms)
            and (not types or {*atom.arguments, atom.returns} <= types)
        )
        allowed = {atom.name for atom in self.atoms}
        self._next = {
            name: tuple(atom for atom in following if atom.name in allowed)
            for name, following in pairs_of(level).following.items()
            if name in allowed
        }
        self._joins = tuple(atom for atom in self.atoms if len(atom.arguments) == 2)
        self._ending: dict[tuple[int, str], dict[str, list[tuple[Atom, ...]]]] = {}
        self._weights: dict[int, dict[str, list[int]]] = {}

    def count(self, depth: int) -> int:
        """Return the number of chains of a depth."""
        weights = self._cumulative("", self.atoms, depth)
        return weights[-1] if weights else 0

    def chains(self, depth: int) -> Iterator[Composition]:
        """Yield every chain of a depth."""
        for path in self._paths(self.atoms, depth):
            yield Composition(path)

    def draw_chain(self, rng: Random, depth: int) -> Composition | None:
        """Draw a chain of a depth, all equally likely; None if no chain exists."""
        path: list[Atom] = []
        choices, name = self.atoms, ""
        for left in range(depth, 0, -1):
            weights = self._cumulative(name, choices, left)
            if not weights or not weights[-1]:
                return None
            atom = choices[bisect_right(weights, int(rng.random() * weights[-1]))]
            path.append(atom)
            choices, name = self._next[atom.name], atom.name
        return Composition(tuple(path))

    def draw_fork(self, rng: Random, depth: int) -> Composition | None:
        """Draw a composition of 2 to 4 atoms with a fork; None if the draw cannot be completed.

        Args:
            rng: Source of randomness.
            depth: Number of atoms.
        """
        if not self._joins or depth < 2:
            return None
        join = rng.choice(self._joins)
        head, left, right, tail = rng.choice(_SHAPES[depth])
        first, second = join.arguments
        lefts = self._branches(left, first)
        rights = self._branches(right, second)
        common = [kind for kind in lefts if kind in rights]
        if not common:
            return None
        kind = rng.choice(common)
        chosen_left, chosen_right = rng.choice(lefts[kind]), rng.choice(rights[kind])
        if chosen_left == chosen_right:
            return None
        stages: list[Atom | Fork] = [Fork(left=chosen_left, right=chosen_right, join=join)]
        if head:
            before = [
                atom
                for atom in self.atoms
                if atom.arguments == (kind,)
                and atom.returns == kind
                and all(path[0] in self._next[atom.name] for path in (chosen_left, chosen_right))
            ]
            if not before:
                return None
            stages.insert(0, rng.choice(before))
        if tail:
            after = self._next[join.name]
            if not after:
                return None
            stages.append(rng.choice(after))
        return Composition(tuple(stages), "" if head else kind)

    def _branches(self, length: int, returns: str) -> dict[str, list[tuple[Atom, ...]]]:
        """Return chains of a single argument that return a type, grouped by argument type."""
        if (length, returns) not in self._ending:
            found: dict[str, list[tuple[Atom, ...]]] = {} if length else {returns: [()]}
            starts = tuple(atom for atom in self.atoms if len(atom.arguments) == 1)
            for path in self._paths(starts, length) if length else ():
                if path[-1].returns == returns:
                    found.setdefault(path[0].arguments[0], []).append(path)
            self._ending[length, returns] = found
        return self._ending[length, returns]

    def _paths(self, starts: tuple[Atom, ...], depth: int) -> Iterator[tuple[Atom, ...]]:
        for atom in starts:
            if depth == 1:
                yield (atom,)
            else:
                for rest in self._paths(self._next[atom.name], depth - 1):
                    yield (atom, *rest)

    def _cumulative(self, name: str, choices: tuple[Atom, ...], depth: int) -> list[int]:
        rows = self._weights.setdefault(depth, {})
        if name not in rows:
            rows[name] = list(accumulate(self._chains_from(atom.name, depth) for atom in choices))
        return rows[name]

    def _chains_from(self, name: str, depth: int) -> int:
        if depth == 1:
            return 1
        weights = self._cumulative(name, self._next[name], depth - 1)
        return weights[-1] if weights else 0


# Total number of atoms -> atoms before the fork, in its left branch, in its right, and after it.
_SHAPES = {
    2: ((0, 1, 0, 0), (0, 0, 1, 0)),
    3: ((0, 1, 1, 0), (0, 1, 0, 1), (0, 0, 1, 1)),
    4: ((0, 1, 1, 1), (1, 1, 1, 0), (0, 2, 1, 0), (0, 1, 2, 0)),
}


@lru_cache(maxsize=16)
def space_of(level: int, atoms: frozenset[str], types: frozenset[str]) -> Space:
    """Return the cached space of a level, an atom filter and a type filter."""
    return Space(level, atoms=atoms, types=types)
