"""Unpassable tasks: a static check for tasks that no program can pass."""

import ast
import math
import warnings
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from codegym.sandbox import wire
from codegym.tasks.cases import CallCase, StdioCase

if TYPE_CHECKING:
    from codegym.tasks.suite import TestSuite
    from codegym.tasks.task import Task

# A grader's interpreter needs this much before the program's first line.
LEAST_MEMORY_BYTES = 32 << 20
# Longer test code is not parsed a second time.
MOST_CHARS = 50_000


class UnpassableTaskWarning(UserWarning):
    """A task that no program can pass, or whose limits its reference solution exceeds."""


def warn_if_unpassable(task: "Task") -> None:
    """Warn of each reason for which a task cannot be passed; the warning names the task."""
    for reason in reasons(task):
        warnings.warn(f"task {task.task_id!r}: {reason}", UnpassableTaskWarning, stacklevel=3)


def reasons(task: "Task") -> list[str]:
    """Return why a task cannot be passed, as far as its text shows; no program is run.

    Values that cannot cross the sandbox line are refused where a task is made, and the limit on
    output follows the expected output.
    """
    finders = {"call": _call, "stdio": _stdio, "assertion": _assertion}
    found = [*finders[task.tests.form](task.tests), *_limits(task.tests), *_reference(task)]
    if task.hidden_tests is not None:
        hidden = task.hidden_tests
        found += [
            f"hidden tests: {why}" for why in (*finders[hidden.form](hidden), *_limits(hidden))
        ]
    return found


def _call(suite: "TestSuite") -> Iterator[str]:
    seen: dict[bytes, tuple[int, Any]] = {}
    for number, case in enumerate(suite.cases):
        assert isinstance(case, CallCase)
        key = wire.dumps([wire.encode([*case.args]), wire.encode(dict(case.kwargs))])
        wanted: Any = ("raises", case.raises) if case.raises else wire.encode(case.expected)
        first, other = seen.setdefault(key, (number, wanted))
        if other != wanted:
            yield f"cases {first} and {number} have the same input and different results"


def _stdio(suite: "TestSuite") -> Iterator[str]:
    if suite.checker:
        yield from _never_true(suite.checker)
        return  # a checker may accept several outputs
    seen: dict[str, tuple[int, str]] = {}
    for number, case in enumerate(suite.cases):
        assert isinstance(case, StdioCase)
        first, other = seen.setdefault(case.stdin, (number, case.expected_stdout))
        if other.split() != case.expected_stdout.split():
            yield f"cases {first} and {number} have the same input and different outputs"


def _never_true(checker: str) -> Iterator[str]:
    """Find a checker whose ``check`` returns no value, or only values that are not True."""
    for node in ast.parse(checker).body:
        if isinstance(node, ast.FunctionDef) and node.name == "check":
            values = [inner.value for inner in ast.walk(node) if isinstance(inner, ast.Return)]
            if not any(value is not None and _literal(value, True) for value in values):
                yield "the checker never returns True"


def _literal(node: ast.expr, default: Any) -> bool:
    """Return the truth of a literal, ``default`` for any other expression."""
    try:
        return bool(ast.literal_eval(node))
    except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError):
        return bool(default)


def _assertion(suite: "TestSuite") -> Iterator[str]:
    if len(suite.test_code) > MOST_CHARS:
        return
    wanted: dict[str, tuple[str, str]] = {}
    for node in _top_level_asserts(suite):
        text = ast.unparse(node.test)
        if not _literal(node.test, True) or _compares_unequal(node.test):
            yield f"no program meets assert {text[:80]}"
        pair = _expected(node.test)
        if pair is None:
            continue
        first, before = wanted.setdefault(pair[0], (pair[1], text))
        if not _same_value(first, pair[1]):
            yield f"assert {before[:80]} and assert {text[:80]} contradict each other"


def _top_level_asserts(suite: "TestSuite") -> Sequence[ast.Assert]:
    body: Sequence[ast.stmt] = ast.parse(suite.test_code).body
    for node in body:
        if suite.check and isinstance(node, ast.FunctionDef) and node.name == suite.check:
            body = node.body
    return [node for node in body if isinstance(node, ast.Assert)]


def _compares_unequal(node: ast.expr) -> bool:
    """Say whether a test is ``==`` between two literals that differ."""
    if not (isinstance(node, ast.Compare) and len(node.ops) == 1):
        return False
    if not isinstance(node.ops[0], ast.Eq):
        return False
    return not _same_value(ast.unparse(node.left), ast.unparse(node.comparators[0]))


def _same_value(left: str, right: str) -> bool:
    """Say whether two texts may have the same value."""
    try:
        return bool(ast.literal_eval(left) == ast.literal_eval(right))
    except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError):
        return True


def _expected(node: ast.expr) -> tuple[str, str] | None:
    """Return the texts of the call and of the value of ``f(literals) == literal``."""
    if not (isinstance(node, ast.Compare) and len(node.ops) == 1 and type(node.ops[0]) is ast.Eq):
        return None
    call, value = node.left, node.comparators[0]
    if not (isinstance(call, ast.Call) and isinstance(call.func, ast.Name)):
        return None
    parts = [*call.args, *(keyword.value for keyword in call.keywords), value]
    try:
        for part in parts:
            ast.literal_eval(part)
    except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError):
        return None
    return ast.unparse(call), ast.unparse(value)


def _limits(suite: "TestSuite") -> Iterator[str]:
    limits = suite.limits
    if limits.memory_bytes < LEAST_MEMORY_BYTES:
        yield (
            f"the memory limit, {limits.memory_bytes} bytes, is below the "
            f"{LEAST_MEMORY_BYTES} that an interpreter needs"
        )
    texts = [case for case in suite.cases if isinstance(case, StdioCase)]
    largest = max((len(text.expected_stdout) for text in texts), default=0)
    if largest > limits.memory_bytes // 2:
        yield f"an expected result of {largest} bytes leaves a program no memory"


def _reference(task: "Task") -> Iterator[str]:
    """Find a reference that sleeps longer than its limit."""
    program = task.canonical_solution or ""
    if "sleep" not in program:
        return
    try:
        waits = math.fsum(_sleeps(ast.parse(task.program(program))))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return
    if waits > task.tests.limits.wall_s:
        yield (
            f"the reference solution sleeps {waits:g} s and the limit is "
            f"{task.tests.limits.wall_s:g} s"
        )


def _sleeps(tree: ast.Module) -> Iterator[float]:
    """Yield the constant seconds of calls of ``sleep`` at the top level."""
    for statement in tree.body:
        node = statement.value if isinstance(statement, ast.Expr) else None
        if isinstance(node, ast.Call) and ast.unparse(node.func) in ("time.sleep", "sleep"):
            if node.args and isinstance(node.args[0], ast.Constant):
                seconds = node.args[0].value
                yield float(seconds) if isinstance(seconds, int | float) else 0.0
