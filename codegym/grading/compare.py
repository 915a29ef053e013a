"""Comparison: compares an untrusted program's answers with the expected values of its task.

Both sides are wire trees (or printed text): answers are never turned into live objects, called or
hashed. Sets and dicts are compared by sorting. The rules:

- ``None, bool, str, bytes`` and containers match their own type only: ``'5'`` is not ``5``,
  ``(1,)`` is not ``[1]``, ``True`` is not ``1``. Order counts in everything but sets and dicts.
- An ``int`` is accepted where a ``float`` is expected (PEP 484), never the other way round.
- Floats are close when ``|got - expected| <= tolerance * max(1, |expected|)``; nan equals nan, an
  infinity equals only itself. The same holds for each part of a complex number.
- Decimals, fractions, dates and times match their own type and compare by value.
- Iterators, and views of a dict, match their own kind and compare by their items.
"""

import datetime
import decimal
from typing import Any

from codegym.sandbox.wire import dumps

NUMBER_CHARS = 400_000


def same(got: Any, expected: Any, tolerance: float = 0.0) -> bool:
    """Say whether an untrusted wire tree equals a trusted tree, by the rules of this module.

    Args:
        got: Any JSON value.
        expected: A tree that ``wire.encode`` made.
        tolerance: Relative tolerance between floats, absolute below 1.
    """
    try:
        return _same(got, expected, tolerance)
    except (ValueError, TypeError, LookupError, ArithmeticError, RecursionError):
        return False  # encode makes no such tree


def same_output(got: str, expected: str, rule: str) -> bool:
    """Compare printed texts.

    Args:
        got: The printed text.
        expected: The expected text.
        rule: ``trailing`` ignores white space at line ends and at the end, ``exact`` ignores
            nothing, ``tokens`` splits at any white space.
    """
    if rule == "exact":
        return got == expected
    if rule == "tokens":
        return got.split() == expected.split()
    return _lines(got) == _lines(expected)


def _lines(text: str) -> list[str]:
    return [line.rstrip() for line in text.rstrip().split("\n")]


def _same(got: Any, expected: Any, tolerance: float) -> bool:
    kind = type(expected)
    if kind is str or kind is bool or expected is None:
        return type(got) is kind and got == expected
    number = _number(expected)
    if number is not None:
        return _same_number(_number(got), number, tolerance)
    if type(got) is not kind:
        return False
    if kind is list:
        return len(got) == len(expected) and all(
            _same(item, wanted, tolerance) for item, wanted in zip(got, expected, strict=True)
        )
    ((tag, body),) = expected.items()
    if len(got) != 1 or tag not in got:
        return False
    answer = got[tag]
    if type(answer) is not type(body):
        return False
    if tag in ("s", "z", "K", "d", "X"):
        if len(answer) != len(body):
            return False
        if sorted(map(dumps, answer)) == sorted(map(dumps, body)):
            return True  # a fast path, for numbers that are written in the same way
    if tag in ("s", "z", "K"):
        return _same(sorted(answer, key=_rank), sorted(body, key=_rank), tolerance)
    if tag in ("d", "X"):
        return _same(_sorted_pairs(answer, tag), _sorted_pairs(body, tag), tolerance)
    if tag in _BY_VALUE:
        read = _BY_VALUE[tag]
        return bool(read(answer) == read(body))
    if tag in _UNTYPED:
        return bool(answer == body)
    return _same(answer, body, tolerance)


def _same_number(got: int | float | None, expected: int | float, tolerance: float) -> bool:
    if got is None or (type(expected) is int and type(got) is not int):
        return False
    if got == expected:
        return True
    if type(expected) is int:
        return False
    if expected != expected:
        return got != got
    if abs(expected) == float("inf") or abs(got) == float("inf"):
        return False
    try:
        return abs(got - expected) <= tolerance * max(1.0, abs(expected))
    except OverflowError:
        return False


def _number(tree: Any) -> int | float | None:
    kind = type(tree)
    if kind is int or kind is float:
        return tree  # type: ignore[no-any-return]
    if kind is dict and len(tree) == 1:
        body = tree.get("I", tree.get("f"))
        if type(body) is str and len(body) < NUMBER_CHARS:
            return int(body, 16) if "I" in tree else float.fromhex(body)
    return None


def _sorted_pairs(pairs: list[Any], tag: str) -> list[Any]:
    rows = [pair["t"] if tag == "X" else pair for pair in pairs]
    if any(type(row) is not list or len(row) != 2 for row in rows):
        raise ValueError("not pairs")
    return sorted(rows, key=lambda row: _rank(row[0]))


def _rank(tree: Any) -> tuple[Any, ...]:
    """Return a sort key that is the same for equal trees."""
    if tree is None:
        return (0,)
    kind = type(tree)
    if kind is bool:
        return (1, tree)
    number = _number(tree)
    if number is not None:
        return (2, 0, number) if number == number else (2, 1)
    if kind is str:
        return (3, tree)
    if kind is list:
        return (4, [_rank(item) for item in tree])
    ((tag, body),) = tree.items()
    if tag in ("s", "z"):
        return (5, tag, sorted(_rank(item) for item in body))
    if tag in _BY_VALUE and tag not in ("M", "h"):
        return (5, tag, 0, _BY_VALUE[tag](body))
    return (5, tag, 1, _rank(body))


def _decimal(body: str) -> tuple[bool, decimal.Decimal]:
    value = decimal.Decimal(body[:NUMBER_CHARS])
    return (True, decimal.Decimal(0)) if value.is_nan() else (False, value)


def show(tree: Any, chars: int = 300) -> str:
    """Return an untrusted wire tree as readable Python text of at most ``chars`` characters."""
    pieces: list[str] = []
    try:
        _show(tree, pieces, [chars])
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError):
        return "<unreadable>"
    text = "".join(pieces)
    return text if len(text) <= chars else text[: chars - 3] + "..."


def _show(tree: Any, pieces: list[str], room: list[int]) -> None:
    if room[0] <= 0:
        return
    kind = type(tree)
    if kind is dict:
        ((tag, body),) = tree.items()
        if tag == "d":
            pieces.append("{")
            for key, value in body[: room[0]]:
                _show(key, pieces, room)
                pieces.append(": ")
                _show(value, pieces, room)
                pieces.append(", ")
            pieces[-1] = "}" if body else "{}"
            return
        if tag in ("f", "I"):
            pieces.append(str(body)[: room[0]])
            return
        head, tail = _BRACKETS.get(tag, (f"<{tag} ", ">"))
        pieces.append(head)
        if type(body) is list:
            _show_items(body, pieces, room)
            tail = ",)" if tag == "t" and len(body) == 1 else tail
        else:
            _show(body if tag != "T" else f"class {body}", pieces, room)
        pieces.append(tail)
    elif kind is list:
        pieces.append("[")
        _show_items(tree, pieces, room)
        pieces.append("]")
    else:
        text = repr(tree) if kind is not str else repr(tree[: room[0] + 1])
        room[0] -= len(text)
        pieces.append(text)


def _show_items(items: list[Any], pieces: list[str], room: list[int]) -> None:
    for position, item in enumerate(items[: room[0]]):
        if position:
            pieces.append(", ")
            room[0] -= 2
        _show(item, pieces, room)


_BY_VALUE: dict[str, Any] = {
    "m": _decimal,
    "D": datetime.date.fromisoformat,
    "M": datetime.datetime.fromisoformat,
    "h": datetime.time.fromisoformat,
    "L": lambda body: datetime.timedelta(*body),
}
_UNTYPED = ("b", "B", "T", "e")
_BRACKETS = {
    "t": ("(", ")"),
    "s": ("{", "}"),
    "z": ("frozenset({", "})"),
    "q": ("deque([", "])"),
    "i": ("iter([", "])"),
    "b": ("bytes.fromhex(", ")"),
    "B": ("bytearray.fromhex(", ")"),
    "r": ("range(", ")"),
    "c": ("complex(", ")"),
    "m": ("Decimal(", ")"),
    "F": ("Fraction(", ")"),
    "D": ("date(", ")"),
    "M": ("datetime(", ")"),
    "h": ("time(", ")"),
    "L": ("timedelta(", ")"),
}
