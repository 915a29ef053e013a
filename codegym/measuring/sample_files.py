"""Sample files: programs for tasks, read from JSONL, and the file of their verdicts.

A line of samples holds ``task_id`` and the program as ``completion`` (HumanEval's format: the
continuation of the prompt), ``solution`` or ``program`` (a whole program); each may also be a chat
model's answer. A line that also holds a ``verdict`` is a program as a run kept it: it is judged
unchanged. A line of verdicts holds ``task_id, sample, program_sha256, passed, verdict``; an
interrupted file can be continued.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from codegym.errors import ConfigError, TaskError
from codegym.grading.verdict import Verdict
from codegym.sources._records import read_records
from codegym.tasks.answer_blocks import has_fence
from codegym.tasks.answers import read_program
from codegym.tasks.program_text import tree_of
from codegym.tasks.prose import code_segments
from codegym.tasks.task import Task
from codegym.tasks.task_source import TaskSource

PROGRAM_FIELDS = ("completion", "solution", "program")


@dataclass(frozen=True, slots=True)
class Sample:
    """A program for a task.

    Attributes:
        task: The task.
        program: What was written: a whole program, the continuation of the task's prompt, or a
            chat model's answer that holds either.
        number: Number of earlier programs for the same task.
        exact: Whether the text is the program itself, as a policy wrote it, and no answer to read.
    """

    task: Task
    program: str
    number: int
    exact: bool = False

    @property
    def whole(self) -> str:
        """The program that is judged, as ``codegym.tasks.answers`` reads it unless it is exact."""
        if self.exact:
            return self.program
        return read_program(self.task, self.program, "program")[0]

    @property
    def hint(self) -> str:
        """What the author should know where no program could be read, else ""."""
        if not self.program.strip():
            return "the text is empty"
        if not self.whole.strip():
            return "no program was read: the text holds only thoughts"
        if tree_of(self.whole) is not None:
            return ""
        if has_fence(self.program):
            return "no program was read: no code in a fence is Python that parses"
        if code_segments(self.program) or tree_of(self.program.strip()) is not None:
            return "the text is neither Python that parses nor an answer that holds some"
        return "no program was read: the text holds no Python"

    @property
    def key(self) -> tuple[str, int, str]:
        """Key of its verdict: task, number and a digest of the program."""
        digest = hashlib.sha256(self.program.encode("utf-8", "surrogatepass")).hexdigest()
        return self.task.task_id, self.number, digest


def canonical_samples(source: TaskSource) -> Iterator[Sample]:
    """Yield every task's canonical solution; tasks without one are left out."""
    for task in source:
        if task.canonical_solution is not None:
            yield Sample(task, task.canonical_solution, 0)


def same_program(source: TaskSource, program: str) -> Iterator[Sample]:
    """Yield the same program for every task."""
    for task in source:
        yield Sample(task, program, 0)


def read_samples(path: Path, source: TaskSource) -> Iterator[Sample]:
    """Yield the programs of a file.

    Raises:
        TaskError: A line is malformed or names an unknown task; names file, line and field.
    """
    counts: dict[str, int] = {}
    for record in read_records(path):
        task_id = record.row.get("task_id")
        if isinstance(task_id, int) and not isinstance(task_id, bool):
            task_id = str(task_id)  # MBPP's files number their tasks
        if not isinstance(task_id, str):
            raise record.error("missing, or not text", field="task_id", value=task_id)
        try:
            task = source.find(task_id)
        except TaskError as error:
            raise record.error("no such task", field="task_id", value=task_id) from error
        number = counts.get(task_id, 0)
        counts[task_id] = number + 1
        # Unlike record.text, this keeps the program's line ends.
        field = next((name for name in PROGRAM_FIELDS if name in record.row), None)
        if field is None:
            expected = "one of " + ", ".join(PROGRAM_FIELDS)
            raise record.error("no program", field=PROGRAM_FIELDS[0], expected=expected)
        program = record.row[field]
        if not isinstance(program, str):
            raise record.error("wrong type", field=field, value=program, expected="text")
        yield Sample(task, program, number, exact="verdict" in record.row)


class VerdictFile:
    """Verdicts as JSONL, written as they arrive.

    Args:
        path: The file.
        resume: Whether to keep the file's verdicts and skip their samples.

    Attributes:
        done: Verdicts of an earlier run, by ``Sample.key``.

    Raises:
        ConfigError: The file exists and ``resume`` is False.
        TaskError: The file holds something other than verdicts; names the line.
    """

    def __init__(self, path: Path, *, resume: bool) -> None:
        self.done: dict[tuple[str, int, str], Verdict] = {}
        if path.exists() and not resume:
            raise ConfigError(
                "the file for the verdicts exists",
                value=str(path),
                cure="--resume to continue it, or another name",
            )
        if path.exists():
            self._read(path)
        try:
            self._file = path.open("a", encoding="utf-8")
        except OSError as error:
            raise ConfigError(
                f"cannot write the verdicts ({error.strerror})", value=str(path)
            ) from None

    def _read(self, path: Path) -> None:
        data = path.read_bytes()
        whole = data.rfind(b"\n") + 1
        if whole < len(data):  # the line that an interrupted run left unfinished
            with path.open("r+b") as file:
                file.truncate(whole)
        for number, line in enumerate(data[:whole].decode().splitlines(), start=1):
            try:
                row = json.loads(line)
                key = (row["task_id"], row["sample"], row["program_sha256"])
                self.done[key] = Verdict.from_json(row["verdict"])
            except (ValueError, KeyError, TypeError) as error:
                raise TaskError(
                    f"not a line of verdicts ({error!r})",
                    path=str(path),
                    line=number,
                    cure="name another file",
                ) from None

    def write(
        self, sample: Sample, verdict: Verdict, extra: Iterable[tuple[str, Any]] = ()
    ) -> None:
        """Write a verdict at once."""
        task_id, number, digest = sample.key
        row = {
            "task_id": task_id,
            "sample": number,
            "program_sha256": digest,
            "passed": verdict.passed,
            "verdict": verdict.to_json(),
            **dict(extra),
        }
        self._file.write(json.dumps(row) + "\n")
        self._file.flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.close()
