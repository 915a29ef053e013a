"""Processes of a worker: a candidate zygote, an examiner when one is needed, and their sockets.

The pool reports activity on the sockets. This module reads the messages and calls the worker's
events: a program ended, a report came, a process failed.
"""

from collections.abc import Callable
from typing import Protocol

from codegym.errors import SandboxError
from codegym.sandbox.examiner_client import ExaminerClient
from codegym.sandbox.job import Job, Limit
from codegym.sandbox.launcher import Launcher, Process
from codegym.sandbox.program_process import ProgramProcess, Status
from codegym.sandbox.run import Run
from codegym.sandbox.zygote_client import Lost, ZygoteClient

_READ, _WRITE = 1, 4  # EPOLLIN, EPOLLOUT

Listen = Callable[[int, int, Callable[[], None] | None], None]


class Events(Protocol):
    """Events that a worker receives from its processes."""

    def program_ended(self, status: Status) -> None:
        """Take the status of a program that is dead."""
        ...

    def report_came(self, examiner: ExaminerClient, report: bytes) -> None:
        """Take an examiner's report."""
        ...

    def process_failed(self, error: Exception, *, examiner: bool) -> None:
        """Handle the failure of a process, or an error in one of the other events."""
        ...


class WorkerProcesses:
    """Starts and stops a worker's processes and listens to them.

    Args:
        launcher: Starts the processes.
        listen: ``listen(fd, epoll mask, callback)``: listen to a descriptor; mask 0 stops it.
        events: The worker.
        reseeded: Whether the processes run reseeded jobs.

    Attributes:
        zygote: None until the first program, and after a failure.
        examiner: None until the first test, and after a failure.
    """

    def __init__(
        self, launcher: Launcher, listen: Listen, events: Events, *, reseeded: bool = False
    ) -> None:
        self._launcher = launcher
        self._reseeded = reseeded
        self._listen = listen
        self._events = events
        self.zygote: ZygoteClient | None = None
        self.examiner: ExaminerClient | None = None

    @property
    def isolation(self) -> str:
        """Name of the isolation."""
        return self._launcher.isolation

    def _start(self, role: str) -> Process:
        return self._launcher.start(role, reseeded=self._reseeded)

    def prepare(self, run: Run) -> bool:
        """Start the processes that a run needs; return whether it may begin at once.

        Otherwise the examiner has been asked to compile the job's long test. Its report on the
        run says that the test is compiled.

        Raises:
            Lost: The examiner is gone.
            SandboxError: A process cannot be started on this machine.
        """
        if self.zygote is None:
            self.zygote = ZygoteClient(self._start("candidate"))
            self._listen(self.zygote.fileno(), _READ, self._hear_zygote)
        if run.job.mode != "assertion":
            return True
        if self.examiner is not None and self.examiner.unsent:
            self.stop_examiner()  # a test that was given up is still on its way
        if self.examiner is None:
            self.examiner = ExaminerClient(self._start("examiner"))
        if self.examiner.knows(run.job.payload):
            return True
        self.examiner.compile(run)
        self._listen_to_examiner(self.examiner)
        return False

    def may_wait(self, job: Job) -> bool:
        """Say whether a job's request can be sent while another program runs."""
        if job.mode != "assertion":
            return True
        examiner = self.examiner
        return examiner is not None and not examiner.unsent and examiner.knows(job.payload)

    def send(self, run: Run) -> ProgramProcess:
        """Write a run's request to the zygote, and its test to the examiner.

        Raises:
            Lost: The examiner is gone.
            OSError: The zygote is gone, or its socket is full.
        """
        assert self.zygote is not None
        rpc_fd = None
        if run.job.mode == "assertion":
            assert self.examiner is not None
            rpc_fd = self.examiner.examine(run)
            self._listen_to_examiner(self.examiner)
        process = self.zygote.request(run, rpc_fd)
        if process.unsent:
            self.listen_to(process)
        return process

    def listen_to(self, process: ProgramProcess) -> None:
        """Listen to a program's socket."""
        mask = process.events()
        if process.listening != mask:
            process.listening = mask
            self._listen(process.line.fileno(), mask, lambda: self._hear_program(process))

    def close_process(self, run: Run) -> None:
        """Close the descriptors of a run's process."""
        process, run.process = run.process, None
        if process is not None:
            if process.listening:
                self._listen(process.line.fileno(), 0, None)
            process.close()

    def abandon(self, run: Run) -> None:
        """Close a run's process and ignore the report on it."""
        if self.examiner is not None:
            self.examiner.give_up(run)
        self.close_process(run)

    def stop_program(self, process: ProgramProcess, *, out_of_time: bool = False) -> None:
        """Ask the zygote to kill a program; see ``ZygoteClient.stop``."""
        if self.zygote is not None:
            self.zygote.stop(process, out_of_time=out_of_time)

    def are_stopped(self, run: Run) -> bool:
        """Whether a signal from outside has stopped a process of the grader that a run needs."""
        used = (self.zygote, self.examiner if run.job.mode == "assertion" else None)
        return any(process is not None and process.is_stopped for process in used)

    def look_at_clock(self, run: Run, now: float) -> tuple[Limit, float]:
        """Compare a run's clock with its limits; see ``CaseClock.look``."""
        case = run.first
        pids = []
        if run.process is not None:
            if run.job.mode == "call":
                run.process.drain()
                case += run.process.answered
            pids.append(self.zygote.fork_pid if self.zygote is not None else None)
        if run.job.mode == "assertion":
            assert self.examiner is not None
            reached, test = self.examiner.case_under_way(run), self.examiner.fork_pid
            case = max(case, reached or 0)
            # Before its test begins, and after it, the program waits for the grader.
            pids = [] if reached is None or test is None else [*pids, test]
        return run.clock().look(now, case, [pid for pid in pids if pid is not None])

    def recall(self, run: Run) -> None:
        """Take back the request of a run that waits at the zygote."""
        if run.process is not None and self.zygote is not None:
            self.zygote.recall(run.process)
        self.abandon(run)

    def stop_examiner(self) -> None:
        """Kill the examiner; the next test starts a new one."""
        examiner, self.examiner = self.examiner, None
        if examiner is not None:
            self._listen(examiner.fileno(), 0, None)
            examiner.close()

    def stop_all(self) -> None:
        """Kill both processes; the next job starts new ones."""
        self.stop_examiner()
        zygote, self.zygote = self.zygote, None
        if zygote is not None:
            self._listen(zygote.fileno(), 0, None)
            zygote.close()

    def forget(self) -> None:
        """Close this process's copies of the descriptors after a fork."""
        if self.zygote is not None:
            self.zygote.forget()
        if self.examiner is not None:
            self.examiner.forget()

    def _listen_to_examiner(self, examiner: ExaminerClient) -> None:
        mask = _READ | (_WRITE if examiner.unsent else 0)
        self._listen(examiner.fileno(), mask, self._hear_examiner)

    def _hear_program(self, process: ProgramProcess) -> None:
        if process.unsent:
            process.write()
            self.listen_to(process)
        if not process.drain() and not process.stop_reason:
            process.stop_reason = "output"
            self.stop_program(process)

    def _hear_zygote(self) -> None:
        assert self.zygote is not None
        try:
            status = self.zygote.read()
            if status is not None:
                self._events.program_ended(status)
        except (Lost, OSError, SandboxError) as error:
            self._events.process_failed(error, examiner=False)

    def _hear_examiner(self) -> None:
        examiner = self.examiner
        assert examiner is not None
        try:
            if examiner.unsent:
                examiner.write()
                self._listen_to_examiner(examiner)
            while (report := examiner.read()) is not None:
                self._events.report_came(examiner, report)
        except (Lost, OSError, SandboxError) as error:
            self._events.process_failed(error, examiner=True)
