"""The driver's end of an examiner: what a worker asks of it, and its report.

The examiner itself, which runs test code, is ``codegym.sandbox.inside.examiner``.
"""

import json
import os
import socket
import sys

from codegym.errors import SandboxError
from codegym.sandbox.inside.frames import HEAD_BYTES
from codegym.sandbox.inside.protocol import NOTEBOOK, NOTEBOOK_BYTES
from codegym.sandbox.launcher import Process

# A test longer than this is compiled before the candidate's clock starts.
LONG_TEST_BYTES = 1 << 15
KEPT_LONG_TESTS = 64
_MAX_REPORT_BYTES = 1 << 26


class Lost(Exception):
    """A zygote is gone, wedged, or says what it must not; the job is tried once more."""


class Examiner:
    """The trusted process that runs test code, the stream to it, and its notebook.

    In the notebook, memory that both share, it keeps what became of each case, so that this is
    known even when the process must be killed in the middle of a test.

    Args:
        process: Started for the role ``examiner``.

    Raises:
        Lost: The examiner is gone.
    """

    def __init__(self, process: Process) -> None:
        self.process = process
        self.process.line.setblocking(False)
        self._inbox = bytearray()
        self._outbox: bytes | memoryview = b""
        self._greeted = False
        self._compiled: set[bytes] = set()
        self._notebook = os.memfd_create("codegym-notebook", os.MFD_CLOEXEC)
        os.ftruncate(self._notebook, NOTEBOOK_BYTES)
        try:
            socket.send_fds(self.process.line, [bytes(8)], [self._notebook])
        except OSError as error:
            self.close()
            raise Lost(f"the examiner is gone: {error}") from None

    def knows(self, payload: bytes) -> bool:
        """Say whether a test can begin at once: it is short, or was compiled before."""
        return len(payload) <= LONG_TEST_BYTES or payload in self._compiled

    def request(self, rpc: socket.socket | None, max_frame_bytes: int, payload: bytes) -> None:
        """Send a test, and the candidate's socket unless the test shall only be compiled.

        Raises:
            Lost: The examiner is gone.
        """
        if len(payload) > LONG_TEST_BYTES:
            if len(self._compiled) >= KEPT_LONG_TESTS:
                self._compiled.clear()
            self._compiled.add(payload)
        try:
            head = max_frame_bytes.to_bytes(8, "little")
            fds = [] if rpc is None else [rpc.fileno()]
            socket.send_fds(self.process.line, [head], fds)
        except OSError as error:
            raise Lost(f"the examiner is gone: {error}") from None
        self._outbox = len(payload).to_bytes(HEAD_BYTES, "little") + payload
        self.write()

    def write(self) -> None:
        """Send what fits of the test."""
        try:
            sent = self.process.line.send(self._outbox)
            self._outbox = memoryview(self._outbox)[sent:] if sent < len(self._outbox) else b""
        except BlockingIOError:
            return
        except OSError as error:
            raise Lost(f"the examiner is gone: {error}") from None

    @property
    def unsent(self) -> bool:
        """Whether some of the test has still to be sent."""
        return bool(self._outbox)

    def read(self) -> bytes | None:
        """Read what has arrived; return a report once it is whole.

        Raises:
            Lost: The examiner is gone, or is not the interpreter it should be.
        """
        frame = self._frame()
        if frame is None:
            try:
                data = self.process.line.recv(1 << 20)
            except BlockingIOError:
                return None
            except OSError as error:
                raise Lost(f"the examiner is gone: {error}") from None
            if not data:
                raise Lost(f"the examiner ended: {self.process.complaint()}")
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

    def so_far(self) -> bytes:
        """Return a report of the cases that are over, from the notebook.

        Its ``until`` is the number of the first case of which nothing is known.
        """
        head = os.pread(self._notebook, NOTEBOOK.size, 0)
        until, used = NOTEBOOK.unpack(head)
        rows = os.pread(self._notebook, used, NOTEBOOK.size)
        return b'{"cases":[%b],"until":%d}' % (rows.rstrip(b","), until)

    def close(self) -> None:
        """Kill the process."""
        self._close_notebook()
        self.process.stop()

    def forget(self) -> None:
        """Close this process's copies of the descriptors after a fork."""
        self._close_notebook()
        self.process.forget()

    def _close_notebook(self) -> None:
        if self._notebook >= 0:
            os.close(self._notebook)
            self._notebook = -1


def check_hello(message: bytes) -> None:
    """Check that a process that announces itself is the caller's own interpreter.

    Raises:
        SandboxError: It is another one.
    """
    facts = json.loads(message)
    if facts["version"] != sys.version:
        raise SandboxError(
            "the interpreter inside the sandbox is not the caller's",
            value=facts["version"],
            expected=sys.version,
        )
