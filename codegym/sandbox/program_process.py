"""Program process: the driver's end of one fork of a candidate zygote.

It sends the program and collects the output. The output is untrusted bytes: this module bounds
their number and length, and no module of this folder interprets them.
"""

import os
import re
import select
import signal
import socket
import time
from dataclasses import dataclass

from codegym.sandbox.inside.frames import HEAD_BYTES
from codegym.sandbox.inside.protocol import (
    ASSERTION,
    CALL,
    HEADER,
    LOADED,
    READY,
    STATUS,
    STDIO,
    STOPPED_CPU,
    STOPPED_ON_REQUEST,
    STOPPED_WALL,
)
from codegym.sandbox.job import ExecutionResult, Limit
from codegym.sandbox.limits import Limits

MODES = {"call": CALL, "stdio": STDIO, "assertion": ASSERTION}
# Room for frames and their heads beside the program's output.
OVERHEAD_BYTES = 1 << 16
_RECEIVE_BYTES = 1 << 16
_TRACE_BYTES = 1 << 13
_TRACE_HEAD = b"(most recent call first):"
_TRACE_LINE = re.compile(rb'File "<candidate>", line (\d+)')


@dataclass(frozen=True, slots=True)
class Status:
    """A zygote's message about a child that is dead."""

    run_id: int
    exit_status: int
    wall_s: float
    cpu_s: float
    peak_kib: int
    stopped: int

    @classmethod
    def read(cls, message: bytes) -> "Status | None":
        """Read a message; return None if it is not a status."""
        return cls(*STATUS.unpack(message)) if len(message) == STATUS.size else None


class ProgramProcess:
    """The process of a program, or the request for it.

    Args:
        run_id: Number that the zygote's status must repeat.
        mode: Mode of the job.
        limits: Bounds of this fork.
        data: Program and payload, framed.
        stdin: Standard input, for the mode ``stdio``.
        rpc_fd: The examiner's socket, for the mode ``assertion``; closed here.

    Attributes:
        started: When the program began, in seconds of the monotonic clock.
        stop_reason: Limit for which the driver had the program stopped, "" if none.
        listening: Epoll mask under which the pool listens to ``line``, 0 if it does not.
    """

    def __init__(
        self,
        run_id: int,
        mode: str,
        limits: Limits,
        data: bytes,
        *,
        stdin: bytes | None = None,
        rpc_fd: int | None = None,
    ) -> None:
        self.run_id = run_id
        self.started = time.monotonic()
        self.stop_reason: Limit = ""
        self.listening = 0
        self._mode = mode
        self.limits = limits
        self._outbox: bytes | memoryview = data
        self._inbox = bytearray()
        self._frames: list[bytes] = []
        self._received = 0
        # Empty frames would cost fifty times their bytes, so no more are split off than count.
        self._max_frames = 2 if mode != "call" else 3 + data.count(b"{")
        self._stdin = stdin
        self._rpc_fd = rpc_fd
        self._stdout = -1
        self._line: socket.socket | None = None

    @property
    def ready(self) -> bool:
        """Whether the trusted part of the child has reported that it is ready."""
        return bool(self._frames) and self._frames[0] == READY

    @property
    def loaded(self) -> bool:
        """Whether the child has reported that the program is loaded (call)."""
        return len(self._frames) > 1 and self._frames[1] == LOADED

    @property
    def answered(self) -> int:
        """Number of calls that have been answered (call)."""
        return max(0, len(self._frames) - 1 - self.loaded)

    @property
    def unsent(self) -> bool:
        """Whether a part of the job has still to be sent."""
        return bool(self._outbox)

    def send(self, ctl: socket.socket) -> None:
        """Ask the zygote to fork, and write as much of the job as fits.

        Raises:
            OSError: The zygote is gone.
        """
        given = [] if self._rpc_fd is None else [self._rpc_fd]
        self._rpc_fd = None
        try:
            self._line, theirs = socket.socketpair()
            given.insert(0, theirs.detach())
            self._stdout = os.memfd_create("stdout", os.MFD_CLOEXEC)
            if self._mode == "stdio":
                given.append(_memory_file(self._stdin or b""))
            self._line.setblocking(False)
            self.write()
            limits = self.limits
            header = HEADER.pack(
                self.run_id,
                MODES[self._mode],
                limits.elapsed_s,
                limits.cpu_s,
                limits.memory_bytes,
                limits.output_bytes,
            )
            socket.send_fds(ctl, [header], [given[0], self._stdout, *given[1:]])
        finally:
            for fd in given:
                os.close(fd)

    @property
    def line(self) -> socket.socket:
        """The driver's end of the child's socket; it exists once the request is sent."""
        assert self._line is not None
        return self._line

    def write(self) -> None:
        """Send as much of the job as fits."""
        try:
            sent = self.line.send(self._outbox)
            self._outbox = memoryview(self._outbox)[sent:] if sent < len(self._outbox) else b""
        except BlockingIOError:
            return
        except OSError:
            self._outbox = b""  # the child is gone; its status reports the cause

    def drain(self) -> bool:
        """Read the output so far; return False if it is longer than the program may write."""
        bound = self.limits.output_bytes + OVERHEAD_BYTES
        try:
            while self._received <= bound:
                data = self.line.recv(_RECEIVE_BYTES)
                if not data:
                    break
                self._received += len(data)
                self._inbox += data
                if len(data) < _RECEIVE_BYTES:
                    break
        except (BlockingIOError, ConnectionError):
            pass
        self._split()
        return self._received <= bound and not self._oversize()

    def _split(self) -> None:
        start = 0
        inbox = self._inbox
        while len(inbox) - start >= HEAD_BYTES and len(self._frames) < self._max_frames:
            end = start + HEAD_BYTES
            end += int.from_bytes(inbox[start:end], "little")
            if end > len(inbox):
                break
            self._frames.append(bytes(inbox[start + HEAD_BYTES : end]))
            start = end
        if start:
            del inbox[:start]

    def _oversize(self) -> bool:
        return (
            len(self._inbox) >= HEAD_BYTES
            and len(self._frames) < self._max_frames
            and int.from_bytes(self._inbox[:HEAD_BYTES], "little") > self.limits.output_bytes
        )

    def events(self) -> int:
        """Return the epoll mask under which the pool must listen to ``line``."""
        return select.EPOLLIN | (select.EPOLLOUT if self._outbox else 0)

    def result(self, status: Status) -> ExecutionResult:
        """Collect the result once the child is dead."""
        fits = self.drain()
        limit = self._limit(status, fits)
        return ExecutionResult(
            replies=tuple(self._frames[1 + self.loaded :]),
            loaded=self.loaded,
            output=self._printed() if self._mode == "stdio" else b"",
            exit_status=status.exit_status,
            limit=limit,
            running_line=self._running_line() if limit in ("case", "wall", "cpu") else None,
            wall_s=status.wall_s,
            cpu_s=status.cpu_s,
            memory_bytes=status.peak_kib << 10,
        )

    def _limit(self, status: Status, fits: bool) -> Limit:
        if not fits:
            return "output"
        if status.stopped == STOPPED_WALL:
            return self.stop_reason or "wall"
        if status.stopped == STOPPED_ON_REQUEST:
            return self.stop_reason
        if status.stopped == STOPPED_CPU:
            return "cpu"
        killed = os.WIFSIGNALED(status.exit_status) and os.WTERMSIG(status.exit_status)
        return "output" if killed == signal.SIGXFSZ else ""

    def _printed(self) -> bytes:
        return os.pread(self._stdout, self.limits.output_bytes, 0)

    def _running_line(self) -> int | None:
        size = os.fstat(self._stdout).st_size
        tail = os.pread(self._stdout, _TRACE_BYTES, max(0, size - _TRACE_BYTES))
        _, _, trace = tail.rpartition(_TRACE_HEAD)
        found = _TRACE_LINE.search(trace)
        return int(found[1]) if found else None

    def close(self) -> None:
        """Close the descriptors that are still open."""
        for fd in (self._rpc_fd, self._stdout):
            if fd is not None and fd >= 0:
                os.close(fd)
        self._rpc_fd, self._stdout = None, -1
        if self._line is not None:
            self._line.close()


def _memory_file(data: bytes) -> int:
    fd = os.memfd_create("stdin", os.MFD_CLOEXEC)
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]
    os.lseek(fd, 0, os.SEEK_SET)
    return fd
