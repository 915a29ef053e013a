"""Plain calls: recognises a test of plain assertions, which runs as calls instead.

``assert candidate([1, 2]) == 3`` compares the program's answer to a literal with a literal. Such a
test needs no examiner: the calls run as in the call form, the answers are compared in this process
by the rule ``python`` with tolerance 0, which is Python's ``==`` on plain values, and the expected
values enter no sandbox. The verdict is the one that the examiner would give; it costs one fork
instead of two.
"""

import ast
import sys
from dataclasses import dataclass
from typing import Any

from codegym.sandbox import wire
from codegym.tasks.cases import CallCase
from codegym.tasks.required_names import defines_class
from codegym.tasks.task import Task


@dataclass(frozen=True, slots=True)
class PlainCalls:
    """The calls of a test of plain assertions.

    Attributes:
        cases: The calls and their expected values, in the order of the test's cases.
        messages: Message of each assertion, "" without one.
    """

    cases: tuple[CallCase, ...]
    messages: tuple[str, ...]


def plain_calls(task: Task) -> PlainCalls | None:
    """Return the calls of an assertion task; None if its test does anything else.

    Every case must be ``assert f(...) == value``, with literals for the arguments, the value and
    the message, where ``f`` is the candidate. Beside the cases the test may hold documentation,
    constants and imports of the standard library. A task that defines a class is left to the
    examiner, since its answers may be instances.
    """
    suite = task.tests
    if defines_class(task):
        return None
    setup, test = ast.parse(suite.setup_code), ast.parse(suite.test_code)
    body, name = test.body, task.entry_point
    rest = list(setup.body)
    if suite.check:
        # The examiner calls the check by itself; a call at the end of the test repeats it.
        *before, check = [node for node in body if not _calls(node, suite.check)]
        if not isinstance(check, ast.FunctionDef) or not _takes_candidate(check, suite.check):
            return None
        rest += before
        body, name = check.body, check.args.args[0].arg
    cases = [node for node in body if isinstance(node, ast.Assert)]
    rest += [node for node in body if not isinstance(node, ast.Assert)]
    if len(cases) != len(suite) or not all(_is_harmless(node, name) for node in rest):
        return None
    try:
        read = [_case(node, name) for node in cases]
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return None
    return PlainCalls(tuple(case for case, _ in read), tuple(message for _, message in read))


def _takes_candidate(check: ast.FunctionDef, name: str) -> bool:
    arguments = check.args
    others = (*arguments.posonlyargs, *arguments.kwonlyargs, arguments.vararg, arguments.kwarg)
    alone = len(arguments.args) == 1 and not any(others) and not arguments.defaults
    return check.name == name and alone and not check.decorator_list


def _calls(node: ast.stmt, check: str) -> bool:
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Call)
        and isinstance(node.value.func, ast.Name)
        and node.value.func.id == check
    )


def _is_harmless(node: ast.stmt, candidate: str) -> bool:
    """Say whether a statement cannot change what a plain assertion on ``candidate`` finds."""
    if isinstance(node, ast.Import | ast.ImportFrom):
        homes = [alias.name for alias in node.names]
        if isinstance(node, ast.ImportFrom):
            homes = [node.module or ""] if not node.level else [""]
        bound = {(alias.asname or alias.name).partition(".")[0] for alias in node.names}
        known = all(home.partition(".")[0] in sys.stdlib_module_names for home in homes)
        return known and not bound & {candidate, "*"}
    if isinstance(node, ast.Assign):
        names = [target.id for target in node.targets if isinstance(target, ast.Name)]
        return len(names) == len(node.targets) and candidate not in names and _is_plain(node.value)
    return isinstance(node, ast.Pass) or (
        isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    )


def _is_plain(node: ast.expr) -> bool:
    try:
        ast.literal_eval(node)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return False
    return True


def _case(node: ast.Assert, name: str) -> tuple[CallCase, str]:
    """Read one assertion on the function ``name``.

    Raises:
        ValueError, TypeError: It is not plain.
    """
    compared = node.test
    if not isinstance(compared, ast.Compare) or len(compared.ops) != 1:
        raise ValueError("not one comparison")
    call, (value,) = compared.left, compared.comparators
    if not isinstance(compared.ops[0], ast.Eq) or not isinstance(call, ast.Call):
        raise ValueError("not a call's equality")
    if not isinstance(call.func, ast.Name) or call.func.id != name:
        raise ValueError("a call of something else")
    kwargs = {str(word.arg): _value(word.value) for word in call.keywords}
    if "None" in kwargs or len(kwargs) < len(call.keywords):
        raise ValueError("unpacked keyword arguments")
    args = tuple(_value(argument) for argument in call.args)
    message = "" if node.msg is None else ast.literal_eval(node.msg)
    return CallCase(args=args, kwargs=kwargs, expected=_value(value)), str(message)


def _value(node: ast.expr) -> Any:
    """Return the value of a literal that can cross the sandbox boundary."""
    value = ast.literal_eval(node)
    wire.encode(value)
    return value
