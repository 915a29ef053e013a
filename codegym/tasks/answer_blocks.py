"""Answer blocks: the pieces of a chat model's answer that may be code.

A fence is a line of at least three backticks or tildes, possibly indented, quoted or behind a list
mark, with the language behind it; an unclosed fence reaches to the end. Where a program holds
fences in a string, its block is the one that parses.
"""

import re
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

from codegym.tasks.program_text import cuts_string, defined, has_code, mended, tree_of
from codegym.tasks.prose import code_segments, is_prose, typed_lines

_FENCE = re.compile(
    r"^(?P<indent>[ \t>]*(?:(?:[-*+\u2022]|\d{1,3}[.)])[ \t]+)?)(?P<mark>`{3,}|~{3,})[ \t]*"
    r"(?P<info>[^`\n]*)$"
)
_PYTHON = re.compile(r"(?:language-|lang-)?(?:python|i?py|ipython|python-repl|pycon|sage)[\d.]*$")
_INLINE = re.compile(r"(?<!`)(`{1,3})(?!`)[ ]?(?:(?:python3?|py)[ \t]+)?([^`\n]+?)[ ]?\1(?!`)")
_MOST_CLOSERS, _MOST_BLOCKS, _MOST_FENCES, _MOST_LATE = 40, 64, 400, 20
_LABEL = re.compile(r"[\w.+-]{0,20}")


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
        return _is_python(self.language)


def _is_python(language: str) -> bool:
    return not language or bool(_PYTHON.match(language))


def has_fence(text: str) -> bool:
    """Return whether a line of a text is a fence, or ends with one."""
    lines = text.split("\n")
    return any(_FENCE.match(line) or _late(line) for line in lines)


def inline_code(text: str) -> list[str]:
    """Return the code spans of a text that holds no blocks."""
    spans = (match[2].strip() for match in _INLINE.finditer(text))
    return [span for span in spans if has_code(span)]


def blocks_of(answer: str) -> list[Block]:
    """Return the fenced blocks of an answer and the code outside them, in order."""
    lines = _on_separate_lines(answer.replace("\r\n", "\n").split("\n"))
    matches = ((number, _FENCE.match(line)) for number, line in enumerate(lines))
    fences = [(number, fence) for number, fence in matches if fence is not None]
    found: list[Block] = []
    at = 0
    for number, opening in fences[-_MOST_FENCES:]:
        if number < at:  # inside a block
            continue
        found += _segments(lines[at:number])
        behind = [(n, fence) for n, fence in fences if n > number]
        end, at = _end_of(lines, number, opening, behind)
        found.append(_block(lines[number + 1 : end], opening))
    return (found + _segments(lines[at:]))[-_MOST_BLOCKS:]


def _segments(lines: Sequence[str]) -> list[Block]:
    return [
        Block(mended(typed_lines(piece)), fenced=False, session=piece.startswith(">>>"))
        for piece in code_segments(mended("\n".join(lines)))
    ]


def _late(line: str) -> tuple[str, str] | None:
    """Split a line that ends with a fence into what stands before it and its label."""
    before, mark, info = line.rpartition("```")
    if not mark or "`" in before or not before.strip() or not _LABEL.fullmatch(info.strip()):
        return None
    return before.rstrip(), info.strip()


def _on_separate_lines(lines: Sequence[str]) -> list[str]:
    """Give a fence that shares its line with prose or code a separate line."""
    found: list[str] = []
    opened: re.Match[str] | None = None
    start = late = 0  # of the open block's lines; number of fences behind code
    for line in lines:
        fence = _FENCE.match(line)
        before, info = (_late(line) if fence is None else None) or ("", "")
        if before and opened is None and is_prose(line):
            found.append(before)
            fence = _FENCE.match(f"```{info}")
        elif before and opened is not None and not info and late < _MOST_LATE:
            late += 1
            if tree_of(textwrap.dedent("\n".join([*found[start:], before]))) is not None:
                found.append(before)
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


def _end_of(
    lines: Sequence[str],
    at: int,
    opening: re.Match[str],
    behind: Sequence[tuple[int, re.Match[str]]],
) -> tuple[int, int]:
    """Return the line behind a block's last line, and the line where reading goes on.

    The block ends at the first fence that closes it and with which it parses, else at the first
    that closes it. Where a fence with a label comes earlier, the block was never closed.
    """
    python = _is_python(_language(opening))
    closers = [number for number, fence in behind if _closes(fence, opening)]
    for number in closers[:_MOST_CLOSERS] if python else ():
        if _parses(lines[at + 1 : number], opening):
            return number, number + 1
        # A fence inside a string cuts the string off.
        if not cuts_string("\n".join(lines[at + 1 : number])):
            break
    first = closers[0] if closers else len(lines)
    labels = ((number, _language(fence)) for number, fence in behind if number < first)
    opener, label = next(((number, label) for number, label in labels if label), (first, ""))
    if opener < first and (python or _is_python(label)):
        if closers or not _parses(lines[at + 1 :], opening):
            return opener, opener
    return first, first + 1


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
