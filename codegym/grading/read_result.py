"""Reading of results: turns the raw result of a run into a Verdict.

Every reply is untrusted bytes. It is parsed as JSON and compared, and never turned into live
objects. The outcome of a case:

=================================================  ==============  ============================
event                                              outcome         error_type
=================================================  ==============  ============================
the expected answer                                PASSED
another answer                                     FAILED
an answer of a type that cannot cross              FAILED          UnencodableError
no exception where one is expected                 FAILED
a failed assertion, or a test broken by an answer  FAILED          AssertionError, TypeError...
a test that fails by itself                        FaultyTestError, and no verdict
an exception, ``SystemExit`` included              RUNTIME_ERROR   its class name
the entry point is not defined                     RUNTIME_ERROR   NameError
a crash, ``os._exit``                              RUNTIME_ERROR   ProcessDied
an invalid reply                                   RUNTIME_ERROR   ProtocolError
MemoryError, in the program or in its test         MEMORY          MemoryError
a test whose process dies of an answer             FAILED          TestDied
too much output                                    OUTPUT_LIMIT    OutputLimit
too much time of the program's clock               TIMEOUT         TimeLimit
not run, since the whole run's time was used up    TIMEOUT         TimeLimit
=================================================  ==============  ============================
"""

import builtins
import os
import signal
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from codegym.errors import FaultyTestError
from codegym.grading.compare import same, show
from codegym.grading.run_plan import Plan
from codegym.grading.text_rules import same_output
from codegym.grading.verdict import MESSAGE_CHARS, CaseResult, Outcome, Usage, Verdict
from codegym.sandbox import wire
from codegym.sandbox.inside.bounds import outsized, too_deep
from codegym.sandbox.inside.notebook import LIMIT
from codegym.sandbox.inside.sites import SITES
from codegym.sandbox.job import ExecutionResult

# A script replies with the description of an exception, and with nothing else.
MAX_STDIO_REPLY_BYTES = 1 << 14
# Room for each case in an examiner's report, which bounds its rows.
_ROW_SIGNS = 2_000
_PASSED = CaseResult(outcome=Outcome.PASSED)
_STOPS = {
    "memory": (Outcome.MEMORY, "MemoryError"),
    "output": (Outcome.OUTPUT_LIMIT, "OutputLimit"),
}


class Unreadable(Exception):
    """An invalid reply; no honest child writes such a reply."""


def read(
    result: ExecutionResult, plan: Plan, text: str, *, blames_program: bool = False
) -> Verdict:
    """Return the verdict on one run.

    Args:
        result: The raw result from the sandbox.
        plan: The plan of the task.
        text: The complete program, in which lines are counted.
        blames_program: Whether a test that failed by itself is the program's fault, as it is
            where the reference solution passes.

    Raises:
        FaultyTestError: The test failed by itself (assertion form).
    """
    usage = Usage(wall_s=result.wall_s, cpu_s=result.cpu_s, memory_bytes=result.memory_bytes)
    lines = text.count("\n") + 1
    cases: list[CaseResult] = []
    for part in result.parts or (result,):
        found = _read_part(part, plan, lines, blames_program)
        if isinstance(found, Verdict):  # a text that does not compile, in whichever process
            return replace(found, usage=usage)
        cases += found
    if len(cases) < plan.n_cases:
        cases += [_not_run(cases[-1], plan)] * (plan.n_cases - len(cases))
    if plan.checker and to_check(cases):
        return Verdict.from_cases(cases, usage)  # the checker says which case fails first
    return joined(cases, plan, usage)


def joined(cases: list[CaseResult], plan: Plan, usage: Usage) -> Verdict:
    """Return the verdict on a program by its cases, after the rules of its task."""
    return Verdict.from_cases(_cut_short(cases, plan), usage)


def to_check(cases: Sequence[CaseResult]) -> list[int]:
    """Return the cases in which the program ended by itself, without an error (stdio)."""
    return [
        number
        for number, case in enumerate(cases)
        if case.passed or (case.outcome is Outcome.FAILED and not case.error_type)
    ]


def _read_part(
    result: ExecutionResult, plan: Plan, lines: int, blames_program: bool
) -> list[CaseResult] | Verdict:
    """Return the results of the cases that one process has settled."""
    if plan.form == "assertion":
        return _read_assertion(result, plan, lines, blames_program=blames_program)
    return {"call": _read_call, "stdio": _read_stdio}[plan.form](result, plan, lines)


def goes_on(plan: Plan, case: int, result: ExecutionResult) -> bool:
    """Say whether a run goes on after a case whose process has ended, if it stops at a failure.

    Args:
        plan: The plan of the task.
        case: Number of the case.
        result: Result of its process.
    """
    if plan.form != "stdio":
        return False  # a process that has not reached its last case has failed one
    if plan.checker:
        return True  # the text does not say whether the case has failed
    found = _read_stdio(replace(result, first_case=case), plan, 1)
    return not isinstance(found, Verdict) and found[0].passed


def _not_run(last: CaseResult, plan: Plan) -> CaseResult:
    """Return the result of a case that was not run, by the last case that was."""
    if plan.limits.stop == "first_failure" and not last.passed and not plan.checker:
        return _after_failure(last)
    limits = plan.limits
    return _timeout(
        f"not run: the whole run's {limits.wall_s:g} s ({limits.cpu_s:g} s of processor time) "
        "were used up"
    )


def _after_failure(failed: CaseResult) -> CaseResult:
    return replace(failed, error_message="not run: an earlier case failed", got="")


def _cut_short(cases: list[CaseResult], plan: Plan) -> list[CaseResult]:
    """Replace the results after the first failure where the suite stops at it."""
    if plan.limits.stop != "first_failure":
        return cases
    failed = next((index for index, case in enumerate(cases) if not case.passed), len(cases) - 1)
    return cases[: failed + 1] + [_after_failure(cases[failed])] * (len(cases) - failed - 1)


def _read_call(result: ExecutionResult, plan: Plan, lines: int) -> list[CaseResult] | Verdict:
    """Return the results of the cases that one process has settled."""
    cases: list[CaseResult] = []
    count = plan.n_cases - result.first_case
    for index, reply in enumerate(result.replies[:count], start=result.first_case):
        if not plan.raises[index] and reply == plan.answers[index]:
            cases.append(_PASSED)
            continue
        if outsized(reply, plan.answers[index]):
            shown = f"<{len(reply)} bytes, far more than expected>"
            cases.append(_wrong(plan, index, "", shown))
            continue
        try:
            tree = parse(reply, plan.answers[index])
            # A program that reported that it was loaded can have neither fault.
            if "syntax" in tree and not result.loaded:
                return _syntax(tree["syntax"], plan.n_cases, lines)
            if "load" in tree and not result.loaded:
                fault = tree["load"]
                if SITES[plan.site].load_is_syntax and type(fault) is list and len(fault) == 4:
                    return _syntax([fault[0], *fault[2:], None], plan.n_cases, lines)
                cases.append(_error(fault, lines))
                cases += [cases[-1]] * (count - len(cases))
            else:
                cases.append(_answer(tree, plan, index, lines))
        except Unreadable as error:
            cases.append(_protocol_error(error))
    if len(cases) < count:
        # A program that cannot be loaded fails all its cases at once.
        failed = 1 if result.loaded else count - len(cases)
        cases += [_stopped(result, plan, lines)] * failed
    return cases[:count]


def _answer(tree: dict[str, Any], plan: Plan, index: int, lines: int) -> CaseResult:
    wanted = plan.raises[index]
    if "r" in tree:
        expected = plan.expected[index]
        if not wanted and same(tree["r"], expected, plan.float_tolerance, plan.match):
            return _PASSED
        message = f"expected {wanted} to be raised" if wanted else ""
        return _wrong(plan, index, message, show(tree["r"]))
    if "u" in tree and plan.messages:
        return _wrong(plan, index, "", f"<{str(tree['u'])[:100]}>")
    if "u" in tree:
        return CaseResult(
            outcome=Outcome.FAILED,
            error_type="UnencodableError",
            error_message=f"the answer cannot cross the sandbox line: {tree['u']}"[:MESSAGE_CHARS],
        )
    fault = tree.get("e")
    if wanted and type(fault) is list and _catches(wanted, fault[:2]):
        return _PASSED
    return _error(fault, lines)


def _wrong(plan: Plan, index: int, message: str, got: str) -> CaseResult:
    """Return the result of a case with a wrong answer; an assertion fails with its message."""
    kind = "AssertionError" if plan.messages else ""
    message = plan.messages[index][:MESSAGE_CHARS] if plan.messages else message
    return CaseResult(outcome=Outcome.FAILED, error_type=kind, error_message=message, got=got)


def _catches(wanted: str, raised: list[Any]) -> bool:
    """Say whether ``except wanted`` catches an exception, by its class name and built-in base."""
    if wanted in raised:
        return True
    caught = _exception(wanted)
    return caught is not None and any(
        found is not None and issubclass(found, caught) for found in map(_exception, raised)
    )


def _exception(name: Any) -> type[BaseException] | None:
    found = vars(builtins).get(name) if type(name) is str else None
    is_exception = isinstance(found, type) and issubclass(found, BaseException)
    return found if is_exception else None


def _read_stdio(result: ExecutionResult, plan: Plan, lines: int) -> list[CaseResult] | Verdict:
    """Return the result of the case of one process, in a list."""
    tree: dict[str, Any] = {}
    try:
        if result.replies and len(result.replies[0]) <= MAX_STDIO_REPLY_BYTES:
            tree = parse(result.replies[0])
    except Unreadable:
        tree = {}  # a script may write anything to the reply descriptor
    if "syntax" in tree:
        return _syntax(tree["syntax"], plan.n_cases, lines)
    if result.limit:
        return [_stopped(result, plan, lines)]
    if result.exit_status:
        return [_error(tree["e"], lines) if "e" in tree else _stopped(result, plan, lines)]
    printed = result.output.decode("utf-8", "replace")
    if same_output(printed, plan.expected[result.first_case], plan.output_rule):
        return [_PASSED]
    return [CaseResult(outcome=Outcome.FAILED, got=printed[:MESSAGE_CHARS])]


def _read_assertion(
    result: ExecutionResult, plan: Plan, lines: int, *, blames_program: bool
) -> list[CaseResult] | Verdict:
    """Return the results of the cases that one process has settled."""
    count = plan.n_cases - result.first_case
    if not result.replies:
        return [_stopped(result, plan, lines)] * count
    try:
        report = parse(result.replies[0], b"," * _ROW_SIGNS * plan.n_cases)
        if "syntax" in report:
            return _syntax(report["syntax"], plan.n_cases, lines)
        if "cases" not in report:
            return [_error(report.get("load"), lines)] * count
    except Unreadable as error:
        return [_protocol_error(error)] * count
    # The first case without a result: another process runs it, unless the test was killed or died
    # in it.
    until = max(report["until"], result.first_case)
    cases = [_PASSED] * until
    if ("end" in report or until == result.first_case) and until < plan.n_cases:
        cases.append(_unended(report, result, plan, lines))
    for index, kind, name, message, line, got in report["cases"]:
        if kind in ("test", "early") and not blames_program:
            raise FaultyTestError(
                f"the test failed by itself in case {index}: {name}: {message}",
                is_certain=kind == "early",
            )
        if kind == "gone":
            cases[index] = _gone(result, plan, message, lines)
        elif kind == "error":
            cases[index] = _error([name, name, message, line], lines)
        elif kind == "memory":
            cases[index] = _memory(message)
        else:
            cases[index] = CaseResult(
                outcome=Outcome.FAILED,
                error_type=name,
                error_message=message,
                got=show(got[0]) if got else "",
            )
    return cases[result.first_case :]


def _unended(report: dict[str, Any], result: ExecutionResult, plan: Plan, lines: int) -> CaseResult:
    """Return the result of the case that a test left open because it was killed or died."""
    end = report.get("end", LIMIT)
    if end == "memory":
        return _memory("the test exhausted its memory on the answers")
    if end == LIMIT:
        return _stopped(result, plan, lines)
    return CaseResult(outcome=Outcome.FAILED, error_type="TestDied", error_message=end)


def _memory(message: str) -> CaseResult:
    return CaseResult(outcome=Outcome.MEMORY, error_type="MemoryError", error_message=message)


def parse(reply: bytes, expected: bytes = b"") -> dict[str, Any]:
    """Parse a reply that is not much larger than an expected one."""
    if outsized(reply, expected):
        raise Unreadable(f"a reply of {len(reply)} bytes with far too many values")
    if too_deep(reply):
        raise Unreadable("a reply nested too deeply")
    try:
        tree = wire.loads(reply)
    except (ValueError, RecursionError) as error:
        raise Unreadable(f"a reply that is not JSON ({str(error)[:80]})") from None
    if type(tree) is not dict:
        raise Unreadable("a reply of the wrong shape")
    return tree


def _error(description: Any, lines: int) -> CaseResult:
    if (
        type(description) is not list
        or len(description) != 4
        or not all(type(part) is str for part in description[:3])
    ):
        return _protocol_error(Unreadable("a report of an exception that is none"))
    kind, _, message, line = description
    return CaseResult(
        outcome=Outcome.MEMORY if kind == "MemoryError" else Outcome.RUNTIME_ERROR,
        error_type=kind[:100],
        error_message=message[:MESSAGE_CHARS],
        error_line=_line(line, lines),
    )


def _line(line: Any, lines: int) -> int | None:
    return line if type(line) is int and 1 <= line <= lines else None


def _syntax(description: Any, n_cases: int, lines: int) -> Verdict:
    if (
        type(description) is not list
        or len(description) != 4
        or not all(type(part) is str for part in description[:2])
    ):
        error = _protocol_error(Unreadable("a report of a syntax error that is none"))
        return Verdict.from_cases([error] * n_cases)
    kind, message, line, offset = description
    return Verdict.syntax_error(
        n_cases=n_cases,
        error_type=kind[:100],
        message=message,
        line=_line(line, lines),
        offset=offset if type(offset) is int and offset >= 1 else None,
    )


def _gone(result: ExecutionResult, plan: Plan, message: str, lines: int) -> CaseResult:
    if message.startswith("bad reply"):
        return _protocol_error(Unreadable(message))
    if message == "too much output":
        return _stopped(replace(result, limit="output"), plan, lines)
    return _stopped(result, plan, lines)


def _protocol_error(error: Unreadable) -> CaseResult:
    return CaseResult(
        outcome=Outcome.RUNTIME_ERROR,
        error_type="ProtocolError",
        error_message=str(error)[:MESSAGE_CHARS],
    )


def _timeout(message: str, line: int | None = None) -> CaseResult:
    return CaseResult(
        outcome=Outcome.TIMEOUT, error_type="TimeLimit", error_message=message, error_line=line
    )


def _stopped(result: ExecutionResult, plan: Plan, lines: int) -> CaseResult:
    """Return the result of the cases that a run left unanswered."""
    limits, line = plan.limits, _line(result.running_line, lines)
    if result.limit == "case":
        return _timeout(f"stopped after {limits.of_case(plan.n_cases):g} s of one case", line)
    if result.limit == "wall":
        return _timeout(f"stopped after {limits.wall_s:g} s", line)
    if result.limit == "cpu":
        return _timeout(f"stopped after {limits.cpu_s:g} s of processor time", line)
    if result.limit:
        outcome, kind = _STOPS[result.limit]
        bound = f"more than {limits.output_bytes} bytes" if result.limit == "output" else ""
        return CaseResult(outcome=outcome, error_type=kind, error_message=bound)
    code = os.waitstatus_to_exitcode(result.exit_status)
    if code < 0:
        known = {number.value: number.name for number in signal.Signals}
        message = f"the process was killed by {known.get(-code, f'signal {-code}')}"
    else:
        message = f"the process ended with status {code} before it had answered"
    return CaseResult(
        outcome=Outcome.RUNTIME_ERROR, error_type="ProcessDied", error_message=message
    )
