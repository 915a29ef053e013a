"""Feedback: where in a program the fault lies, in lines and in tokens.

The categories are RLTF's (2307.04349, section 3.3): U_global, U_line, U_ignore.
"""

from dataclasses import dataclass
from enum import StrEnum


class Granularity(StrEnum):
    """What part of the program a fault concerns."""

    GLOBAL = "global"
    LINE = "line"
    IGNORE = "ignore"


@dataclass(frozen=True, slots=True, kw_only=True)
class Feedback:
    """Where the fault of one judged program lies.

    Attributes:
        granularity: The whole program, one line, or nowhere in particular.
        lines: First and last line of the fault in the program, from 1; None unless LINE.
        tokens: ``[start, end)`` in the episode's tokens; the whole range for GLOBAL, empty for
            IGNORE and for a fault outside what the policy wrote.
        n_tokens: How many tokens the episode has, the end token included.
    """

    granularity: Granularity
    lines: tuple[int, int] | None = None
    tokens: tuple[int, int] = (0, 0)
    n_tokens: int = 0
