"""Making: a task from a function, its cases and what was recorded of them."""

from collections.abc import Sequence
from typing import Any

from codegym.mining.finding import Candidate
from codegym.mining.inference import Signature
from codegym.mining.program_assembly import Linked
from codegym.mining.recorded_answers import Reply
from codegym.mining.study_report import Report
from codegym.sandbox import wire
from codegym.sandbox.limits import Limits
from codegym.tasks.task import CallCase, Task

_LIMITS = Limits()


def make_task(
    candidate: Candidate,
    linked: Linked,
    signature: Signature,
    report: Report,
    replies: Sequence[Reply],
    *,
    seed: int,
) -> Task:
    """Return the task.

    Args:
        candidate: The function.
        linked: Its program, cut at the place where a policy begins.
        signature: The types of its parameters.
        report: Its cases and their strength.
        replies: What each case gave, twice.
        seed: Of the run.
    """
    return Task.from_calls(
        linked.head,
        candidate.node.name,
        [_case(args, kwargs, reply) for (args, kwargs), reply in zip(
            report.cases, replies, strict=True)],
        task_id=f"mined/{candidate.key}",
        canonical_solution=linked.body,
        metadata=_metadata(candidate, linked, signature, report, seed),
        limits=_LIMITS,
    )  # fmt: skip


def can_be_written_alike(trees: Any) -> bool:
    """Tell whether values are written alike by every process: sets of texts are not.

    Args:
        trees: Wire trees.
    """
    if isinstance(trees, list):
        return all(map(can_be_written_alike, trees))
    if isinstance(trees, dict):
        for tag, body in trees.items():
            if tag in ("s", "z") and len(body) > 1 and not all(type(one) is int for one in body):
                return False
            if not can_be_written_alike(body):
                return False
    return True


def _case(args: list[Any], kwargs: dict[str, Any], reply: Reply) -> CallCase:
    kind, body = reply
    return CallCase(
        args=tuple(wire.decode(tree) for tree in args),
        kwargs={name: wire.decode(tree) for name, tree in kwargs.items()},
        expected=wire.decode(body) if kind == "r" else None,
        raises=body if kind == "e" else "",
    )


def _metadata(
    candidate: Candidate, linked: Linked, signature: Signature, report: Report, seed: int
) -> dict[str, Any]:
    module = candidate.module
    return {
        "source": "mined",
        "licence": module.origin.licence,
        "origin": {
            "distribution": module.origin.name,
            "version": module.origin.version,
            "module": module.name,
            "function": candidate.node.name,
            "line": candidate.node.lineno,
        },
        "types": {
            "parameters": signature.params,
            "evidence": signature.evidence,
        },
        "carried": list(linked.carried),
        "strength": round(report.strength, 4),
        "mutants": {
            "made": report.mutants,
            "killed": report.killed,
            "equivalent": report.equivalent,
            "survivors": report.survivors,
        },
        "branch_coverage": round(report.branch_coverage, 4),
        "inputs_tried": report.runs,
        "seed": seed,
    }
