"""Duplicates: programs that are one but for names, spacing, comments, docstrings, annotations."""

import ast
import hashlib
from collections.abc import Mapping

from codegym.mining.symbols import bound_names

_FEWEST_PROBES, _FEWEST_RESULTS = 6, 4


def tree_key(program: str) -> str:
    """Return a digest that programs share whose normalised syntax trees are equal.

    Every name that the program itself binds is numbered in the order of its first appearance.

    Args:
        program: A program that parses.
    """
    tree = ast.parse(program)
    # Docstrings first: what they hold must not count.
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.ClassDef | ast.Module):
            node.body = [one for one in node.body if not _is_text(one)] or [ast.Pass()]
    imported = {
        alias.asname or alias.name.partition(".")[0]
        for node in tree.body
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
    }
    _Numbering(bound_names(tree) - imported).visit(tree)
    imports = [one for one in tree.body if isinstance(one, ast.Import | ast.ImportFrom)]
    rest = [one for one in tree.body if one not in imports]
    used = {node.id for one in rest for node in ast.walk(one) if isinstance(node, ast.Name)}
    # What only annotations named is imported for nothing now.
    parts = sorted(
        ast.dump(type(one)(**{**dict(ast.iter_fields(one)), "names": [alias]}))
        for one in imports
        for alias in one.names
        if (alias.asname or alias.name.partition(".")[0]) in used
    )
    parts += [ast.dump(one) for one in rest]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:24]


def behaviour_key(behaviour: Mapping[str, str]) -> str:
    """Return a digest of what a function gives on the fixed inputs; "" where that says too little.

    Args:
        behaviour: Number of the input -> digest of the result, from ``inside.behaviour``.
    """
    if not tells_enough(behaviour):
        return ""
    rows = sorted(behaviour.items())
    return hashlib.sha256(repr(rows).encode()).hexdigest()[:24]


def tells_enough(behaviour: Mapping[str, str]) -> bool:
    """Tell whether results on the fixed inputs are many and varied enough to know a function by."""
    return len(behaviour) >= _FEWEST_PROBES and len(set(behaviour.values())) >= _FEWEST_RESULTS


class _Numbering(ast.NodeTransformer):
    """Numbers names, and forgets annotations."""

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
        """Write an annotated assignment as a plain one."""
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
