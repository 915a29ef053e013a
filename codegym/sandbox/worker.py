"""A worker: one candidate zygote, one examiner beside it when needed, one program at a time.

A worker lives in the pool's thread. It never blocks: the pool tells it what its sockets have to
say, and asks it when it wants to be looked at again. The request for the next program may wait at
the zygote while a program runs, so that the zygote need not wait for the driver in between.
"""

import socket
import time
from collections import deque
from collections.abc import Callable
from dataclasses import replace

from codegym.errors import SandboxError, SandboxUnavailableError
from codegym.sandbox.cures import explain
from codegym.sandbox.examiner_client import Examiner, Lost, check_hello
from codegym.sandbox.inside.protocol import STOP
from codegym.sandbox.job import ExecutionResult, Job
from codegym.sandbox.launcher import Launcher, Process
from codegym.sandbox.program_process import Launch, Status
from codegym.sandbox.run import Done, Run

# A child's socket is read before the child is dead only if it works longer than this: a wake-up
# of the driver for every reply would cost more than most programs. A program that waits behind
# one that works longer is given back.
LISTEN_AFTER_S = 0.03
WEDGED_AFTER_S = 10.0
START_S = 30.0
# How long a candidate may take to leave once its test is over.
LEAVE_S = 0.05
# How long an examiner may go on once its candidate is dead and the test's time is up.
REPORT_S = 0.04
COMPILE_S = 60.0

Listen = Callable[[int, int, Callable[[], None] | None], None]
GiveBack = Callable[[Job, Done], None]


class Worker:
    """One program at a time, and perhaps the next one's request.

    Args:
        launcher: Starts its zygotes.
        listen: ``listen(fd, epoll mask, callback)``: hear of a descriptor; mask 0 ends it.
        give_back: ``give_back(job, done)``: a job that was taken and will not be begun here.
    """

    def __init__(self, launcher: Launcher, listen: Listen, give_back: GiveBack) -> None:
        self._launcher = launcher
        self._listen = listen
        self._give_back = give_back
        self._candidate: Process | None = None
        self._examiner: Examiner | None = None
        self._greeted = False
        self._run_ids = 0
        self._run: Run | None = None
        self._next: Run | None = None
        self._recalled: set[int] = set()
        self._examined: deque[Run] = deque()
        self._compiling = False
        self._may_hold = False
        self.restarts = 0

    @property
    def idle(self) -> bool:
        """Whether it can begin a job."""
        return self._run is None

    def can_hold(self, job: Job) -> bool:
        """Say whether a job's request may wait at the zygote behind the program that runs."""
        run = self._run
        if run is None or run.launch is None or self._next is not None or not self._may_hold:
            return False
        if not run.on_its_last_part or time.monotonic() > run.launch.started + LISTEN_AFTER_S:
            return False
        if job.mode != "assertion":
            return True
        examiner = self._examiner
        return examiner is not None and not examiner.unsent and examiner.knows(job.payload)

    def take(self, job: Job, done: Done) -> None:
        """Begin a job, or hold it until the one under way is over."""
        run = Run(job, done)
        if self._run is None:
            self._begin(run)
            return
        try:
            self._send(run)
            self._next = run
        except (Lost, OSError):
            # If a process is gone, its socket will say so; the program that runs may go on.
            self._may_hold = False
            self._abandon(run)
            self._give_back(job, done)

    def _begin(self, run: Run) -> None:
        self._run = run
        run.tries += 1
        run.reset()
        try:
            self._start(run)
        except (Lost, OSError) as error:
            self._retry(str(error))
        except SandboxError as error:
            self._finish(error)

    def _start(self, run: Run) -> None:
        """Fork once for the job, or for its next part."""
        if self._candidate is None:
            self._candidate = self._launcher.start("candidate")
            self._greeted = False
            self._candidate.line.setblocking(False)
            self._listen(self._candidate.line.fileno(), 1, self._on_status)
        if run.job.mode == "assertion" and self._compile_first(run):
            return
        self._send(run)
        self._now_runs(run)

    def _now_runs(self, run: Run) -> None:
        launch = run.launch
        assert launch is not None
        launch.started = time.monotonic()
        self._may_hold = self._greeted
        grace = WEDGED_AFTER_S if self._greeted else START_S
        run.wedged_at = launch.started + launch.limits.wall_s + grace
        if run.report is not None:
            run.leave_at = launch.started + LEAVE_S

    def _send(self, run: Run) -> None:
        """Write a run's request to the zygote, and to the examiner."""
        assert self._candidate is not None
        self._run_ids += 1
        rpc_fd = self._examine(run) if run.job.mode == "assertion" else None
        launch = run.next_launch(self._run_ids, rpc_fd)
        launch.send(self._candidate.line)
        if launch.unsent:
            self._hear(launch)

    def _compile_first(self, run: Run) -> bool:
        """Have a long test compiled; return whether the candidate must wait for it."""
        if self._examiner is None:
            self._examiner = Examiner(self._launcher.start("examiner"))
        self._compiling = not self._examiner.knows(run.job.payload)
        if self._compiling:
            run.report_by = time.monotonic() + COMPILE_S
            self._examiner.request(None, 0, run.job.payload)
            self._listen_examiner()
        return self._compiling

    def _examine(self, run: Run) -> int:
        assert self._examiner is not None
        ours, theirs = socket.socketpair()
        try:
            self._examiner.request(ours, run.job.limits.output_bytes, run.job.payload)
        except BaseException:
            theirs.close()
            raise
        finally:
            ours.close()
        self._examined.append(run)
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
            self._listen(launch.line.fileno(), mask, lambda: self._on_launch(launch))

    def _on_launch(self, launch: Launch) -> None:
        if launch.unsent:
            launch.write()
            self._hear(launch)
        if not launch.drain() and not launch.stop_reason:
            launch.stop_reason = "output"
            self._stop_child(launch)

    def _stop_child(self, launch: Launch) -> None:
        try:
            if self._candidate is not None:
                self._candidate.line.send(STOP.pack(launch.run_id))
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
            if status is not None and status.run_id in self._recalled:
                self._recalled.discard(status.run_id)
                return
            launch = self._run.launch if self._run is not None else None
            if status is None or launch is None or status.run_id != launch.run_id:
                raise Lost("the zygote says what it must not")
            self._on_end(status, launch)
        except (Lost, OSError) as error:
            self._retry(str(error))
        except SandboxError as error:
            self._drop()
            self._finish(error)

    def _on_end(self, status: Status, launch: Launch) -> None:
        run = self._run
        assert run is not None
        result = launch.result(status)
        # A limit that struck while the child was still starting is the machine's doing at first.
        if not launch.ready and not (result.limit and run.tries > 1):
            raise Lost(f"a child did not start (status {status.exit_status})")
        # Statuses come in the order of the requests: earlier ones will not come any more.
        self._recalled = {number for number in self._recalled if number > status.run_id}
        self._close_launch(run)
        if run.job.mode == "call":
            self._finish(result)
        elif run.job.mode == "stdio":
            run.parts.append(result)
            if run.has_more:
                self._start(run)
            else:
                self._finish(run.together())
        else:
            run.result = result
            if run.report is None:
                # By itself a candidate may end early; the test may then use the rest of its time.
                now = time.monotonic()
                end = now if result.limit else launch.started + run.job.limits.wall_s
                run.report_by = max(now, end) + REPORT_S
            self._conclude(run)

    def _on_examiner(self) -> None:
        try:
            assert self._examiner is not None
            if self._examiner.unsent:
                self._examiner.write()
                self._listen_examiner()
            while (report := self._examiner.read()) is not None:
                self._on_report(report)
        except (Lost, OSError) as error:
            if self._run is None or self._run.job.mode != "assertion":
                self._drop_examiner()
            else:
                self._retry(str(error))
        except SandboxError as error:
            self._drop()
            self._finish(error)

    def _on_report(self, report: bytes) -> None:
        if self._compiling:
            self._compiling = False
            assert self._run is not None
            self._start(self._run)
            return
        if not self._examined:
            raise Lost("the examiner reports on nothing")
        run = self._examined.popleft()
        if run.dropped:
            return
        run.report = report
        if run is self._run:
            run.leave_at = time.monotonic() + LEAVE_S
            self._conclude(run)

    def _conclude(self, run: Run) -> None:
        if run.result is not None and run.report is not None:
            self._finish(replace(run.result, replies=(run.report,)))

    def next_look(self) -> float:
        """Return when this worker wants to be looked at, on the monotonic clock."""
        run = self._run
        if run is None:
            return float("inf")
        if run.launch is None:
            return run.report_by
        alert = run.launch.listening and self._next is None
        listen_at = float("inf") if alert else run.launch.started + LISTEN_AFTER_S
        return min(listen_at, run.leave_at, run.wedged_at)

    def look(self, now: float) -> None:
        """Do what has become due."""
        run = self._run
        if run is None:
            return
        launch = run.launch
        if launch is None:
            if now >= run.report_by and self._compiling:
                self._retry("the examiner does not compile a test")
            elif now >= run.report_by:
                self._give_up_report(run)
            return
        if now >= run.wedged_at:
            self._retry("the zygote does not answer")
            return
        if now >= launch.started + LISTEN_AFTER_S:
            self._recall()
            if not launch.listening:
                self._hear(launch)
        if now >= run.leave_at:
            run.leave_at = float("inf")
            self._stop_child(launch)

    def _recall(self) -> None:
        """Give back the program that waits behind the one that runs."""
        run, self._next = self._next, None
        if run is None:
            return
        if run.launch is not None:
            self._recalled.add(run.launch.run_id)
            self._stop_child(run.launch)
        self._abandon(run)
        self._give_back(run.job, run.done)

    def _abandon(self, run: Run) -> None:
        run.dropped = True
        self._close_launch(run)

    def _give_up_report(self, run: Run) -> None:
        # The test itself does not end: what the candidate answered keeps it busy.
        result, examiner = run.result, self._examiner
        assert result is not None and examiner is not None
        report = examiner.so_far()
        self._recall()
        # First the result, then the process, which may take its time to die.
        self._finish(replace(result, replies=(report,), limit=result.limit or "wall"))
        self._drop_examiner()

    def _retry(self, why: str) -> None:
        unheard = not self._greeted
        if unheard and self._candidate is not None:
            why = self._candidate.complaint() or why
        self._drop()
        run = self._run
        if run is None:
            return
        self.restarts += 1
        if run.tries < 2:
            self._begin(run)
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
        run, self._run, self._next = self._run, self._next, None
        if run is not None:
            self._abandon(run)
            run.done(result)
        if self._run is not None:
            self._run.tries += 1
            self._now_runs(self._run)

    def _close_launch(self, run: Run) -> None:
        launch, run.launch = run.launch, None
        if launch is not None:
            if launch.listening:
                self._listen(launch.line.fileno(), 0, None)
            launch.close()

    def _drop_examiner(self) -> None:
        if self._next is not None and self._next.job.mode == "assertion":
            self._recall()
        examiner, self._examiner = self._examiner, None
        self._examined.clear()
        if examiner is not None:
            self._listen(examiner.process.line.fileno(), 0, None)
            examiner.close()

    def _drop(self) -> None:
        """Kill both processes; the next job starts new ones."""
        if self._run is not None:
            self._close_launch(self._run)
        self._recall()
        self._drop_examiner()
        self._compiling = False
        self._recalled.clear()
        candidate, self._candidate = self._candidate, None
        if candidate is not None:
            self._listen(candidate.line.fileno(), 0, None)
            candidate.stop()

    def close(self) -> None:
        """Kill everything; jobs under way are dropped without a result."""
        self._drop()
        self._run = None

    def forget(self) -> None:
        """Close this process's copies of the descriptors after a fork."""
        for run in (self._run, self._next):
            if run is not None and run.launch is not None:
                run.launch.close()
        if self._candidate is not None:
            self._candidate.forget()
        if self._examiner is not None:
            self._examiner.forget()
