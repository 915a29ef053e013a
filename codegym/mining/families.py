"""Families: groups of mined tasks that a split must not divide between training and test.

Two tasks belong to the same family if their functions are in the same module, carry a helper of the
same code, one carries the other (its solution is part of the other's prompt), or look alike: their
bodies share most of their syntax with numbered names and without constants. This tests whether a
policy can program in unfamiliar code. A weaker split only keeps functions together that have the
same code or carry each other.
"""

import ast
import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from functools import lru_cache

from codegym.mining.duplicate_programs import tree_key
from codegym.mining.symbols import bound_names
from codegym.tasks.task import Task

SPLITS = ("train", "validation", "test")
APART = ("family", "function")
_TENTHS = ("validation", "test", "test", *("train",) * 7)
_GRAM = 4
_ALIKE = 0.6
_LARGEST_APART = 0.05
_Grams = frozenset[tuple[str, ...]]


def assign_splits(tasks: Sequence[Task], *, seed: int = 0, apart: str = "family") -> list[str]:
    """Return the split of each task.

    Seven of ten families are for training, a tenth for validation and two tenths for testing. A
    family of more than a twentieth of all tasks is for training, so that a test set does not
    consist of a single kind of task. The order of the tasks does not change their splits.

    Args:
        tasks: Mined tasks.
        seed: Seed of the assignment.
        apart: Unit that splits keep together, a value of ``APART``.
    """
    members: defaultdict[int, list[int]] = defaultdict(list)
    find = find_families if apart == "family" else find_copies
    for number, family in enumerate(find(tasks)):
        members[family].append(number)
    splits = ["train"] * len(tasks)
    for numbers in members.values():
        first = min(tasks[number].task_id for number in numbers)
        draw = hashlib.sha256(f"{seed} {first}".encode()).digest()[0] % 10
        if len(numbers) <= max(1, _LARGEST_APART * len(tasks)):
            for number in numbers:
                splits[number] = _TENTHS[draw]
    return splits


def find_families(tasks: Sequence[Task]) -> list[int]:
    """Return the number of each task's family, which is the number of a member.

    Args:
        tasks: Tasks; if a program does not parse, only its module decides the family.
    """
    union = _Union(len(tasks))
    first_with: dict[str, int] = {}
    holders: defaultdict[tuple[str, ...], list[int]] = defaultdict(list)
    grams: list[_Grams] = []
    for number, task in enumerate(tasks):
        own, helpers = _functions(task)
        origin = task.metadata.get("origin") or {}
        marks = [_code(node) for node in (*own, *helpers)]
        marks += [f"{origin['distribution']}/{origin['module']}"] if "module" in origin else []
        for mark in marks:
            union.join(number, first_with.setdefault(mark, number))
        grams.append(_grams(_bare(own[0])) if own else frozenset())
        shared = Counter(other for gram in grams[number] for other in holders[gram])
        for other, count in shared.items():
            if count >= _ALIKE * (len(grams[number]) + len(grams[other]) - count):
                union.join(number, other)
        for gram in grams[number]:
            holders[gram].append(number)
    return [union.root(number) for number in range(len(tasks))]


def find_copies(tasks: Sequence[Task]) -> list[int]:
    """Return equal numbers for tasks of the same code, or of which one carries the other.

    Args:
        tasks: Tasks; a task whose program does not parse is alone.
    """
    union = _Union(len(tasks))
    functions = [_functions(task) for task in tasks]
    owner: dict[str, int] = {}
    for number, (own, _) in enumerate(functions):
        for node in own:
            union.join(number, owner.setdefault(_code(node), number))
    for number, (_, helpers) in enumerate(functions):
        for node in helpers:
            union.join(number, owner.get(_code(node), number))
    return [union.root(number) for number in range(len(tasks))]


class _Union:
    """Disjoint sets of numbers (union-find)."""

    def __init__(self, size: int) -> None:
        self._above = list(range(size))

    def root(self, number: int) -> int:
        while self._above[number] != number:
            self._above[number] = self._above[self._above[number]]
            number = self._above[number]
        return number

    def join(self, first: int, second: int) -> None:
        self._above[self.root(first)] = self.root(second)


def _functions(task: Task) -> tuple[list[ast.FunctionDef], list[ast.FunctionDef]]:
    """Return the task's function, in a list that may be empty, and the carried functions."""
    try:
        tree = ast.parse(task.program(task.canonical_solution or ""))
    except (SyntaxError, ValueError, RecursionError):
        return [], []
    found = [node for node in tree.body if isinstance(node, ast.FunctionDef)]
    own = [node for node in found if node.name == task.entry_point][-1:]
    return own, [node for node in found if node not in own]


def _code(function: ast.FunctionDef) -> str:
    """Return a digest that functions of the same code share, whatever their names."""
    return _digest(ast.unparse(function))


@lru_cache(maxsize=1 << 14)
def _digest(code: str) -> str:
    return tree_key(code)


def _bare(function: ast.FunctionDef) -> ast.FunctionDef:
    """Remove docstrings and annotations from a function, in place."""
    for node in ast.walk(function):
        if isinstance(node, ast.FunctionDef):
            node.returns = None
            if ast.get_docstring(node, clean=False) is not None:
                node.body = node.body[1:] or [ast.Pass()]
        elif isinstance(node, ast.arg):
            node.annotation = None
    return function


def _grams(function: ast.FunctionDef) -> _Grams:
    signs = list(_signs(function, bound_names(ast.Module([function], []))))
    return frozenset(tuple(signs[at : at + _GRAM]) for at in range(len(signs) - _GRAM + 1))


def _signs(node: ast.AST, bound: set[str]) -> Iterator[str]:
    """Yield signs of a syntax tree: bound names are alike, constants are their types."""
    if isinstance(node, ast.Name):
        yield "own" if node.id in bound else node.id
    elif isinstance(node, ast.Constant):
        yield type(node.value).__name__
    elif isinstance(node, ast.Tuple | ast.List | ast.Set) and _is_table(node):
        yield "table"
    else:
        yield type(node).__name__
        if isinstance(node, ast.Attribute):
            yield node.attr
        for child in ast.iter_child_nodes(node):
            if not isinstance(child, ast.expr_context):
                yield from _signs(child, bound)
        yield "."


def _is_table(node: ast.Tuple | ast.List | ast.Set) -> bool:
    return bool(node.elts) and all(isinstance(item, ast.Constant) for item in node.elts)
