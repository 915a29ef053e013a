"""SandboxFusion's ``/submit``: an answer to a served task, or to an inline task of CommonOJ's form.

Source: bytedance/SandboxFusion (commit 469de08), ``docs/.../dataset-detail/common-oj.md`` and
``sandbox/utils/testing.py``.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from codegym.sandbox.job import ExecutionResult, Job
from codegym.sandbox.limits import Limits
from codegym.service.fusion_form import (
    refuse_language,
    run_answer,
    run_limits,
    stdio_job,
    submit_answer,
)
from codegym.service.grade_request import MOST_ANSWER_BYTES
from codegym.service.refusals import Refused
from codegym.service.served_tasks import Bounds, ServedTasks
from codegym.service.strict_json import field
from codegym.tasks.answer_blocks import has_fence
from codegym.tasks.answers import extract_program, program_from_answer
from codegym.tasks.task import Task

_NUMBER = (int, float)
# Time of a case where the request names none.
USUAL_RUN_S = 20
# Relative difference of two numbers that are the same output.
_RELATIVE, _LEAST = 1e-5, 1e-10


@dataclass(frozen=True, slots=True, kw_only=True)
class SubmitRequest:
    """A request of ``/submit``.

    Attributes:
        number: The id, as it was sent.
        code: The program that the completion means.
        kind: Where in the completion it was found: ``fenced``, ``heuristic`` or ``empty``.
        task: The served task; None for an inline task.
        job: Run of the cases of an inline task.
        cases: Inputs and outputs of an inline task.
        runs_all: Whether the cases after the first failure are reported too.
    """

    number: int | str
    code: str
    kind: str
    task: Task | None = None
    job: Job | None = None
    cases: tuple[tuple[str, str], ...] = ()
    runs_all: bool = False


def read_submit(body: Mapping[str, Any], tasks: ServedTasks) -> SubmitRequest:
    """Read a request of ``/submit``.

    Raises:
        Refused: A field is missing or unusable.
        TaskError: No served task has that id.
        ConfigError: No source of that name is served.
    """
    number = field(body, "id", (int, str), ...)
    dataset, config = field(body, "dataset", str, ...), field(body, "config", dict, ...)
    completion = field(body, "completion", str, ...)
    if len(completion) > MOST_ANSWER_BYTES:
        raise Refused(
            "the completion is too long",
            value=f"{len(completion)} characters",
            expected=f"at most {MOST_ANSWER_BYTES}",
        )
    if config.get("language") is not None:
        refuse_language(field(config, "language", str, ...))
    if config.get("custom_extract_logic"):
        raise Refused("custom_extract_logic is not offered", cure="send the program alone")
    if config.get("provided_data") is None:
        task = tasks.find(str(number), dataset)
        code = program_from_answer(task, completion)
        return SubmitRequest(number=number, code=code, kind=_kind(completion, code), task=task)
    return _inline(number, completion, config, tasks)


def _kind(completion: str, code: str) -> str:
    if not code.strip():
        return "empty"
    return "fenced" if has_fence(completion) else "heuristic"


def _inline(
    number: int | str, completion: str, config: Mapping[str, Any], tasks: ServedTasks
) -> SubmitRequest:
    kind = config.get("dataset_type") or "CommonOJDataset"
    if kind != "CommonOJDataset":
        raise Refused(
            "this form of inline tasks is not offered",
            value=str(kind)[:80],
            expected="CommonOJDataset",
            cure="POST /v1/grade takes whole tasks in every form",
        )
    cases = _cases(_row(number, config["provided_data"]), tasks.bounds.batch)
    run_s = config.get("run_timeout")
    run_s = USUAL_RUN_S if run_s is None else field(config, "run_timeout", _NUMBER, ...)
    limits = _of_cases(run_limits(run_s, -1, tasks.bounds), len(cases), tasks.bounds)
    code = extract_program(completion)
    return SubmitRequest(
        number=number,
        code=code,
        kind=_kind(completion, code),
        job=stdio_job(code, [given for given, _ in cases], limits),
        cases=tuple(cases),
        runs_all=bool(field(config, "extra", dict, {}).get("run_all_cases", False)),
    )


def _of_cases(one_run: Limits, n_cases: int, bounds: Bounds) -> Limits:
    """Return the limits of all cases, from those of one."""
    whole_s = min(n_cases * one_run.wall_s, bounds.wall_s)
    return replace(one_run, case_s=one_run.wall_s, wall_s=whole_s, cpu_s=whole_s)


def _row(number: int | str, provided: Any) -> Mapping[str, Any]:
    """Return the row of the inline task: the object itself, or that of the id in a list."""
    rows = provided if isinstance(provided, list) else [provided]
    found = [row for row in rows if isinstance(row, dict)]
    if len(found) > 1:
        found = [row for row in found if row.get("id") == number]
    if not found:
        raise Refused("provided_data holds no row of this id", value=str(number)[:80])
    return found[0]


def _cases(row: Mapping[str, Any], most: int) -> list[tuple[str, str]]:
    tests = row.get("test")
    if isinstance(tests, str):
        try:
            tests = json.loads(tests)
        except (ValueError, RecursionError):
            tests = None
    if not isinstance(tests, list) or not 1 <= len(tests) <= most:
        raise Refused(
            "provided_data holds no usable test",
            expected=f'1 to {most} of {{"input": {{"stdin": ...}}, "output": {{"stdout": ...}}}}',
        )
    pairs = []
    for case in tests:
        if not isinstance(case, dict):
            raise Refused("a case is not an object", expected="input and output")
        given, wanted = field(case, "input", dict, ...), field(case, "output", dict, ...)
        pairs.append((field(given, "stdin", str, ...), field(wanted, "stdout", str, ...)))
    return pairs


def inline_answer(request: SubmitRequest, result: ExecutionResult) -> dict[str, Any]:
    """Return the answer for an inline task; cases after the first failure are left out, as there.

    Args:
        request: The request.
        result: Result of its job.
    """
    parts = result.parts or (result,)
    tests: list[dict[str, Any]] = []
    for number, (given, wanted) in enumerate(request.cases):
        # Cases that the whole run's time did not reach ended as the last that ran.
        told = run_answer(parts[min(number, len(parts) - 1)])
        reached = number < len(parts)
        run = told["run_result"]
        passed = reached and told["status"] == "Success" and same_lines(run["stdout"], wanted)
        info = {"input": {"stdin": given}, "output": {"stdout": wanted}}
        tests.append({"passed": passed, "exec_info": told, "test_info": info})
        if not passed and not request.runs_all:
            break
    accepted = all(test["passed"] for test in tests)
    return submit_answer(request.number, accepted, request.code, request.kind, tests)


def same_lines(printed: str, wanted: str) -> bool:
    """Say whether two outputs agree: line by line, without case and outer blanks, or as numbers."""
    mine, theirs = printed.strip().split("\n"), wanted.strip().split("\n")
    return len(mine) == len(theirs) and all(map(_same_line, mine, theirs))


def _same_line(mine: str, theirs: str) -> bool:
    mine, theirs = mine.lower().strip(), theirs.lower().strip()
    if mine == theirs:
        return True
    try:
        left, right = float(mine), float(theirs)
    except ValueError:
        return False
    if not (math.isfinite(left) and math.isfinite(right)):
        return False
    return abs(left - right) / max(abs(right), _LEAST) < _RELATIVE
