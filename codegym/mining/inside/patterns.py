"""Patterns: writes texts that match a regular expression, from its syntax tree.

The expression is parsed, never run, so a slow expression costs nothing. Lookarounds and references
to groups that are not written yet are ignored, so a text may fail to match. Runs inside the
sandbox; standard library only.
"""

import re
from random import Random
from typing import Any

_MOST_REPEATS, _MOST_CHARS = 4, 60
_CATEGORIES = {
    "CATEGORY_DIGIT": "0123456789",
    "CATEGORY_NOT_DIGIT": "abcXYZ -.",
    "CATEGORY_SPACE": " \t\n",
    "CATEGORY_NOT_SPACE": "abcXYZ019-.",
    "CATEGORY_WORD": "abcxyzABC019_",
    "CATEGORY_NOT_WORD": " -.,:/",
}
_ANY = "abcxyzABC0129 -_.,:/"


def text_matching(pattern: str, rng: Random) -> str:
    """Return a text that the whole pattern usually matches.

    Args:
        pattern: A regular expression.
        rng: Source of randomness.

    Raises:
        ValueError: The pattern is not a regular expression.
    """
    try:
        tree = vars(re)["_parser"].parse(pattern)
    except (re.error, OverflowError, RecursionError) as error:
        raise ValueError(str(error)) from None
    return _write(tree, rng, {})[:_MOST_CHARS]


def _write(tree: Any, rng: Random, groups: dict[int, str]) -> str:
    return "".join(_part(str(kind), body, rng, groups) for kind, body in tree)


def _part(kind: str, body: Any, rng: Random, groups: dict[int, str]) -> str:
    if kind == "LITERAL":
        return chr(body)
    if kind == "NOT_LITERAL":
        return rng.choice([character for character in _ANY if ord(character) != body])
    if kind == "ANY":
        return rng.choice(_ANY)
    if kind == "IN":
        return _member_of(body, rng)
    if kind == "BRANCH":
        return _write(rng.choice(body[1]), rng, groups)
    if kind in ("MAX_REPEAT", "MIN_REPEAT", "POSSESSIVE_REPEAT"):
        least, most, inner = body
        count = rng.randint(least, max(least, min(int(most), least + _MOST_REPEATS)))
        return "".join(_write(inner, rng, groups) for _ in range(min(count, _MOST_CHARS)))
    if kind == "SUBPATTERN":
        text = _write(body[-1], rng, groups)
        if body[0] is not None:
            groups[body[0]] = text
        return text
    if kind == "ATOMIC_GROUP":
        return _write(body, rng, groups)
    if kind == "GROUPREF":
        return groups.get(body, "")
    return ""  # anchors and assertions have no width


def _member_of(items: Any, rng: Random) -> str:
    allowed: list[str] = []
    negated = False
    for kind, body in items:
        name = str(kind)
        if name == "NEGATE":
            negated = True
        elif name == "LITERAL":
            allowed.append(chr(body))
        elif name == "RANGE":
            low, high = body
            allowed += [chr(low), chr(high), chr(rng.randint(low, high))]
            if negated:
                allowed += [character for character in _ANY if low <= ord(character) <= high]
        elif name == "CATEGORY":
            allowed += _CATEGORIES.get(str(body), "")
    if negated:
        allowed = [character for character in _ANY if character not in allowed]
    return rng.choice(allowed) if allowed else ""
