"""Text rules: how the graders of data sets compare printed text with the expected text.

Each rule is written after the published grader that it is named for in docs/grader.md. Both sides
are plain text; the printed side is untrusted, so every rule is linear in its length.
"""

import math
import string
from collections.abc import Callable
from decimal import Decimal, DecimalException

# numpy.allclose's defaults, which APPS uses.
_RELATIVE, _ABSOLUTE = 1e-5, 1e-8
_ROUNDED_DIGITS = 3
_CODECONTESTS_MARGIN = 1e-5
_ASCII_SMALL = str.maketrans(
    string.ascii_uppercase + "\n\t\r\v", string.ascii_lowercase + " " * len("\n\t\r\v")
)


def same_output(got: str, expected: str, rule: str) -> bool:
    """Say whether a printed text meets the expected text by a rule.

    Args:
        got: The printed text.
        expected: The expected text.
        rule: ``exact`` ignores nothing; ``trailing`` ignores white space at line ends and at the
            end; ``tokens`` splits at any white space; ``decimals`` is LiveCodeBench's rule,
            ``allclose`` that of APPS, ``numbers`` that of CodeContests, ``apps_rltf`` RLTF's.
    """
    return TEXT_RULES[rule](got, expected)


def _trailing(got: str, expected: str) -> bool:
    return _ended_lines(got) == _ended_lines(expected)


def _ended_lines(text: str) -> list[str]:
    return [line.rstrip() for line in text.rstrip().split("\n")]


def _stripped_lines(text: str) -> list[str]:
    return [line.strip() for line in text.strip().split("\n")]


def _decimals(got: str, expected: str) -> bool:
    """Compare line by line: equal text, or tokens that are equal as decimal numbers.

    Source: LiveCodeBench, ``lcb_runner/evaluation/testing_util.py``.
    """
    mine, theirs = _stripped_lines(got), _stripped_lines(expected)
    return len(mine) == len(theirs) and all(map(_same_decimals, mine, theirs))


def _same_decimals(got: str, expected: str) -> bool:
    if got == expected:
        return True
    try:
        wanted = [Decimal(token) for token in expected.split()]
        # The comparison of lists tells identical objects, but these are all made anew.
        return [Decimal(token) for token in got.split()] == wanted
    except (DecimalException, ValueError):
        return False


def _numbers(got: str, expected: str) -> bool:
    """Compare tokens without case; tokens that are numbers agree within 1e-5.

    An infinity or nan agrees with nothing, unless all tokens are the same.
    Source: CodeContests, ``execution/tester_sandboxer.cc``.
    """
    mine, theirs = _lowered(got), _lowered(expected)
    if mine == theirs:
        return True
    return len(mine) == len(theirs) and all(map(_same_number, mine, theirs))


def _lowered(text: str) -> list[str]:
    """Return the tokens with small letters; only ASCII has white space and case there."""
    parts = text.translate(_ASCII_SMALL).split(" ")
    return [part for part in parts if part]


def _same_number(got: str, expected: str) -> bool:
    mine, theirs = _number(got), _number(expected)
    if mine is None or theirs is None:
        return got == expected
    return abs(mine - theirs) < _CODECONTESTS_MARGIN


def _number(token: str) -> float | None:
    if "_" in token or not token.isascii():  # a number in Python only
        return None
    try:
        return float(token)
    except ValueError:
        return None


def _allclose(got: str, expected: str) -> bool:
    """Compare as APPS does: lines, then numbers, then the set of each line's set of tokens.

    Source: APPS, ``eval/testing_util.py``.
    """
    printed = got.splitlines()
    if _joined_alike(printed, expected):
        return True
    wanted = [line.strip() for line in expected.split("\n") if line]
    printed = [line for line in printed if line]
    if printed == wanted:
        return True
    mine, theirs = _floats(printed), _floats(wanted)
    if mine and len(mine) == len(printed) == len(theirs) == len(wanted):
        if all(map(_close, mine, theirs)):
            return True
    return _same_sets(printed, wanted)


def _joined_alike(printed: list[str], expected: str) -> bool:
    wanted = expected.strip()
    stripped = "\n".join([line.strip() for line in printed])
    return wanted in ("\n".join(printed).strip(), stripped.strip())


def _same_sets(printed: list[str], wanted: list[str]) -> bool:
    mine = {frozenset(line.split()) for line in printed if line.split()}
    theirs = {frozenset(line.split()) for line in wanted}
    if mine == theirs:
        return True
    rounded_mine, rounded_theirs = _rounded(mine), _rounded(theirs)
    return rounded_mine is not None and rounded_mine == rounded_theirs


def _rounded(lines: set[frozenset[str]]) -> set[frozenset[float]] | None:
    try:
        return {frozenset(round(float(t), _ROUNDED_DIGITS) for t in line) for line in lines}
    except (ValueError, OverflowError):
        return None


def _floats(tokens: list[str]) -> list[float]:
    """Return the tokens as numbers, [] if one of them is none."""
    try:
        return [float(token) for token in tokens]
    except ValueError:
        return []


def _close(got: float, expected: float) -> bool:
    if math.isinf(got) or math.isinf(expected):
        return got == expected
    return abs(got - expected) <= _ABSOLUTE + _RELATIVE * abs(expected)


TEXT_RULES: dict[str, Callable[[str, str], bool]] = {
    "exact": lambda got, expected: got == expected,
    "trailing": _trailing,
    "tokens": lambda got, expected: got.split() == expected.split(),
    "decimals": _decimals,
    "allclose": _allclose,
    "numbers": _numbers,
    "apps_rltf": _allclose,
}
