"""Feedback: where in a program the fault lies, in lines and in tokens.

The categories are RLTF's (2307.04349, section 3.3): U_global, U_line, U_ignore. The table that
sorts errors into them follows the paper where it and its published code disagree: a time-out is
global, and a syntax error is global only where the token budget cut the program. Prices are not
set here.
"""

import re
from dataclasses import dataclass
from enum import Enum, StrEnum, auto
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from codegym.grading.verdict import Outcome, Verdict

Lines = tuple[int, int]


class Granularity(StrEnum):
    """What part of the program a fault concerns."""

    GLOBAL = "global"
    LINE = "line"
    IGNORE = "ignore"


@dataclass(frozen=True, slots=True, kw_only=True)
class Feedback:
    """Where the fault of a judged program lies.

    Attributes:
        granularity: The whole program, one line, or nowhere in particular.
        lines: First and last line of the fault in the program, from 1; None unless LINE.
        tokens: ``[start, end)`` in the episode's tokens; the whole range for GLOBAL, empty for
            IGNORE and for a fault outside what the policy wrote.
        n_tokens: How many tokens the episode has, the end token included.
    """

    granularity: Granularity
    lines: Lines | None = None
    tokens: tuple[int, int] = (0, 0)
    n_tokens: int = 0


class _Rule(Enum):
    IGNORE = auto()
    GLOBAL = auto()
    LINE = auto()
    INDENTED_LINE = auto()  # the line with its leading blanks, which are the fault
    NONLOCAL = auto()  # the `nonlocal` statement that names the variable of the message
    ENDED = auto()  # the text stopped too soon, wherever the message points
    UNFINISHED = auto()  # more text might have mended it, if it is at the end


# First match wins. Each line names the wording of 3.9 and that of 3.10 and later. What is left to
# the last line concerns its own line even where a program was cut: no more text would have mended
# an unmatched bracket, or a `return` outside a function.
_SYNTAX: tuple[tuple[re.Pattern[str], _Rule], ...] = tuple(
    (re.compile(pattern), rule)
    for pattern, rule in (
        (r"inconsistent use of tabs and spaces", _Rule.IGNORE),
        (r"unindent does not match any outer indentation", _Rule.IGNORE),
        (r"EOF while scanning triple-quoted string|unterminated triple-quoted", _Rule.IGNORE),
        (r"duplicate (?:argument|parameter)", _Rule.IGNORE),
        (r"import \* only allowed at module level", _Rule.IGNORE),
        (r"(?P<name>\w+)'? is parameter and nonlocal", _Rule.NONLOCAL),
        (r"no binding for nonlocal '(?P<name>\w+)'", _Rule.NONLOCAL),
        (r"unexpected EOF while parsing|was never closed", _Rule.ENDED),
        (r"unexpected indent", _Rule.INDENTED_LINE),
        (r"unexpected character", _Rule.LINE),
        (r"EOL while scanning|unterminated|[Ee]xpect", _Rule.UNFINISHED),
        (r"invalid (?:syntax|\w+ literal)|follows keyword argument", _Rule.UNFINISHED),
        (r"", _Rule.LINE),
    )
)
# Exceptions by class name; every other exception concerns the line it was raised on. A plain
# RuntimeError and an exit say nothing about a line.
_RUNTIME: dict[str, _Rule] = {
    "RecursionError": _Rule.GLOBAL,
    "TimeoutException": _Rule.GLOBAL,
    "RuntimeError": _Rule.IGNORE,
    "SystemExit": _Rule.IGNORE,
    "": _Rule.IGNORE,
}
_NEWLINE = re.compile(r"\r\n|\r|\n")


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault's place in the text of a program, before tokens are looked at.

    Attributes:
        granularity: As of ``Feedback``.
        line: Of the program, from 1; None unless LINE.
        characters: ``[start, end)`` of that line in the program.
    """

    granularity: Granularity
    line: int | None = None
    characters: tuple[int, int] = (0, 0)

    def in_tokens(self, count: int) -> Feedback:
        """Return the feedback of a fault that is no line, for an episode of so many tokens."""
        whole = self.granularity is Granularity.GLOBAL
        return _no_line(self.granularity, count if whole else 0, count)

    def among(self, spans: NDArray[np.int64], program_start: int = 0) -> Feedback:
        """Return the feedback for an episode whose tokens are at ``spans``; see ``locate``."""
        if self.line is None:
            return self.in_tokens(len(spans))
        start, end = self.characters
        return Feedback(
            granularity=Granularity.LINE,
            lines=(self.line, self.line),
            tokens=_tokens_in(spans, start - program_start, end - program_start),
            n_tokens=len(spans),
        )


_NOWHERE = Fault(Granularity.IGNORE)
_EVERYWHERE = Fault(Granularity.GLOBAL)
# Outcomes that settle the matter. Running out of memory or of output is spending too much, like
# running out of time.
_OUTCOMES: dict[Outcome, Fault] = {
    Outcome.PASSED: _NOWHERE,
    Outcome.FAILED: _NOWHERE,
    Outcome.TIMEOUT: _EVERYWHERE,
    Outcome.MEMORY: _EVERYWHERE,
    Outcome.OUTPUT_LIMIT: _EVERYWHERE,
    Outcome.NO_PROGRAM: _EVERYWHERE,
}


@lru_cache(maxsize=4096)
def _no_line(granularity: Granularity, end: int, count: int) -> Feedback:
    return Feedback(granularity=granularity, tokens=(0, end), n_tokens=count)


def locate(
    verdict: Verdict,
    program: str,
    *,
    spans: NDArray[np.int64],
    program_start: int = 0,
    cut: bool | None = None,
) -> Feedback:
    """Find the part of a program that a verdict finds fault with.

    Args:
        verdict: What was judged; its line numbers count in ``program``.
        program: The whole program, the prompt included where the prompt is code.
        spans: (T, 2) character offsets of the episode's tokens in the text the policy wrote.
        program_start: Where in ``program`` that text begins.
        cut: Whether the token budget cut the program; the verdict's own word if None.

    Returns:
        The fault's category, its line and its tokens. Of several copies of a line, the copy with
        the reported number counts.

    Source: RLTF (2307.04349), section 3.3; the alternatives of its table are in ``_SYNTAX``.
    """
    return find_fault(verdict, program, cut=cut).among(spans, program_start)


def find_fault(verdict: Verdict, program: str, *, cut: bool | None = None) -> Fault:
    """Find the part of a program's text that a verdict finds fault with; see ``locate``."""
    settled = _OUTCOMES.get(verdict.outcome)
    if settled is not None:
        return settled
    rule, line = _categorise(verdict, program, verdict.cut if cut is None else cut)
    if rule is _Rule.GLOBAL:
        return _EVERYWHERE
    if rule is _Rule.IGNORE or line is None:
        return _NOWHERE
    span = _line_span(program, line, keep_indent=rule is _Rule.INDENTED_LINE)
    return _NOWHERE if span is None else Fault(Granularity.LINE, line, span)


def _categorise(verdict: Verdict, program: str, cut: bool) -> tuple[_Rule, int | None]:
    line = verdict.error_line
    if verdict.outcome is Outcome.RUNTIME_ERROR:
        return _RUNTIME.get(verdict.error_type, _Rule.LINE), line
    match, rule = next(
        (found, rule)
        for pattern, rule in _SYNTAX
        if (found := pattern.search(verdict.error_message))
    )
    if rule is _Rule.IGNORE:
        return rule, line
    if rule is _Rule.NONLOCAL:
        return _Rule.LINE, _nonlocal_line(program, match["name"]) or line
    if rule not in (_Rule.ENDED, _Rule.UNFINISHED):
        return rule, line
    if cut and (rule is _Rule.ENDED or _at_the_end(program, line)):
        return _Rule.GLOBAL, line
    return _Rule.LINE, line


def _at_the_end(program: str, line: int | None) -> bool:
    written = len(_NEWLINE.split(program.rstrip()))
    return line is not None and line >= written


def _nonlocal_line(program: str, name: str) -> int | None:
    statement = re.compile(rf"^\s*nonlocal\b.*\b{re.escape(name)}\b")
    lines = enumerate(_NEWLINE.split(program), start=1)
    return next((number for number, text in lines if statement.search(text)), None)


def _line_span(program: str, line: int | None, *, keep_indent: bool) -> tuple[int, int] | None:
    if line is None or line < 1:
        return None
    start = 0
    breaks = _NEWLINE.finditer(program)
    for _ in range(line - 1):
        end_of_line = next(breaks, None)
        if end_of_line is None:
            return None
        start = end_of_line.end()
    last = next(breaks, None)
    text = program[start : last.start() if last else len(program)]
    indent = 0 if keep_indent else len(text) - len(text.lstrip())
    return start + indent, start + len(text.rstrip())


def _tokens_in(spans: NDArray[Any], start: int, end: int) -> tuple[int, int]:
    inside = np.flatnonzero((spans[:, 0] < end) & (spans[:, 1] > start))
    return (int(inside[0]), int(inside[-1]) + 1) if len(inside) else (0, 0)
