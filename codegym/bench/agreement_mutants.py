"""Mutants: programs with one systematic change each, most of which are wrong."""

import ast
import copy
import random

_COMPARED: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
}
_COMPUTED: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Add,
    ast.FloorDiv: ast.Div,
    ast.Div: ast.FloorDiv,
    ast.Mod: ast.FloorDiv,
}


class _Change(ast.NodeTransformer):
    """Applies the change with a certain number; counts the places that can be changed."""

    def __init__(self, number: int) -> None:
        self._number = number
        self.places = 0

    def _here(self) -> bool:
        self.places += 1
        return self.places - 1 == self._number

    def visit_Compare(self, node: ast.Compare) -> ast.AST:
        self.generic_visit(node)
        swapped = _COMPARED.get(type(node.ops[0]))
        if swapped and self._here():
            node.ops[0] = swapped()
        return node

    def visit_BinOp(self, node: ast.BinOp) -> ast.AST:
        self.generic_visit(node)
        swapped = _COMPUTED.get(type(node.op))
        if swapped and self._here():
            node.op = swapped()
        return node

    def visit_Constant(self, node: ast.Constant) -> ast.AST:
        value = node.value
        if isinstance(value, int | float) and not isinstance(value, bool) and self._here():
            return ast.copy_location(ast.Constant(value + 1), node)
        return node

    def visit_Return(self, node: ast.Return) -> ast.AST:
        self.generic_visit(node)
        if node.value is not None and self._here():
            node.value = ast.Constant(None)
        return node

    def visit_If(self, node: ast.If) -> ast.AST:
        self.generic_visit(node)
        if self._here():
            node.test = ast.UnaryOp(op=ast.Not(), operand=node.test)
        return node


def mutants(program: str, count: int, rng: random.Random) -> list[str]:
    """Return up to ``count`` programs that each differ in a place from a program.

    Args:
        program: A program that parses.
        count: Number of mutants.
        rng: Draws the places.
    """
    tree = ast.parse(program)
    counted = _Change(-1)
    counted.visit(copy.deepcopy(tree))
    chosen = rng.sample(range(counted.places), min(count, counted.places))
    changed = [_Change(number).visit(copy.deepcopy(tree)) for number in sorted(chosen)]
    return [ast.unparse(ast.fix_missing_locations(each)) for each in changed]
