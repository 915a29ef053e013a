"""Clockless: makes reading a clock end this process, a fork whose result shall be no luck.

The system-call filter cannot do that, since the C library reads clocks without a system call, and
the interpreter reads them whenever it takes a lock.
"""

import os
import sys
import time
from collections.abc import Callable
from typing import Any

READ_CLOCK_EXIT = 95
_CLOCKS = (
    "time monotonic perf_counter process_time thread_time clock_gettime clock_getres get_clock_info"
).split()
# Functions that read the clock unless they are given a time, and the number of that argument.
_FORMATS = {"localtime": 0, "gmtime": 0, "ctime": 0, "asctime": 0, "strftime": 1}


def forbid_clocks() -> None:
    """Replace the clocks of ``time``; ``datetime`` reads them from there."""
    for name in (*_CLOCKS, *(f"{name}_ns" for name in _CLOCKS)):
        if hasattr(time, name):
            setattr(time, name, _end)
    for name, place in _FORMATS.items():
        setattr(time, name, _with_time_only(getattr(time, name), place))
    if "datetime" not in sys.modules:
        sys.modules["_datetime"] = None  # type: ignore[assignment]


def _end(*arguments: Any) -> None:
    os._exit(READ_CLOCK_EXIT)


def _with_time_only(function: Callable[..., Any], place: int) -> Callable[..., Any]:
    def called(*arguments: Any) -> Any:
        if len(arguments) <= place or arguments[place] is None:
            _end()
        return function(*arguments)

    return called
