"""Checker: trusted code of a task that decides whether a printed output is right.

It runs in a fork of a sandbox, after the program's process is dead, as ``check(stdin, output,
expected)``. It sees the expected output first, which it must accept: a checker that refuses it, or
fails on it, is at fault, and no verdict is given.
"""

from dataclasses import replace

from codegym.errors import FaultyTestError
from codegym.grading.compare import show
from codegym.grading.read_result import Unreadable, joined, parse, read, to_check
from codegym.grading.run_plan import Plan
from codegym.grading.verdict import MESSAGE_CHARS, CaseResult, Outcome, Verdict
from codegym.sandbox import wire
from codegym.sandbox.job import ExecutionResult, Job
from codegym.sandbox.limits import Limits

_YES, _NO = b'{"r":true}', b'{"r":false}'
# Room for the texts of one run beside the checker's own values.
_MEMORY_BYTES = 1 << 30


def checker_job(result: ExecutionResult, verdict: Verdict, plan: Plan) -> Job | None:
    """Return the run of the checker on the outputs of a program, None if it printed none.

    Args:
        result: The run of the program.
        verdict: Its verdict by text alone.
        plan: Plan of the task.
    """
    inputs = wire.loads(plan.payload)
    cases = to_check(verdict.cases)
    if not cases:
        return None
    right = [[[inputs[n], plan.expected[n], plan.expected[n]], {}] for n in cases]
    given = [[[inputs[n], _printed(result.parts[n]), plan.expected[n]], {}] for n in cases]
    return Job(
        program=plan.checker,
        mode="call",
        payload=wire.dumps({"function": "check", "calls": right + given}),
        limits=_limits(plan),
    )


def _limits(plan: Plan) -> Limits:
    return replace(plan.limits, memory_bytes=max(plan.limits.memory_bytes, _MEMORY_BYTES))


def _printed(part: ExecutionResult) -> str:
    return part.output.decode("utf-8", "replace")


def checked(result: ExecutionResult, answers: ExecutionResult, plan: Plan, text: str) -> Verdict:
    """Return the verdict on a program from what the checker answered.

    Args:
        result: The run of the program.
        answers: The run of the checker.
        plan: Plan of the task.
        text: The complete program.

    Raises:
        FaultyTestError: The checker refuses the expected output, or fails on it.
    """
    verdict = read(result, plan, text)
    cases = list(verdict.cases)
    numbers = to_check(verdict.cases)
    replies = answers.replies
    for place, number in enumerate(numbers):
        if place >= len(replies) or replies[place] != _YES:
            why = _told(replies, place, answers)
            raise FaultyTestError(
                f"the checker refuses the expected output of case {number}: {why}"
            )
    for place, number in enumerate(numbers, len(numbers)):
        reply = replies[place] if place < len(replies) else b""
        if reply == _YES:
            cases[number] = CaseResult(outcome=Outcome.PASSED)
            continue
        why = "" if reply == _NO else f"the checker says: {_told(replies, place, answers)}"
        printed = _printed(result.parts[number])[:MESSAGE_CHARS]
        cases[number] = CaseResult(
            outcome=Outcome.FAILED, error_message=why[:MESSAGE_CHARS], got=printed
        )
    return joined(cases, plan, verdict.usage)


def _told(replies: tuple[bytes, ...], place: int, answers: ExecutionResult) -> str:
    """Return what the checker answered, for people."""
    if place >= len(replies) and (not replies or b'"r"' in replies[-1][:4]):
        return f"no answer ({answers.limit or 'its process died'})"
    try:
        tree = parse(replies[min(place, len(replies) - 1)])
    except Unreadable as error:
        return str(error)
    if "r" in tree:
        if tree["r"] is False:
            return "it returns False"
        return f"{show(tree['r'])} is neither True nor False"
    fault = next(iter(tree.values()))
    return show(fault)
