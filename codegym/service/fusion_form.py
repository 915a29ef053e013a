"""SandboxFusion's form: requests and answers of its ``/run_code`` and ``/submit``, for Python.

Source: bytedance/SandboxFusion (commit 469de08), ``sandbox/server/sandbox_api.py``,
``sandbox/runners/base.py`` and ``sandbox/datasets/types.py``. A Python program has no compile step
there: ``compile_result`` is null, and a text that does not compile ends with status 1 when run.
"""

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from codegym.grading.read_result import Unreadable, parse
from codegym.grading.verdict import CaseResult, Outcome, Verdict
from codegym.sandbox import wire
from codegym.sandbox.job import ExecutionResult, Job
from codegym.sandbox.limits import Limits
from codegym.service.refusals import Refused
from codegym.service.served_tasks import Bounds
from codegym.service.strict_json import field

_NUMBER = (int, float)
# What a program gets that names no memory limit, as in verl.
USUAL_MEMORY_MB = 1024
MOST_REPLY_BYTES = 16 << 10
# Status of a process that was ended for its output: killed, as the kernel's memory killer does.
_KILLED = -9
_TRACE = re.compile(r"^(?:Stack|Current thread|Thread)[^\n]* \(most recent call first\):", re.M)
_TRACE_CHARS = 1 << 13


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRequest:
    """A request of ``/run_code``.

    Attributes:
        job: The run.
        patience_s: Seconds that the client allows for compiling and running.
    """

    job: Job
    patience_s: float


def read_run(body: Mapping[str, Any], bounds: Bounds) -> RunRequest:
    """Read a request of ``/run_code``; fields of unknown names are left aside, as there.

    Raises:
        Refused: A field is missing or unusable, or asks for what only SandboxFusion offers.
        TaskError: A limit is out of the service's bounds.
    """
    language = field(body, "language", str, ...)
    refuse_language(language)
    for name, kind in (("files", dict), ("fetch_files", list)):
        if field(body, name, kind, kind()):
            raise Refused(
                f"{name} are not offered",
                value=name,
                expected="none",
                cure="put what the program reads into its code or its standard input",
            )
    compile_s = field(body, "compile_timeout", _NUMBER, 10)
    run_s = field(body, "run_timeout", _NUMBER, 10)
    limits = run_limits(run_s, field(body, "memory_limit_MB", int, -1), bounds)
    stdin = field(body, "stdin", str, None) if body.get("stdin") is not None else ""
    job = stdio_job(field(body, "code", str, ...), [stdin], limits)
    return RunRequest(job=job, patience_s=max(0.0, min(compile_s, 3600)) + run_s)


def refuse_language(language: str) -> None:
    """Refuse a language that is not offered.

    Raises:
        Refused: It is not Python.
    """
    if language != "python":
        raise Refused(
            "this language is not offered",
            value=language[:40],
            expected="python",
            cure="a SandboxFusion server runs the others",
        )


def run_limits(run_s: float, memory_mb: int, bounds: Bounds) -> Limits:
    """Return the limits of a run.

    Raises:
        Refused: A limit is not positive.
        TaskError: A limit is out of the service's bounds.
    """
    if run_s <= 0:
        raise Refused("unusable run_timeout", value=run_s, expected="seconds above 0")
    memory = (memory_mb if memory_mb > 0 else USUAL_MEMORY_MB) << 20
    limits = Limits(wall_s=float(run_s), cpu_s=float(run_s), memory_bytes=memory)
    bounds.check(limits)
    return limits


def stdio_job(code: str, inputs: Sequence[str], limits: Limits) -> Job:
    """Return the job that runs a script on some inputs, each in a new process."""
    payload = wire.dumps(list(inputs))
    return Job(program=code, mode="stdio", payload=payload, limits=limits, n_cases=len(inputs))


def run_answer(result: ExecutionResult) -> dict[str, Any]:
    """Return the answer of ``/run_code`` for one process."""
    stdout = result.output.decode("utf-8", "replace")
    if result.limit in ("case", "wall", "cpu"):
        # Behind what the program printed, its interpreter wrote where it was when it was ended.
        trace = _TRACE.search(stdout, max(0, len(stdout) - _TRACE_CHARS))
        printed = stdout[: trace.start()] if trace else stdout
        return _answer("TimeLimitExceeded", result.wall_s, None, printed, "")
    tree = _reply(result)
    code, stderr = os.waitstatus_to_exitcode(result.exit_status), ""
    if "syntax" in tree:
        code, stderr = 1, _syntax_text(tree["syntax"])
    elif result.limit == "output":
        code, stderr = _KILLED, "more output than is allowed\n"
    elif result.limit == "memory":
        code, stderr = 1, "MemoryError\n"
    elif code and "e" in tree:
        stderr = _error_text(tree["e"], code)
    return _answer("Finished", result.wall_s, code, stdout, stderr)


def _reply(result: ExecutionResult) -> dict[str, Any]:
    """Return what the program's process reported; a script may write anything there."""
    if not result.replies or len(result.replies[0]) > MOST_REPLY_BYTES:
        return {}
    try:
        return parse(result.replies[0])
    except Unreadable:
        return {}


def _syntax_text(told: Any) -> str:
    if type(told) is not list or len(told) != 4:
        return "SyntaxError\n"
    kind, message, line, _ = told
    return f'  File "program.py", line {line}\n{kind}: {message}\n'[:4000]


def _error_text(told: Any, code: int) -> str:
    if type(told) is not list or len(told) != 4:
        return ""
    kind, _, message, line = told
    if kind == "SystemExit":
        return "" if message == str(code) else f"{message}\n"[:4000]
    place = f'  File "program.py", line {line}\n' if line else ""
    return f"Traceback (most recent call last):\n{place}{kind}: {message}\n"[:4000]


def _answer(
    status: str, wall_s: float, code: int | None, stdout: str, stderr: str
) -> dict[str, Any]:
    run = {
        "status": status,
        "execution_time": wall_s,
        "return_code": code,
        "stdout": stdout,
        "stderr": stderr,
    }
    return _enveloped("Success" if status == "Finished" and code == 0 else "Failed", "", run)


def sandbox_error(message: str) -> dict[str, Any]:
    """Return the answer of ``/run_code`` where the sandbox broke."""
    return _enveloped("SandboxError", message, None)


def _enveloped(status: str, message: str, run: dict[str, Any] | None) -> dict[str, Any]:
    return {
        "status": status,
        "message": message,
        "compile_result": None,
        "run_result": run,
        "executor_pod_name": None,
        "files": {},
    }


def case_answer(case: CaseResult, wall_s: float) -> dict[str, Any]:
    """Return the answer of ``/run_code`` that stands for a judged case."""
    error = f"{case.error_type}: {case.error_message}".strip(": ")
    if case.outcome is Outcome.TIMEOUT:
        return _answer("TimeLimitExceeded", wall_s, None, "", error)
    return _answer("Finished", wall_s, 0 if case.passed else 1, case.got, error)


def verdict_answer(number: int | str, verdict: Verdict, code: str, kind: str) -> dict[str, Any]:
    """Return the answer of ``/submit`` for a served task."""
    wall_s = verdict.usage.wall_s
    tests = [
        {"passed": case.passed, "exec_info": case_answer(case, wall_s), "test_info": None}
        for case in verdict.cases
    ]
    return submit_answer(number, verdict.passed, code, kind, tests)


def submit_answer(
    number: int | str, accepted: bool, code: str, kind: str, tests: list[dict[str, Any]]
) -> dict[str, Any]:
    """Return the answer of ``/submit``."""
    return {
        "id": number,
        "accepted": accepted,
        "extracted_code": code,
        "full_code": code,
        "test_code": None,
        "tests": tests,
        "extracted_type": kind,
        "extra": None,
    }
