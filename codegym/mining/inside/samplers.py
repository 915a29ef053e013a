"""Samplers: draws values of a described type, its boundary values, and variations of a value.

A type is a name (``int``, ``str``, ``any`` ...) or a list whose head is a constructor:
``["list", t]``, ``["set", t]``, ``["frozenset", t]``, ``["iterator", t]``, ``["tuples", t]`` (of
any length), ``["sequence", t]`` and ``["iterable", t]`` (any of these), ``["tuple", t, u]``,
``["dict", k, v]``, ``["union", t, u]``, ``["literal", 1, "a"]``.
Runs inside the sandbox; imports the standard library only.
"""

import datetime
import decimal
import fractions
from collections.abc import Callable
from random import Random
from typing import Any

from codegym.mining.inside.patterns import text_matching

Spec = Any
_WORDS = (
    "a b ab abc hello world Hello World foo bar Foo_bar one two three apple banana cherry x y z "
    "the quick brown fox camelCase snake_case kebab-case UPPER lower Mixed 42 007 3.14 -1 a1b2"
).split()
_TEXTS = (
    "", " ", "a", "A", "0", "ab", "aba", "Hello, World!", "hello world", "  padded  ", "a,b,c",
    "one two  three", "line one\nline two", "tab\there", "1234567890", "3.14", "-7", "racecar",
    "aaabbbcc", "The quick brown fox jumps over the lazy dog", "snake_case_name", "camelCaseName",
    "kebab-case-name", "(a[b]{c})", "x=1;y=2", "caf\u00e9", "a.b.c", "#ff0000", "2024-02-29",
    "MMXXIV",
)  # fmt: skip
_ALPHABETS = (
    "abcdefghijklmnopqrstuvwxyz",
    "ABCDEFGHIJKLMNOPQRSTUVWXYZ",
    "0123456789",
    "ab",
    "abcXYZ019 _-.,",
    "01",
)
_INTS = (0, 1, 2, -1, 3, 5, 10, 7, 4, 8, 12, 15, 16, 100, -2, -10, 255, 256, 1000)
_FLOATS = (0.0, 1.0, -1.0, 0.5, 2.0, 1.5, -2.5, 3.14159, 10.0, 100.25, 1e-3, 1e6)
_ATOMS = ("int", "str", "float", "bool")
_ANY = ("int", "str", "float", ["list", "int"], ["list", "str"], "bool", ["dict", "str", "int"],
        ["tuple", "int", "int"], "none", ["list", ["list", "int"]])  # fmt: skip
_LOOSE = ("sequence", "iterable")
_KEYS = ("a", "b", "c", "x", "y", "name", "id", "key", "")
WILD: Spec = ["union", "any", "any", ["iterator", "any"], "callable", "float", "bytes",
              ["set", "any"]]  # fmt: skip
MOST_ITEMS = 7


class Sampler:
    """Draws values of a type from a single random stream.

    Args:
        rng: The stream.
        literals: Constants in the function's text and examples, which are drawn often.
        patterns: Regular expressions in the function's text.
    """

    def __init__(self, rng: Random, literals: list[Any], patterns: list[str]) -> None:
        self._rng = rng
        self._ints = [value for value in literals if type(value) is int and abs(value) < 1 << 64]
        self._floats = [value for value in literals if type(value) is float]
        self._strings = [value for value in literals if type(value) is str and len(value) <= 80]
        self._patterns = patterns
        self._lengths = [value for value in self._ints if 0 < value <= 40]

    def draw(self, spec: Spec, depth: int = 0) -> Any:
        """Draw a value."""
        if type(spec) is str:
            return _DRAW[spec](self)
        head, *parts = spec
        if head == "union":
            return self.draw(self._rng.choice(parts), depth)
        if head == "literal":
            return self._rng.choice(parts)
        if head == "tuple":
            return tuple(self.draw(part, depth + 1) for part in parts)
        if head == "dict":
            keys = [self._key(parts[0], depth) for _ in range(self._length(depth))]
            return {key: self.draw(parts[1], depth + 1) for key in keys}
        if head in _LOOSE:
            return self._loose(head, parts[0], depth)
        return _BUILD[head](self._items(parts[0], depth))

    def boundary(self, spec: Spec) -> list[Any]:
        """Return the few values of a type that break most functions."""
        if type(spec) is str:
            return list(_BOUNDARY.get(spec, ()))
        head, *parts = spec
        if head == "union":
            return [value for part in parts for value in self.boundary(part)[:4]]
        if head == "literal":
            return list(parts)
        if head == "tuple":
            return [tuple((self.boundary(part) or [self.draw(part)])[0] for part in parts)]
        if head == "dict":
            return [{}, {self._key(parts[0], 1): self.draw(parts[1], 1)}]
        first, other = self.draw(parts[0], 1), self.draw(parts[0], 1)
        rows: list[list[Any]] = [[], [first], [first, first], [other, first, other]]
        if head in ("set", "frozenset"):
            rows = [[], [_hashable(first)], [_hashable(first), _hashable(other)]]
        build = _BUILD.get(head, list)
        return [build(row) for row in rows] + ([iter(rows[3])] if head == "iterable" else [])

    def vary(self, value: Any) -> Any:
        """Return a value of the same type close to ``value``."""
        kind = type(value)
        rng = self._rng
        if kind is bool:
            return not value
        if kind is int:
            return rng.choice((value + 1, value - 1, -value, value * 2, value // 2, self._int()))
        if kind is float:
            return rng.choice((value + 1.0, -value, value / 2, value * 10, self._float()))
        if kind is str:
            return self._vary_text(value)
        if kind in (list, tuple):
            row = self._vary_row(list(value))
            return row if kind is list else tuple(row) if len(row) == len(value) else value
        if kind is dict and value:
            key = rng.choice(list(value))
            if rng.random() < 0.3:
                return {name: item for name, item in value.items() if name != key}
            return value | {key: self.vary(value[key])}
        if kind in (set, frozenset) and value:
            ordered = sorted(value, key=repr)
            return kind(self._vary_row(ordered))
        return value

    def _vary_text(self, text: str) -> str:
        rng = self._rng
        if not text or rng.random() < 0.1:
            return self._string()
        at = rng.randrange(len(text))
        action = rng.randrange(9)
        if action == 0:
            return text[:at] + text[at + 1 :]
        if action == 1:
            return text[:at] + text[at] + text[at:]
        if action == 2 and self._strings:
            return text[:at] + rng.choice(self._strings) + text[at:]
        if action == 3:
            return text.swapcase() if rng.random() < 0.5 else text[::-1]
        if action == 4:
            return text + rng.choice((" ", text, "a", "0", "\n", "-"))
        if action == 5:
            return " " + text if rng.random() < 0.5 else text[: at + 1]
        alike = next((row for row in _ALPHABETS if text[at] in row), " .-_,/:" + _ALPHABETS[0])
        return text[:at] + rng.choice(alike) + text[at + 1 :]

    def _vary_row(self, row: list[Any]) -> list[Any]:
        rng = self._rng
        if not row:
            return row
        at, action = rng.randrange(len(row)), rng.randrange(6)
        if action == 0:
            return row[:at] + row[at + 1 :]
        if action == 1:
            return [*row[: at + 1], *row[at:]]
        if action == 2:
            return row[::-1]
        if action == 3:
            other = rng.randrange(len(row))
            row[at], row[other] = row[other], row[at]
            return row
        if action == 4 and len(row) < MOST_ITEMS:
            return [*row, self.vary(row[at])]
        return [*row[:at], self.vary(row[at]), *row[at + 1 :]]

    def _length(self, depth: int) -> int:
        if depth == 0 and self._lengths and self._rng.random() < 0.15:
            return min(self._rng.choice(self._lengths), 12)
        return self._rng.randrange(MOST_ITEMS + 1 if depth == 0 else 4)

    def _items(self, spec: Spec, depth: int) -> list[Any]:
        if spec == "any":
            spec = self._rng.choice(_ATOMS[:2])  # most functions need comparable items
        row = [self.draw(spec, depth + 1) for _ in range(self._length(depth))]
        if row and self._rng.random() < 0.4:
            row.append(self._rng.choice(row))  # equal items, which counting and grouping need
        return row

    def _loose(self, head: str, spec: Spec, depth: int) -> Any:
        chance = self._rng.random()
        row = self._items(spec, depth)
        if depth or chance < 0.6:
            return row
        if chance < 0.72:
            return tuple(row)
        if spec in ("str", "any") and chance < 0.84:
            return self._string()
        if spec in ("int", "any") and chance < 0.88:
            return range(self._rng.randrange(-2, 3), self._rng.randrange(9))
        return iter(row) if head == "iterable" else row

    def _key(self, spec: Spec, depth: int) -> Any:
        if spec in ("str", "any"):
            return self._rng.choice(_KEYS)
        return _hashable(self.draw(spec, depth + 1))

    def _int(self) -> int:
        rng = self._rng
        chance = rng.random()
        if self._ints and chance < 0.3:
            return rng.choice(self._ints) + rng.choice((0, 0, 1, -1))
        if chance < 0.55:
            return rng.choice(_INTS)
        return rng.randrange(-10, 30) if chance < 0.85 else rng.randrange(-1000, 5000)

    def _float(self) -> float:
        rng = self._rng
        chance = rng.random()
        if self._floats and chance < 0.25:
            return rng.choice(self._floats)
        if chance < 0.6:
            return rng.choice(_FLOATS)
        return round(rng.uniform(-50, 150), rng.randrange(4))

    def _string(self) -> str:
        rng = self._rng
        chance = rng.random()
        if self._patterns and rng.random() < 0.4:
            return text_matching(rng.choice(self._patterns), rng)
        if self._strings and chance < 0.25:
            text: str = rng.choice(self._strings)
            return text if rng.random() < 0.5 else text + rng.choice(_WORDS)
        if self._strings and chance < 0.33:
            # Characters of a literal and a further character: many literals are alphabets.
            letters = rng.choice(self._strings) + rng.choice("xX#")
            return "".join(rng.choice(letters) for _ in range(rng.randrange(1, 9)))
        if chance < 0.55:
            return rng.choice(_TEXTS)
        if chance < 0.75:
            return rng.choice((" ", "_", "-", ",", "")).join(
                rng.choice(_WORDS) for _ in range(rng.randrange(1, 5))
            )
        length = rng.choice(self._lengths) if self._lengths else rng.randrange(1, 12)
        alphabet = rng.choice(_ALPHABETS)
        return "".join(rng.choice(alphabet) for _ in range(length))

    def _date(self) -> datetime.date:
        return datetime.date(
            self._rng.choice((1900, 1999, 2000, 2023, 2024)),
            self._rng.randrange(1, 13),
            self._rng.randrange(1, 29),
        )

    def _datetime(self) -> datetime.datetime:
        day = self._date()
        return datetime.datetime(
            day.year, day.month, day.day, self._rng.randrange(24), self._rng.randrange(60)
        )

    def _timedelta(self) -> datetime.timedelta:
        return datetime.timedelta(
            days=self._rng.choice((0, 1, -1, 30, 400)), seconds=self._rng.randrange(100_000)
        )

    def _bytes(self) -> bytes:
        return self._string().encode()

    def _any(self) -> Any:
        return self.draw(self._rng.choice(_ANY))

    def _number(self) -> Any:
        return self._int() if self._rng.random() < 0.6 else self._float()

    def _callable(self) -> Any:
        return self._rng.choice((str, int, bool, bool, float, list, tuple, set))


def _hashable(value: Any) -> Any:
    if isinstance(value, list | set):
        return tuple(_hashable(item) for item in value)
    return str(value) if isinstance(value, dict) else value


def _set(row: list[Any]) -> set[Any]:
    return {_hashable(item) for item in row}


def _frozenset(row: list[Any]) -> frozenset[Any]:
    return frozenset(_set(row))


_BUILD: dict[str, Callable[[list[Any]], Any]] = {
    "list": list,
    "tuples": tuple,
    "set": _set,
    "frozenset": _frozenset,
    "iterator": iter,
}
_DRAW: dict[str, Callable[[Sampler], Any]] = {
    "int": Sampler._int,
    "float": Sampler._float,
    "number": Sampler._number,
    "str": Sampler._string,
    "bytes": Sampler._bytes,
    "bool": lambda sampler: sampler._rng.random() < 0.5,
    "none": lambda sampler: None,
    "any": Sampler._any,
    "complex": lambda sampler: complex(sampler._int(), sampler._int()),
    "decimal": lambda sampler: decimal.Decimal(str(sampler._float())),
    "fraction": lambda sampler: fractions.Fraction(sampler._int(), abs(sampler._int()) + 1),
    "date": Sampler._date,
    "datetime": Sampler._datetime,
    "timedelta": Sampler._timedelta,
    "callable": Sampler._callable,
}
_BOUNDARY: dict[str, tuple[Any, ...]] = {
    "int": (0, 1, -1, 2, 10),
    "float": (0.0, 1.0, -1.5, 0.1),
    "number": (0, 1, -1, 0.5),
    "str": ("", "a", " ", "Hello World", "123"),
    "bytes": (b"", b"a", b"\x00\xff"),
    "bool": (True, False),
    "none": (None,),
    "any": (0, "", [], None, "abc", [1, 2, 3], {"a": 1}),
    "callable": (str, bool),
    "decimal": (decimal.Decimal(0), decimal.Decimal("1.50")),
}
