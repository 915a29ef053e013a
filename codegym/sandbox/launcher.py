"""Launcher: starts confined processes in one kind of isolation, for the pool to drive."""

import os
import socket
import subprocess
from typing import Protocol

from codegym.sandbox.ending import descendants, end
from codegym.sandbox.program_clock import first_child
from codegym.sandbox.runtime import environment

STOP_WAIT_S = 10.0


class Launcher(Protocol):
    """Starts a confined long-lived process per call, with a socket to it.

    Attributes:
        isolation: Name of the isolation in the registry.
    """

    isolation: str

    def start(self, role: str, *, reseeded: bool = False) -> "Process":
        """Start a zygote.

        Args:
            role: ``candidate`` (a SEQPACKET socket) or ``examiner`` (a STREAM socket).
            reseeded: Whether its forks have other seeds and die of luck; see ``Job.reseeded``.

        Raises:
            SandboxUnavailableError: This machine lacks a requirement of the isolation.
        """
        ...


class Process:
    """A started process, the socket to it, and its standard error.

    Args:
        command: Arguments; may name the descriptors in ``pass_fds``.
        line: The driver's end of the socket.
        theirs: The other end; closed here once the process has it.
        pass_fds: More descriptors that the process inherits; closed here too.
        reseeded: See ``Launcher.start``.
        wrapped: Whether the command starts the interpreter as a child of another process.
    """

    def __init__(
        self,
        command: list[str],
        line: socket.socket,
        theirs: socket.socket,
        pass_fds: tuple[int, ...] = (),
        *,
        reseeded: bool = False,
        wrapped: bool = False,
    ) -> None:
        self.line = line
        self._wrapped = wrapped
        self._log = os.memfd_create("codegym-stderr", os.MFD_CLOEXEC)
        try:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=self._log,
                env=environment(reseeded=reseeded),
                cwd="/",
                pass_fds=(theirs.fileno(), *pass_fds),
                start_new_session=True,
            )
        except BaseException:
            line.close()
            os.close(self._log)
            raise
        finally:
            theirs.close()
            for fd in pass_fds:
                os.close(fd)

    @property
    def pid(self) -> int:
        """Process id; for bubblewrap, that of ``bwrap`` itself."""
        return self._process.pid

    @property
    def inner_pid(self) -> int | None:
        """Process id of the interpreter, as the host numbers it; None if it has ended."""
        return first_child(self.pid) if self._wrapped else self.pid

    @property
    def fork_pid(self) -> int | None:
        """Process id of the fork under way, as the host numbers it; None if there is none."""
        above = self.inner_pid
        return first_child(above) if above is not None else None

    @property
    def is_stopped(self) -> bool:
        """Whether a signal from outside has stopped the interpreter."""
        try:
            with open(f"/proc/{self.inner_pid}/stat") as file:
                return file.read().rpartition(")")[2].split()[0] in ("T", "t")
        except OSError:
            return False

    def complaint(self) -> str:
        """Return the process's standard error from its start."""
        return os.pread(self._log, 4096, 0).decode(errors="replace").strip()

    def stop(self) -> None:
        """Kill and reap it, and close the socket; harmless when called again."""
        running = self._process.returncode is None
        # Listed before the socket is closed: a process that sees its end leaves at once.
        below = descendants(self._process.pid) if running else []
        self.line.close()
        if self._log >= 0:
            os.close(self._log)
            self._log = -1
        if running:
            end(self._process, below, STOP_WAIT_S)

    def forget(self) -> None:
        """Close this process's copies after a fork: the process belongs to the parent."""
        self.line.close()
        if self._log >= 0:
            os.close(self._log)
            self._log = -1
        self._process.returncode = 0


def socket_pair(role: str) -> tuple[socket.socket, socket.socket]:
    """Make the socket between the driver and a zygote of that role."""
    kind = socket.SOCK_SEQPACKET if role == "candidate" else socket.SOCK_STREAM
    return socket.socketpair(socket.AF_UNIX, kind)
