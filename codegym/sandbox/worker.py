"""A worker: one candidate zygote, one examiner beside it when needed, one job at a time.

A worker lives in the pool's thread. It never blocks: the pool tells it what its sockets have to
say, and asks it when it wants to be looked at again.
"""

import socket
import time
from collections.abc import Callable
from dataclasses import replace

from codegym import wire
from codegym.errors import SandboxError, SandboxUnavailableError
from codegym.limits import Limits
from codegym.sandbox.base import ExecutionResult, Job
from codegym.sandbox.cures import explain
from codegym.sandbox.examiner import Examiner, Lost, check_hello
from codegym.sandbox.inside.frames import HEAD_BYTES
from codegym.sandbox.launch import Launch, Status
from codegym.sandbox.launcher import Launcher, Process

# A child's socket is read before the child is dead only if it works longer than this: a wake-up
# of the driver for every reply would cost more than most programs.
LISTEN_AFTER_S = 0.03
WEDGED_AFTER_S = 10.0
START_S = 30.0
# How long a candidate may take to leave once its test is over.
LEAVE_S = 0.05
# How long an examiner may go on once its candidate is dead.
REPORT_S = 3.0
COMPILE_S = 60.0
_LEAST_S = 0.001

Done = Callable[[ExecutionResult | SandboxError], None]
Listen = Callable[[int, int, Callable[[], None] | None], None]


class Worker:
    """One job at a time, tried twice at most.

    Args:
        launcher: Starts its zygotes.
        listen: ``listen(fd, epoll mask, callback)``: hear of a descriptor; mask 0 ends it.
    """

    def __init__(self, launcher: Launcher, listen: Listen) -> None:
        self._launcher = launcher
        self._listen = listen
        self._candidate: Process | None = None
        self._examiner: Examiner | None = None
        self._greeted = False
        self._run_ids = 0
        self._job: Job | None = None
        self._done: Done | None = None
        self._launch: Launch | None = None
        self._compiling = False
        self.restarts = 0

    @property
    def idle(self) -> bool:
        """Whether it can take a job."""
        return self._job is None

    def take(self, job: Job, done: Done) -> None:
        """Begin a job; ``done`` is called with its result or its SandboxError."""
        self._job, self._done, self._tries = job, done, 0
        self._frame = job.program.encode("utf-8", "surrogatepass")
        self._frame = len(self._frame).to_bytes(HEAD_BYTES, "little") + self._frame
        self._begin()

    def _begin(self) -> None:
        assert self._job is not None
        self._tries += 1
        self._parts: list[ExecutionResult] = []
        self._report: bytes | None = None
        self._candidate_result: ExecutionResult | None = None
        job = self._job
        self._inputs = wire.loads(job.payload) if job.mode == "stdio" else []
        try:
            self._start()
        except (Lost, OSError) as error:
            self._retry(str(error))
        except SandboxError as error:
            self._finish(error)

    def _start(self) -> None:
        """Fork once for the job, or for its next part."""
        job = self._job
        assert job is not None
        if self._candidate is None:
            self._candidate = self._launcher.start("candidate")
            self._greeted = False
            self._candidate.line.setblocking(False)
            self._listen(self._candidate.line.fileno(), 1, self._on_status)
        if job.mode == "assertion" and self._compile_first(job):
            return
        self._run_ids += 1
        limits, stdin, payload, rpc_fd = job.limits, None, job.payload, None
        if job.mode == "stdio":
            limits = _remaining(job.limits, self._parts)
            stdin = self._inputs[len(self._parts)].encode("utf-8", "surrogatepass")
            payload = b"null"
        elif job.mode == "assertion":
            rpc_fd = self._examine(job)
            payload = b"null"
        data = self._frame + len(payload).to_bytes(HEAD_BYTES, "little") + payload
        launch = Launch(self._run_ids, job.mode, limits, data, stdin=stdin, rpc_fd=rpc_fd)
        self._launch = launch
        launch.send(self._candidate.line)
        if launch.unsent:
            self._hear(launch)
        grace = WEDGED_AFTER_S if self._greeted else START_S
        self._wedged_at = launch.started + limits.wall_s + grace
        self._leave_at = self._report_by = float("inf")

    def _compile_first(self, job: Job) -> bool:
        """Have a long test compiled; return whether the candidate must wait for it."""
        if self._examiner is None:
            self._examiner = Examiner(self._launcher.start("examiner"))
        self._compiling = self._examiner.must_compile(job.payload)
        if self._compiling:
            self._report_by = time.monotonic() + COMPILE_S
            self._examiner.request(None, 0, job.payload)
            self._listen_examiner()
        return self._compiling

    def _examine(self, job: Job) -> int:
        assert self._examiner is not None
        ours, theirs = socket.socketpair()
        try:
            self._examiner.request(ours, job.limits.output_bytes, job.payload)
        except BaseException:
            theirs.close()
            raise
        finally:
            ours.close()
        self._listen_examiner()
        return theirs.detach()

    def _listen_examiner(self) -> None:
        assert self._examiner is not None
        mask = 1 | (4 if self._examiner.unsent else 0)
        self._listen(self._examiner.process.line.fileno(), mask, self._on_examiner)

    def _hear(self, launch: Launch) -> None:
        mask = launch.events()
        if launch.listening != mask:
            launch.listening = mask
            self._listen(launch.line.fileno(), mask, self._on_launch)

    def _on_launch(self) -> None:
        launch = self._launch
        if launch is None:
            return
        if launch.unsent:
            launch.write()
            self._hear(launch)
        if not launch.drain() and not launch.stop_reason:
            launch.stop_reason = "output"
            self._stop_child()

    def _stop_child(self) -> None:
        try:
            if self._candidate is not None:
                self._candidate.line.send(b"s")
        except OSError:
            return  # the zygote is gone: its socket will say so

    def _on_status(self) -> None:
        try:
            assert self._candidate is not None
            try:
                message = self._candidate.line.recv(4096)
            except BlockingIOError:
                return
            if not message:
                raise Lost("the zygote ended")
            if not self._greeted:
                check_hello(message)
                self._greeted = True
                return
            status = Status.read(message)
            if status is None or self._launch is None or status.run_id != self._launch.run_id:
                raise Lost("the zygote says what it must not")
            self._on_end(status)
        except (Lost, OSError) as error:
            self._retry(str(error))
        except SandboxError as error:
            self._drop()
            self._finish(error)

    def _on_end(self, status: Status) -> None:
        launch, job = self._launch, self._job
        assert launch is not None and job is not None
        result = launch.result(status)
        # A limit that struck while the child was still starting is the machine's doing at first.
        if not launch.ready and not (result.limit and self._tries > 1):
            raise Lost(f"a child did not start (status {status.exit_status})")
        self._close_launch()
        if job.mode == "call":
            self._finish(result)
        elif job.mode == "stdio":
            self._parts.append(result)
            spent = _remaining(job.limits, self._parts)
            if len(self._parts) == len(self._inputs) or spent.wall_s <= _LEAST_S:
                self._finish(_together(self._parts))
            elif spent.cpu_s <= _LEAST_S:
                self._finish(_together(self._parts))
            else:
                self._start()
        else:
            self._candidate_result = result
            self._report_by = time.monotonic() + REPORT_S
            self._conclude()

    def _on_examiner(self) -> None:
        try:
            assert self._examiner is not None
            if self._examiner.unsent:
                self._examiner.write()
                self._listen_examiner()
            report = self._examiner.read()
            if report is None:
                return
            if self._job is None:
                raise Lost("the examiner reports on nothing")
            if self._compiling:
                self._compiling = False
                self._start()
                return
            self._report = report
            self._leave_at = time.monotonic() + LEAVE_S
            self._conclude()
        except (Lost, OSError) as error:
            self._drop_examiner()
            if self._job is not None:
                self._retry(str(error))
        except SandboxError as error:
            self._drop()
            self._finish(error)

    def _conclude(self) -> None:
        if self._candidate_result is None:
            return
        if self._report is not None:
            self._finish(replace(self._candidate_result, replies=(self._report,)))

    def next_look(self) -> float:
        """Return when this worker wants to be looked at, on the monotonic clock."""
        if self._job is None:
            return float("inf")
        launch = self._launch
        if launch is None:
            return self._report_by
        listen_at = float("inf") if launch.listening else launch.started + LISTEN_AFTER_S
        return min(listen_at, self._leave_at, self._wedged_at)

    def look(self, now: float) -> None:
        """Do what has become due."""
        if self._job is None:
            return
        launch = self._launch
        if launch is None:
            if now >= self._report_by and self._compiling:
                self._retry("the examiner does not compile a test")
            elif now >= self._report_by:
                self._give_up_report()
            return
        if now >= self._wedged_at:
            self._retry("the zygote does not answer")
            return
        if not launch.listening and now >= launch.started + LISTEN_AFTER_S:
            self._hear(launch)
        if now >= self._leave_at:
            self._leave_at = float("inf")
            self._stop_child()

    def _give_up_report(self) -> None:
        # The test itself does not end: what the candidate answered keeps it busy.
        result = self._candidate_result
        assert result is not None
        self._drop_examiner()
        self._finish(replace(result, replies=(), limit=result.limit or "wall"))

    def _retry(self, why: str) -> None:
        unheard = not self._greeted
        if unheard and self._candidate is not None:
            why = self._candidate.complaint() or why
        self._drop()
        if self._job is None:
            return
        self.restarts += 1
        if self._tries < 2:
            self._begin()
            return
        if unheard:
            self._finish(
                SandboxUnavailableError(
                    f"a sandbox ({self._launcher.isolation}) does not start",
                    value=why[-300:],
                    cure=explain(why),
                )
            )
            return
        self._finish(SandboxError("the sandbox broke twice on one program", value=why[-300:]))

    def _finish(self, result: ExecutionResult | SandboxError) -> None:
        done, self._job, self._done = self._done, None, None
        self._close_launch()
        if done is not None:
            done(result)

    def _close_launch(self) -> None:
        launch, self._launch = self._launch, None
        if launch is not None:
            if launch.listening:
                self._listen(launch.line.fileno(), 0, None)
            launch.close()

    def _drop_examiner(self) -> None:
        examiner, self._examiner = self._examiner, None
        if examiner is not None:
            self._listen(examiner.process.line.fileno(), 0, None)
            examiner.process.stop()

    def _drop(self) -> None:
        """Kill both processes; the next job starts new ones."""
        self._close_launch()
        self._drop_examiner()
        candidate, self._candidate = self._candidate, None
        if candidate is not None:
            self._listen(candidate.line.fileno(), 0, None)
            candidate.stop()

    def close(self) -> None:
        """Kill everything; the job under way, if any, is dropped without a result."""
        self._job = self._done = None
        self._drop()

    def forget(self) -> None:
        """Close this process's copies of the descriptors after a fork."""
        if self._launch is not None:
            self._launch.close()
        if self._candidate is not None:
            self._candidate.forget()
        if self._examiner is not None:
            self._examiner.process.forget()


def _remaining(limits: Limits, parts: list[ExecutionResult]) -> Limits:
    wall = limits.wall_s - sum(part.wall_s for part in parts)
    cpu = limits.cpu_s - sum(part.cpu_s for part in parts)
    return replace(limits, wall_s=max(wall, _LEAST_S), cpu_s=max(cpu, _LEAST_S))


def _together(parts: list[ExecutionResult]) -> ExecutionResult:
    return ExecutionResult(
        parts=tuple(parts),
        exit_status=parts[-1].exit_status,
        limit=parts[-1].limit,
        running_line=parts[-1].running_line,
        wall_s=sum(part.wall_s for part in parts),
        cpu_s=sum(part.cpu_s for part in parts),
        memory_bytes=max(part.memory_bytes for part in parts),
    )
