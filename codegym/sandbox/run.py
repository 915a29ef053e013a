"""Run: one job on its way through a worker, with the results it has so far."""

import time
from collections.abc import Callable
from dataclasses import replace
from math import inf

from codegym.errors import SandboxError
from codegym.sandbox import wire
from codegym.sandbox.inside.frames import HEAD_BYTES
from codegym.sandbox.inside.notebook import next_case
from codegym.sandbox.job import ExecutionResult, Job
from codegym.sandbox.limits import Limits
from codegym.sandbox.program_clock import CaseClock
from codegym.sandbox.program_process import ProgramProcess

_LEAST_S = 0.001

Done = Callable[[ExecutionResult | SandboxError], None]


class Run:
    """One job, tried twice at most.

    A job may take several processes: one for each case (stdio), or a fresh one after a process that
    did not reach its last case.

    Args:
        job: What to run.
        done: Called with its result, or its SandboxError.

    Attributes:
        tries: How many times it was begun.
        first: Number of the first case of the process under way.
        process: The fork under way, or the request for it.
        parts: Results of the processes that are over.
        result: Result of the fork that is dead and whose report is missing (assertion).
        report: The examiner's report (assertion).
    """

    def __init__(self, job: Job, done: Done) -> None:
        self.job = job
        self.done = done
        self.tries = 0
        self.process: ProgramProcess | None = None
        self.inputs = wire.loads(job.payload) if job.mode == "stdio" else []
        self._n_cases = len(self.inputs) if job.mode == "stdio" else job.n_cases
        text = job.program.encode("utf-8", "surrogatepass")
        self._frame = len(text).to_bytes(HEAD_BYTES, "little") + text
        self.reset()

    def reset(self) -> None:
        """Forget the results of an attempt that failed."""
        self.parts: list[ExecutionResult] = []
        self.first = 0
        self.report: bytes | None = None
        self.result: ExecutionResult | None = None
        self._clock: CaseClock | None = None
        self._clock_s = self._cpu_s = 0.0
        self._began = time.monotonic()

    def next_process(self, run_id: int, rpc_fd: int | None) -> ProgramProcess:
        """Make the process for the job, or for its next part; its request is not sent yet.

        Args:
            run_id: Its number.
            rpc_fd: The examiner's socket, for the mode ``assertion``.
        """
        stdin, payload = None, self.job.payload
        if self.job.mode == "stdio":
            stdin = self.inputs[self.first].encode("utf-8", "surrogatepass")
        if self.job.mode != "call":
            told: dict[str, object] = {"site": self.job.site}
            if self.job.before:
                told |= {"before": self.job.before, "classes": self.job.classes}
            payload = wire.dumps(told)
        elif self.first:
            calls = wire.loads(payload)
            payload = wire.dumps(calls | {"calls": calls["calls"][self.first :]})
        data = self._frame + len(payload).to_bytes(HEAD_BYTES, "little") + payload
        self._clock = None
        self.process = ProgramProcess(
            run_id, self.job.mode, self._left(), data, stdin=stdin, rpc_fd=rpc_fd
        )
        return self.process

    @property
    def may_be_followed(self) -> bool:
        """Whether ``process`` is expected to be the last fork for this job."""
        if self.job.mode == "stdio":
            return self.first + 1 >= len(self.inputs)
        return not self.parts

    def clock(self) -> CaseClock:
        """Return the clock of the process under way, which is read only for slow programs."""
        if self._clock is None:
            started = self.process.started if self.process is not None else time.monotonic()
            case_s = self.job.limits.of_case(self._n_cases) if self._n_cases else inf
            self._clock = CaseClock(started, case_s, self._left().wall_s, self.first)
        return self._clock

    def add(self, result: ExecutionResult) -> None:
        """Add the result of a fork that is dead."""
        self.result = result

    @property
    def over(self) -> bool:
        """Whether the process is over: its fork is dead, and its test reported on."""
        return self.result is not None and (self.job.mode != "assertion" or self.report is not None)

    def advance(self) -> ExecutionResult | None:
        """Leave a process that is over; return the whole result, None if another one is needed."""
        assert self.result is not None
        part, self.result = self.result, None
        if self.report is not None:
            part, self.report = replace(part, replies=(self.report,)), None
        next_first = self._after(part)
        if self.job.mode != "stdio" and not self.parts and next_first >= self._n_cases:
            return part
        self.parts.append(replace(part, first_case=self.first))
        self._cpu_s += part.cpu_s
        self._clock_s += max(part.cpu_s, self._clock.shows if self._clock is not None else 0.0)
        if next_first >= self._n_cases or not self._may_go_on(next_first - 1):
            return self._together()
        self.first = next_first
        return None

    def _after(self, part: ExecutionResult) -> int:
        """Return the number of the first case that a process has left to another."""
        if self.job.mode == "stdio":
            return self.first + 1
        if self.job.mode == "call":
            answered = self.first + len(part.replies)
            # A program that cannot be loaded fails all its cases at once.
            return answered + 1 if part.loaded and answered < self._n_cases else self._n_cases
        left = next_case(part.replies[0])
        return self._n_cases if left is None else max(left, self.first + 1)

    def _may_go_on(self, case: int) -> bool:
        """Return whether there is time for another process, and the job wants it."""
        left, goes_on = self._left(), self.job.goes_on
        if min(left.wall_s, left.cpu_s) <= _LEAST_S:
            return False
        if time.monotonic() - self._began > self.job.limits.elapsed_s:
            return False
        return goes_on is None or goes_on(case, self.parts[-1])

    def _together(self) -> ExecutionResult:
        parts = self.parts
        return ExecutionResult(
            parts=tuple(parts),
            exit_status=parts[-1].exit_status,
            limit=parts[-1].limit,
            running_line=parts[-1].running_line,
            wall_s=sum(part.wall_s for part in parts),
            cpu_s=sum(part.cpu_s for part in parts),
            memory_bytes=max(part.memory_bytes for part in parts),
        )

    def _left(self) -> Limits:
        """Return what is left of the limits of the whole run."""
        limits = self.job.limits
        if not self.parts:
            return limits
        wall_s, cpu_s = limits.wall_s - self._clock_s, limits.cpu_s - self._cpu_s
        return replace(limits, wall_s=max(wall_s, _LEAST_S), cpu_s=max(cpu_s, _LEAST_S))
