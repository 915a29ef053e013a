"""Duplicate programs: keys that ignore names, spacing, comments, docstrings and annotations."""

import ast
import hashlib
from collections.abc import Mapping

from codegym.mining.symbols import bound_names

_FEWEST_PROBES, _FEWEST_RESULTS = 6, 4


def tree_key(program: str) -> str:
    """Return a digest that equals another program's if their normalised syntax trees are equal.

    Names that the program binds are numbered in the order of their first appearance.

    Args:
        program: A program that parses.
    """
    tree = ast.parse(program)
    # Docstrings go first, so that names in them do not count.
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.ClassDef | ast.Module):
            node.body = [child for child in node.body if not _is_text(child)] or [ast.Pass()]
    imported = {
        alias.asname or alias.name.partition(".")[0]
        for node in tree.body
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
    }
    _Numbering(bound_names(tree) - imported).visit(tree)
    imports = [node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)]
    rest = [node for node in tree.body if node not in imports]
    used = {name.id for node in rest for name in ast.walk(node) if isinstance(name, ast.Name)}
    # Imports that only annotations use do not count.
    parts = sorted(
        ast.dump(type(node)(**{**dict(ast.iter_fields(node)), "names": [alias]}))
        for node in imports
        for alias in node.names
        if (alias.asname or alias.name.partition(".")[0]) in used
    )
    parts += [ast.dump(node) for node in rest]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:24]


def behaviour_key(behaviour: Mapping[str, str]) -> str:
    """Return a digest of a function's results on the fixed inputs; "" if they say too little.

    Args:
        behaviour: Number of the input -> digest of the result, from ``inside.behaviour``.
    """
    if not is_telling(behaviour):
        return ""
    rows = sorted(behaviour.items())
    return hashlib.sha256(repr(rows).encode()).hexdigest()[:24]


def is_telling(behaviour: Mapping[str, str]) -> bool:
    """Return whether results on the fixed inputs are many and varied enough for recognition."""
    return len(behaviour) >= _FEWEST_PROBES and len(set(behaviour.values())) >= _FEWEST_RESULTS


class _Numbering(ast.NodeTransformer):
    """Numbers bound names and removes annotations."""

    def __init__(self, own: set[str]) -> None:
        self._own = own
        self._numbers: dict[str, str] = {}

    def _number(self, name: str) -> str:
        if name not in self._own:
            return name
        return self._numbers.setdefault(name, f"v{len(self._numbers)}")

    def visit_Name(self, node: ast.Name) -> ast.AST:
        """Number a name."""
        node.id = self._number(node.id)
        return node

    def visit_arg(self, node: ast.arg) -> ast.AST:
        """Number a parameter."""
        node.arg, node.annotation = self._number(node.arg), None
        return node

    def visit_keyword(self, node: ast.keyword) -> ast.AST:
        """Number a keyword that names a parameter."""
        node.arg = self._number(node.arg) if node.arg else None
        self.generic_visit(node)
        return node

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        """Number a function, and what is in it."""
        node.name, node.returns = self._number(node.name), None
        self.generic_visit(node)
        return node

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
        """Number a class, and what is in it."""
        node.name = self._number(node.name)
        self.generic_visit(node)
        return node

    def visit_ExceptHandler(self, node: ast.ExceptHandler) -> ast.AST:
        """Number the name of a caught exception."""
        node.name = self._number(node.name) if node.name else None
        self.generic_visit(node)
        return node

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST:
        """Turn an annotated assignment into a plain assignment."""
        self.generic_visit(node)
        if node.value is None:
            return ast.Pass()
        return ast.Assign(targets=[node.target], value=node.value)


def _is_text(node: ast.stmt) -> bool:
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )
