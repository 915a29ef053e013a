"""Ending: kills a process with its descendants so that no zombie is left, whoever adopts them.

Where the driver is process 1, or a subreaper, a descendant whose parent is killed first becomes a
child of the driver, which nothing else would reap.
"""

import contextlib
import os
import select
import signal
import subprocess
import time

GRACE_S = 0.5
REAP_S = 10.0


def end(process: "subprocess.Popen[bytes]", below: list[int], wait_s: float) -> None:
    """Kill a child process from its descendants up, and reap all that fall to this process.

    Args:
        process: The child process; it ends by itself once its descendants are dead.
        below: Its descendants.
        wait_s: Longest wait for its death.

    Raises:
        subprocess.TimeoutExpired: It does not die.
    """
    # A parent whose only child has died ends by itself, and reaps it: no orphan is made.
    for pid in reversed(below):
        _kill(pid)
    if below:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(GRACE_S)
    if process.returncode is None:
        below = [*below, *descendants(process.pid)]
        process.kill()
        process.wait(wait_s)
    reap_until = time.monotonic() + REAP_S
    for pid in below:
        _reap(pid, reap_until)


def descendants(pid: int) -> list[int]:
    """Return the descendants of a process, each after its parent."""
    found, queue = [], [pid]
    while queue:
        parent = queue.pop(0)
        try:
            with open(f"/proc/{parent}/task/{parent}/children") as listing:
                below = [int(child) for child in listing.read().split()]
        except OSError:
            continue
        found += below
        queue += below
    return found


def _kill(pid: int) -> None:
    # The number could belong to a new process by now only if somebody has reaped the old one; a
    # descriptor does not pass on.
    with contextlib.suppress(OSError):
        fd = os.pidfd_open(pid)
        try:
            if not select.select([fd], [], [], 0)[0]:
                signal.pidfd_send_signal(fd, signal.SIGKILL)
        finally:
            os.close(fd)


def _reap(pid: int, until: float) -> None:
    """Reap an orphan that this process has adopted; do nothing about any other process."""
    while time.monotonic() < until:
        try:
            if os.waitpid(pid, os.WNOHANG)[0]:
                return
        except ChildProcessError:
            return
        time.sleep(0.001)
