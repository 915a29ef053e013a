"""Lexer state: the pending text between two bytes of a program."""

from typing import NamedTuple

# A terminal's name, or the indentation of a line's first word: tabs, then spaces.
Event = str | tuple[int, int]


class Frame(NamedTuple):
    """An open field of an f-string.

    Attributes:
        quotes: Quotes that close the f-string.
        mode: Prefix of the f-string: ``f`` or ``fr``.
        level: 0 for a field of the string itself, 1 for a field in a format specification.
        depth: Number of open brackets in the field.
    """

    quotes: str
    mode: str
    level: int
    depth: int


class LexerState(NamedTuple):
    r"""A state of the lexer.

    Attributes:
        kind: Kind of the pending text. ``line``: a line's indentation. ``between``: nothing.
            ``joined``: nothing, after a backslash and a newline. ``backslash``: the newline after
            a backslash. ``word``, ``number``, ``operator``, ``comment``. ``remark``: a comment on
            a line without code. ``quotes``: two quotes that a third quote may turn into the start
            of a long string. ``string``: a string, or the literal part of an f-string. ``brace``:
            a brace in an f-string that another brace may double. ``conversion``: the letter after
            ``!``. ``converted``: the end of a field after that letter.
        text: For a ``word``: its letters while it may become a keyword or a prefix, then "*". For
            a ``number``: its form so far. For an ``operator``: its characters. For a string: its
            closing quotes. For ``between``: a quote that may not come next.
        size: For a ``line``: its spaces. For a long string: the closing quotes just written. For a
            short string: 0 while it is empty. For a ``brace``: 1 for ``{``.
        mode: For a string: its prefix, in lower case and sorted. For a ``line``: its tabs.
        escape: For a string: the rest that an escape sequence waits for.
        level: For an f-string: number of format specifications around the literal part.
        frames: The open fields of f-strings, outermost first.
        data: First bytes of a character.
        half: High half of a byte, or -1.
        returned: Whether a carriage return comes directly before; a line feed then belongs to the
            same newline.
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


Step = tuple[tuple[Event, ...], LexerState] | None
# A text that finishes the pending text, and the terminals that it completes.
Completion = tuple[str, tuple[str, ...]]
