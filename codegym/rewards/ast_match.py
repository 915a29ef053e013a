"""AST match: share of the reference's sub-trees that also occur in the program."""

import ast
from collections.abc import Iterable

from codegym import registry
from codegym.grading.feedback import Feedback
from codegym.grading.verdict import Verdict
from codegym.rewards._reference import reference_of, statements
from codegym.rewards.reward import Constant, Reward
from codegym.tasks.task import Task


def ast_match(program: str, reference: str, entry_point: str = "") -> float:
    """Return the share of the reference's sub-trees found in the program, in [0, 1].

    A sub-tree is a node with children, written as the types of its nodes without names and
    constants. The result is 0 if either text does not parse or the reference has no sub-tree.

    Example:
        >>> ast_match("x = a + 1", "y = b + 2")
        1.0
        >>> ast_match("x = a + 1", "print(a)")
        0.0
    """
    ours, theirs = statements(program, entry_point), statements(reference, entry_point)
    if not ours or not theirs:
        return 0.0
    wanted, have = list(_shapes(theirs)), set(_shapes(ours))
    return sum(shape in have for shape in wanted) / len(wanted) if wanted else 0.0


@registry.plugin("rewards", "ast_match")
class ASTMatch(Reward):
    """Share of the reference solution's sub-trees found in the program.

    It is 0 for a program that does not parse and for a task without a reference.

    Source: PPOCoder (2301.13816), section 3.3, with the sub-trees of Python's own grammar.
    """

    low, high = 0.0, 1.0

    def __call__(self, verdict: Verdict, feedback: Feedback | None = None) -> float:
        """Return 0, since nothing matches before ``bind`` gives the program."""
        return 0.0

    def bind(self, task: Task, program: str) -> Reward:
        """Compare a program with the task's reference."""
        reference = reference_of(task)
        if reference is None:
            return Constant(0.0)
        return Constant(ast_match(program, reference, task.entry_point))

    def __repr__(self) -> str:
        return "ast_match"


def _shapes(nodes: Iterable[ast.AST]) -> Iterable[str]:
    found: list[str] = []

    def shape(node: ast.AST) -> str:
        children = [
            shape(child)
            for child in ast.iter_child_nodes(node)
            if not isinstance(child, ast.expr_context)
        ]
        text = f"({type(node).__name__} {' '.join(children)})" if children else type(node).__name__
        if children:
            found.append(text)
        return text

    for node in nodes:
        shape(node)
    return found
