"""Clockless: makes a fork whose result shall be no luck end when it reads a clock or an address.

The system-call filter cannot do that: the C library reads clocks without a system call, the
interpreter reads them whenever it takes a lock, and it reads the times of files to import modules.
"""

import builtins
import os
import posix
import sys
import time
from collections.abc import Callable
from types import ModuleType
from typing import Any

READ_CLOCK_EXIT = 95
_CLOCKS = (
    "time monotonic perf_counter process_time thread_time clock_gettime clock_getres get_clock_info"
).split()
# Functions that read the clock unless they are given a time, and the number of that argument.
_FORMATS = {"localtime": 0, "gmtime": 0, "ctime": 0, "asctime": 0, "strftime": 1}


_FILE_TIMES = ("stat", "lstat", "fstat", "scandir")
# Modules that tell objects apart by their addresses, and let no program see these.
_MAY_USE_ID = (
    "copy reprlib codegym.sandbox.inside.candidate codegym.sandbox.inside.candidate_objects"
).split()


def forbid_luck() -> None:
    """Forbid clocks, the times of files and ``id``."""
    forbid_clocks()
    imports = sys.modules["_frozen_importlib_external"]
    own = ModuleType("posix")
    vars(own).update(vars(posix))
    vars(imports)["_os"] = own
    for name in _FILE_TIMES:
        setattr(os, name, _end)
        setattr(posix, name, _end)
    for name in _MAY_USE_ID:
        if name in sys.modules:
            vars(sys.modules[name])["id"] = builtins.id
    vars(builtins)["id"] = _end


def forbid_clocks() -> None:
    """Replace the clocks of ``time``; ``datetime`` reads them from there."""
    for name in (*_CLOCKS, *(f"{name}_ns" for name in _CLOCKS)):
        if hasattr(time, name):
            setattr(time, name, _end)
    for name, place in _FORMATS.items():
        setattr(time, name, _with_time_only(getattr(time, name), place))
    if "datetime" not in sys.modules:
        sys.modules["_datetime"] = None  # type: ignore[assignment]


def _end(*arguments: Any, **named: Any) -> None:
    os._exit(READ_CLOCK_EXIT)


def _with_time_only(function: Callable[..., Any], place: int) -> Callable[..., Any]:
    def called(*arguments: Any) -> Any:
        if len(arguments) <= place or arguments[place] is None:
            _end()
        return function(*arguments)

    return called
