"""Examiner: runs trusted test code against a candidate in another sandbox.

One process serves many programs and keeps compiled tests. The test code is rewritten so that every
case reports by itself: a failed assertion does not hide the cases after it. A report is a JSON
object: ``{"cases": [[index, kind, type, message, line, got], ...], "load": ..., "syntax": ...}``.
Cases that are not listed have passed, ``got`` is the last answer as ``[tree]``, or null, and
``kind`` is one of

    wrong  the test failed on the candidate's answer     error  the candidate raised an exception
    gone   the candidate's process ended or sent an invalid reply
    test   a value of the test cannot cross the sandbox boundary
"""

import ast
import json
import mmap
import os
import random
import socket
import sys
from types import ModuleType
from typing import Any

from codegym.sandbox import wire
from codegym.sandbox.inside import frames
from codegym.sandbox.inside.assertion_code import (
    BUILTIN_NAMES,
    compile_per_case,
    defined_names,
    library_names,
    loaded_names,
    prompt_helpers,
)
from codegym.sandbox.inside.candidate_line import CandidateGone, CandidateLine
from codegym.sandbox.inside.protocol import EXAMINE, NOTEBOOK, NOTEBOOK_BYTES

MAX_PAYLOAD_BYTES = 1 << 30
KEPT_TESTS = 512
MESSAGE_CHARS = 300


def serve(fd: int, hello: bytes) -> None:
    """Answer examination requests on a stream socket until the driver hangs up.

    A request is the maximal length of a reply in eight bytes, with the candidate's socket
    attached, then a frame with the test. The answer is a frame with the report. Without a socket
    the test is only compiled, so that its compilation takes none of the candidate's time. Before
    the first request the driver sends the notebook, a memory file, in the same way.

    Args:
        fd: The socket to the driver.
        hello: Announcement, sent first.
    """
    frames.write_frame(fd, hello)
    line = socket.socket(fileno=fd)
    notebook_fd, _, _ = _receive(line)
    assert notebook_fd is not None
    notebook = Notebook(mmap.mmap(notebook_fd, NOTEBOOK_BYTES))
    os.close(notebook_fd)
    kept: dict[bytes, Examination] = {}
    while True:
        candidate_fd, number, max_frame_bytes = _receive(line)
        payload = frames.read_frame(fd, MAX_PAYLOAD_BYTES)
        examination = kept.get(payload)
        if examination is None:
            if len(kept) >= KEPT_TESTS:
                kept.pop(next(iter(kept)))
            examination = kept[payload] = Examination(wire.loads(payload))
        if candidate_fd is None:
            frames.write_frame(fd, b"{}")
            continue
        notebook.begin(number)
        try:
            report = examination.run(CandidateLine(candidate_fd, max_frame_bytes), notebook)
        finally:
            os.close(candidate_fd)
        frames.write_frame(fd, json.dumps(report).encode())


def _receive(line: socket.socket) -> tuple[int | None, int, int]:
    """Return what comes with a request: a descriptor, if any, its number and its frames' bound."""
    data, ancillary, _, _ = line.recvmsg(EXAMINE.size, socket.CMSG_SPACE(4))
    if not data:
        os._exit(0)
    while len(data) < EXAMINE.size:
        data += line.recv(EXAMINE.size - len(data))
    fd = memoryview(ancillary[0][2]).cast("i")[0] if ancillary else None
    number, max_frame_bytes = EXAMINE.unpack(data)
    return fd, number, max_frame_bytes


class Notebook:
    """The results of the current test's cases, in memory that the driver shares.

    Args:
        memory: The shared memory.
    """

    def __init__(self, memory: mmap.mmap) -> None:
        self._memory = memory

    def begin(self, number: int) -> None:
        """Begin the test of a request, by its number."""
        self._number = number
        self._end = NOTEBOOK.size
        self._full = False
        self.turn_to(0)

    def turn_to(self, index: int) -> None:
        """Record that all earlier cases are over; they passed unless they were added."""
        if not self._full:
            NOTEBOOK.pack_into(self._memory, 0, self._number, index, self._end - NOTEBOOK.size)

    def add(self, row: list[Any], index: int) -> None:
        """Record a case that did not pass, and turn to the next."""
        text = json.dumps(row).encode() + b","
        end = self._end + len(text)
        self._full = self._full or end > len(self._memory)
        if not self._full:
            self._memory[self._end : end] = text
            self._end = end
            self.turn_to(index + 1)


class Examination:
    """One compiled test.

    Args:
        test: ``setup`` and ``code`` (source texts), ``check`` (name of the function that takes
            the candidate, or ""), ``entry_point``, ``names`` (names that the candidate may define
            for the test, with their kinds), ``prompt`` (trusted code, or "") and ``n_cases``.
    """

    def __init__(self, test: dict[str, Any]) -> None:
        self._check: str = test["check"]
        self._entry: str = test["entry_point"]
        self._n_cases: int = test["n_cases"]
        setup, code = ast.parse(test["setup"]), ast.parse(test["code"])
        used = loaded_names(setup) | loaded_names(code)
        made = defined_names(setup) | defined_names(code) | BUILTIN_NAMES
        wanted = used - made
        helpers = prompt_helpers(test["prompt"], self._entry, wanted)
        self._helpers = compile(helpers, "<prompt>", "exec") if helpers.body else None
        helped = {node.name for node in helpers.body if isinstance(node, ast.FunctionDef)}
        self._trusted = library_names(wanted - helped - {self._entry})
        wanted -= helped | self._trusted.keys()
        names: dict[str, str] = test["names"]
        self._wanted = {
            name: names[name] for name in sorted(wanted | {self._entry}) if name in names
        }
        self._setup = compile(setup, "<setup>", "exec")
        self._code = compile_per_case(code, self._check)

    def run(self, line: CandidateLine, notebook: Notebook) -> dict[str, Any]:
        """Run the test against the candidate at the other end of ``line``."""
        random.seed(0)
        cases = Cases(line, self._n_cases, notebook)
        module = ModuleType("examination")
        sys.modules[module.__name__] = module
        space = module.__dict__
        try:
            reply = line.greet(list(self._wanted))
            if "r" not in reply:
                return {name: reply[name] for name in ("load", "syntax") if name in reply}
            space.update(self._trusted)
            space.update(line.offered(reply["r"], self._wanted))
            if self._entry not in space:
                return {"load": ["NameError", "", f"name {self._entry!r} is not defined", None]}
            candidate = space[self._entry]
            if self._helpers is not None:
                exec(self._helpers, space)
            exec(self._setup, space)
            space["__enter_case__"], space["__failed_case__"] = cases.enter, cases.failed
            exec(self._code, space)
            if self._check:
                space[self._check](candidate)
            cases.stop(None)
        except BaseException as error:
            cases.stop(error)
        finally:
            del sys.modules[module.__name__]
        return {"cases": cases.rows()}


class Cases:
    """The results of the cases of one run.

    Args:
        line: The candidate.
        count: How many cases the test has.
        notebook: Memory in which each result is recorded at once.
    """

    def __init__(self, line: CandidateLine, count: int, notebook: Notebook) -> None:
        self._line = line
        self._notebook = notebook
        self._count = count
        self._current = -1
        self._faults: dict[int, list[Any]] = {}

    def enter(self, index: int) -> None:
        """Begin a case."""
        self._settle()
        self._current = index
        self._line.last = None
        if self._line.gone:
            raise CandidateGone(self._line.gone)
        self._notebook.turn_to(index)

    def failed(self, index: int, error: BaseException) -> None:
        """Record how a case failed."""
        self._faults[index] = self._row(index, error)
        if not self._line.gone:
            self._notebook.add(self._faults[index], index)

    def stop(self, error: BaseException | None) -> None:
        """End the run; an error outside the cases fails all cases that did not begin."""
        self._settle()
        if error is not None:
            for index in range(self._current + 1, self._count):
                self._faults[index] = self._row(index, error)
            if self._current + 1 >= self._count and not self._faults:
                self._faults[self._count - 1] = self._row(self._count - 1, error)

    def rows(self) -> list[list[Any]]:
        """Return the cases that did not pass."""
        return [self._faults[index] for index in sorted(self._faults)]

    def _settle(self) -> None:
        # A test that swallows every exception must not pass a candidate whose process is gone.
        if self._line.gone and self._current >= 0:
            for index in range(self._current, self._count):
                if index not in self._faults:
                    self._faults[index] = self._row(index, CandidateGone(self._line.gone))

    def _row(self, index: int, error: BaseException) -> list[Any]:
        fault = self._line.fault
        got = self._line.last and [_trimmed(self._line.last[0], [MESSAGE_CHARS])]
        if isinstance(error, CandidateGone):
            return [index, "gone", "ProcessDied", str(error)[:MESSAGE_CHARS], None, None]
        if fault is not None and error is fault[0]:
            kind, _, message, line = fault[1]
            return [index, "error", str(kind)[:100], str(message)[:MESSAGE_CHARS], line, None]
        if isinstance(error, wire.UnencodableError):
            text = f"the test hands over what cannot cross: {error}"
            return [index, "test", "UnencodableError", text[:MESSAGE_CHARS], None, None]
        try:
            message = str(error)[:MESSAGE_CHARS]
        except BaseException:
            message = ""
        return [index, "wrong", type(error).__name__, message, None, got]


def _trimmed(tree: Any, room: list[int]) -> Any:
    """Return the beginning of an answer, short enough to send and show."""
    room[0] -= 1
    if room[0] < 0:
        return None
    if type(tree) is str:
        return tree[:MESSAGE_CHARS]
    if type(tree) is list:
        return [_trimmed(item, room) for item in tree[: max(room[0], 0)]]
    if type(tree) is dict:
        return {tag: _trimmed(body, room) for tag, body in tree.items()}
    return tree
