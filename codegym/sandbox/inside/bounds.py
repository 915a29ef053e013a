"""Bounds: limits of untrusted JSON text that are checked before it is parsed.

Parsing a million small values takes a second and a hundred times the text's own memory, so the text
is counted first, at the speed of a search.
"""

import itertools
import re

# No tree of codegym.sandbox.wire is nested deeper: 90 values, with up to four brackets each.
DEEPEST = 360
# Brackets and commas that any reply may have.
MORE_SIGNS = 20_000
# Possessive, and accepts an unfinished string, so that it reads every text only once.
_STRINGS = re.compile(rb'"(?:[^"\\]|\\.|\\\Z)*+(?:"|\Z)', re.DOTALL)
_NOT_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
_STEP = {ord("["): 1, ord("{"): 1, ord("]"): -1, ord("}"): -1}


def signs(data: bytes) -> int:
    """Return how many brackets open and how many commas stand in a text, inside strings too.

    JSON text has no more values than this and one.
    """
    return data.count(b"[") + data.count(b"{") + data.count(b",")


def too_deep(data: bytes) -> bool:
    """Say whether JSON text is nested deeper than any wire tree, without parsing it."""
    if data.count(b"[") + data.count(b"{") <= DEEPEST:
        return False
    brackets = _STRINGS.sub(b"", data).translate(None, _NOT_BRACKETS)
    return max(itertools.accumulate(map(_STEP.__getitem__, brackets)), default=0) > DEEPEST


def outsized(data: bytes, expected: bytes = b"") -> bool:
    """Say whether JSON text has far more values than a trusted JSON text, without parsing it."""
    return signs(data) > MORE_SIGNS + 2 * signs(expected)
