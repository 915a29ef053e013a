"""Finding: finds functions in a module that might become tasks, by their syntax trees alone."""

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
        """Stable name: distribution, module and function."""
        return f"{self.module.origin.name}/{self.module.name}:{self.node.name}"

    @property
    def docstring(self) -> str:
        """Docstring without indentation; "" if there is none."""
        return ast.get_docstring(self.node) or ""


def find_candidates(module: Module) -> Iterator[Candidate]:
    """Yield the functions of a module that are bound once, in order."""
    repeated = symbols_of(module).repeated
    for node in module.tree.body:
        if not isinstance(node, ast.FunctionDef) or is_overload(node):
            continue
        if node.name in repeated or node.name.startswith(("test", "__", "_test")):
            continue
        yield Candidate(module, node)


def docstring_fault(candidate: Candidate) -> str:
    """Return why a function's docstring is unfit as a prompt; "" if it is fit."""
    docstring = candidate.docstring
    if len(docstring) < DOCSTRING_CHARS or len(docstring.split()) < 3:
        return "no docstring" if not docstring else "a docstring of a word or two"
    if docstring.lower().startswith(("deprecated", "internal")):
        return "deprecated"
    return ""


def result_fault(candidate: Candidate) -> str:
    """Return why a function can give no answer worth testing; "" if it may."""
    node = candidate.node
    if len(node.body) < 2:
        return "no body"
    if (node.end_lineno or 0) - node.body[0].lineno > _MOST_LINES + len(
        candidate.docstring.split("\n")
    ):
        return "too long"
    for child in ast.walk(node):
        if isinstance(child, ast.Return) and child.value is not None:
            if not (isinstance(child.value, ast.Constant) and child.value.value is None):
                return ""
        elif isinstance(child, ast.Yield | ast.YieldFrom):
            return ""
    return "returns nothing"


def literals_of(node: ast.AST, *, most: int = 60) -> list[int | float | str]:
    """Return the constants in a function's code and in carried code, without docstrings."""
    hidden = {
        id(child.value)
        for child in ast.walk(node)
        if isinstance(child, ast.Expr) and isinstance(child.value, ast.Constant)
    }
    found: dict[tuple[str, object], int | float | str] = {}
    for child in ast.walk(node):
        if isinstance(child, ast.Constant) and id(child) not in hidden:
            value = child.value
            if type(value) in (int, float) or (type(value) is str and 0 < len(value) <= 60):
                found[type(value).__name__, value] = value  # type: ignore[assignment]
    return list(found.values())[:most]


def patterns_of(node: ast.AST) -> list[str]:
    """Return the regular expressions in code: first arguments of functions of ``re``."""
    found: dict[str, None] = {}
    for call in ast.walk(node):
        if isinstance(call, ast.Call) and call.args and isinstance(call.func, ast.Attribute):
            first = call.args[0]
            if isinstance(call.func.value, ast.Name) and call.func.value.id == "re":
                if isinstance(first, ast.Constant) and isinstance(first.value, str):
                    try:
                        re.compile(first.value)
                    except (re.error, OverflowError, RecursionError):
                        continue
                    found[first.value] = None
    return list(found)[:12]
