"""Call form: turns an assertion task into the calls of its test with the reference's answers.

The test ``assert candidate(2) == 3`` is equivalent to the call case ``(2,) -> 3``, which runs
faster and keeps the expected value out of every sandbox. The calls are recorded in the sandbox
while the trusted test runs on the trusted reference solution: the arguments before each call, and
its result or exception. Repeated calls are kept once.

The call form is stricter where a test accepts several answers (any root within 1e-4, any order of
a list): it accepts only the reference's answer, within ``float_tolerance``. This is the largest
tolerance that the test states (a number below 0.1 with which a difference is compared, or which is
passed to ``isclose`` and similar functions), else 1e-9. It is relative, and absolute for 0.0; see
``codegym.grading.compare``.
"""

import ast
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from codegym.errors import TaskError
from codegym.grading.judge import default_sandbox
from codegym.sandbox import wire
from codegym.sandbox.inside.bounds import signs, too_deep
from codegym.sandbox.job import ExecutionResult, Job, Sandbox
from codegym.sandbox.limits import Limits
from codegym.tasks.cases import CallCase
from codegym.tasks.suite import TestSuite
from codegym.tasks.task import Task

LEAST_TOLERANCE = 1e-9
LARGEST_TOLERANCE = 0.1
MAX_RECORDING_BYTES = 16 << 20
MAX_RECORDED_SIGNS = 1_000_000
_PROGRAM = "from codegym.sandbox.inside.recorder import record\n"
_TOLERANT_CALLS = ("isclose", "allclose", "approx", "assertAlmostEqual", "assert_allclose")


@dataclass(frozen=True, slots=True)
class Unrecorded:
    """Why a task has no call form."""

    why: str


def call_form(task: Task, *, sandbox: Sandbox | None = None) -> Task:
    """Return an assertion task in the call form; tasks in other forms are returned unchanged.

    Args:
        task: A task with a canonical solution that passes its test.
        sandbox: Sandbox for the recording; by default this process's default sandbox.

    Raises:
        TaskError: The task has no call form; holds the reason.
        SandboxError: The sandbox broke twice.
    """
    found = _recorded([task], sandbox)[0]
    if isinstance(found, Unrecorded):
        raise TaskError(
            f"task {task.task_id!r} has no call form: {found.why}",
            field="tests",
            cure="keep its assertion form",
        )
    return found


def call_forms(tasks: Sequence[Task], *, sandbox: Sandbox | None = None) -> list[Task]:
    """Return tasks in the call form, where they have one.

    The other assertion tasks are returned with the reason in ``metadata["no_call_form"]``.

    Args:
        tasks: Tasks in any form.
        sandbox: Sandbox for the recording; by default this process's default sandbox.

    Raises:
        SandboxError: The sandbox broke twice.
    """
    return [
        replace(task, metadata={**task.metadata, "no_call_form": found.why})
        if isinstance(found, Unrecorded)
        else found
        for task, found in zip(tasks, _recorded(tasks, sandbox), strict=True)
    ]


def _recorded(tasks: Sequence[Task], sandbox: Sandbox | None) -> list[Task | Unrecorded]:
    jobs = {
        number: _job(task)
        for number, task in enumerate(tasks)
        if task.tests.form == "assertion" and task.canonical_solution is not None
    }
    # Recorded twice: a reference whose answers differ is no function of its arguments.
    runs = (sandbox or default_sandbox()).run([job for job in jobs.values() for _ in "ab"])
    found: list[Task | Unrecorded] = []
    for number, task in enumerate(tasks):
        if number in jobs:
            first, second, *runs = runs
            found.append(_made(task, first, second))
        elif task.tests.form == "assertion":
            found.append(Unrecorded("it has no canonical solution to record"))
        else:
            found.append(task)
    return found


def _job(task: Task) -> Job:
    assert task.canonical_solution is not None
    suite, limits = task.tests, task.tests.limits
    program = task.program(task.canonical_solution)
    given = [program, suite.setup_code, suite.test_code, task.entry_point, suite.check]
    room = max(MAX_RECORDING_BYTES, limits.output_bytes)
    wider = Limits(
        wall_s=2 * limits.wall_s,
        cpu_s=2 * limits.cpu_s,
        memory_bytes=2 * limits.memory_bytes,
        output_bytes=room,
    )
    payload = wire.dumps({"function": "record", "calls": [[given, {}]], "site": suite.site})
    return Job(program=_PROGRAM, mode="call", payload=payload, limits=wider)


def _made(task: Task, first: ExecutionResult, second: ExecutionResult) -> Task | Unrecorded:
    recording = _read(first)
    if "calls" not in recording:
        return Unrecorded(recording["refused"])
    if recording != _read(second):
        return Unrecorded("two runs of the reference differ")
    cases: dict[bytes, CallCase] = {}
    for args, kwargs, kind, body in recording["calls"]:
        case = CallCase(
            args=tuple(wire.decode(tree) for tree in args),
            kwargs={name: wire.decode(tree) for name, tree in kwargs.items()},
            expected=wire.decode(body) if kind == "r" else None,
            raises=body if kind == "e" else "",
        )
        same_call = cases.setdefault(wire.dumps([args, kwargs]), case)
        if same_call is not case and (same_call.raises, wire.encode(same_call.expected)) != (
            case.raises,
            wire.encode(case.expected),
        ):
            return Unrecorded("the same call gives different answers")
    if not cases:
        return Unrecorded("the test calls nothing")
    suite = TestSuite.of_calls(
        list(cases.values()),
        float_tolerance=stated_tolerance(task),
        site=task.tests.site,
        limits=task.tests.limits,
    )
    return replace(task, tests=suite)


def _read(result: ExecutionResult) -> dict[str, Any]:
    if not result.replies:
        return {"refused": f"the reference did not end ({result.limit or 'its process died'})"}
    if signs(result.replies[0]) > MAX_RECORDED_SIGNS or too_deep(result.replies[0]):
        return {"refused": "the recording of the reference has too many values"}
    reply: dict[str, Any] = wire.loads(result.replies[0])
    if "r" not in reply:
        return {"refused": f"the reference fails: {reply}"[:300]}
    text = reply["r"].encode()
    if too_deep(text):  # the reply held it as a string, so its signs are counted already
        return {"refused": "the recording of the reference is nested too deeply"}
    recording: dict[str, Any] = wire.loads(text)
    return recording


def stated_tolerance(task: Task) -> float:
    """Return the largest tolerance that an assertion task's test states, at least 1e-9."""
    stated = [LEAST_TOLERANCE]
    for node in ast.walk(ast.parse(task.tests.setup_code + "\n" + task.tests.test_code)):
        if isinstance(node, ast.Compare):
            signs = (ast.Lt, ast.LtE, ast.Gt, ast.GtE)
            if any(isinstance(sign, signs) for sign in node.ops) and _has_difference(node):
                stated += [_number(side) for side in (node.left, *node.comparators)]
        elif isinstance(node, ast.Call) and _name(node.func) in _TOLERANT_CALLS:
            stated += [_number(word.value) for word in node.keywords]
            stated += [_number(given) for given in node.args[2:]]
    return max(number for number in stated if number < LARGEST_TOLERANCE)


def _has_difference(tree: ast.AST) -> bool:
    return any(
        (isinstance(node, ast.BinOp) and isinstance(node.op, ast.Sub))
        or (isinstance(node, ast.Call) and _name(node.func) in ("abs", "fabs"))
        for node in ast.walk(tree)
    )


def _number(node: ast.expr) -> float:
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Pow):  # 10 ** -6
        base, power = _constant(node.left), _constant(node.right)
        return float(base**power) if base > 0 and -400 < power < 0 else 0.0
    return float(_constant(node))


def _constant(node: ast.expr) -> float:
    try:
        value = ast.literal_eval(node)
    except ValueError:
        return 0.0
    return value if isinstance(value, float | int) and abs(value) < 1e300 else 0.0


def _name(node: ast.expr) -> str:
    return node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")
