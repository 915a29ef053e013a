"""Recorded answers: a program's answers to given calls, from two processes of the sandbox.

The second process runs the calls in reverse order, with another random seed and with sets that
iterate in another order, which exposes state kept between calls and hidden randomness.
"""

from collections.abc import Sequence
from typing import Any

from codegym.grading.compare import same
from codegym.mining.ordering import reordered
from codegym.sandbox import wire
from codegym.sandbox.job import ExecutionResult, Job
from codegym.sandbox.limits import Limits

RECORD_LIMITS = Limits(wall_s=10.0, cpu_s=3.0, output_bytes=1 << 20)
Call = tuple[list[Any], dict[str, Any]]
Answer = tuple[str, Any]


def recording_jobs(program: str, entry_point: str, calls: Sequence[Call]) -> tuple[Job, Job]:
    """Return the two jobs that record a program's answers.

    Args:
        program: The whole program.
        entry_point: The function to call.
        calls: Arguments and keyword arguments of each call, as wire trees.
    """
    rows = [[args, kwargs] for args, kwargs in calls]
    first, second = (
        wire.dumps({"function": entry_point, "calls": order}) for order in (rows, rows[::-1])
    )
    return (
        Job(program=program, mode="call", payload=first, limits=RECORD_LIMITS),
        Job(
            program=reordered(program, entry_point),
            mode="call",
            payload=second,
            limits=RECORD_LIMITS,
        ),
    )


def read_recorded_answers(
    first: ExecutionResult, second: ExecutionResult, count: int
) -> list[Answer] | str:
    """Return the answer to each call, ``("r", tree)`` or ``("e", exception)``, or a fault in words.

    Args:
        first: Result of the calls in order.
        second: Result of the calls in reverse.
        count: Number of calls.
    """
    once, again = _replies(first), _replies(second)[::-1]
    if len(once) != count or len(again) != count:
        return f"stopped ({first.limit or second.limit or 'died'})"
    for (kind, body), (other_kind, other) in zip(once, again, strict=True):
        if kind not in ("r", "e"):
            return "a result that cannot cross"
        if kind != other_kind or (kind == "e" and body != other):
            return "two runs differ"
        if kind == "r" and not (
            same(body, other, 0.0, "strict") and same(other, body, 0.0, "strict")
        ):
            return "two runs differ"
    return once


def _replies(result: ExecutionResult) -> list[Answer]:
    found: list[Answer] = []
    for reply in result.replies:
        try:
            ((kind, body),) = wire.loads(reply).items()
            found.append((kind, body[0] if kind == "e" else body))
        except (ValueError, TypeError, LookupError, AttributeError, RecursionError):
            found.append(("broken", None))
    return found
