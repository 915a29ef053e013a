"""Comparison: compares an untrusted program's answers with the expected values of its task.

Both sides are wire trees: answers are never turned into live objects, called or hashed. Sets and
dicts are compared by sorting. The rule ``python`` is Python's ``==`` on plain values, decided here
and never by the candidate's ``__eq__``:

- Numbers compare by value: ``2.0`` is ``2``, ``True`` is ``1``, ``Fraction(1, 2)`` is ``0.5``,
  ``Decimal("2")`` is ``2``.
- Where a float is expected, a number is close if ``|got - expected| <= tolerance * |expected|``, or
  ``<= tolerance`` where 0.0 is expected; nan equals nan, an infinity only itself.
- A frozenset or a dict's keys or items are a set, a bytearray is bytes, an instance of a subclass
  is the plain value that it holds, a named tuple is a tuple, a Counter, OrderedDict or defaultdict
  is a dict. Two OrderedDicts compare in order; two Counters take a missing count as 0.
- Everything else matches its own type only: ``'5'`` is not ``5``, ``(1,)`` is not ``[1]``, a deque
  is no list. Iterators, and values of a dict, match their own kind and compare by their items.

``strict`` is narrower: types must match exactly, except that an ``int`` is accepted where a
``float`` is expected (PEP 484), and that library containers are their base. ``livecodebench``,
``apps`` and ``apps_rltf`` are what the graders of these data sets accept; see docs/grader.md.
"""

import datetime
import decimal
import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from codegym.grading import number_trees as numbers
from codegym.grading.number_trees import NUMBER_CHARS
from codegym.sandbox.wire import dumps

PRINTED_CHARS = 1 << 20


def same(got: Any, expected: Any, tolerance: float = 0.0, match: str = "python") -> bool:
    """Say whether an untrusted wire tree equals a trusted tree, by the rules of this module.

    Args:
        got: Any JSON value.
        expected: A tree that ``wire.encode`` made.
        tolerance: Relative tolerance where a float is expected, absolute where 0.0 is.
        match: ``python``, ``strict``, ``livecodebench``, ``apps`` or ``apps_rltf``.
    """
    try:
        return MATCHES[match](got, expected, tolerance)
    except (ValueError, TypeError, LookupError, ArithmeticError, AttributeError, RecursionError):
        return False  # encode makes no such tree


def _python(got: Any, expected: Any, tolerance: float) -> bool:
    return _same(got, expected, _Rule(tolerance, strict=False))


def _strict(got: Any, expected: Any, tolerance: float) -> bool:
    return _same(got, expected, _Rule(tolerance, strict=True))


def _livecodebench(got: Any, expected: Any, tolerance: float) -> bool:
    """Take a tuple for a list, at the top only.

    Source: LiveCodeBench, ``lcb_runner/evaluation/testing_util.py``.
    """
    return _python(_as_list(got), expected, tolerance)


def _apps(got: Any, expected: Any, tolerance: float) -> bool:
    """Take the expected value or the first item of an expected list, and a tuple for a list.

    APPS wraps most results in a list; its grader does not look how many items the list has. Tuples
    in a list are lists only where the first item of the expected list is meant.
    Source: APPS, ``eval/testing_util.py``.
    """
    got = _as_list(got)
    wanted = _wanted(expected)
    if any(_python(got, tree, tolerance) for tree in wanted):
        return True
    return _are_tuples_for(got, wanted[1:], tolerance)


def _are_tuples_for(got: Any, wanted: list[Any], tolerance: float) -> bool:
    """Say whether a list that starts with a tuple is an expected list, tuples taken for lists."""
    if type(got) is not list or not got or not _is_tuple(got[0]):
        return False
    return any(_python([_as_list(item) for item in got], tree, tolerance) for tree in wanted)


def _wanted(expected: Any) -> list[Any]:
    """Return what APPS's graders accept: an expected value and, of a list, its first item."""
    return [expected, expected[0]] if type(expected) is list and expected else [expected]


def _is_tuple(tree: Any) -> bool:
    tree = _simple(tree, STRICT)
    return type(tree) is dict and "t" in tree


def _apps_rltf(got: Any, expected: Any, tolerance: float) -> bool:
    """Take also what prints the expected value, and a text for the number that it holds.

    Source: RLTF, ``utils/testing_util.py``: the answer is printed, and read again.
    """
    wanted = _wanted(expected)
    if any(_python(got, tree, tolerance) for tree in wanted):
        return True
    if _are_tuples_for(_as_list(got), wanted[1:], tolerance):
        return True
    printed = _printed(got).strip()
    shapes = (printed, f"[{printed}]", f"({printed})", f"[{printed!r}]")
    tuples = [{"t": tree} for tree in wanted[1:] if type(tree) is list]
    texts = {_printed(tree).strip() for tree in (*wanted, *tuples)}
    if any(shape in texts for shape in shapes):
        return True
    return any(_number_in(printed, tree) for tree in wanted)


def _printed(tree: Any) -> str:
    tree = tree if type(tree) is not dict or "S" not in tree else tree["S"]
    return tree if type(tree) is str else show(tree, PRINTED_CHARS)


def _number_in(printed: str, expected: Any) -> bool:
    try:
        return _python(float(printed), expected, 0.0)
    except ValueError:
        return False


def _as_list(tree: Any) -> Any:
    """Return the tree of a list for the tree of a tuple, and any other tree unchanged."""
    tree = _simple(tree, STRICT)
    return tree["t"] if type(tree) is dict and "t" in tree else tree


MATCHES: dict[str, Callable[[Any, Any, float], bool]] = {
    "python": _python,
    "strict": _strict,
    "livecodebench": _livecodebench,
    "apps": _apps,
    "apps_rltf": _apps_rltf,
}


@dataclass(frozen=True, slots=True)
class _Rule:
    tolerance: float
    strict: bool


STRICT = _Rule(0.0, strict=True)


def _simple(tree: Any, rule: _Rule) -> Any:
    """Return the tree of the plain value that a value is equal to."""
    while type(tree) is dict and len(tree) == 1:
        ((tag, body),) = tree.items()
        if tag in _CONTAINERS:
            return {_CONTAINERS[tag]: body}
        if tag == "N":
            return {"t": body[2]}
        if tag == "G":
            return {"d": body[1]}
        if rule.strict or tag not in _ALIKE:
            return tree
        if tag != "S":
            return {_ALIKE[tag]: body}
        tree = body
    return tree


def _same(got: Any, expected: Any, rule: _Rule) -> bool:
    if not rule.strict and type(expected) is dict and type(got) is dict:
        special = _special(got, expected, rule)
        if special is not None:
            return special
    got, expected = _simple(got, rule), _simple(expected, rule)
    kind = type(expected)
    if kind is str or expected is None:
        return type(got) is kind and got == expected
    if rule.strict:
        if kind is bool:
            return type(got) is bool and got is expected
        plain = numbers.plain_number(expected)
        if plain is not None:
            mine = numbers.plain_number(got)
            if mine is None or (type(plain) is int and type(mine) is not int):
                return False
            return numbers.close(mine, plain, rule.tolerance)
    else:
        wanted = numbers.number(expected)
        if wanted is not None:
            found = numbers.number(got)
            return found is not None and all(
                numbers.close(mine, theirs, rule.tolerance)
                for mine, theirs in zip(found, wanted, strict=True)
            )
    if type(got) is not kind:
        return False
    if kind is list:
        return len(got) == len(expected) and all(
            _same(item, wanted, rule) for item, wanted in zip(got, expected, strict=True)
        )
    ((tag, body),) = expected.items()
    if len(got) != 1 or tag not in got or type(got[tag]) is not type(body):
        return False
    return _same_body(tag, got[tag], body, rule)


def _special(got: Any, expected: Any, rule: _Rule) -> bool | None:
    """Compare two OrderedDicts, which have an order, and two Counters, which lack no count."""
    if got.keys() == expected.keys() == {"O"}:
        return len(got["O"]) == len(expected["O"]) and all(
            _same(mine, theirs, rule) for mine, theirs in zip(got["O"], expected["O"], strict=True)
        )
    if got.keys() == expected.keys() == {"C"}:
        mine, theirs = ({"d": _counted(tree["C"])} for tree in (got, expected))
        return _same(mine, theirs, rule)
    return None


def _counted(pairs: list[Any]) -> list[Any]:
    return [pair for pair in pairs if numbers.number(pair[1]) != (0, 0)]


def _same_body(tag: str, answer: Any, body: Any, rule: _Rule) -> bool:
    if tag in ("s", "z", "K", "d", "X"):
        if len(answer) != len(body):
            return False
        if sorted(map(dumps, answer)) == sorted(map(dumps, body)):
            return True  # a fast path, for numbers that are written in the same way
    if tag in ("s", "z", "K"):
        by_rank = functools.partial(_rank, rule=rule)
        return _same(sorted(answer, key=by_rank), sorted(body, key=by_rank), rule)
    if tag in ("d", "X"):
        return _same(_sorted_pairs(answer, tag, rule), _sorted_pairs(body, tag, rule), rule)
    if tag == "r" and not rule.strict:
        return range(*answer) == range(*body)
    if tag in _BY_VALUE:
        read = _BY_VALUE[tag]
        return bool(read(answer) == read(body))
    if tag in _UNTYPED:
        return bool(answer == body)
    return _same(answer, body, rule)


def _sorted_pairs(pairs: list[Any], tag: str, rule: _Rule) -> list[Any]:
    rows = [pair["t"] if tag == "X" else pair for pair in pairs]
    if any(type(row) is not list or len(row) != 2 for row in rows):
        raise ValueError("not pairs")
    return sorted(rows, key=lambda row: _rank(row[0], rule))


def _rank(tree: Any, rule: _Rule) -> tuple[Any, ...]:
    """Return a sort key that is the same for equal trees."""
    tree = _simple(tree, rule)
    if tree is None:
        return (0,)
    kind = type(tree)
    if rule.strict and kind is bool:
        return (1, tree)
    plain = numbers.plain_number(tree) if rule.strict else None
    number = numbers.number(tree) if not rule.strict else None if plain is None else (plain, 0)
    if number is not None:
        return (2, *numbers.rank(number))
    if kind is str:
        return (3, tree)
    if kind is list:
        return (4, [_rank(item, rule) for item in tree])
    ((tag, body),) = tree.items()
    if tag in ("s", "z"):
        return (5, tag, sorted(_rank(item, rule) for item in body))
    if tag == "r" and not rule.strict:
        steps = range(*body)
        size = len(steps)
        return (5, tag, size, steps[0] if size else 0, steps.step if size > 1 else 0)
    if tag in _BY_VALUE and tag not in ("M", "h"):
        return (5, tag, 0, _BY_VALUE[tag](body))
    return (5, tag, 1, _rank(body, rule))


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
    if type(tree) is dict:
        tree = _simple(tree["S"] if "S" in tree else tree, STRICT)
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
# Containers of the library, which are their base under every rule.
_CONTAINERS = {"C": "d", "O": "d"}
# What Python finds equal to another type.
_ALIKE = {"z": "s", "K": "s", "X": "s", "B": "b", "S": ""}
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
