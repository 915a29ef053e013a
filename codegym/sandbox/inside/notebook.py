"""Notebook: the results of the current test's cases, in memory that examiner and driver share.

The fork that runs a test writes each result here and nowhere else. Its parent makes the report once
the fork is dead; the driver can make one at any time, even if it must kill the examiner.
"""

import json
import mmap
import re
from typing import Any

from codegym.sandbox.inside.protocol import NOTEBOOK

# In the place of the number of the current case: the notebook holds a complete report.
COMPLETE = (1 << 64) - 1
# End of a test that the driver stopped.
LIMIT = "limit"
_UNTIL = re.compile(rb'\{"until":(\d+),("end":)?')


def report(until: int, rows: bytes, end: str = "") -> bytes:
    """Return the report that a notebook's content makes; see ``codegym.sandbox.inside.examiner``.

    Args:
        until: Number of the first case whose result is unknown, or COMPLETE.
        rows: The rows of the cases that did not pass, each with a comma, or a complete report.
        end: How the test ended, if not by itself: ``memory``, LIMIT or a description.
    """
    if until == COMPLETE:
        return rows
    ended = b'"end":' + json.dumps(end).encode() + b"," if end else b""
    return b'{"until":%d,%b"cases":[%b]}' % (until, ended, rows.rstrip(b","))


def next_case(whole: bytes) -> int | None:
    """Return the number of the first case that a report says nothing about; None if none is left.

    A test that was killed or died leaves a case open, which counts as reported: no other process
    shall run it again.
    """
    found = _UNTIL.match(whole)
    return int(found[1]) + bool(found[2]) if found else None


class Notebook:
    """The results of the current test's cases.

    Args:
        memory: The shared memory.
    """

    def __init__(self, memory: mmap.mmap) -> None:
        self._memory = memory
        self.begin(0)

    def begin(self, number: int) -> None:
        """Begin the test of a request.

        Args:
            number: Number of the request. By it the driver knows whose results these are, even if
                the examiner was too slow to begin.
        """
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

    def complete(self, whole: dict[str, Any]) -> None:
        """Record a complete report instead of the results of cases."""
        text = json.dumps(whole).encode()
        self._memory[NOTEBOOK.size : NOTEBOOK.size + len(text)] = text
        NOTEBOOK.pack_into(self._memory, 0, self._number, COMPLETE, len(text))

    def report(self, end: str = "") -> bytes:
        """Return the report; see the function ``report``."""
        _, until, used = NOTEBOOK.unpack_from(self._memory, 0)
        return report(until, self._memory[NOTEBOOK.size : NOTEBOOK.size + used], end)
