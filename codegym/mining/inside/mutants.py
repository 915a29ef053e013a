"""Mutants: copies of a function with a single small fault, which its tests should detect.

The operators are the classic ones of mutation testing; signature, docstring and annotations stay
unchanged. They replace arithmetic, comparison and logical operators, force and negate conditions,
change constants, replace calls by their arguments or swap these, delete statements, swap ``break``
and ``continue``, drop results, and drop slice bounds. Runs inside the sandbox; standard library
only.
"""

import ast
import copy
import itertools
from collections.abc import Iterator
from typing import Any, NamedTuple

_BINARY: dict[type, tuple[type, ...]] = {
    ast.Add: (ast.Sub,),
    ast.Sub: (ast.Add,),
    ast.Mult: (ast.Add, ast.FloorDiv),
    ast.Div: (ast.Mult, ast.FloorDiv),
    ast.FloorDiv: (ast.Mult, ast.Div),
    ast.Mod: (ast.FloorDiv, ast.Add),
    ast.Pow: (ast.Mult,),
    ast.LShift: (ast.RShift,),
    ast.RShift: (ast.LShift,),
    ast.BitAnd: (ast.BitOr,),
    ast.BitOr: (ast.BitAnd,),
    ast.BitXor: (ast.BitOr,),
}
_COMPARE: dict[type, tuple[type, ...]] = {
    ast.Lt: (ast.LtE, ast.GtE),
    ast.LtE: (ast.Lt, ast.Gt),
    ast.Gt: (ast.GtE, ast.LtE),
    ast.GtE: (ast.Gt, ast.Lt),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
}


Site = tuple[int, str, int]


class Mutant(NamedTuple):
    """A faulty copy of a function: operator, line of the function from 1, and syntax tree."""

    operator: str
    line: int
    tree: ast.FunctionDef


def sites(function: ast.FunctionDef) -> list[Site]:
    """Return the places of a function that can be mutated, in the order of ``ast.walk``."""
    hidden = _hidden(function)
    return [
        (index, operator, number)
        for index, node in enumerate(ast.walk(function))
        if id(node) not in hidden
        for operator, number in _choices(node)
    ]


def make(function: ast.FunctionDef, site: Site) -> Mutant:
    """Return a copy of the function with a single fault; the function stays unchanged."""
    index, operator, number = site
    twin = copy.deepcopy(function)
    node = next(itertools.islice(ast.walk(twin), index, None))
    line = getattr(node, "lineno", function.lineno) - function.lineno + 1
    kind, _, field = operator.partition(" ")
    _ACTIONS[kind](node, number, field)
    return Mutant(operator, line, ast.fix_missing_locations(twin))


def _choices(node: ast.AST) -> Iterator[tuple[str, int]]:
    if isinstance(node, ast.BinOp | ast.AugAssign):
        for number in range(len(_BINARY.get(type(node.op), ()))):
            yield "arithmetic", number
    elif isinstance(node, ast.Compare):
        flat = [number for op in node.ops for number in range(len(_COMPARE[type(op)]))]
        for number in range(len(flat)):
            yield "comparison", number
    elif isinstance(node, ast.BoolOp):
        yield "logical", 0
        for number in range(len(node.values)):
            yield "operand", number
    elif isinstance(node, ast.UnaryOp):
        yield "unary", 0
    elif isinstance(node, ast.Constant):
        for number in range(len(_constants(node.value))):
            yield "constant", number
    elif isinstance(node, ast.Slice):
        for number, bound in enumerate((node.lower, node.upper, node.step)):
            if bound is not None:
                yield "slice", number
    if isinstance(node, ast.If | ast.While | ast.IfExp):
        for number in range(3 if not isinstance(node, ast.While) else 2):
            yield "condition", number
    if isinstance(node, ast.Return) and node.value is not None and not _is_none(node.value):
        yield "result", 0
    if isinstance(node, ast.Return | ast.Assign) and isinstance(node.value, ast.Call):
        for number in range(len(_instead(node.value))):
            yield "call", number
    if isinstance(node, ast.Break | ast.Continue):
        yield "jump", 0
    for field in ("body", "orelse", "finalbody"):
        body: Any = getattr(node, field, None)
        if isinstance(body, list):
            for number, statement in enumerate(body):
                if _deletable(statement):
                    yield f"delete {field}", number


def _hidden(function: ast.FunctionDef) -> set[int]:
    """Return the identities of nodes that tests cannot check."""
    outside: list[ast.AST] = [function.args, *function.decorator_list]
    for node in ast.walk(function):
        if isinstance(node, ast.FunctionDef) and node.returns is not None:
            outside.append(node.returns)
        elif isinstance(node, ast.AnnAssign):
            outside.append(node.annotation)
        elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            outside.append(node)
        elif isinstance(node, ast.Raise):
            outside += list(ast.iter_child_nodes(node))  # tests compare types, not messages
        elif isinstance(node, ast.FormattedValue) and node.format_spec is not None:
            outside.append(node.format_spec)
    hidden = {id(inner) for node in outside for inner in ast.walk(node)}
    # Messages that are assigned first and raised later are hidden too.
    used = [node for node in ast.walk(function) if isinstance(node, ast.Name)]
    for node in ast.walk(function):
        targets = node.targets if isinstance(node, ast.Assign) else []
        names = {target.id for target in targets if isinstance(target, ast.Name)}
        if names and all(isinstance(target, ast.Name) for target in targets):
            loads = [use for use in used if use.id in names and isinstance(use.ctx, ast.Load)]
            if loads and all(id(use) in hidden for use in loads):
                hidden |= {id(inner) for inner in ast.walk(node)}
    return hidden


def _deletable(node: ast.stmt) -> bool:
    if isinstance(node, ast.Expr):
        return not isinstance(node.value, ast.Constant)
    return isinstance(
        node, ast.Assign | ast.AugAssign | ast.For | ast.While | ast.If | ast.Raise | ast.Delete
    )


def _constants(value: Any) -> list[Any]:
    kind = type(value)
    if kind is bool:
        return [not value]
    if kind is int:
        return [value + 1, value - 1]
    if kind is float:
        return [value + 1.0, -value] if value else [1.0]
    if kind is str:
        return [value + _another(value), ""] if value else ["X"]
    if kind is bytes:
        return [value + b"X"]
    return [0] if value is None else []


def _instead(call: ast.Call) -> list[ast.expr]:
    """Return replacements of a call: its subject, its first argument, or swapped arguments."""
    args = [arg for arg in call.args if not isinstance(arg, ast.Starred)]
    found: list[ast.expr] = []
    if isinstance(call.func, ast.Attribute) and not isinstance(call.func.value, ast.Constant):
        if not (isinstance(call.func.value, ast.Name) and args):  # a module's function
            found.append(call.func.value)
    if args:
        found.append(args[0])
    if len(args) > 1 and len(args) == len(call.args):
        swapped = [args[1], args[0], *args[2:]]
        found.append(ast.Call(func=call.func, args=swapped, keywords=call.keywords))
    return found


def _another(text: str) -> str:
    """Return a letter that a text lacks, in its case; many texts are alphabets."""
    letters = "xqaj" if text.islower() else "XQAJ"
    return next((letter for letter in letters if letter not in text), "#")


def _is_none(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is None


def _arithmetic(node: Any, number: int, field: str) -> None:
    node.op = _BINARY[type(node.op)][number]()


def _comparison(node: Any, number: int, field: str) -> None:
    for at, op in enumerate(node.ops):
        others = _COMPARE[type(op)]
        if number < len(others):
            node.ops[at] = others[number]()
            return
        number -= len(others)


def _logical(node: Any, number: int, field: str) -> None:
    node.op = ast.Or() if isinstance(node.op, ast.And) else ast.And()


def _operand(node: Any, number: int, field: str) -> None:
    del node.values[number]
    if len(node.values) == 1:
        node.values *= 2  # a test of a single value: "x and x"


def _unary(node: Any, number: int, field: str) -> None:
    node.op = ast.UAdd() if isinstance(node.op, ast.USub | ast.Invert) else node.op
    if isinstance(node.op, ast.Not):
        node.operand = ast.UnaryOp(op=ast.Not(), operand=node.operand)


def _constant(node: Any, number: int, field: str) -> None:
    node.value = _constants(node.value)[number]


def _slice(node: Any, number: int, field: str) -> None:
    setattr(node, ("lower", "upper", "step")[number], None)


def _condition(node: Any, number: int, field: str) -> None:
    forced = [ast.Constant(value=False), None, ast.Constant(value=True)][number]
    node.test = forced if forced is not None else ast.UnaryOp(op=ast.Not(), operand=node.test)


def _result(node: Any, number: int, field: str) -> None:
    node.value = ast.Constant(value=None)


def _delete(node: Any, number: int, field: str) -> None:
    getattr(node, field)[number] = ast.Pass()


def _call(node: Any, number: int, field: str) -> None:
    node.value = _instead(node.value)[number]


def _jump(node: Any, number: int, field: str) -> None:
    other = ast.Continue if isinstance(node, ast.Break) else ast.Break
    node.__class__ = other


_ACTIONS: dict[str, Any] = {
    "arithmetic": _arithmetic,
    "comparison": _comparison,
    "logical": _logical,
    "operand": _operand,
    "unary": _unary,
    "constant": _constant,
    "slice": _slice,
    "condition": _condition,
    "result": _result,
    "delete": _delete,
    "call": _call,
    "jump": _jump,
}
