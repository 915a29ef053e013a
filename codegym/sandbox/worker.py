"""Worker: a state machine that runs one program at a time.

A worker lives in the pool's thread and never blocks: the pool reports activity on its sockets, and
calls it again when a deadline has passed. While a program runs, the request for the next program
may wait at the zygote, so that the zygote need not wait for the driver in between.
"""

import time
from collections.abc import Callable
from dataclasses import replace

from codegym.errors import SandboxError, SandboxUnavailableError
from codegym.sandbox.cures import explain
from codegym.sandbox.examiner_client import ExaminerClient
from codegym.sandbox.job import ExecutionResult, Job, Limit
from codegym.sandbox.launcher import Launcher
from codegym.sandbox.program_process import Status
from codegym.sandbox.run import Done, Run
from codegym.sandbox.worker_processes import Listen, WorkerProcesses
from codegym.sandbox.worker_state import NEVER, Deadlines, State
from codegym.sandbox.zygote_client import Lost

# A program's socket is read before the program is dead only if it runs longer than this: waking
# the driver for every reply would cost more than most programs. A request that waits behind a
# program that runs longer, or whose report takes longer, is given back.
LISTEN_AFTER_S = 0.03
# Time for the zygote to report the end of a program after the program's limit of elapsed time. A
# zygote that is only slow gets more of it at the second try, because a third is not made.
WEDGED_AFTER_S = 2.0
WEDGED_AGAIN_AFTER_S = 10.0
START_S = 30.0
# Time for a candidate to leave once its test is over.
LEAVE_S = 0.05
# Time for an examiner to go on once its candidate was stopped by a limit.
REPORT_S = 0.04
COMPILE_S = 60.0
MAX_TRIES = 2

GiveBack = Callable[[Job, Done], None]


class Worker:
    """Runs one program at a time, and may hold the request for the next.

    Args:
        launcher: Starts its processes.
        listen: ``listen(fd, epoll mask, callback)``: listen to a descriptor; mask 0 stops it.
        give_back: ``give_back(job, done)``: returns a job that was taken but not begun.
        reseeded: Whether it runs reseeded jobs, and no others.

    Attributes:
        state: The current state.
        processes: The zygote and the examiner.
        restarts: Number of times that they were replaced because of a failure.
    """

    def __init__(
        self, launcher: Launcher, listen: Listen, give_back: GiveBack, *, reseeded: bool = False
    ) -> None:
        self._give_back = give_back
        self.state = State.IDLE
        self._deadlines = Deadlines()
        self._run: Run | None = None
        self._next: Run | None = None
        self.processes = WorkerProcesses(launcher, listen, self, reseeded=reseeded)
        self.reseeded = reseeded
        self.restarts = 0

    def can_hold(self, job: Job) -> bool:
        """Say whether a job's request may wait at the zygote behind the program that runs."""
        if self.state is not State.RUNNING:
            return False
        assert self._run is not None
        if not self._run.may_be_followed or time.monotonic() > self._deadlines.listen_at:
            return False
        return self.processes.may_wait(job)

    def take(self, job: Job, done: Done) -> None:
        """Begin a job, or hold it until the program that runs is finished."""
        run = Run(job, done)
        if self.state is State.IDLE:
            self._run = run
            self._begin()
            return
        self.state = State.ALONE
        try:
            self.processes.send(run)
        except (Lost, OSError):
            # If a process is gone, its socket reports that; the program that runs may go on.
            self.processes.abandon(run)
            self._give_back(job, done)
        else:
            self._next = run
            self.state = State.HOLDING

    def next_look(self) -> float:
        """Return when the pool must call ``look``, on the monotonic clock."""
        return self._deadlines.first()

    def look(self, now: float) -> None:
        """Act on the deadlines that have passed."""
        due, run = self._deadlines, self._run
        if now >= due.report_by:
            if self.state is State.COMPILING:
                self._retry("the examiner does not compile a test")
            elif run is not None and self.processes.are_stopped(run):
                self._retry("a process of the grader is stopped")
            else:
                self._give_up_report("wall")
            return
        if now >= due.wedged_at:
            self._retry("the zygote does not answer")
            return
        if now >= due.listen_at:
            due.listen_at, due.check_at = NEVER, now
            self._recall()
            if run is not None and run.process is not None:
                self.processes.listen_to(run.process)
                self.state = State.SLOW
        if now >= due.leave_at and run is not None and run.process is not None:
            due.leave_at = NEVER
            self.processes.stop_program(run.process)
        elif now >= due.check_at:
            self._check_clock(now)

    def program_ended(self, status: Status) -> None:
        """Take the status of a program that is dead; see ``Events``."""
        if self.state is State.REPORTING and self._next is not None:
            waiting = self._next.process
            if waiting is not None and waiting.run_id == status.run_id:
                # It ran while the examiner was busy with its predecessor: run it again in turn.
                self._recall()
                return
        run = self._run
        process = run.process if run is not None else None
        if run is None or process is None or status.run_id != process.run_id:
            raise Lost("the zygote reports the end of another program")
        result = process.result(status)
        # A limit that stops a child before it is ready is at first blamed on the machine.
        if not process.ready and not (result.limit and run.tries >= MAX_TRIES):
            raise Lost(f"a child did not start (status {status.exit_status})")
        self.processes.close_process(run)
        run.add(result)
        if run.over:
            self._advance()
            return
        # A candidate that ends early by itself leaves the test the rest of its time.
        now = time.monotonic()
        end = now if result.limit else process.started + process.limits.elapsed_s
        self.state = State.REPORTING
        self._deadlines = Deadlines(
            listen_at=NEVER if result.limit else now + LISTEN_AFTER_S,
            report_by=max(now, end) + REPORT_S,
        )

    def report_came(self, examiner: ExaminerClient, report: bytes) -> None:
        """Take a report on a run, or on the compilation of its test; see ``Events``."""
        run = examiner.next_examined()
        if run is None:
            return
        if self.state is State.COMPILING:
            self._start()
            return
        run.report = report
        if run is not self._run:
            return
        if run.over:
            self._advance()
        else:
            self._deadlines.check_at = NEVER
            self._deadlines.leave_at = time.monotonic() + LEAVE_S

    def process_failed(self, error: Exception, *, examiner: bool) -> None:
        """Give up the job, try it again, or go on without the examiner; see ``Events``."""
        if isinstance(error, SandboxError):
            self._drop()
            self._finish(error)
        elif examiner and (self._run is None or self._run.job.mode != "assertion"):
            if self._next is not None and self._next.job.mode == "assertion":
                self._recall()
            self.processes.stop_examiner()
        else:
            self._retry(str(error))

    def close(self) -> None:
        """Kill everything; jobs under way are dropped without a result."""
        self._drop()
        self._run = None
        self.state, self._deadlines = State.CLOSED, Deadlines()

    def forget(self) -> None:
        """Close this process's copies of the descriptors after a fork."""
        for run in (self._run, self._next):
            if run is not None and run.process is not None:
                run.process.close()
        self.processes.forget()

    def _begin(self) -> None:
        """Begin the job with its first part."""
        run = self._run
        assert run is not None
        run.tries += 1
        run.reset()
        self._start()

    def _start(self) -> None:
        """Fork once for the job, or for its next part."""
        run = self._run
        assert run is not None
        try:
            if self.processes.prepare(run):
                self.processes.send(run)
                self._start_clock(run)
            else:
                self.state = State.COMPILING
                self._deadlines = Deadlines(report_by=time.monotonic() + COMPILE_S)
        except (Lost, OSError) as error:
            self._retry(str(error))
        except SandboxError as error:
            self._finish(error)

    def _advance(self) -> None:
        """Finish a job whose process is over, or begin its next process."""
        run = self._run
        assert run is not None
        answer = run.advance()
        if answer is not None:
            self._finish(answer)
        else:
            self._recall()
            self._start()

    def _start_clock(self, run: Run) -> None:
        """Start the clock of the program whose request the zygote has."""
        process, zygote = run.process, self.processes.zygote
        assert process is not None and zygote is not None
        now = process.started = time.monotonic()
        grace = _grace_s(run) if zygote.greeted else START_S
        self.state = State.RUNNING if zygote.greeted else State.ALONE
        self._deadlines = Deadlines(
            listen_at=now + LISTEN_AFTER_S,
            leave_at=NEVER if run.report is None else now + LEAVE_S,
            wedged_at=now + process.limits.elapsed_s + grace,
        )

    def _recall(self) -> None:
        """Give back the job whose request waits behind the program that runs."""
        run, self._next = self._next, None
        if run is None:
            return
        self.processes.recall(run)
        if self.state is State.HOLDING:
            self.state = State.RUNNING
        self._give_back(run.job, run.done)

    def _check_clock(self, now: float) -> None:
        """Read the program's clock; stop the program, or the test, if its time is up."""
        run, due = self._run, self._deadlines
        due.check_at = NEVER
        if run is None or run.report is not None:
            return
        limit, again_s = self.processes.look_at_clock(run, now)
        stopped = self.processes.are_stopped(run)
        if limit or stopped:
            # The grader has little to do now: to report, or to be woken.
            due.wedged_at = min(due.wedged_at, now + _grace_s(run))
        if stopped:
            return  # its time is not the program's
        if not limit:
            due.check_at = now + again_s
        elif run.process is None:
            self._give_up_report(limit)
        else:
            run.process.stop_reason = limit
            self.processes.stop_program(run.process, out_of_time=True)

    def _give_up_report(self, limit: Limit) -> None:
        """Report the finished cases of a test that does not end, and go on with the next."""
        # An answer of the candidate keeps the test busy, so a limit of time counts as reached.
        run, examiner = self._run, self.processes.examiner
        assert run is not None and run.result is not None and examiner is not None
        run.report = examiner.so_far(run)
        run.add(replace(run.result, limit=run.result.limit or limit))
        self._recall()
        answer = run.advance()
        if answer is not None:
            # First the result, then the process, which may take its time to die.
            self._finish(answer)
        self.processes.stop_examiner()
        if answer is None:
            self._start()

    def _retry(self, why: str) -> None:
        """Replace the processes and begin the job again, or give it up after the second time."""
        zygote = self.processes.zygote
        started = zygote is not None and zygote.greeted
        if zygote is not None and not started:
            why = zygote.complaint() or why
        self._drop()
        if self._run is None:
            return
        self.restarts += 1
        if self._run.tries < MAX_TRIES:
            self._begin()
        elif started:
            self._finish(SandboxError("the sandbox broke twice on one program", value=why[-300:]))
        else:
            self._finish(
                SandboxUnavailableError(
                    f"a sandbox ({self.processes.isolation}) does not start",
                    value=why[-300:],
                    cure=explain(why),
                )
            )

    def _finish(self, result: ExecutionResult | SandboxError) -> None:
        """Hand over a job's result; the program that waited behind it now runs."""
        run, self._run, self._next = self._run, self._next, None
        if run is not None:
            self.processes.abandon(run)
            run.done(result)
        if self._run is None:
            self.state, self._deadlines = State.IDLE, Deadlines()
        else:
            self._run.tries += 1
            self._start_clock(self._run)

    def _drop(self) -> None:
        """Kill both processes and give back the job that waits."""
        if self._run is not None:
            self.processes.close_process(self._run)
        self._recall()
        self.processes.stop_all()


def _grace_s(run: Run) -> float:
    """Return how long a zygote may take to report; the second try has no third."""
    return WEDGED_AFTER_S if run.tries < MAX_TRIES else WEDGED_AGAIN_AFTER_S
