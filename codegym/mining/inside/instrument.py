"""Instrument: adds counters to a function's tree, which record branches and limit steps.

``Ticking`` adds a call of ``_cg_tick()`` at the start of every function and loop body, ``Arcs`` a
call of ``_cg_arc(n, value)`` around every test. Runs inside the sandbox; standard library only.
"""

import ast
from typing import Any

TICK, ARC = "_cg_tick", "_cg_arc"


class OverBudget(BaseException):
    """The function ran for too many steps; its ``except Exception`` blocks cannot catch this."""


class Meter:
    """Counts steps and records arcs.

    Attributes:
        arcs: Arcs taken since ``start``.
        used: Steps since ``start``.
    """

    def __init__(self) -> None:
        self.arcs: set[int] = set()
        self.used = 0
        self._budget = 0

    def start(self, budget: int) -> None:
        """Start a call that may take ``budget`` steps."""
        self.arcs = set()
        self.used, self._budget = 0, budget

    def tick(self) -> None:
        """Count a step.

        Raises:
            OverBudget: The call exceeds its budget.
        """
        self.used += 1
        if self.used > self._budget:
            raise OverBudget

    def arc(self, number: int, value: Any) -> Any:
        """Record the outcome of a test and return it."""
        self.arcs.add(2 * number + bool(value))
        return value

    def names(self) -> dict[str, Any]:
        """Return the names that instrumented code uses."""
        return {TICK: self.tick, ARC: self.arc}


class Ticking(ast.NodeTransformer):
    """Adds ``_cg_tick()`` to functions and loops, so that none can run for ever."""

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        """Tick at the start of a function, after its docstring."""
        self.generic_visit(node)
        at = 1 if ast.get_docstring(node, clean=False) is not None else 0
        node.body[at:at] = [_call_statement(TICK)]
        return node

    def visit_For(self, node: ast.For) -> ast.AST:
        """Tick at the start of the body."""
        self.generic_visit(node)
        node.body[:0] = [_call_statement(TICK)]
        return node

    def visit_While(self, node: ast.While) -> ast.AST:
        """Tick at the start of the body."""
        self.generic_visit(node)
        node.body[:0] = [_call_statement(TICK)]
        return node

    def visit_comprehension(self, node: ast.comprehension) -> ast.AST:
        """Tick once per item."""
        self.generic_visit(node)
        tick = _call(TICK)
        node.ifs[:0] = [ast.UnaryOp(op=ast.Not(), operand=tick)]  # tick() is None
        return node


class Arcs(ast.NodeTransformer):
    """Puts ``_cg_arc`` around every test of a function.

    Attributes:
        wanted: All arcs: two for each test, and a single arc for a loop body, handler or case.
    """

    def __init__(self) -> None:
        self.wanted: set[int] = set()
        self._next = 0

    def _test(self, test: ast.expr) -> ast.expr:
        if isinstance(test, ast.Constant):
            return test
        number, self._next = self._next, self._next + 1
        self.wanted |= {2 * number, 2 * number + 1}
        return _call(ARC, ast.Constant(number), test)

    def _entered(self) -> ast.stmt:
        number, self._next = self._next, self._next + 1
        self.wanted.add(2 * number + 1)
        return _call_statement(ARC, ast.Constant(number), ast.Constant(True))

    def visit_If(self, node: ast.If) -> ast.AST:
        """Record both outcomes."""
        self.generic_visit(node)
        node.test = self._test(node.test)
        return node

    def visit_While(self, node: ast.While) -> ast.AST:
        """Record both outcomes."""
        self.generic_visit(node)
        node.test = self._test(node.test)
        return node

    def visit_IfExp(self, node: ast.IfExp) -> ast.AST:
        """Record both outcomes."""
        self.generic_visit(node)
        node.test = self._test(node.test)
        return node

    def visit_comprehension(self, node: ast.comprehension) -> ast.AST:
        """Record both outcomes of its conditions."""
        self.generic_visit(node)
        node.ifs = [self._test(condition) for condition in node.ifs]
        return node

    def visit_For(self, node: ast.For) -> ast.AST:
        """Record that its body was entered."""
        self.generic_visit(node)
        node.body[:0] = [self._entered()]
        return node

    def visit_ExceptHandler(self, node: ast.ExceptHandler) -> ast.AST:
        """Record that it was entered."""
        self.generic_visit(node)
        node.body[:0] = [self._entered()]
        return node

    def visit_match_case(self, node: ast.match_case) -> ast.AST:
        """Record that it was entered."""
        self.generic_visit(node)
        node.body[:0] = [self._entered()]
        return node


def _call(name: str, *args: ast.expr) -> ast.Call:
    return ast.Call(func=ast.Name(id=name, ctx=ast.Load()), args=list(args), keywords=[])


def _call_statement(name: str, *args: ast.expr) -> ast.stmt:
    return ast.Expr(value=_call(name, *args))
