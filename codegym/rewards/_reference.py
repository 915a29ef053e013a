"""Reference: statements of a program and of a task's reference, for rewards that compare text."""

import ast

from codegym.tasks.task import Task


def statements(program: str, entry_point: str) -> list[ast.stmt] | None:
    """Return a program's statements: the entry point's body and all others, without docstrings.

    The entry point's signature is left out, since the prompt gives it to every candidate.

    Returns:
        The statements in order, or None if the program does not parse.
    """
    try:
        tree = ast.parse(program)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    found: list[ast.stmt] = []
    for node in tree.body:
        entry = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        if entry and node.name == entry_point:  # type: ignore[attr-defined]
            found += node.body  # type: ignore[attr-defined]
        else:
            found.append(node)
    return [node for node in found if not _is_docstring(node)]


def reference_of(task: Task) -> str | None:
    """Return the whole program of a task's reference solution, or None if it has none."""
    return None if task.canonical_solution is None else task.program(task.canonical_solution)


def _is_docstring(node: ast.stmt) -> bool:
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )
