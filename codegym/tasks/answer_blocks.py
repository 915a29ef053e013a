"""Answer blocks: the pieces of a chat model's answer that may be code.

A fence is a line of at least three backticks or tildes, possibly indented, quoted or behind a list
mark, with the language behind it; an unclosed fence reaches to the end. Where a program holds
fences in a string, its block is the one that parses.
"""

import re
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

from codegym.tasks.program_text import defined, has_code, mended, tree_of
from codegym.tasks.prose import code_segments, is_prose, typed_lines

_FENCE = re.compile(
    r"^(?P<indent>[ \t>]*(?:(?:[-*+\u2022]|\d{1,3}[.)])[ \t]+)?)(?P<mark>`{3,}|~{3,})[ \t]*"
    r"(?P<info>[^`\n]*)$"
)
# A fence behind prose on its line, and a fence behind the last line of code.
_LATE_FENCE = re.compile(
    r"^(?P<before>[^`\n]*[^`\s][^`\n]*?)[ \t]*```[ \t]*(?P<info>[\w.+-]*)[ \t]*$"
)
_PYTHON = re.compile(r"(?:language-|lang-)?(?:python|i?py|ipython|python-repl|pycon|sage)[\d.]*$")
_INLINE = re.compile(r"(?<!`)(`{1,3})(?!`)[ ]?(?:(?:python3?|py)[ \t]+)?([^`\n]+?)[ ]?\1(?!`)")
_MOST_CLOSERS = 40


@dataclass(frozen=True, slots=True)
class Block:
    """A piece of an answer that may be code.

    Attributes:
        text: Its lines, without the indentation of its fence and without ``>>>``.
        language: Word behind the fence, in lower case; "" if there is none.
        fenced: Whether a fence begins it.
        session: Whether it was an interactive session.
    """

    text: str
    language: str = ""
    fenced: bool = True
    session: bool = False

    @property
    def is_python(self) -> bool:
        """Whether the block's label says Python, or nothing."""
        return not self.language or bool(_PYTHON.match(self.language))


def has_fence(text: str) -> bool:
    """Return whether a line of a text is a fence, or ends with one."""
    lines = text.split("\n")
    return any(_FENCE.match(line) or _LATE_FENCE.match(line) for line in lines)


def inline_code(text: str) -> list[str]:
    """Return the code spans of a text that holds no blocks."""
    spans = (match[2].strip() for match in _INLINE.finditer(text))
    return [span for span in spans if has_code(span)]


def blocks_of(answer: str) -> list[Block]:
    """Return the fenced blocks of an answer and the code outside them, in order."""
    lines = _on_separate_lines(answer.replace("\r\n", "\n").split("\n"))
    found: list[Block] = []
    outside: list[str] = []
    at = 0
    while at < len(lines):
        opening = _FENCE.match(lines[at])
        if opening is None:
            outside.append(lines[at])
            at += 1
            continue
        end, after = _end_of(lines, at, opening)
        found += _segments(outside)
        outside = []
        found.append(_block(lines[at + 1 : end], opening))
        at = after
    return found + _segments(outside)


def _segments(lines: Sequence[str]) -> list[Block]:
    return [
        Block(mended(typed_lines(piece)), fenced=False, session=piece.startswith(">>>"))
        for piece in code_segments(mended("\n".join(lines)))
    ]


def _on_separate_lines(lines: Sequence[str]) -> list[str]:
    """Give a fence that shares its line with prose or code a separate line."""
    found: list[str] = []
    opened: re.Match[str] | None = None
    start = 0  # of the open block's lines
    for line in lines:
        fence = _FENCE.match(line)
        late = _LATE_FENCE.match(line) if fence is None else None
        if late is not None and opened is None and is_prose(line):
            found.append(late["before"])
            fence = _FENCE.match(f"```{late['info']}")
        elif late is not None and opened is not None and not late["info"]:
            code = [*found[start:], late["before"]]
            if tree_of(textwrap.dedent("\n".join(code))) is not None:
                found.append(late["before"])
                fence = _FENCE.match(opened["indent"] + opened["mark"])
        elif fence is not None and opened is None and _is_code(fence["info"]):
            found += [fence["indent"] + fence["mark"], fence["indent"] + fence["info"]]
            opened, start = fence, len(found) - 1
            continue
        found.append(line if fence is None else fence.string)
        if fence is not None and opened is None:
            opened, start = fence, len(found)
        elif fence is not None and opened is not None and _closes(fence, opened):
            opened = None
    return found


def _is_code(info: str) -> bool:
    return bool(re.match(r"(?:def|class|import|from|print\(|\w+ *= *)\W?", info)) and (
        "(" in info or "=" in info or info.startswith(("import ", "from "))
    )


def _closes(fence: re.Match[str], opening: re.Match[str]) -> bool:
    mark, wanted = fence["mark"], opening["mark"]
    return mark[0] == wanted[0] and len(mark) >= len(wanted) and not fence["info"].strip()


def _end_of(lines: Sequence[str], at: int, opening: re.Match[str]) -> tuple[int, int]:
    """Return the line behind a block's last line, and the line where reading goes on.

    The block ends at the first fence that closes it and with which it parses, else at the first
    that closes it. Where a fence with a label comes earlier, the block was never closed.
    """
    language = _language(opening)
    python = not language or bool(_PYTHON.match(language))
    first = opener = None
    closers = 0
    for number in range(at + 1, len(lines)):
        fence = _FENCE.match(lines[number])
        if fence is None:
            continue
        if not _closes(fence, opening):
            if opener is None and first is None and _language(fence):
                opener = number
            continue
        first = number if first is None else first
        closers += 1
        if python and _parses(lines[at + 1 : number], opening):
            return number, number + 1
        if not python or closers == _MOST_CLOSERS:
            break
    if opener is not None and (python or bool(_PYTHON.match(_language(_fence(lines[opener]))))):
        if first is not None or not _parses(lines[at + 1 :], opening):
            return opener, opener
    if first is None:
        return len(lines), len(lines)
    return first, first + 1


def _fence(line: str) -> re.Match[str]:
    fence = _FENCE.match(line)
    assert fence is not None
    return fence


def _parses(lines: Sequence[str], opening: re.Match[str]) -> bool:
    text = _inside(lines, opening)[0]
    return tree_of(text) is not None or tree_of(textwrap.dedent(text)) is not None


def _language(opening: re.Match[str]) -> str:
    info = opening["info"].strip().lower().lstrip("{.").split()
    return re.split(r"[,{}:]", info[0])[0] if info else ""


def _block(lines: Sequence[str], opening: re.Match[str]) -> Block:
    text, session = _inside(lines, opening)
    return Block(_without_prose(text), _language(opening), session=session)


def _inside(lines: Sequence[str], opening: re.Match[str]) -> tuple[str, bool]:
    """Return a block's text, and whether it was an interactive session."""
    indent = opening["indent"]
    if ">" in indent:  # quoted, as in e-mail
        lines = [re.sub(r"^[ \t]*(?:> ?)+", "", line) for line in lines]
    else:
        width = re.sub(r"[^ \t]", " ", indent)
        lines = [line.removeprefix(width) for line in lines]
    inside = "\n".join(lines)
    text = typed_lines(inside)
    # Definitions start at the margin; a block without definitions may be a body that continues a
    # prompt.
    dedented = textwrap.dedent(text)
    chosen = dedented if tree_of(text) is None and defined(mended(dedented)) else text
    return mended(chosen), text != inside


def _without_prose(text: str) -> str:
    """Return a block without the prose behind it, which an unclosed fence takes in."""
    if tree_of(text) is not None:
        return text
    lines = text.split("\n")
    end = next((n for n, line in enumerate(lines) if line[:1].strip() and is_prose(line)), 0)
    shorter = "\n".join(lines[:end]).rstrip()
    return shorter if has_code(shorter) else text
