"""The driver's end of an examiner: what a worker asks of it, and its report.

The examiner itself, which runs test code, is ``codegym.sandbox.inside.examiner``.
"""

import json
import socket
import sys

from codegym.errors import SandboxError
from codegym.sandbox.inside.frames import HEAD_BYTES
from codegym.sandbox.launcher import Process

# A test longer than this is compiled before the candidate's clock starts.
LONG_TEST_BYTES = 1 << 15
KEPT_LONG_TESTS = 64
_MAX_REPORT_BYTES = 1 << 26


class Lost(Exception):
    """A zygote is gone, wedged, or says what it must not; the job is tried once more."""


class Examiner:
    """The trusted process that runs test code, and the stream to it."""

    def __init__(self, process: Process) -> None:
        self.process = process
        self.process.line.setblocking(False)
        self._inbox = bytearray()
        self._outbox: bytes | memoryview = b""
        self._greeted = False
        self._compiled: set[bytes] = set()

    def must_compile(self, payload: bytes) -> bool:
        """Say whether compiling a test would take a noticeable part of a candidate's time."""
        return len(payload) > LONG_TEST_BYTES and payload not in self._compiled

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
        """Read what has arrived; return the report once it is whole.

        Raises:
            Lost: The examiner is gone, or is not the interpreter it should be.
        """
        try:
            data = self.process.line.recv(1 << 20)
        except BlockingIOError:
            return None
        except OSError as error:
            raise Lost(f"the examiner is gone: {error}") from None
        if not data:
            raise Lost(f"the examiner ended: {self.process.complaint()}")
        self._inbox += data
        while len(self._inbox) >= HEAD_BYTES:
            count = int.from_bytes(self._inbox[:HEAD_BYTES], "little")
            if count > _MAX_REPORT_BYTES:
                raise Lost("the examiner's report is too long")
            if len(self._inbox) < HEAD_BYTES + count:
                return None
            frame = bytes(self._inbox[HEAD_BYTES : HEAD_BYTES + count])
            del self._inbox[: HEAD_BYTES + count]
            if self._greeted:
                return frame
            check_hello(frame)
            self._greeted = True
        return None


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
