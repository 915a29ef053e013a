"""Examiner client: the driver's end of an examiner, the tests it sends and the reports it reads.

The examiner itself, which runs test code, is ``codegym.sandbox.inside.examiner``.
"""

import os
import socket
from collections import deque

from codegym.sandbox.inside import notebook
from codegym.sandbox.inside.frames import HEAD_BYTES
from codegym.sandbox.inside.protocol import EXAMINE, NOTEBOOK, NOTEBOOK_BYTES
from codegym.sandbox.launcher import Process
from codegym.sandbox.run import Run
from codegym.sandbox.zygote_client import Lost, check_hello

# A test longer than this is compiled before the candidate's clock starts.
LONG_TEST_BYTES = 1 << 15
KEPT_LONG_TESTS = 64
_MAX_REPORT_BYTES = 1 << 26


class ExaminerClient:
    """The trusted process that runs test code, the stream to it, and its notebook.

    The notebook is memory that both processes share. Each test's fork writes the results of cases
    there, so that the driver knows it even when it must kill the examiner in the middle of a test.

    Args:
        process: Started for the role ``examiner``.

    Raises:
        Lost: The examiner is gone.
    """

    def __init__(self, process: Process) -> None:
        self._process = process
        self._process.line.setblocking(False)
        self._inbox = bytearray()
        self._outbox: bytes | memoryview = b""
        self._greeted = False
        self._compiled: set[bytes] = set()
        self._requests = 0
        # The requests whose reports are still to come, in order: number and run, which is None
        # where it was given up.
        self._examined: deque[tuple[int, Run | None]] = deque()
        self._notebook = os.memfd_create("codegym-notebook", os.MFD_CLOEXEC)
        os.ftruncate(self._notebook, NOTEBOOK_BYTES)
        try:
            socket.send_fds(self._process.line, [bytes(EXAMINE.size)], [self._notebook])
        except OSError as error:
            self.close()
            raise Lost(f"the examiner is gone: {error}") from None

    @property
    def fork_pid(self) -> int | None:
        """Process id of the test under way, as the host numbers it; None if there is none."""
        return self._process.fork_pid

    @property
    def is_stopped(self) -> bool:
        """Whether a signal from outside has stopped it."""
        return self._process.is_stopped

    def fileno(self) -> int:
        """Return the descriptor of the stream."""
        return self._process.line.fileno()

    def knows(self, payload: bytes) -> bool:
        """Say whether a test can begin at once: it is short, or was compiled before."""
        return len(payload) <= LONG_TEST_BYTES or payload in self._compiled

    def compile(self, run: Run) -> None:
        """Send a run's test, which the examiner compiles and keeps; its report is empty.

        Raises:
            Lost: The examiner is gone.
        """
        self._request(None, run)
        self._examined.append((self._requests, run))

    def examine(self, run: Run) -> int:
        """Send a run's test; return the socket that connects the candidate to the examiner.

        Raises:
            Lost: The examiner is gone.
        """
        ours, theirs = socket.socketpair()
        try:
            self._request(ours, run)
        except BaseException:
            theirs.close()
            raise
        finally:
            ours.close()
        self._examined.append((self._requests, run))
        return theirs.detach()

    def give_up(self, run: Run) -> None:
        """Ignore the report on a run when it comes."""
        for position, (number, examined) in enumerate(self._examined):
            if examined is run:
                self._examined[position] = number, None

    def next_examined(self) -> Run | None:
        """Remove and return the run that the next report is about, None if it was given up.

        Raises:
            Lost: No report is due.
        """
        if not self._examined:
            raise Lost("the examiner sent a report that nobody asked for")
        _, run = self._examined.popleft()
        return run

    def _request(self, rpc: socket.socket | None, run: Run) -> None:
        payload, limits = run.job.payload, run.job.limits
        if len(payload) > LONG_TEST_BYTES:
            if len(self._compiled) >= KEPT_LONG_TESTS:
                self._compiled.clear()
            self._compiled.add(payload)
        try:
            self._requests += 1
            bounds = limits.output_bytes, limits.memory_bytes
            head = EXAMINE.pack(self._requests, *bounds, run.first)
            fds = [] if rpc is None else [rpc.fileno()]
            socket.send_fds(self._process.line, [head], fds)
        except OSError as error:
            raise Lost(f"the examiner is gone: {error}") from None
        self._outbox = len(payload).to_bytes(HEAD_BYTES, "little") + payload
        self.write()

    def write(self) -> None:
        """Send as much of the test as fits.

        Raises:
            Lost: The examiner is gone.
        """
        try:
            sent = self._process.line.send(self._outbox)
            self._outbox = memoryview(self._outbox)[sent:] if sent < len(self._outbox) else b""
        except BlockingIOError:
            return
        except OSError as error:
            raise Lost(f"the examiner is gone: {error}") from None

    @property
    def unsent(self) -> bool:
        """Whether a part of the test has still to be sent."""
        return bool(self._outbox)

    def read(self) -> bytes | None:
        """Read from the stream; return a report once it is complete.

        Raises:
            Lost: The examiner is gone.
            SandboxError: It is not the caller's interpreter.
        """
        frame = self._frame()
        if frame is None:
            try:
                data = self._process.line.recv(1 << 20)
            except BlockingIOError:
                return None
            except OSError as error:
                raise Lost(f"the examiner is gone: {error}") from None
            if not data:
                raise Lost(f"the examiner ended: {self._process.complaint()}")
            self._inbox += data
            frame = self._frame()
        if frame is not None and not self._greeted:
            check_hello(frame)
            self._greeted = True
            frame = self._frame()
        return frame

    def _frame(self) -> bytes | None:
        if len(self._inbox) < HEAD_BYTES:
            return None
        end = HEAD_BYTES + int.from_bytes(self._inbox[:HEAD_BYTES], "little")
        if end > _MAX_REPORT_BYTES:
            raise Lost("the examiner's report is too long")
        if len(self._inbox) < end:
            return None
        frame = bytes(self._inbox[HEAD_BYTES:end])
        del self._inbox[:end]
        return frame

    def so_far(self, run: Run) -> bytes:
        """Return a report on the cases of a run that are over, from the notebook.

        Its ``until`` is the number of the first case whose result is unknown.
        """
        until, used = self._head(run) or (0, 0)
        rows = os.pread(self._notebook, used, NOTEBOOK.size)
        return notebook.report(max(until, run.first), rows, notebook.LIMIT)

    def case_under_way(self, run: Run) -> int | None:
        """Return the number of the case that a run's test has reached, None before it begins."""
        head = self._head(run)
        return None if head is None else max(head[0], run.first)

    def _head(self, run: Run) -> tuple[int, int] | None:
        """Return the number of a run's first case without a result, and the bytes of results."""
        number, until, used = NOTEBOOK.unpack(os.pread(self._notebook, NOTEBOOK.size, 0))
        # The notebook may still hold the results of an earlier test.
        return (until, used) if (number, run) in self._examined else None

    def close(self) -> None:
        """Kill the process."""
        self._close_notebook()
        self._process.stop()

    def forget(self) -> None:
        """Close this process's copies of the descriptors after a fork."""
        self._close_notebook()
        self._process.forget()

    def _close_notebook(self) -> None:
        if self._notebook >= 0:
            os.close(self._notebook)
            self._notebook = -1
