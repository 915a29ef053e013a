"""Run plan: the input that a task sends into the sandbox, and the replies that it expects."""

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from codegym.errors import TaskError
from codegym.grading.plain_calls import plain_calls
from codegym.sandbox import wire
from codegym.sandbox.limits import Limits
from codegym.tasks.cases import CallCase, StdioCase
from codegym.tasks.required_names import defines_class, interface_of, setup_classes
from codegym.tasks.suite import Form, TestSuite
from codegym.tasks.task import Task

# Plans that are kept, and the bytes of their inputs and expected results together.
KEPT_PLANS, KEPT_BYTES = 4096, 128 << 20
OUTPUT_MARGIN_BYTES = 1 << 16
_plans: OrderedDict[int, tuple[Task, "Plan"]] = OrderedDict()
_lock = threading.Lock()
_kept_bytes = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The input and the expected results of one task's programs.

    Attributes:
        form: Form of the tests.
        payload: Input of the sandbox beside the program; the same for all programs.
        expected: Wire trees of the expected values (call), expected texts (stdio).
        raises: Names of expected exceptions, "" for none (call).
        answers: Reply frames that pass without being parsed, one per case (call).
        messages: Messages of the assertions that run as calls; () for calls.
        before, classes: Classes of the set-up code, as code, and their names (assertion).
        n_cases: Number of cases.
        limits: Bounds of one run.
        float_tolerance, match, output_rule, site, checker: Rules of the test suite.
        digest: SHA-256 of the fields above on which a verdict depends.
    """

    form: Form
    payload: bytes
    expected: tuple[Any, ...]
    raises: tuple[str, ...]
    answers: tuple[bytes, ...]
    messages: tuple[str, ...]
    before: str
    classes: tuple[str, ...]
    n_cases: int
    limits: Limits
    float_tolerance: float
    match: str
    output_rule: str
    site: str
    checker: str
    digest: str

    @property
    def size_bytes(self) -> int:
        """Size of the input and the expected results as text."""
        texts = sum(len(each) for each in self.expected if isinstance(each, str))
        return len(self.payload) + sum(map(len, self.answers)) + texts


def plan_for(task: Task) -> Plan:
    """Return the plan of a task; the newest few thousand plans are kept, while they are small.

    Raises:
        TaskError: A case contains a value that cannot cross the sandbox boundary.
    """
    known = _plans.get(id(task))
    if known is not None and known[0] is task:
        return known[1]
    plan = _make(task)
    _keep(task, plan)
    return plan


def _keep(task: Task, plan: Plan) -> None:
    global _kept_bytes
    with _lock:
        # Another thread may have made it at the same time.
        replaced = _plans.pop(id(task), None)
        _plans[id(task)] = task, plan
        _kept_bytes += plan.size_bytes - (replaced[1].size_bytes if replaced else 0)
        while len(_plans) > 1 and (len(_plans) > KEPT_PLANS or _kept_bytes > KEPT_BYTES):
            _, (_, dropped) = _plans.popitem(last=False)
            _kept_bytes -= dropped.size_bytes


def kept_plans() -> int:
    """Return the number of plans that are kept."""
    return len(_plans)


def _make(task: Task) -> Plan:
    suite = task.tests
    form, rules = suite.form, (suite.float_tolerance, suite.match)
    expected: tuple[Any, ...] = ()
    raises: tuple[str, ...] = ()
    answers: tuple[bytes, ...] = ()
    messages: tuple[str, ...] = ()
    before: str = ""
    classes: tuple[str, ...] = ()
    calls = [case for case in suite.cases if isinstance(case, CallCase)]
    plain = plain_calls(task) if form == "assertion" else None
    if plain is not None:
        form, rules, calls, messages = "call", (0.0, "python"), [*plain.cases], plain.messages
    if form == "call":
        payload, expected = _calls(task, calls)
        raises = tuple(str(case.raises) for case in calls)
        answers = tuple(wire.dumps({"r": tree}) for tree in expected)
    elif form == "stdio":
        texts = [case for case in suite.cases if isinstance(case, StdioCase)]
        payload = wire.dumps([case.stdin for case in texts])
        expected = tuple(case.expected_stdout for case in texts)
    else:
        before, classes = setup_classes(suite.setup_code)
        payload = _test(task, classes)
    parts: list[object] = [form, payload, expected, raises, suite.limits, messages]
    parts += [*rules, suite.output_rule, suite.site, suite.checker]
    return Plan(
        form=form,
        payload=payload,
        expected=expected,
        raises=raises,
        answers=answers,
        messages=messages,
        before=before,
        classes=classes,
        n_cases=len(suite),
        limits=_limits(suite, expected, answers),
        float_tolerance=rules[0],
        match=rules[1],
        output_rule=suite.output_rule,
        site=suite.site,
        checker=suite.checker,
        digest=hashlib.sha256(repr(parts).encode("utf-8", "surrogatepass")).hexdigest(),
    )


def _calls(task: Task, cases: Sequence[CallCase]) -> tuple[bytes, tuple[Any, ...]]:
    """Return the input of the sandbox and the expected wire trees of some calls.

    Raises:
        TaskError: A value cannot cross the sandbox boundary.
    """
    try:
        calls = [_arguments(case) for case in cases]
        expected = tuple(wire.encode(case.expected) for case in cases)
    except wire.UnencodableError as error:
        raise TaskError(
            f"a case of task {task.task_id!r} holds a value that cannot cross the sandbox line",
            field="tests.cases",
            value=str(error),
            cure="use plain values, or an assertion test",
        ) from None
    given = {"function": task.entry_point, "calls": calls, "site": task.tests.site}
    return wire.dumps(given), expected


def _test(task: Task, classes: tuple[str, ...]) -> bytes:
    """Return the examiner's input (assertion)."""
    suite = task.tests
    return wire.dumps(
        {
            "classes": classes,
            "instances": defines_class(task),
            "setup": suite.setup_code,
            "code": suite.test_code,
            "check": suite.check,
            "entry_point": task.entry_point,
            "names": interface_of(task),
            "prompt": task.prompt if task.prompt_is_code else "",
            "n_cases": len(suite),
        }
    )


def _limits(suite: TestSuite, texts: tuple[Any, ...], answers: tuple[bytes, ...]) -> Limits:
    """Return the limits of a suite, with room for twice the expected output."""
    if suite.form == "stdio":
        longest = max(len(text.encode("utf-8", "surrogatepass")) for text in texts)
    else:
        longest = sum(map(len, answers))
    room = OUTPUT_MARGIN_BYTES + 2 * longest
    if room <= suite.limits.output_bytes or longest <= suite.limits.output_bytes // 2:
        return suite.limits
    return replace(suite.limits, output_bytes=room)


def _arguments(case: CallCase) -> list[Any]:
    return [
        [wire.encode(value) for value in case.args],
        {name: wire.encode(value) for name, value in case.kwargs.items()},
    ]
