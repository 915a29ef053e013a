"""Assertion code: how the examiner reads, completes and rewrites the source text of a test."""

import ast
import builtins
import importlib
import sys
from types import CodeType
from typing import Any

# Names of the standard library that tests use without importing them.
_LIBRARY_NAMES = {
    **dict.fromkeys(("isclose", "isnan", "isinf", "isfinite", "fabs", "sqrt"), "math"),
    **dict.fromkeys(("floor", "ceil", "pi", "inf", "nan"), "math"),
    **dict.fromkeys(
        ("Counter", "OrderedDict", "defaultdict", "deque", "namedtuple"), "collections"
    ),
    **{"reduce": "functools", "Decimal": "decimal", "Fraction": "fractions"},
    **dict.fromkeys(("date", "timedelta"), "datetime"),
}
BUILTIN_NAMES = frozenset(dir(builtins))


def loaded_names(tree: ast.AST) -> set[str]:
    """Return the names that code reads."""
    return {
        node.id
        for node in ast.walk(tree)
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)
    }


def defined_names(tree: ast.AST) -> set[str]:
    """Return the names that code assigns, imports, or defines in any other way."""
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.alias):
            names.add((node.asname or node.name).partition(".")[0])
        elif isinstance(node, ast.arg):
            names.add(node.arg)
        elif isinstance(node, ast.ExceptHandler) and node.name:
            names.add(node.name)
    return names


def library_names(names: set[str]) -> dict[str, tuple[str, str]]:
    """Return where the standard library has the names that a test uses but does not import.

    Data sets leave such imports to the program. The program's own objects cannot be trusted: it
    could define another ``math.isclose``.

    Returns:
        Name -> (module, attribute), with the attribute "" for a module.
    """
    found: dict[str, tuple[str, str]] = {}
    for name in names:
        if name in sys.stdlib_module_names:
            found[name] = (name, "")
        elif name in _LIBRARY_NAMES:
            found[name] = (_LIBRARY_NAMES[name], name)
    return found


def import_library(places: dict[str, tuple[str, str]]) -> dict[str, Any]:
    """Import the objects that ``library_names`` found."""
    found: dict[str, Any] = {}
    for name, (home, attribute) in places.items():
        module = importlib.import_module(home)
        found[name] = getattr(module, attribute) if attribute else module
    return found


def prompt_helpers(prompt: str, entry: str, wanted: set[str]) -> ast.Module:
    """Return the prompt's definitions except the entry point, if the test uses a function of them.

    Args:
        prompt: Trusted code that may end in an unfinished function, or "".
        entry: Name of the entry point.
        wanted: Names that the test reads and does not define.
    """
    empty = ast.Module(body=[], type_ignores=[])
    if not prompt or not wanted:
        return empty
    try:
        tree = ast.parse(prompt)
    except SyntaxError:
        try:
            tree = ast.parse(prompt + "\n    pass\n")
        except SyntaxError:
            return empty
    # Classes must come from the candidate: their instances cross as handles only.
    tree.body = [
        node
        for node in tree.body
        if not isinstance(node, ast.ClassDef)
        and not (isinstance(node, ast.FunctionDef) and node.name == entry)
    ]
    functions = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
    return tree if wanted & functions else empty


def compile_per_case(tree: ast.Module, check: str) -> CodeType:
    """Compile a test so that each statement with an assertion is a case that reports by itself.

    Args:
        tree: The test; changed in place.
        check: Name of the function that takes the candidate, or "" if the module's own statements
            are the cases.
    """
    body: list[ast.stmt] = tree.body
    if check:
        body = next(
            node.body
            for node in reversed(tree.body)
            if isinstance(node, ast.FunctionDef) and node.name == check
        )
    index = 0
    for position, node in enumerate(body):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            continue
        if any(isinstance(inner, ast.Assert) for inner in ast.walk(node)):
            body[position] = _guarded(node, index)
            index += 1
    return compile(ast.fix_missing_locations(tree), "<test>", "exec")


def _guarded(node: ast.stmt, index: int) -> ast.stmt:
    guard = ast.parse(
        f"try:\n    __enter_case__({index})\n"
        f"except BaseException as __error__:\n    __failed_case__({index}, __error__)\n"
    ).body[0]
    assert isinstance(guard, ast.Try)
    guard.body.append(node)
    return guard
