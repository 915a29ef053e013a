"""Lines: how a program is written line by line, in texts and in tokens alike."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Lines:
    """The lines of a written text, as far as they belong to the program.

    Attributes:
        text: The lines, each with a line break at its end.
        used: Number of characters of the written text that were read.
        closed: Whether a line break ended the program at ``used``; what follows is not read.
        finished: Whether its author ended it, by an empty line or by an end token; False where
            the largest number of lines, or a token budget, cut it.
    """

    text: str
    used: int
    closed: bool
    finished: bool


def lines_in(text: str, *, ended: bool, max_lines: int) -> Lines:
    r"""Read a text line by line: an empty line ends the program, and so does line ``max_lines``.

    Args:
        text: What was written so far.
        ended: Whether an end token follows the text.
        max_lines: Largest number of lines.

    Example:
        >>> lines_in("a\nb\n\nc", ended=True, max_lines=9)
        Lines(text='a\nb\n', used=5, closed=True, finished=True)
    """
    whole, _, rest = text.rpartition("\n")
    used = count = 0
    for line in whole.split("\n") if "\n" in text else ():
        if not line:
            return Lines(text[:used], used + 1, True, True)
        used, count = used + len(line) + 1, count + 1
        if count == max_lines:
            return Lines(text[:used], used, True, False)
    if not rest:
        return Lines(text, used, False, ended)
    return Lines(text + "\n", len(text), False, ended and count + 1 < max_lines)
