"""Lex: a state of the lexer."""

from typing import NamedTuple

# A terminal's name, or the indentation of a line's first word: tabs, then spaces.
Event = str | tuple[int, int]


class Frame(NamedTuple):
    """A field of an f-string that is open.

    Attributes:
        quotes: What closes the f-string.
        mode: The f-string's prefix: ``f`` or ``fr``.
        level: 0 for a field of the string itself, 1 for one in a field's format specification.
        depth: Brackets open in the field.
    """

    quotes: str
    mode: str
    level: int
    depth: int


class Lex(NamedTuple):
    r"""A state of the lexer.

    Attributes:
        kind: What is pending. ``line``: a line's indentation. ``between``: nothing. ``joined``:
            nothing, after a backslash and a newline. ``backslash``: that newline. ``word``,
            ``number``, ``operator``, ``comment``. ``remark``: a comment that has its line to
            itself. ``quotes``: two quotes that a third may make a long string's. ``string``: a
            string, or the literal part of an f-string. ``brace``: in an f-string, a brace that
            another may double. ``conversion``: the letter after ``!``. ``converted``: the end of
            a field after that.
        text: Of a ``word``: its letters while it may become a keyword or a prefix, then "*". Of a
            ``number``: its form so far. Of an ``operator``: its characters. Of a string: what
            closes it. Of ``between``: a quote that may not come next.
        size: Of a ``line``: its spaces. Of a long string: quotes just written that may close it; of
            a short one: 0 while it is empty. Of a ``brace``: 1 for ``{``.
        mode: Of a string: its prefix, in small letters and sorted; of a ``line``: its tabs.
        escape: Of a string: what an escape still waits for.
        level: Of an f-string: how many format specifications the literal part stands in.
        frames: The open fields of f-strings, outermost first.
        data: The first bytes of a character.
        half: The high half of a byte, or -1.
        returned: Whether a carriage return stands right before, of whose newline a line feed is
            but the second character.
    """

    kind: str
    text: str = ""
    size: int = 0
    mode: str = ""
    escape: str = ""
    level: int = 0
    frames: tuple[Frame, ...] = ()
    data: str = ""
    half: int = -1
    returned: bool = False


Step = tuple[tuple[Event, ...], Lex] | None
# What to write, and the terminals that gives.
Way = tuple[str, tuple[str, ...]]
