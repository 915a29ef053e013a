"""Finding: the functions of a module that might become tasks, by their syntax trees alone."""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass

from codegym.mining.module_tree import Module
from codegym.mining.symbols import is_overload, symbols_of

DOCSTRING_CHARS = 12
_MOST_LINES = 80


@dataclass(frozen=True, slots=True)
class Candidate:
    """A function at the top level of a module."""

    module: Module
    node: ast.FunctionDef

    @property
    def key(self) -> str:
        """Its stable name: distribution, module and function."""
        return f"{self.module.origin.name}/{self.module.name}:{self.node.name}"

    @property
    def docstring(self) -> str:
        """Its docstring, indentation removed; "" without one."""
        return ast.get_docstring(self.node) or ""


def find_candidates(module: Module) -> Iterator[Candidate]:
    """Yield the functions of a module that take arguments and are bound once, in order."""
    repeated = symbols_of(module).repeated
    for node in module.tree.body:
        if not isinstance(node, ast.FunctionDef) or is_overload(node):
            continue
        if node.name in repeated or node.name.startswith(("test", "__", "_test")):
            continue
        yield Candidate(module, node)


def undocumented(candidate: Candidate) -> str:
    """Return why a function's documentation does not do as a prompt; "" if it does."""
    docstring = candidate.docstring
    if len(docstring) < DOCSTRING_CHARS or len(docstring.split()) < 3:
        return "no docstring" if not docstring else "a docstring of a word or two"
    if docstring.lower().startswith(("deprecated", "internal")):
        return "deprecated"
    return ""


def unanswering(candidate: Candidate) -> str:
    """Return why a function can give no answer worth testing; "" if it may."""
    node = candidate.node
    if len(node.body) < 2:
        return "no body"
    if (node.end_lineno or 0) - node.body[0].lineno > _MOST_LINES + len(
        candidate.docstring.split("\n")
    ):
        return "too long"
    for one in ast.walk(node):
        if isinstance(one, ast.Return) and one.value is not None:
            if not (isinstance(one.value, ast.Constant) and one.value.value is None):
                return ""
        elif isinstance(one, ast.Yield | ast.YieldFrom):
            return ""
    return "returns nothing"


def literals_of(node: ast.AST, *, most: int = 60) -> list[int | float | str]:
    """Return the constants of a function's code and of what is carried along, docstrings apart."""
    hidden = {
        id(one.value)
        for one in ast.walk(node)
        if isinstance(one, ast.Expr) and isinstance(one.value, ast.Constant)
    }
    found: dict[tuple[str, object], int | float | str] = {}
    for one in ast.walk(node):
        if isinstance(one, ast.Constant) and id(one) not in hidden:
            value = one.value
            if type(value) in (int, float) or (type(value) is str and 0 < len(value) <= 60):
                found[type(value).__name__, value] = value  # type: ignore[assignment]
    return list(found.values())[:most]


def patterns_of(node: ast.AST) -> list[str]:
    """Return the regular expressions in code: texts that a function of ``re`` is given first."""
    found: dict[str, None] = {}
    for one in ast.walk(node):
        if isinstance(one, ast.Call) and one.args and isinstance(one.func, ast.Attribute):
            first = one.args[0]
            if isinstance(one.func.value, ast.Name) and one.func.value.id == "re":
                if isinstance(first, ast.Constant) and isinstance(first.value, str):
                    try:
                        re.compile(first.value)
                    except (re.error, OverflowError, RecursionError):
                        continue
                    found[first.value] = None
    return list(found)[:12]
