"""Symbols: names that a module's top level binds, and names that a definition refers to."""

import ast
import builtins
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache

from codegym.mining.module_tree import Module

BUILTINS = frozenset(vars(builtins))
Definition = ast.FunctionDef | ast.ClassDef | ast.Assign | ast.AnnAssign


@dataclass(frozen=True, slots=True)
class Imported:
    """The target of an import: the module, and a name in it ("" for the module itself)."""

    module: str
    name: str


@dataclass(slots=True)
class Symbols:
    """Names bound at the top level of a module.

    Attributes:
        defined: Name -> the statement that defines it.
        imported: Name -> the target of its import.
        starred: Modules imported by ``import *``.
        repeated: Names that are bound more than once, or under a condition.
    """

    defined: dict[str, Definition] = field(default_factory=dict)
    imported: dict[str, Imported] = field(default_factory=dict)
    starred: list[str] = field(default_factory=list)
    repeated: set[str] = field(default_factory=set)


@lru_cache(maxsize=4096)
def symbols_of(module: Module) -> Symbols:
    """Return the names that a module's top level binds."""
    found = Symbols()
    for node in module.tree.body:
        _add(node, module, found)
    return found


def _add(node: ast.stmt, module: Module, found: Symbols) -> None:
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        if not is_overload(node):
            _define(node.name, node, found)
    elif isinstance(node, ast.Assign):
        for name in (name for target in node.targets for name in _names(target)):
            _define(name, node, found)
    elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.value:
        _define(node.target.id, node, found)
    elif isinstance(node, ast.Import | ast.ImportFrom):
        _import(node, module, found)
    elif isinstance(node, ast.Try):
        # A current Python takes the first branch in nearly all cases.
        for child in node.body:
            if isinstance(child, ast.Import | ast.ImportFrom):
                _import(child, module, found)
            else:
                found.repeated |= bound_names(child)
    elif isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
        for child in node.body:
            if isinstance(child, ast.Import | ast.ImportFrom):
                _import(child, module, found)
    else:
        found.repeated |= bound_names(node)


def _define(name: str, node: Definition, found: Symbols) -> None:
    if name in found.defined or name in found.imported:
        found.repeated.add(name)
    found.defined[name] = node


def _import(node: ast.Import | ast.ImportFrom, module: Module, found: Symbols) -> None:
    for alias in node.names:
        if isinstance(node, ast.Import):
            local = alias.asname or alias.name.partition(".")[0]
            found.imported[local] = Imported(alias.name if alias.asname else local, "")
        elif alias.name == "*":
            found.starred.append(absolute(node, module))
        else:
            local = alias.asname or alias.name
            found.imported[local] = Imported(absolute(node, module), alias.name)


def absolute(node: ast.ImportFrom, module: Module) -> str:
    """Return the absolute dotted name of a ``from`` import's module."""
    if not node.level:
        return node.module or ""
    parts = module.name.split(".")
    keep = len(parts) - node.level + module.is_package
    return ".".join([*parts[: max(0, keep)], *([node.module] if node.module else [])])


def is_overload(node: ast.FunctionDef | ast.ClassDef) -> bool:
    """Return whether a definition only declares a type (``typing.overload``)."""
    return any(ast.unparse(node).endswith("overload") for node in node.decorator_list)


def _names(target: ast.expr) -> Iterator[str]:
    for node in ast.walk(target):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id


def bound_names(node: ast.AST) -> set[str]:
    """Return every name that a statement binds, at any depth."""
    found: set[str] = set()
    for child in ast.walk(node):
        if isinstance(child, ast.Name) and isinstance(child.ctx, ast.Store | ast.Del):
            found.add(child.id)
        elif isinstance(child, ast.FunctionDef | ast.ClassDef | ast.AsyncFunctionDef):
            found.add(child.name)
        elif isinstance(child, ast.arg):
            found.add(child.arg)
        elif isinstance(child, ast.ExceptHandler | ast.MatchAs | ast.MatchStar) and child.name:
            found.add(child.name)
        elif isinstance(child, ast.MatchMapping) and child.rest:
            found.add(child.rest)
        elif isinstance(child, ast.Import | ast.ImportFrom):
            found |= {alias.asname or alias.name.partition(".")[0] for alias in child.names}
    return found


def free_names(node: Definition) -> tuple[set[str], set[str]]:
    """Return global names that a definition refers to: (in its code, only in annotations)."""
    hidden = {id(inner) for note in _annotations(node) for inner in ast.walk(note)}
    own = bound_names(node)
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        own.discard(node.name)
    code: set[str] = set()
    noted: set[str] = set()
    for child in ast.walk(node):
        if isinstance(child, ast.Name) and isinstance(child.ctx, ast.Load):
            (noted if id(child) in hidden else code).add(child.id)
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        code.discard(node.name)
    return code - own, noted - code - own


def _annotations(node: ast.AST) -> Iterator[ast.expr]:
    for child in ast.walk(node):
        if isinstance(child, ast.arg) and child.annotation is not None:
            yield child.annotation
        elif isinstance(child, ast.FunctionDef) and child.returns is not None:
            yield child.returns
        elif isinstance(child, ast.AnnAssign):
            yield child.annotation
