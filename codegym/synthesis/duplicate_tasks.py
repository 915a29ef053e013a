"""Duplicate tasks: tasks whose solutions agree in syntax tree or in behaviour."""

import ast

from codegym.errors import ConfigError, TaskError
from codegym.synthesis.composition import read_key
from codegym.synthesis.pairs import probes
from codegym.tasks.task import Task


def ast_key(program: str) -> str:
    """Return a key that ignores spacing, comments and docstrings of a program.

    Args:
        program: A program that parses.
    """
    tree = ast.parse(program)
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.ClassDef | ast.Module) and _has_docstring(node):
            node.body = node.body[1:] or [ast.Pass()]
    return ast.dump(tree)


def behaviour_key(task: Task) -> str:
    """Return the outputs of a composed task's function on fixed probes of its argument types.

    Args:
        task: A task of ``composites`` or ``atoms``, whose metadata name the composition.

    Raises:
        TaskError: The task is not a composed task.
    """
    try:
        types, parameters = task.metadata["types"], task.metadata["parameters"]
        composition = read_key(task.metadata["key"], argument=types[0])
    except (KeyError, ConfigError) as error:
        raise TaskError("not a composed task", field="metadata", value=task.task_id) from error
    run = composition.bind(tuple(parameters))
    outputs = [run(*values) for values in probes(composition.arguments)]
    return f"{types} {outputs!r}"


class DuplicateFilter:
    """Remembers tasks and rejects duplicates of them.

    Attributes:
        by_ast: Number of tasks rejected for a syntax tree seen before.
        by_behaviour: Number of further tasks rejected for a behaviour seen before.
    """

    def __init__(self) -> None:
        self.by_ast = 0
        self.by_behaviour = 0
        self._trees: set[str] = set()
        self._behaviours: set[str] = set()

    def admit(self, task: Task) -> bool:
        """Return whether a composed task is new, and remember a new task."""
        tree = ast_key(task.program(task.canonical_solution or ""))
        if tree in self._trees:
            self.by_ast += 1
            return False
        behaviour = behaviour_key(task)
        if behaviour in self._behaviours:
            self.by_behaviour += 1
            return False
        self._trees.add(tree)
        self._behaviours.add(behaviour)
        return True


def _has_docstring(node: ast.FunctionDef | ast.ClassDef | ast.Module) -> bool:
    first = node.body[0] if node.body else None
    return (
        isinstance(first, ast.Expr)
        and isinstance(first.value, ast.Constant)
        and isinstance(first.value.value, str)
    )
