"""Program clock: seconds in which a program computed or slept, however busy the machine is.

The kernel counts for each thread how long it waited for a processor (``/proc/PID/schedstat``). The
clock is elapsed time without these waits. It is read only for programs that are already slow.
"""

import os
import time
from collections.abc import Sequence
from functools import lru_cache
from math import inf

from codegym.sandbox.job import Limit

_NS = 1e-9
_TICK_S = 1 / os.sysconf("SC_CLK_TCK")
# A clock is read again after a quarter of its time, and so often in a limit.
_GROWTH = 4
_READINGS = 16
_LEAST_WAIT_S = 0.002
_LEAST_STEP_S = 0.01


@lru_cache(maxsize=1)
def waits_are_known() -> bool:
    """Say whether this kernel tells how long a process has waited for a processor."""
    try:
        with open("/proc/self/schedstat") as file:
            ran, *_ = file.read().split()
        return int(ran) > 0 and os.path.exists(f"/proc/self/task/{os.getpid()}/children")
    except (OSError, ValueError):
        return False


def first_child(pid: int) -> int | None:
    """Return the oldest child of a process with one thread, None if it has none."""
    try:
        with open(f"/proc/{pid}/task/{pid}/children") as file:
            children = file.read().split(maxsplit=1)
    except OSError:
        return None
    return int(children[0]) if children else None


def waited_s(pid: int) -> float:
    """Return the seconds that the threads of a process have waited for a processor.

    Raises:
        OSError: The process is dead.
    """
    waited = 0
    for thread in os.listdir(f"/proc/{pid}/task"):
        try:
            with open(f"/proc/{pid}/task/{thread}/schedstat") as file:
                waited += int(file.read().split()[1])
        except OSError:
            continue  # this thread has ended
    return waited * _NS


def _age_s(pid: int) -> float:
    """Return the elapsed seconds since a process was forked.

    Raises:
        OSError: The process is dead.
    """
    with open(f"/proc/{pid}/stat") as file:
        ticks = int(file.read().rpartition(")")[2].split()[19])
    return time.clock_gettime(time.CLOCK_BOOTTIME) - ticks * _TICK_S


def _processor_s(pid: int) -> float:
    """Return the processor seconds of a process; see clock_getcpuclockid(3).

    Raises:
        OSError: The process is dead.
    """
    return time.clock_gettime((~pid << 3) | 2)


class ProgramClock:
    """The common clock of the processes that run one program: its own, and that of its test.

    It begins when both have been forked, so that no program pays for the start of a sandbox. It
    shows elapsed time without the waits for a processor, and at least the processor time, since
    threads may compute side by side. Where the waits are unknown, it shows the processor time.

    Args:
        requested: When the program was asked for, in seconds of the monotonic clock.

    Attributes:
        shows: The last reading, in seconds.
    """

    def __init__(self, requested: float) -> None:
        self._began = requested
        self._waited: dict[int, float] = {}
        self._computed: dict[int, float] = {}
        self.shows = 0.0

    def read(self, now: float, pids: Sequence[int]) -> float:
        """Read the clock.

        Args:
            now: The monotonic clock.
            pids: The processes that are alive, as the host numbers them. The clock stands still
                while there is none.
        """
        for pid in pids:
            try:
                if pid not in self._computed:
                    self._began = max(self._began, now - _age_s(pid))
                self._computed[pid] = _processor_s(pid)
                self._waited[pid] = waited_s(pid) if waits_are_known() else inf
            except OSError:
                continue  # it has just ended, and keeps its last reading
        if pids and self._computed:
            slept_too = now - self._began - sum(self._waited.values())
            self.shows = max(self.shows, slept_too, sum(self._computed.values()))
        return self.shows


class CaseClock:
    """Compares a program's clock with the limits of the case under way and of the whole run.

    Args:
        requested: When the program was asked for, in seconds of the monotonic clock.
        case_s: Seconds of a case, infinity if it has no limit.
        left_s: Seconds that are left of the whole run.
        case: Number of the first case.
    """

    def __init__(self, requested: float, case_s: float, left_s: float, case: int) -> None:
        self._clock = ProgramClock(requested)
        self._case_s = case_s
        self._left_s = left_s
        self._case = case
        self._case_began = 0.0
        self._step_s = max(min(case_s, left_s) / _READINGS, _LEAST_STEP_S)

    @property
    def shows(self) -> float:
        """The last reading, in seconds."""
        return self._clock.shows

    def look(self, now: float, case: int, pids: Sequence[int]) -> tuple[Limit, float]:
        """Return the limit that has been reached, "" if none, and when to look again.

        Args:
            now: The monotonic clock.
            case: Number of the case under way. It is taken to have begun just now if it is another
                case than at the last look: a program never pays for the driver's delay.
            pids: The processes that are alive.

        Returns:
            The limit (``case`` or ``wall``), and the seconds until the next look.
        """
        shows = self._clock.read(now, pids)
        if case > self._case:
            self._case, self._case_began = case, shows
        left_s = min(self._case_s - (shows - self._case_began), self._left_s - shows)
        if left_s <= 0:
            return ("wall" if shows >= self._left_s else "case"), 0.0
        step_s = min(self._step_s, max(shows / _GROWTH, _LEAST_STEP_S))
        return "", max(min(left_s, step_s), _LEAST_WAIT_S)
