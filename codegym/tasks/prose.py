"""Prose: tells lines of natural language from lines of code, and cuts code out of a plain text."""

import ast
import re
import textwrap
from collections.abc import Sequence
from keyword import iskeyword

from codegym.tasks.program_text import error_line, tree_of

_MARKDOWN = re.compile(
    r"(?:[-*+\u2022\u2013\u2014] |\d+[.)] |\*\*|__\w.*__$|#{1,6} |> |\||-{3,}|={3,}|\$|"
    r"\\[a-zA-Z(\[]|!?\[[^\]]*\]\("
    r"|</?[a-zA-Z|]|>>>|`)"
)
_WORD = re.compile(r"[A-Za-z][\w'\u2019-]*")
_TWO_WORDS = re.compile(
    r"(?P<first>[A-Za-z][\w'\u2019]*)[,;:]? +(?P<second>[A-Za-z][\w'\u2019-]*|[(`\"*'$]\w)"
)
_LABEL = re.compile(r"[A-Z][\w' -]*[.:!?]+$")
_ENGLISH = frozenset(
    "the this that these you we it its of to an above below here there function code solution "
    "example program returns should would can will which following what your each then have has "
    "be are was my let's also because since".split()
)
_STATEMENT = re.compile(
    r"import [A-Za-z_]|from [\w.]+ import\b|(?:async )?def \w|class \w|@\w|"
    r"(?:for|while|if|with|try|async|match)\b.*:|assert |del |global |"
    r"[\w.\[\]'\", *()]+(?::[^=]+)?(?:\*\*|//|>>|<<|[-+*/%&|^@])?= *\S|"
    r"[A-Za-z_][\w.]*\(|[\"']{3}|#!|# |print\b"
)
# A statement that hardly occurs in prose.
_CERTAIN = re.compile(
    r"import [\w., ]+$|from [\w.]+ import |(?:async )?def \w+ *\(|class \w+.*:|@\w"
)
# So much text may be parsed in search of the ends of a program.
_MOST_PARSED, _MOST_TRIES = 1_000_000, 100


def is_prose(line: str) -> bool:
    """Return whether a line is natural language, markup or an interactive session."""
    text = line.strip()
    if not text:
        return False
    if _MARKDOWN.match(text) or ord(text[0]) > 127:
        return True
    if not _WORD.match(text):
        return False
    words = _WORD.findall(text)
    tree = tree_of(text)
    if tree is not None and any(not isinstance(node, ast.Expr) for node in tree.body):
        return False
    if iskeyword(words[0]):
        plain = sum(word in _ENGLISH for word in words[1:])
        ended = text[-1] in ".!?" and not any(sign in text for sign in "()[]{}=:")
        return ended or (plain >= 2 and not text.endswith((":", "\\", "(")))
    two = _TWO_WORDS.match(text)
    if two is not None and two["first"] not in ("print", "exec"):
        return not iskeyword(two["second"]) or two["second"] in ("is", "with", "for", "and", "in")
    return bool(_LABEL.match(text)) or (text[-1] in ".!?" and " " in text and "(" not in text)


def code_segments(text: str) -> list[str]:
    """Return the pieces of a text without fences that are code, in order.

    A piece begins with a statement, parses, and ends before a line of prose or with the text. If
    code follows that does not parse, the piece holds it too: a broken program is not cut short.
    """
    lines = text.split("\n")
    tries = max(5, min(_MOST_TRIES, _MOST_PARSED // (len(text) + 1)))
    found: list[str] = []
    at = starts = 0
    while at < len(lines) and starts < tries:
        line = lines[at]
        if line.lstrip().startswith(">>>"):
            taken = _session(lines[at:])
            found.append(textwrap.dedent("\n".join(lines[at : at + taken])))
            at += taken
            continue
        if not _STATEMENT.match(line.lstrip()) or is_prose(line):
            at += 1
            continue
        starts += 1
        indent = line[: len(line) - len(line.lstrip())]
        region = _region(lines[at:], indent)
        taken = _longest(region, tries)
        if taken and (rest := _broken(region[taken:])):
            taken += rest
        elif not taken and _CERTAIN.match(line.strip()):
            taken = _broken(region)
        if taken:
            found.append("\n".join(region[:taken]).rstrip())
        at += max(taken, 1)
    return found


def _session(lines: Sequence[str]) -> int:
    """Return how many lines an interactive session has; a blank line ends it."""
    return next((n for n, line in enumerate(lines) if not line.strip()), len(lines))


def typed_lines(text: str) -> str:
    """Return the typed lines of an interactive session, or any other text unchanged."""
    first = next((line for line in text.split("\n") if line.strip()), "")
    if not first.lstrip().startswith(">>>"):
        return text
    lines = textwrap.dedent(text).split("\n")
    typed = [line[4:] for line in lines if line[:3] in (">>>", "...") and line[3:4] in ("", " ")]
    return "\n".join(typed)


def _region(lines: Sequence[str], indent: str) -> list[str]:
    """Return the lines up to the first that is indented less, without that indentation."""
    if not indent:
        return list(lines)
    end = next(
        (n for n, line in enumerate(lines) if line.strip() and not line.startswith(indent)), None
    )
    return textwrap.dedent("\n".join(lines[:end])).split("\n")


def _longest(lines: Sequence[str], tries: int) -> int:
    """Return how many lines parse together; what follows begins at the margin."""
    end = len(lines)
    for _ in range(tries):
        if end <= 0:
            return 0
        wrong = error_line("\n".join(lines[:end]))
        if not wrong:
            return end
        # No text that holds this line parses, so the program ends at a margin before it.
        end = min(wrong - 1, end - 1)
        while end > 0 and not lines[end][:1].strip():
            end -= 1
    return 0


def _broken(lines: Sequence[str]) -> int:
    """Return how many lines, up to the first line of prose at the margin, are broken code."""
    first = next((line for line in lines if line.strip()), "")
    if not first or is_prose(first):
        return 0
    return next(
        (n for n, line in enumerate(lines) if line[:1].strip() and is_prose(line)), len(lines)
    )
