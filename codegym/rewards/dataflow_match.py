"""Data-flow match: share of the reference's data-flow edges that also occur in the program."""

import ast
from collections import Counter
from collections.abc import Iterator

from codegym import registry
from codegym.grading.feedback import Feedback
from codegym.grading.verdict import Verdict
from codegym.rewards._reference import reference_of, statements
from codegym.rewards.reward import Constant, Reward
from codegym.tasks.task import Task

# (variable, relation, variables that it comes from)
Edge = tuple[str, str, tuple[str, ...]]


def dataflow_match(program: str, reference: str, entry_point: str = "") -> float:
    r"""Return the share of the reference's data-flow edges found in the program, in [0, 1].

    Variables are numbered in order of appearance, so renaming changes nothing. An edge of the
    program matches a single edge of the reference. The result is 0 if either text does not parse
    or the reference has no edge.

    Example:
        >>> dataflow_match("a = 1\nb = a", "x = 2\ny = x")
        1.0
    """
    ours, theirs = statements(program, entry_point), statements(reference, entry_point)
    if ours is None or theirs is None:
        return 0.0
    have, wanted = Counter(_edges(ours)), Counter(_edges(theirs))
    total = wanted.total()
    return (have & wanted).total() / total if total else 0.0


@registry.plugin("rewards", "dataflow_match")
class DataflowMatch(Reward):
    """Share of the reference solution's data-flow edges found in the program.

    It is 0 for a program that does not parse and for a task without a reference.

    Source: PPOCoder (2301.13816), section 3.3.
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
        return Constant(dataflow_match(program, reference, task.entry_point))

    def __repr__(self) -> str:
        return "dataflow_match"


class _Flow(ast.NodeVisitor):
    """Collects edges in the order of evaluation; branches and loops are read once."""

    def __init__(self) -> None:
        self.edges: list[Edge] = []

    def visit_Name(self, node: ast.Name) -> None:
        if isinstance(node.ctx, ast.Load):
            self.edges.append((node.id, "comes from", (node.id,)))

    def visit_Assign(self, node: ast.Assign) -> None:
        self.visit(node.value)
        for target in node.targets:
            self._computed(target, node.value)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        if node.value is not None:
            self.visit(node.value)
            self._computed(node.target, node.value)

    def visit_AugAssign(self, node: ast.AugAssign) -> None:
        self.visit(node.value)
        self._computed(node.target, node.value, also=_names(node.target))

    def visit_NamedExpr(self, node: ast.NamedExpr) -> None:
        self.visit(node.value)
        self._computed(node.target, node.value)

    def visit_For(self, node: ast.For) -> None:
        self.visit(node.iter)
        self._computed(node.target, node.iter)
        for statement in [*node.body, *node.orelse]:
            self.visit(statement)

    def visit_comprehension(self, node: ast.comprehension) -> None:
        self.visit(node.iter)
        self._computed(node.target, node.iter)
        for condition in node.ifs:
            self.visit(condition)

    def _comprehension(self, node: ast.AST) -> None:
        # The generators bind the names that the element uses, though they are written after it.
        parts = list(ast.iter_child_nodes(node))
        for part in sorted(parts, key=lambda part: not isinstance(part, ast.comprehension)):
            self.visit(part)

    visit_ListComp = visit_SetComp = visit_DictComp = visit_GeneratorExp = _comprehension

    def _computed(self, target: ast.AST, value: ast.AST, also: tuple[str, ...] = ()) -> None:
        sources = tuple(sorted({*also, *_names(value)}))
        self.edges += [(name, "computed from", sources) for name in _names(target)]
        if not isinstance(target, ast.Name | ast.Tuple | ast.List):
            self.visit(target)


def _names(node: ast.AST) -> tuple[str, ...]:
    return tuple(inner.id for inner in ast.walk(node) if isinstance(inner, ast.Name))


def _edges(nodes: list[ast.stmt]) -> Iterator[Edge]:
    flow = _Flow()
    for node in nodes:
        flow.visit(node)
    numbers: dict[str, str] = {}
    for name, relation, sources in flow.edges:
        for variable in (*sources, name):
            numbers.setdefault(variable, f"v{len(numbers)}")
        yield numbers[name], relation, tuple(sorted(numbers[variable] for variable in sources))
