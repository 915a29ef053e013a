"""Aftermath: kills and reaps every process that a dead fork has left behind."""

import contextlib
import os
import signal


def clean_up(isolation: str) -> None:
    """End all processes that a child of this process started; the child itself is dead."""
    _CLEANERS[isolation]()


def _kill_the_rest() -> None:
    # Outside a process namespace, -1 would mean every process of the user.
    if os.getpid() != 1:
        return
    try:
        os.kill(-1, signal.SIGKILL)
    except ProcessLookupError:
        return
    with contextlib.suppress(ChildProcessError):
        while True:
            os.waitpid(-1, 0)


def _kill_children() -> None:
    """Kill all descendants, in the mode in which a child may fork."""
    try:
        while True:
            with open(f"/proc/self/task/{os.getpid()}/children") as listing:
                for pid in listing.read().split():
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(int(pid), signal.SIGKILL)
            os.waitpid(-1, 0)
    except ChildProcessError:
        return


def _nothing_left() -> None:
    """Do nothing: a child that may not fork leaves no process."""


_CLEANERS = {"namespace": _kill_the_rest, "landlock": _nothing_left, "unsafe": _kill_children}
