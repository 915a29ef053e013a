"""Zygote client: the driver's end of a candidate zygote, its requests and the statuses it sends.

The zygote itself, which forks programs, is ``codegym.sandbox.inside.zygote``.
"""

import json
import sys

from codegym.errors import SandboxError
from codegym.sandbox.inside.protocol import STOP, STOPPED_ON_REQUEST, STOPPED_WALL
from codegym.sandbox.launcher import Process
from codegym.sandbox.program_process import ProgramProcess, Status
from codegym.sandbox.run import Run


class Lost(Exception):
    """A process is gone, hangs, or breaks the protocol; the worker tries the job once more."""


class ZygoteClient:
    """A zygote that forks one program at a time, and the socket to it.

    Args:
        process: Started for the role ``candidate``.

    Attributes:
        greeted: Whether the zygote has finished starting and announced itself.
    """

    def __init__(self, process: Process) -> None:
        self._process = process
        self._process.line.setblocking(False)
        self._run_ids = 0
        self._recalled: set[int] = set()
        self.greeted = False

    @property
    def pid(self) -> int:
        """Process id."""
        return self._process.pid

    @property
    def fork_pid(self) -> int | None:
        """Process id of the program under way, as the host numbers it; None if there is none."""
        return self._process.fork_pid

    @property
    def is_stopped(self) -> bool:
        """Whether a signal from outside has stopped it."""
        return self._process.is_stopped

    def fileno(self) -> int:
        """Return the descriptor of the socket."""
        return self._process.line.fileno()

    def request(self, run: Run, rpc_fd: int | None) -> ProgramProcess:
        """Ask for a fork for a run, or for the next part of it.

        Args:
            run: The run; the new process is kept in it.
            rpc_fd: The examiner's socket, for the mode ``assertion``.

        Raises:
            OSError: The zygote is gone, or its socket is full.
        """
        self._run_ids += 1
        process = run.next_process(self._run_ids, rpc_fd)
        process.send(self._process.line)
        return process

    def stop(self, process: ProgramProcess, *, out_of_time: bool = False) -> None:
        """Ask the zygote to kill a program, or not to begin it.

        Args:
            process: The program.
            out_of_time: Whether it first writes the line that it is running.
        """
        reason = STOPPED_WALL if out_of_time else STOPPED_ON_REQUEST
        try:
            self._process.line.send(STOP.pack(process.run_id, reason))
        except OSError:
            return  # the zygote is gone; the end of its socket reports that

    def recall(self, process: ProgramProcess) -> None:
        """Stop a program that waits, and ignore its status if it has already begun."""
        self._recalled.add(process.run_id)
        self.stop(process)

    def read(self) -> Status | None:
        """Read one message; return the status of a program that ended, None for anything else.

        Raises:
            Lost: The zygote ended or sent an invalid message.
            SandboxError: It is not the caller's interpreter.
        """
        try:
            message = self._process.line.recv(4096)
        except BlockingIOError:
            return None
        if not message:
            raise Lost("the zygote ended")
        if not self.greeted:
            check_hello(message)
            self.greeted = True
            return None
        status = Status.read(message)
        if status is None:
            raise Lost("the zygote sent an invalid message")
        if status.run_id in self._recalled:
            self._recalled.discard(status.run_id)
            return None
        if self._recalled:
            # Statuses come in the order of the requests: earlier ones will not come any more.
            self._recalled = {run_id for run_id in self._recalled if run_id > status.run_id}
        return status

    def complaint(self) -> str:
        """Return the zygote's standard error from its start."""
        return self._process.complaint()

    def close(self) -> None:
        """Kill the process."""
        self._process.stop()

    def forget(self) -> None:
        """Close this process's copies of the descriptors after a fork."""
        self._process.forget()


def check_hello(message: bytes) -> None:
    """Check that a process that announces itself runs the caller's interpreter.

    Raises:
        SandboxError: It runs another interpreter.
    """
    facts = json.loads(message)
    if facts["version"] != sys.version:
        raise SandboxError(
            "the interpreter inside the sandbox is not the caller's",
            value=facts["version"],
            expected=sys.version,
        )
