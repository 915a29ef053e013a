"""Examiner: runs trusted test code against a candidate in another sandbox.

A long-lived process compiles and keeps tests and never runs them. Each run of a test is a fork of
this process, with the task's memory limit and the child filter. When the fork is dead, everything
that it started is killed, and only then does the next test begin. A report is a JSON object::

    {"until": number, "end": text, "cases": [[index, kind, type, message, line, got], ...]}

or ``{"load": description}`` or ``{"syntax": description}``. Cases before ``until`` that are not
listed have passed, or were not to be run; the result of the others is unknown. ``end`` is present
if the fork died: ``memory``, or a description. ``got`` is the last answer as ``[tree]``, or null,
and ``kind`` is

    wrong  the test failed on the candidate's answer     error  the candidate raised an exception
    gone   the candidate's process ended or sent an invalid reply
    early  the test failed before it asked the candidate anything
    test   the test failed by itself: it lacks a name or a module, or hands over what cannot cross
    memory the test exhausted its memory on the candidate's answer
"""

import _thread
import gc
import mmap
import os
import resource
import signal
import socket

from codegym.sandbox import wire
from codegym.sandbox.inside import aftermath, confine, frames
from codegym.sandbox.inside.candidate_line import CandidateLine
from codegym.sandbox.inside.examination import Examination
from codegym.sandbox.inside.notebook import Notebook
from codegym.sandbox.inside.protocol import EXAMINE, NOTEBOOK, NOTEBOOK_BYTES

MAX_PAYLOAD_BYTES = 1 << 30
KEPT_TESTS = 512
# Address space of the process that compiles tests.
EXAMINER_BYTES = 4 << 30
_PROBE_BYTES = 1 << 16
REHEARSALS = 40
REHEARSED_BYTES = 1 << 12
STACK_BYTES = 2 << 20
_NOT_READY_EXIT, _MEMORY_EXIT, _BROKEN_EXIT = 98, 97, 96


class ForkFailed(Exception):
    """A fork did not start, or was killed from outside; the driver tries the program once more."""


def serve(fd: int, hello: bytes, lock: confine.Lock) -> None:
    """Answer examination requests on a stream socket until the driver hangs up.

    A request is ``EXAMINE`` with the candidate's socket attached, then a frame with the test. The
    answer is a frame with the report. Without a socket the test is only compiled, so that its
    compilation takes none of the candidate's time. Before the first request the driver sends the
    notebook, a memory file, in the same way.

    Args:
        fd: The socket to the driver.
        hello: Announcement, sent first.
        lock: Confinement of the forks.
    """
    _limit_memory(EXAMINER_BYTES)
    frames.write_frame(fd, hello)
    line = socket.socket(fileno=fd)
    notebook_fd, *_ = _receive(line)
    assert notebook_fd is not None
    examiner = Examiner(Notebook(mmap.mmap(notebook_fd, NOTEBOOK_BYTES)), lock, fd)
    os.close(notebook_fd)
    while True:
        candidate_fd, number, *bounds = _receive(line)
        examination = examiner.compiled(frames.read_frame(fd, MAX_PAYLOAD_BYTES))
        if candidate_fd is None:
            frames.write_frame(fd, b"{}")
            continue
        examiner.begin(number)
        report = examiner.run(examination, candidate_fd, *bounds)
        frames.write_frame(fd, report)


def _receive(line: socket.socket) -> tuple[int | None, int, int, int, int]:
    """Return what comes with a request: a descriptor, if any, and the fields of ``EXAMINE``."""
    data, ancillary, _, _ = line.recvmsg(EXAMINE.size, socket.CMSG_SPACE(4))
    if not data:
        os._exit(0)
    while len(data) < EXAMINE.size:
        data += line.recv(EXAMINE.size - len(data))
    fd = memoryview(ancillary[0][2]).cast("i")[0] if ancillary else None
    return fd, *EXAMINE.unpack(data)


class Examiner:
    """Keeps compiled tests, and forks once for each run of a test.

    Args:
        notebook: Where the forks record results.
        lock: Confinement of the forks.
        driver_fd: The socket to the driver, which the forks close.
    """

    def __init__(self, notebook: Notebook, lock: confine.Lock, driver_fd: int) -> None:
        self._notebook = notebook
        self._lock = lock
        self._driver_fd = driver_fd
        # Stacks and arenas count as memory, and a test may start a hundred threads.
        confine.share_one_arena()
        _thread.stack_size(STACK_BYTES)
        self._kept: dict[bytes, Examination] = {}
        scratch = Notebook(mmap.mmap(-1, NOTEBOOK.size + REHEARSED_BYTES))
        rehearse(scratch)
        confine.rehearse()
        gc.collect()
        gc.freeze()
        rehearse(scratch)  # fills the free lists again, which the collection emptied
        self._own_bytes = self._taken_bytes = _address_space()

    def compiled(self, payload: bytes) -> Examination:
        """Return the examination of a test; the newest few hundred are kept."""
        examination = self._kept.get(payload)
        if examination is None:
            if len(self._kept) >= KEPT_TESTS:
                self._kept.pop(next(iter(self._kept)))
            examination = self._kept[payload] = Examination(wire.loads(payload))
            # Collection is off; frozen objects cost the forks no page faults.
            gc.collect()
            gc.freeze()
            self._taken_bytes = _address_space()
        return examination

    def begin(self, number: int) -> None:
        """Begin a request, before anything that may take time."""
        self._notebook.begin(number)

    def run(
        self,
        examination: Examination,
        candidate_fd: int,
        max_reply_bytes: int,
        memory_bytes: int,
        first: int,
    ) -> bytes:
        """Run a test in a fork, from its case ``first``; return the report once all is dead.

        Raises:
            ForkFailed: The fork did not start, or was killed from outside.
        """
        # The limit is the task's; kept tests and the notebook do not count.
        memory_bytes += self._taken_bytes - self._own_bytes + NOTEBOOK_BYTES
        # Set here, since a fork inherits it and would pay page faults to set it.
        _limit_memory(memory_bytes)
        parent = os.getpid()
        pid = os.fork()
        if pid == 0:
            status = _NOT_READY_EXIT
            try:
                if self._lock.follow(parent):
                    os.close(self._driver_fd)
                    self._lock.close()
                    status = _BROKEN_EXIT
                    gc.enable()
                    line = CandidateLine(candidate_fd, max_reply_bytes)
                    examination.run(line, self._notebook, first)
                    status = 0
            except MemoryError:
                status = _MEMORY_EXIT if status == _BROKEN_EXIT else status
            finally:
                os._exit(status)
        _limit_memory(EXAMINER_BYTES)
        os.close(candidate_fd)
        _, status = os.waitpid(pid, 0)
        aftermath.clean_up(self._lock.isolation)
        return self._notebook.report(_end(status) if status else "")


def _end(status: int) -> str:
    """Return how a fork died."""
    code = os.waitstatus_to_exitcode(status)
    # A program reaches the fork only through values; a kill comes from outside.
    if code in (_NOT_READY_EXIT, -signal.SIGKILL):
        raise ForkFailed(f"status {status}")
    if code == _MEMORY_EXIT:
        return "memory"
    return f"the test's process ended with status {code}" if code >= 0 else f"signal {-code}"


def _limit_memory(bound: int) -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (bound, hard))


def _address_space() -> int:
    """Return the bytes of address space that this process takes, by trying what is left of it."""
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    fits, too_much = 0, limit // _PROBE_BYTES
    while too_much - fits > 1:
        middle = (fits + too_much) // 2
        try:
            # Memory that cannot be written is not accounted.
            mmap.mmap(-1, middle * _PROBE_BYTES, mmap.MAP_PRIVATE, mmap.PROT_READ).close()
            fits = middle
        except (OSError, MemoryError):
            too_much = middle
    return limit - fits * _PROBE_BYTES


def rehearse(notebook: Notebook) -> None:
    """Run a test of codegym's own so often that the interpreter specialises its code.

    Otherwise each fork would specialise it, at the cost of a page fault for every page written.
    """
    test = {
        **{"setup": "", "check": "check", "entry_point": "f", "prompt": "", "n_cases": 1},
        "code": "def check(candidate):\n    assert candidate(1) == [2]\n",
        "names": {"f": "function"},
        "classes": [],
        "instances": False,
    }
    examination = Examination(test)
    offer, answer = {"r": {"f": {"@": [1, "c", "f", 0, ""]}}}, {"r": [2]}
    ours, theirs = socket.socketpair()
    with ours, theirs:
        for _ in range(REHEARSALS):
            for reply in (offer, answer):
                frames.write_frame(theirs.fileno(), wire.dumps(reply))
            notebook.begin(0)
            examination.run(CandidateLine(ours.fileno(), 1 << 16), notebook)
            for _ in range(2):
                frames.read_frame(theirs.fileno(), 1 << 16)
