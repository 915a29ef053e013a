"""A run: one job on its way through a worker, and what is known of it so far."""

from collections.abc import Callable
from dataclasses import replace

from codegym.errors import SandboxError
from codegym.sandbox import wire
from codegym.sandbox.inside.frames import HEAD_BYTES
from codegym.sandbox.job import ExecutionResult, Job
from codegym.sandbox.limits import Limits
from codegym.sandbox.program_process import Launch

_LEAST_S = 0.001

Done = Callable[[ExecutionResult | SandboxError], None]


class Run:
    """One job, tried twice at most.

    Args:
        job: What to run.
        done: Called with its result, or its SandboxError.

    Attributes:
        tries: How many times it was begun.
        parts: Results of the forks that are over (stdio).
        launch: The fork under way.
        report: The examiner's report (assertion).
        result: The candidate's result, while the report is still awaited (assertion).
        dropped: Whether it was given up or given back: what is still heard of it is ignored.
        wedged_at: When the zygote should long have told the end of ``launch``.
        leave_at: When a candidate whose test is over is stopped.
        report_by: When the examiner must have reported.
    """

    def __init__(self, job: Job, done: Done) -> None:
        self.job = job
        self.done = done
        self.tries = 0
        self.dropped = False
        self.launch: Launch | None = None
        self.inputs = wire.loads(job.payload) if job.mode == "stdio" else []
        text = job.program.encode("utf-8", "surrogatepass")
        self._frame = len(text).to_bytes(HEAD_BYTES, "little") + text
        self.reset()

    def reset(self) -> None:
        """Forget what an attempt that failed had brought."""
        self.parts: list[ExecutionResult] = []
        self.report: bytes | None = None
        self.result: ExecutionResult | None = None
        self.wedged_at = self.leave_at = self.report_by = float("inf")

    def next_launch(self, run_id: int, rpc_fd: int | None) -> Launch:
        """Make the fork for the job, or for its next part; not yet sent.

        Args:
            run_id: Its number.
            rpc_fd: The examiner's socket, for the mode ``assertion``.
        """
        limits, stdin, payload = self.job.limits, None, self.job.payload
        if self.job.mode == "stdio":
            limits = self._left()
            stdin = self.inputs[len(self.parts)].encode("utf-8", "surrogatepass")
        if self.job.mode != "call":
            payload = b"null"
        data = self._frame + len(payload).to_bytes(HEAD_BYTES, "little") + payload
        self.launch = Launch(run_id, self.job.mode, limits, data, stdin=stdin, rpc_fd=rpc_fd)
        return self.launch

    @property
    def on_its_last_part(self) -> bool:
        """Whether nothing is to be forked for it after ``launch``."""
        return len(self.parts) + 1 >= len(self.inputs)

    @property
    def has_more(self) -> bool:
        """Whether another part is to be forked, and there is time left for it (stdio)."""
        left = self._left()
        over = len(self.parts) == len(self.inputs)
        return not over and left.wall_s > _LEAST_S and left.cpu_s > _LEAST_S

    def together(self) -> ExecutionResult:
        """Return the parts as one result (stdio)."""
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
