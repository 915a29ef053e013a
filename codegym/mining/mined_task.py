"""Mined task: builds a task from a function, its cases and its recorded answers."""

from collections.abc import Sequence
from typing import Any

from codegym.mining.finding import Candidate
from codegym.mining.inference import Signature
from codegym.mining.program_assembly import AssembledProgram
from codegym.mining.recorded_answers import Answer
from codegym.mining.study_report import StudyReport
from codegym.sandbox import wire
from codegym.sandbox.limits import Limits
from codegym.tasks.task import CallCase, Task

_LIMITS = Limits()


def make_mined_task(
    candidate: Candidate,
    assembled: AssembledProgram,
    signature: Signature,
    report: StudyReport,
    answers: Sequence[Answer],
    *,
    seed: int,
) -> Task:
    """Return the task of a function.

    Args:
        candidate: The function.
        assembled: Its program, cut where a policy starts to write.
        signature: The types of its parameters.
        report: Its cases and their strength.
        answers: The answer to each case, recorded twice.
        seed: Seed of the run.
    """
    return Task.from_calls(
        assembled.head,
        candidate.node.name,
        [_case(args, kwargs, answer) for (args, kwargs), answer in zip(
            report.cases, answers, strict=True)],
        task_id=f"mined/{candidate.key}",
        canonical_solution=assembled.body,
        metadata=_metadata(candidate, assembled, signature, report, seed),
        limits=_LIMITS,
    )  # fmt: skip


def has_fixed_order(trees: Any) -> bool:
    """Return whether every process writes the values alike, unlike sets of texts.

    Args:
        trees: Values as wire trees.
    """
    if isinstance(trees, list):
        return all(map(has_fixed_order, trees))
    if isinstance(trees, dict):
        for tag, body in trees.items():
            if tag in ("s", "z") and len(body) > 1 and not all(type(item) is int for item in body):
                return False
            if not has_fixed_order(body):
                return False
    return True


def _case(args: list[Any], kwargs: dict[str, Any], answer: Answer) -> CallCase:
    kind, body = answer
    return CallCase(
        args=tuple(wire.decode(tree) for tree in args),
        kwargs={name: wire.decode(tree) for name, tree in kwargs.items()},
        expected=wire.decode(body) if kind == "r" else None,
        raises=body if kind == "e" else "",
    )


def _metadata(
    candidate: Candidate,
    assembled: AssembledProgram,
    signature: Signature,
    report: StudyReport,
    seed: int,
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
        "carried": list(assembled.carried),
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
