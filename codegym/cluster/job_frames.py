"""Job frames: batches of jobs and of results as bytes, on their way between driver and nodes.

A frame is the length of a JSON head, the head, and blobs whose sizes the head holds. What a program
wrote is a blob from end to end: nobody parses or unpickles it before the judge reads it. A blob
that several jobs share, such as a task's inputs, crosses once in a frame.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import fields
from typing import Any, NamedTuple

from codegym.errors import SandboxError
from codegym.sandbox.channel import Answer
from codegym.sandbox.job import ExecutionResult, Job
from codegym.sandbox.limits import Limits

_LENGTH_BYTES = 8
_FORMAT = 1
_LIMITS = tuple(field.name for field in fields(Limits))
_FACTS = (
    *("first_case", "loaded", "exit_status", "limit", "running_line"),
    *("wall_s", "cpu_s", "memory_bytes"),
)


class SentJob(NamedTuple):
    """A job as it crosses.

    Attributes:
        number: Number of the job, unique in a sandbox.
        job: The job; its ``goes_on`` does not cross.
        goes_on: Number of its ``goes_on``, which the node has learnt; None if it has none.
    """

    number: int
    job: Job
    goes_on: int | None = None


class _Blobs:
    """Blobs of a frame, each distinct object once."""

    def __init__(self) -> None:
        self._places: dict[bytes, int] = {}
        self.parts: list[bytes] = []

    def place(self, blob: bytes) -> int:
        found = self._places.get(blob)
        if found is None:
            found = self._places[blob] = len(self.parts)
            self.parts.append(blob)
        return found


def pack_jobs(jobs: Iterable[SentJob]) -> bytes:
    """Return a frame of jobs."""
    blobs = _Blobs()
    rows = []
    for number, job, goes_on in jobs:
        text = job.program.encode("utf-8", "surrogatepass")
        row: list[Any] = [
            number,
            blobs.place(text),
            job.mode,
            blobs.place(job.payload),
            job.n_cases,
        ]
        row += [goes_on, job.site, job.before, job.classes, job.packages, job.reseeded]
        rows.append([*row, [getattr(job.limits, name) for name in _LIMITS]])
    return _framed(rows, blobs)


def unpack_jobs(frame: bytes) -> list[SentJob]:
    """Return the jobs of a frame, without their ``goes_on``.

    Raises:
        SandboxError: It is no frame of this version.
    """
    rows, blobs = _opened(frame)
    jobs = []
    for number, text, mode, payload, n_cases, goes_on, *rest, limits in rows:
        site, before, classes, packages, reseeded = rest
        job = Job(
            program=blobs[text].decode("utf-8", "surrogatepass"),
            mode=mode,
            payload=blobs[payload],
            limits=Limits(**dict(zip(_LIMITS, limits, strict=True))),
            n_cases=n_cases,
            site=site,
            before=before,
            classes=tuple(classes),
            packages=tuple(packages),
            reseeded=reseeded,
        )
        jobs.append(SentJob(number, job, goes_on))
    return jobs


def pack_answers(answers: Iterable[tuple[int, Answer]]) -> bytes:
    """Return a frame of results, or of the errors of jobs that could not be run."""
    blobs = _Blobs()
    rows: list[list[Any]] = []
    for number, answer in answers:
        if isinstance(answer, ExecutionResult):
            rows.append([number, _row(answer, blobs), None])
        else:
            rows.append([number, None, error_row(answer)])
    return _framed(rows, blobs)


def unpack_answers(frame: bytes) -> list[tuple[int, Answer]]:
    """Return the results of a frame by the numbers of their jobs.

    Raises:
        SandboxError: It is no frame of this version.
    """
    rows, blobs = _opened(frame)
    return [
        (number, error_of(error) if row is None else _result(row, blobs))
        for number, row, error in rows
    ]


def error_row(error: SandboxError) -> list[str]:
    """Return an error's message, value, expectation and cure as texts."""
    value = "" if error.value is None else str(error.value)[:2000]
    return [error.message, value, error.expected, error.cure]


def error_of(row: Sequence[str]) -> SandboxError:
    """Make the error of ``error_row`` again."""
    message, value, expected, cure = row
    if value:
        return SandboxError(message, value=value, expected=expected, cure=cure)
    return SandboxError(message, expected=expected, cure=cure)


def _row(result: ExecutionResult, blobs: _Blobs) -> list[Any]:
    return [
        [getattr(result, name) for name in _FACTS],
        [blobs.place(reply) for reply in result.replies],
        blobs.place(result.output),
        [_row(part, blobs) for part in result.parts],
    ]


def _result(row: Sequence[Any], blobs: Sequence[bytes]) -> ExecutionResult:
    facts, replies, output, parts = row
    return ExecutionResult(
        **dict(zip(_FACTS, facts, strict=True)),
        replies=tuple(blobs[place] for place in replies),
        output=blobs[output],
        parts=tuple(_result(part, blobs) for part in parts),
    )


def _framed(rows: list[list[Any]], blobs: _Blobs) -> bytes:
    head = json.dumps([_FORMAT, [len(part) for part in blobs.parts], rows]).encode()
    return b"".join((len(head).to_bytes(_LENGTH_BYTES, "little"), head, *blobs.parts))


def _opened(frame: bytes) -> tuple[list[Any], list[bytes]]:
    end = _LENGTH_BYTES + int.from_bytes(frame[:_LENGTH_BYTES], "little")
    try:
        number, sizes, rows = json.loads(frame[_LENGTH_BYTES:end])
        if number != _FORMAT or end + sum(sizes) != len(frame):
            raise ValueError
    except (ValueError, TypeError):
        raise SandboxError(
            "a frame between driver and node is unreadable",
            value=frame[:40],
            expected=f"format {_FORMAT}, whole",
            cure="install the same codegym on every node",
        ) from None
    blobs = []
    for size in sizes:
        blobs.append(frame[end : end + size])
        end += size
    return rows, blobs
