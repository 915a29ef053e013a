"""Program text: questions about the source of a program, answered by parsing and never by running.

The functions accept any text. Text that does not parse has no definitions and no free names.
"""

import ast
import builtins
import html
import re
import textwrap
from collections.abc import Iterator
from functools import lru_cache

from codegym.tasks.contest import holds_method

DEFINITIONS = (
    ast.Import | ast.ImportFrom | ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Assign
) | ast.AnnAssign
_FUNCTION = ast.FunctionDef | ast.AsyncFunctionDef
_BUILTINS = frozenset(vars(builtins)) | {"__name__", "__file__", "__doc__"}
_READERS = re.compile(r"\binput\s*\(|\bstdin\b|\bopen\s*\(\s*0\b|/dev/stdin|\bfileinput\b")
# Labels around a program that parse as a list of one name.
_LABELS = frozenset({"BEGIN", "DONE", "END", "PYTHON", "CODE", "ANSWER", "SOLUTION"})
_ZERO_WIDTH = "\u200b\u200c\u200d\u2060\ufeff\u00ad"
_WIDE = "\u00a0\u1680\u2000-\u200a\u202f\u205f\u3000"
# Strings and comments come first, so that nothing in them is replaced.
_ODD_SPACES = re.compile(
    r'(?P<kept>"""(?:\\.|[^\\])*?"""|\'\'\'(?:\\.|[^\\])*?\'\'\''
    r'|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'|#[^\n]*)'
    rf"|(?P<zero>[{_ZERO_WIDTH}]+)|(?P<wide>[{_WIDE}])",
    re.DOTALL,
)
_MAGIC = re.compile(r"^[!%]\s*\w[^\n]*(?:\n|\Z)", re.MULTILINE)
# Text longer than this is read without attempts to mend it.
MOST_CHARS = 20_000


@lru_cache(maxsize=128)
def tree_of(text: str) -> ast.Module | None:
    """Return the syntax tree of a text, None if it does not parse; nobody may change the tree."""
    return _parsed(text)[0]


def error_line(text: str) -> int:
    """Return the line at which a text stops to parse, counted from 1; 0 where it parses."""
    return _parsed(text)[1]


def _parsed(text: str) -> tuple[ast.Module | None, int]:
    try:
        return ast.parse(text), 0
    except SyntaxError as error:
        return None, max(1, error.lineno or 1)
    except (ValueError, RecursionError, MemoryError):
        return None, 1


def cuts_string(text: str) -> bool:
    """Return whether a text ends inside a string of several lines."""
    try:
        ast.parse(textwrap.dedent(text))
    except SyntaxError as error:
        return error.msg.startswith("unterminated triple-quoted")
    except (ValueError, RecursionError, MemoryError):
        return False
    return False


def names_of(statement: ast.stmt, *, imports: bool = True) -> Iterator[str]:
    """Yield the names that a statement binds at its own level."""
    if isinstance(statement, _FUNCTION | ast.ClassDef):
        yield statement.name
    elif isinstance(statement, ast.Import | ast.ImportFrom):
        if imports:
            for alias in statement.names:
                yield (alias.asname or alias.name).split(".")[0]
    elif isinstance(statement, ast.Assign):
        for target in statement.targets:
            yield from (node.id for node in ast.walk(target) if isinstance(node, ast.Name))
    elif isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
        yield statement.target.id
    elif isinstance(statement, ast.If | ast.Try | ast.With):
        for inner in _inner(statement):
            yield from names_of(inner, imports=imports)


def _inner(statement: ast.If | ast.Try | ast.With) -> Iterator[ast.stmt]:
    yield from statement.body
    yield from getattr(statement, "orelse", [])
    for handler in getattr(statement, "handlers", []):
        yield from handler.body


def defined(text: str) -> set[str]:
    """Return the names that a program binds at its top level."""
    tree = tree_of(text)
    return set() if tree is None else {name for node in tree.body for name in names_of(node)}


def defines(text: str, name: str) -> bool:
    """Return whether a program defines a function, itself or as a method of ``class Solution``.

    An import of the name is no definition: tests import what they test.
    """
    tree = tree_of(text)
    if tree is None:
        return False
    if any(name in names_of(node, imports=False) for node in tree.body):
        return True
    return holds_method(text, name)


def mentions(text: str, name: str) -> bool:
    """Return whether a text that need not parse looks as if it defined a function."""
    return bool(re.search(rf"\b(?:def|class)[ \t]+{re.escape(name)}\b", text))


def is_stub(text: str, name: str) -> bool:
    """Return whether a program only announces a function: its body is empty."""
    tree = tree_of(text)
    if tree is None:
        return False
    found = [
        node for node in ast.walk(tree) if isinstance(node, _FUNCTION) and node.name == name
    ]  # fmt: skip
    return bool(found) and all(_is_empty(statement) for statement in found[-1].body)


def _is_empty(statement: ast.stmt) -> bool:
    if isinstance(statement, ast.Raise):
        return "NotImplementedError" in ast.dump(statement)
    constant = isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
    return constant or isinstance(statement, ast.Pass)


def free_names(text: str) -> set[str]:
    """Return the names that a program reads and nothing in it binds; builtins are left out."""
    tree = tree_of(text)
    if tree is None:
        return set()
    used: set[str] = set()
    bound: set[str] = set(_BUILTINS)
    for node in ast.walk(tree):
        if isinstance(node, ast.Name):
            (used if isinstance(node.ctx, ast.Load) else bound).add(node.id)
        elif isinstance(node, _FUNCTION | ast.ClassDef):
            bound.add(node.name)
        elif isinstance(node, ast.arg):
            bound.add(node.arg)
        elif isinstance(node, ast.alias):
            if node.name == "*":
                return set()  # the bound names are unknown
            bound.add((node.asname or node.name).partition(".")[0])
        elif isinstance(node, ast.ExceptHandler | ast.MatchAs | ast.MatchStar) and node.name:
            bound.add(node.name)
    return used - bound


def has_effect(text: str) -> bool:
    """Return whether a program does something when it is run: it holds more than definitions."""
    tree = tree_of(text)
    if tree is None:
        return False
    calls = (node for node in tree.body if not isinstance(node, _FUNCTION | ast.ClassDef))
    return any(isinstance(inner, ast.Call) for node in calls for inner in ast.walk(node))


def has_code(text: str) -> bool:
    """Return whether a text parses and holds a statement other than a bare value."""
    tree = tree_of(text)
    return tree is not None and any(
        not isinstance(node, ast.Expr) or any(isinstance(n, ast.Call) for n in ast.walk(node))
        for node in tree.body
    )


def returns_inside(text: str) -> bool:
    """Return whether a text parses and returns from nowhere but functions."""
    tree = tree_of(text)
    return tree is not None and not any(
        isinstance(inner, ast.Return)
        for node in tree.body
        if not isinstance(node, _FUNCTION | ast.ClassDef)
        for inner in ast.walk(node)
    )


def reads_input(text: str) -> bool:
    """Return whether a program seems to read standard input."""
    return _READERS.search(text) is not None


def without_labels(program: str) -> str:
    r"""Return a program without labels around it that happen to parse, such as ``[DONE]``.

    A label is a statement at the beginning or the end that consists of a name that nothing defines,
    or of a list of such a name. ``[DONE]`` ends a program wherever it is a statement.

    Example:
        >>> without_labels("[BEGIN]\nx = 1\n[DONE]\nprint(x)")
        'x = 1\n'
    """
    tree = tree_of(program)
    if tree is None or not any(isinstance(node, ast.Expr) for node in tree.body):
        return program
    body, free = list(tree.body), free_names(program)
    lines = program.splitlines(keepends=True)
    first, last = 0, len(lines)
    for at, node in enumerate(body):
        if _label(node, free, known=frozenset({"DONE"})):
            body, last = body[:at], node.lineno - 1
            break
    while body and _label(body[0], free):
        first = body[0].end_lineno or body[0].lineno
        body = body[1:]
    while body and _label(body[-1], free):
        last = body[-1].lineno - 1
        body = body[:-1]
    whole = first == 0 and last == len(lines)
    if whole or not body or len(lines) != program.count("\n") + (not program.endswith("\n")):
        return program
    return "".join(lines[first:last])


def _label(node: ast.stmt, free: set[str], known: frozenset[str] = _LABELS) -> bool:
    if not isinstance(node, ast.Expr):
        return False
    value = node.value
    if isinstance(value, ast.List) and len(value.elts) == 1:
        inner = value.elts[0]
        return isinstance(inner, ast.Name) and inner.id in known and inner.id in free
    return known is _LABELS and isinstance(value, ast.Name) and value.id in free


def mended(text: str) -> str:
    """Return a text that parses where only its transport harmed it, else the text unchanged.

    Harm of transport is an odd space outside strings, an escape of HTML, or a line for the shell of
    a notebook.
    """
    if tree_of(text) is not None or len(text) > MOST_CHARS:
        return text
    tried = text.removeprefix("\ufeff")
    for mend in (_plain_spaces, _without_magic, html.unescape):
        changed = mend(tried)
        if changed != tried and tree_of(changed) is not None:
            return changed
        tried = changed
    return tried if tree_of(tried) is not None else text


def _plain_spaces(text: str) -> str:
    def plain(match: re.Match[str]) -> str:
        kept: str | None = match["kept"]
        return kept if kept is not None else " " if match["wide"] else ""

    return _ODD_SPACES.sub(plain, text)


def _without_magic(text: str) -> str:
    return _MAGIC.sub("", text)
