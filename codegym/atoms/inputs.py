"""Inputs: test arguments, random and boundary values of each type."""

from collections.abc import Callable, Mapping, Sequence
from random import Random
from typing import Any

from codegym.atoms.atom import Atom

VOCABULARY = (
    "Apple sky Tree moon ox River a Cloud STAR bee Ink unit Eve dog level noon Otto b2 day 7up"
).split()
"""Words of sampled texts: mixed case, vowels, single letters, palindromes, digits."""

BOUNDARIES: Mapping[str, Sequence[Any]] = {
    "int": (0, 1, -1, 9, 10, -10, 99, 100, 255),
    "float": (0.0, 1.0, -1.0, 0.5, -0.5, 2.5, 10.0, 0.25),
    "str": ("", "a", "B", " ", "aeiou", "XYZ", "noon", "a a a"),
    "bool": (False, True),
    "list[int]": ([], [0], [1], [-1], [5, 5, 5], [1, 2, 3, 4], [4, 3, 2, 1], [0, 0, 7]),
    "list[float]": ([], [0.0], [1.5], [-0.5, 0.5], [2.0, 2.0, 2.0]),
    "list[str]": ([], [""], ["a"], ["ox", "ox", "ox"], ["b", "a"], ["bee", "a", "ox"]),
    "dict[str, int]": ({}, {"a": 0}, {"ox": 1, "bee": 1}, {"sky": -1, "dog": 10}),
}
"""Type -> boundary values: empty, single item, zero, repeated, already sorted, sign changes."""


def _int(rng: Random) -> int:
    return int(rng.random() * 401) - 200


def _float(rng: Random) -> float:
    return (int(rng.random() * 801) - 400) / 8


def _str(rng: Random) -> str:
    return " ".join(rng.choices(VOCABULARY, k=1 + int(rng.random() * 4)))


def _bool(rng: Random) -> bool:
    return rng.random() < 0.5


def _ints(rng: Random) -> list[int]:
    random = rng.random
    return [int(random() * 28) - 12 for _ in range(_LENGTHS[int(random() * len(_LENGTHS))])]


def _floats(rng: Random) -> list[float]:
    random = rng.random
    return [(int(random() * 161) - 80) / 8 for _ in range(int(random() * 7))]


def _words(rng: Random) -> list[str]:
    return rng.choices(VOCABULARY, k=int(rng.random() * 6))


def _table(rng: Random) -> dict[str, int]:
    return {word: int(rng.random() * 28) - 12 for word in _words(rng)}


_ROUNDS = 4
_LENGTHS = (0, 1, 3, 5, 6, 8, 9)
RANDOM: Mapping[str, Callable[[Random], Any]] = {
    "int": _int,
    "float": _float,
    "str": _str,
    "bool": _bool,
    "list[int]": _ints,
    "list[float]": _floats,
    "list[str]": _words,
    "dict[str, int]": _table,
}
"""Type -> a function that draws a value of the type."""


def sample(types: Sequence[str], rng: Random, *, n: int, atom: Atom | None = None) -> list[Any]:
    """Draw the arguments of ``n`` test cases; an argument is a boundary value 1 time in 6.

    Args:
        types: Type of each argument.
        rng: Source of randomness.
        n: Number of cases.
        atom: The atom that reads the arguments first; its sampler is used if it has one.

    Returns:
        ``n`` tuples of fresh values, all different; fewer if the types have fewer values.
    """
    own = atom.sampler if atom is not None else None
    kind = types[0] if len(types) == 1 else ""
    found: dict[str, tuple[Any, ...]] = {}
    for _ in range(_ROUNDS * n):
        if own:
            values = own(rng)
        else:
            values = (
                (_value(kind, rng),)
                if kind
                else tuple([_value(type_name, rng) for type_name in types])
            )
        found.setdefault(repr(values), values)
        if len(found) == n:
            break
    return list(found.values())


def _value(kind: str, rng: Random) -> Any:
    if rng.random() < 1 / 6:
        value = rng.choice(BOUNDARIES[kind])
        return value.copy() if isinstance(value, list | dict) else value
    return RANDOM[kind](rng)


def often_sorted(rng: Random) -> tuple[list[int]]:
    """Draw a list that is sorted half of the time."""
    xs = _ints(rng)
    return (sorted(xs),) if rng.random() < 0.5 else (xs,)


def often_positive(rng: Random) -> tuple[list[int]]:
    """Draw a list that is all positive half of the time."""
    xs = _ints(rng)
    return ([abs(x) + 1 for x in xs],) if rng.random() < 0.5 else (xs,)


def overlapping(rng: Random) -> tuple[list[int], list[int]]:
    """Draw two lists that share some items."""
    xs = _ints(rng)
    return xs, [x for x in xs if rng.random() < 0.5] + _ints(rng)[:3]


def around_zero(rng: Random) -> tuple[float]:
    """Draw a number that is small, so that rounding and signs matter."""
    return ((int(rng.random() * 81) - 40) / 16,)
