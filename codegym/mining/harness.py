"""Harness: makes the jobs that study a function inside the sandbox, and reads their answers.

The modules of ``codegym.mining.inside`` are not visible in the sandbox. They travel with each
program as compiled code, which the same interpreter loads at once.
"""

import binascii
import marshal
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from codegym.grading import compare, number_trees
from codegym.mining import inside
from codegym.sandbox import wire
from codegym.sandbox.job import ExecutionResult, Job
from codegym.sandbox.limits import Limits

STUDY_LIMITS = Limits(wall_s=30.0, cpu_s=8.0, memory_bytes=1 << 30, output_bytes=4 << 20)
# Modules in the order in which they import each other.
_MODULES = (
    "instrument",
    "patterns",
    "samplers",
    "mutants",
    "probe",
    "strength",
    "behaviour",
    "study",
)
_BOOTSTRAP = """\
import binascii, marshal, sys, types
for name, code in marshal.loads(binascii.a2b_base64({packed!r})):
    module = sys.modules[name] = types.ModuleType(name)
    if code is None:
        module.__path__ = []
    else:
        exec(code, module.__dict__)
study = module.study
"""


@lru_cache(maxsize=1)
def study_program() -> str:
    """Return the text of the program that studies a function; see ``inside.study``."""
    folder = Path(inside.__file__).parent
    modules: list[tuple[str, Any]] = [
        ("codegym.grading", None),
        ("codegym.grading.number_trees", _compiled(Path(number_trees.__file__))),
        ("codegym.grading.compare", _compiled(Path(compare.__file__))),
        ("codegym.mining", None),
        ("codegym.mining.inside", None),
    ]
    modules += [
        (f"codegym.mining.inside.{name}", _compiled(folder / f"{name}.py")) for name in _MODULES
    ]
    return _BOOTSTRAP.format(
        packed=binascii.b2a_base64(marshal.dumps(modules), newline=False).decode()
    )


def _compiled(path: Path) -> Any:
    return compile(path.read_text(encoding="utf-8"), f"<{path.stem}>", "exec", optimize=2)


def study_job(operations: Sequence[Sequence[Any]], *, limits: Limits = STUDY_LIMITS) -> Job:
    """Return a job that runs operations of ``inside.study`` in sequence.

    Args:
        operations: Name and arguments of each operation, as plain values.
        limits: Bounds of the whole job.
    """
    calls = [[[wire.encode(value) for value in operation], {}] for operation in operations]
    payload = wire.dumps({"function": "study", "calls": calls})
    return Job(program=study_program(), mode="call", payload=payload, limits=limits)


def read_answers(result: ExecutionResult) -> list[Any]:
    """Read the answers of a study: a value for each operation, or a text that describes a fault.

    The answers were written beside foreign code, so they are decoded into plain values only.

    Returns:
        The answers that arrived; fewer than the operations if the run was stopped.
    """
    found: list[Any] = []
    for reply in result.replies:
        try:
            answer = wire.loads(reply)
            if "r" in answer:
                found.append(wire.decode(answer["r"]))
            else:
                ((kind, fault),) = answer.items()
                found.append(f"{kind}: {fault[0] if isinstance(fault, list) else fault}")
        except (ValueError, TypeError, AttributeError, RecursionError):
            found.append("broken: not a reply")
    return found
