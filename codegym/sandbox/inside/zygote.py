"""Zygote: a long-lived process that forks one child per program and cleans up after it.

It never reads a program's text; the child reads it from a separate socket. In a process namespace
the zygote is process 1: once the child is dead it kills and reaps all remaining processes.
"""

import _sitebuiltins
import builtins
import faulthandler
import gc
import importlib
import json
import os
import resource
import select
import signal
import socket
import sys
import time
from typing import Any

from codegym.sandbox.inside import aftermath, candidate, confine
from codegym.sandbox.inside.protocol import (
    FILENAME,
    HEADER,
    NOT_STOPPED,
    STATUS,
    STOP,
    STOPPED_CPU,
    STOPPED_WALL,
)

CTL_FD = 3
_CONTROL_SPACE = socket.CMSG_SPACE(4 * 4)
# Longest wait for the line that a program runs at its time-out, of processor and in all. The trace
# is complete once nothing was added for a pause.
LAST_WORDS_CPU_S, LAST_WORDS_S = 0.02, 0.2
_PAUSE_S = 0.002
NOT_READY_EXIT = 98
MAX_FDS = 64
STACK_BYTES = 8 << 20
PRELOADED = (
    "math collections itertools re typing heapq string random functools bisect copy operator"
).split()
_ALARM = confine.SignalSet(signal.SIGALRM)


def main(text: str) -> None:
    """Set up by the launcher's settings, then serve until the driver is gone.

    Args:
        text: JSON: ``ctl_fd``, ``role`` (candidate or examiner), ``isolation``, ``base_filter`` and
            ``child_filter`` (hex, "" for none), ``seed`` and ``clockless`` (see ``confine.Lock``),
            ``readable`` and ``listable`` paths (Landlock), ``packages``, ``package_folders`` from
            which they are imported, and ``package_folders_stay`` (whether these stay importable).
    """
    settings = json.loads(text)
    os.dup2(settings["ctl_fd"], CTL_FD)
    os.closerange(CTL_FD + 1, 1024)
    # A handler could wake process 1; and signals that the driver ignores or blocks, such as
    # SIGCHLD, would be inherited.
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    gc.disable()
    _preload()
    sys.path[:0] = settings["package_folders"]
    for name in settings["packages"]:
        importlib.import_module(name)
    if not settings["package_folders_stay"]:
        del sys.path[: len(settings["package_folders"])]
    _look_like_a_script()
    facts = _confine(settings)
    child_filter = settings["child_filter"]
    locked = confine.Filter(bytes.fromhex(child_filter)) if child_filter else None
    _set_limits()
    facts |= {"version": sys.version, "pid": os.getpid()}
    quiet = os.open("/dev/null", os.O_RDWR)
    os.dup2(quiet, 2)  # until here the driver reads complaints
    os.close(quiet)
    lock = confine.Lock(locked, facts["isolation"], clockless=settings["clockless"])
    importlib.import_module("random").seed(settings["seed"])
    del settings, text
    hello = json.dumps(facts).encode()
    if facts["role"] == "examiner":
        # A candidate that hangs up must not end the examiner.
        signal.signal(signal.SIGPIPE, signal.SIG_IGN)
        # Imported only here: modules that a candidate's zygote has loaded slow down its forks.
        from codegym.sandbox.inside import examiner

        examiner.serve(CTL_FD, hello, lock)
        return
    # Only children unblock it, so no child can wake the zygote with it.
    signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGALRM,))
    faulthandler.register(signal.SIGALRM, file=1, all_threads=False, chain=False)
    candidate.prepare()
    candidate.rehearse()
    confine.rehearse()
    gc.collect()
    gc.freeze()
    candidate.rehearse()  # fills the free lists again, which the collection emptied
    Zygote(lock).serve(hello)


def _preload() -> None:
    # The module random would reseed itself in every fork, and every fork shall begin alike.
    register, os.register_at_fork = os.register_at_fork, lambda **hooks: None
    for name in PRELOADED:
        importlib.import_module(name)
    os.register_at_fork = register


def _look_like_a_script() -> None:
    """Set the arguments and names that a script sees, without traces of codegym."""
    sys.argv[:] = [FILENAME]
    sys.orig_argv[:] = [sys.executable, FILENAME]
    # Names that the site module adds, which does not run inside.
    builtins.__dict__["exit"] = _sitebuiltins.Quitter("exit", "Ctrl-D (i.e. EOF)")
    builtins.__dict__["quit"] = _sitebuiltins.Quitter("quit", "Ctrl-D (i.e. EOF)")
    builtins.__dict__["help"] = _sitebuiltins._Helper()


def _confine(settings: dict[str, Any]) -> dict[str, Any]:
    facts: dict[str, Any] = {"role": settings["role"], "isolation": settings["isolation"]}
    if settings["isolation"] == "namespace":
        return facts
    confine.die_with_parent()
    if settings["isolation"] == "landlock":
        facts["landlock_abi"] = confine.landlock(settings["readable"], settings["listable"])
        confine.forbid_tracing()
        confine.Filter(bytes.fromhex(settings["base_filter"])).install()
    else:
        confine.adopt_orphans()
    return facts


def _set_limits() -> None:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_NOFILE, (MAX_FDS, MAX_FDS))
    _, hard = resource.getrlimit(resource.RLIMIT_STACK)
    resource.setrlimit(resource.RLIMIT_STACK, (STACK_BYTES, hard))


class Zygote:
    """Serves run requests one at a time.

    Args:
        lock: Confinement of each child, in place before it reads its program.
    """

    def __init__(self, lock: confine.Lock) -> None:
        self._lock = lock
        self._ctl = socket.socket(fileno=CTL_FD)
        self._poll = select.poll()
        self._poll.register(CTL_FD, select.POLLIN)
        self._ahead: tuple[tuple[Any, ...], list[int]] | None = None
        self._child = 0

    def serve(self, hello: bytes) -> None:
        """Announce the zygote and serve the driver's requests until the driver hangs up."""
        self._ctl.send(hello)
        while True:
            if self._ahead is None:
                self._receive()
                continue
            header, fds = self._ahead
            self._ahead = None
            self._run(header, fds)

    def _receive(self) -> tuple[int, int]:
        """Read one message: keep a request; return the run to stop, else 0, and the reason."""
        message, ancillary, _, _ = self._ctl.recvmsg(HEADER.size, _CONTROL_SPACE)
        if not message:
            self._leave()
        if len(message) == HEADER.size:
            self._ahead = HEADER.unpack(message), list(memoryview(ancillary[0][2]).cast("i"))
            return 0, NOT_STOPPED
        run_id, reason = STOP.unpack(message)
        if self._ahead is not None and self._ahead[0][0] == run_id:
            for fd in self._ahead[1]:
                os.close(fd)
            self._ahead = None
        return run_id, reason

    def _leave(self) -> None:
        """End, since the driver is gone; leave no child for another process to reap."""
        if self._child:
            os.kill(self._child, signal.SIGKILL)
            os.waitpid(self._child, 0)
        os._exit(0)

    def _run(self, header: tuple[Any, ...], fds: list[int]) -> None:
        run_id, mode, wall_s, cpu_s, memory_bytes, output_bytes = header
        started = time.monotonic()
        zygote = os.getpid()
        pid = os.fork()
        if pid == 0:
            try:
                if not self._lock.follow(zygote):
                    os._exit(NOT_READY_EXIT)
                self._ctl.detach()
                os.close(CTL_FD)
                self._lock_in(cpu_s, memory_bytes, output_bytes)
                candidate.serve(mode, fds)
            finally:
                os._exit(NOT_READY_EXIT)
        self._child = pid
        line, output, *rest = fds
        for fd in (line, *rest):
            os.close(fd)
        stopped = self._watch(pid, run_id, started + wall_s, cpu_s)
        if stopped in (STOPPED_WALL, STOPPED_CPU):
            _last_words(pid, output)
        os.close(output)
        if stopped:
            os.kill(pid, signal.SIGKILL)
        _, status, usage = os.wait4(pid, 0)
        self._child = 0
        wall = time.monotonic() - started
        aftermath.clean_up(self._lock.isolation)
        cpu = usage.ru_utime + usage.ru_stime
        if not stopped and os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGXCPU:
            stopped = STOPPED_CPU
        self._ctl.send(STATUS.pack(run_id, status, wall, cpu, usage.ru_maxrss, stopped))

    def _lock_in(self, cpu_s: float, memory_bytes: int, output_bytes: int) -> None:
        _ALARM.unblock()
        whole = int(cpu_s) + 2  # a safety net: the zygote watches the exact limit
        confine.set_limit(resource.RLIMIT_CPU, whole, whole + 1)
        confine.set_limit(resource.RLIMIT_AS, memory_bytes, memory_bytes)
        confine.set_limit(resource.RLIMIT_FSIZE, output_bytes, output_bytes)
        self._lock.close()

    def _watch(self, pid: int, run_id: int, end: float, cpu_s: float) -> int:
        """Wait for the child or a limit; return the reason for which the child must be stopped."""
        pidfd = os.pidfd_open(pid)
        self._poll.register(pidfd, select.POLLIN)
        used = 0.0
        try:
            while True:
                left = end - time.monotonic()
                if left <= 0:
                    return STOPPED_WALL
                if used >= cpu_s:
                    return STOPPED_CPU
                wait = min(left, max(cpu_s - used, 0.002))
                events = self._poll.poll(wait * 1000 + 1)
                if any(fd == pidfd for fd, _ in events):
                    return NOT_STOPPED
                if events:
                    stopped, reason = self._receive()
                    if stopped == run_id:
                        return reason
                used = _processor_s(pid)
        finally:
            self._poll.unregister(pidfd)
            os.close(pidfd)


def _last_words(pid: int, output: int) -> None:
    """Have the child write the line that it runs to its output, and wait for it."""
    begun = size = os.fstat(output).st_size
    computed = _processor_s(pid)
    end = time.monotonic() + LAST_WORDS_S
    os.kill(pid, signal.SIGALRM)  # faulthandler writes it
    while time.monotonic() < end and _processor_s(pid) < computed + LAST_WORDS_CPU_S:
        time.sleep(_PAUSE_S)
        before, size = size, os.fstat(output).st_size
        if size == before and size > begun:
            return


def _processor_s(pid: int) -> float:
    """Return the processor seconds of a child, 0 once it is dead; see clock_getcpuclockid(3)."""
    try:
        return time.clock_gettime((~pid << 3) | 2)
    except OSError:
        return 0.0
