"""Run: one job on its way through a worker, with the results it has so far."""

from collections.abc import Callable
from dataclasses import replace

from codegym.errors import SandboxError
from codegym.sandbox import wire
from codegym.sandbox.inside.frames import HEAD_BYTES
from codegym.sandbox.job import ExecutionResult, Job
from codegym.sandbox.limits import Limits
from codegym.sandbox.program_process import ProgramProcess

_LEAST_S = 0.001

Done = Callable[[ExecutionResult | SandboxError], None]


class Run:
    """One job, tried twice at most.

    Args:
        job: What to run.
        done: Called with its result, or its SandboxError.

    Attributes:
        tries: How many times it was begun.
        process: The fork under way, or the request for it.
        parts: Results of the forks that are over (stdio).
        result: Result of the fork that is over (call, assertion).
        report: The examiner's report (assertion).
    """

    def __init__(self, job: Job, done: Done) -> None:
        self.job = job
        self.done = done
        self.tries = 0
        self.process: ProgramProcess | None = None
        self.inputs = wire.loads(job.payload) if job.mode == "stdio" else []
        text = job.program.encode("utf-8", "surrogatepass")
        self._frame = len(text).to_bytes(HEAD_BYTES, "little") + text
        self.reset()

    def reset(self) -> None:
        """Forget the results of an attempt that failed."""
        self.parts: list[ExecutionResult] = []
        self.report: bytes | None = None
        self.result: ExecutionResult | None = None

    def next_process(self, run_id: int, rpc_fd: int | None) -> ProgramProcess:
        """Make the process for the job, or for its next part; its request is not sent yet.

        Args:
            run_id: Its number.
            rpc_fd: The examiner's socket, for the mode ``assertion``.
        """
        limits, stdin, payload = self.job.limits, None, self.job.payload
        if self.job.mode == "stdio":
            limits = self._left()
            stdin = self.inputs[len(self.parts)].encode("utf-8", "surrogatepass")
        if self.job.mode != "call":
            told: dict[str, object] = {"site": self.job.site}
            if self.job.before:
                told |= {"before": self.job.before, "classes": self.job.classes}
            payload = wire.dumps(told)
        data = self._frame + len(payload).to_bytes(HEAD_BYTES, "little") + payload
        self.process = ProgramProcess(
            run_id, self.job.mode, limits, data, stdin=stdin, rpc_fd=rpc_fd
        )
        return self.process

    @property
    def on_its_last_part(self) -> bool:
        """Whether ``process`` is the last fork for this job."""
        return len(self.parts) + 1 >= len(self.inputs)

    def add(self, result: ExecutionResult) -> None:
        """Add the result of the fork that is over."""
        if self.job.mode == "stdio":
            self.parts.append(result)
        else:
            self.result = result

    def answer(self) -> ExecutionResult | None:
        """Return the result of the whole job, None while a fork or a report is missing."""
        if self.job.mode == "stdio":
            return None if self._has_more() else self._together()
        if self.job.mode == "call" or self.result is None:
            return self.result
        return None if self.report is None else replace(self.result, replies=(self.report,))

    def _has_more(self) -> bool:
        """Return whether another part is to be forked and there is time left for it (stdio)."""
        left = self._left()
        over = len(self.parts) == len(self.inputs)
        return not over and left.wall_s > _LEAST_S and left.cpu_s > _LEAST_S

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
        limits = self.job.limits
        wall = limits.wall_s - sum(part.wall_s for part in self.parts)
        cpu = limits.cpu_s - sum(part.cpu_s for part in self.parts)
        return replace(limits, wall_s=max(wall, _LEAST_S), cpu_s=max(cpu, _LEAST_S))
