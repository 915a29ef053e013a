"""Symbols: what a module defines and imports at its top level, and what a definition refers to."""

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
    """A name that an import binds: the module, and the name in it ("" for the module itself)."""

    module: str
    name: str


@dataclass(slots=True)
class Symbols:
    """The top level of a module.

    Attributes:
        defined: Name -> the one statement that defines it.
        imported: Name -> where it comes from.
        starred: Modules that ``import *`` was done from.
        repeated: Names that are bound more than once, or under a condition.
    """

    defined: dict[str, Definition] = field(default_factory=dict)
    imported: dict[str, Imported] = field(default_factory=dict)
    starred: list[str] = field(default_factory=list)
    repeated: set[str] = field(default_factory=set)


@lru_cache(maxsize=4096)
def symbols_of(module: Module) -> Symbols:
    """Return what a module's top level binds."""
    found = Symbols()
    for node in module.tree.body:
        _add(node, module, found)
    return found


def _add(node: ast.stmt, module: Module, found: Symbols) -> None:
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        if not is_overload(node):
            _define(node.name, node, found)
    elif isinstance(node, ast.Assign):
        for name in (one for target in node.targets for one in _names(target)):
            _define(name, node, found)
    elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.value:
        _define(node.target.id, node, found)
    elif isinstance(node, ast.Import | ast.ImportFrom):
        _import(node, module, found)
    elif isinstance(node, ast.Try):
        # The first branch is what a current Python takes in nearly all cases.
        for one in node.body:
            if isinstance(one, ast.Import | ast.ImportFrom):
                _import(one, module, found)
            else:
                found.repeated |= bound_names(one)
    elif isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
        for one in node.body:
            if isinstance(one, ast.Import | ast.ImportFrom):
                _import(one, module, found)
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
    """Return the dotted name that a ``from`` import names, relative ones resolved."""
    if not node.level:
        return node.module or ""
    parts = module.name.split(".")
    keep = len(parts) - node.level + module.is_package
    return ".".join([*parts[: max(0, keep)], *([node.module] if node.module else [])])


def is_overload(node: ast.FunctionDef | ast.ClassDef) -> bool:
    """Tell whether a definition only declares a type (``typing.overload``)."""
    return any(ast.unparse(one).endswith("overload") for one in node.decorator_list)


def _names(target: ast.expr) -> Iterator[str]:
    for node in ast.walk(target):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id


def bound_names(node: ast.AST) -> set[str]:
    """Return every name that a statement binds, at any depth."""
    found: set[str] = set()
    for one in ast.walk(node):
        if isinstance(one, ast.Name) and isinstance(one.ctx, ast.Store | ast.Del):
            found.add(one.id)
        elif isinstance(one, ast.FunctionDef | ast.ClassDef | ast.AsyncFunctionDef):
            found.add(one.name)
        elif isinstance(one, ast.arg):
            found.add(one.arg)
        elif isinstance(one, ast.ExceptHandler | ast.MatchAs | ast.MatchStar) and one.name:
            found.add(one.name)
        elif isinstance(one, ast.MatchMapping) and one.rest:
            found.add(one.rest)
        elif isinstance(one, ast.Import | ast.ImportFrom):
            found |= {alias.asname or alias.name.partition(".")[0] for alias in one.names}
    return found


def free_names(node: Definition) -> tuple[set[str], set[str]]:
    """Return the global names that a definition refers to: (by its code, by annotations only)."""
    notes = [id(inner) for one in _annotations(node) for inner in ast.walk(one)]
    hidden = set(notes)
    own = bound_names(node)
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        own.discard(node.name)
    code: set[str] = set()
    noted: set[str] = set()
    for one in ast.walk(node):
        if isinstance(one, ast.Name) and isinstance(one.ctx, ast.Load):
            (noted if id(one) in hidden else code).add(one.id)
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        code.discard(node.name)
    return code - own, noted - code - own


def _annotations(node: ast.AST) -> Iterator[ast.expr]:
    for one in ast.walk(node):
        if isinstance(one, ast.arg) and one.annotation is not None:
            yield one.annotation
        elif isinstance(one, ast.FunctionDef) and one.returns is not None:
            yield one.returns
        elif isinstance(one, ast.AnnAssign):
            yield one.annotation
