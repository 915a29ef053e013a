"""Worker state: the states of a worker, and its deadlines."""

from dataclasses import dataclass
from enum import Enum

NEVER = float("inf")


class State(Enum):
    """The states of a worker.

    ========== ================================================== ============================
    State      Meaning                                            Leads to (or to a retry)
    ========== ================================================== ============================
    IDLE       No job.                                            COMPILING, ALONE, RUNNING
    COMPILING  The examiner compiles a long test.                 ALONE, RUNNING
    ALONE      A program runs; no request may wait behind it.     SLOW, REPORTING, IDLE
    RUNNING    A program runs; a request may wait behind it.      HOLDING, ALONE, SLOW,
                                                                  REPORTING, IDLE
    HOLDING    A program runs and a request waits behind it.      RUNNING, SLOW, REPORTING
    SLOW       A program runs; its socket and clock are read.     REPORTING, IDLE
    REPORTING  The program has ended; its report is still to      RUNNING, ALONE, IDLE
               come. A request that waits goes on waiting for a
               moment.
    CLOSED     Everything was killed.
    ========== ================================================== ============================

    A job of several processes (one for each case in the mode ``stdio``, one more after a hang or a
    crash in the others) passes from the end of each process to ALONE, RUNNING or COMPILING; a
    request that waits then is given back. Otherwise a request that waited becomes the program that
    runs as soon as its predecessor is finished. In REPORTING the clock of the test is read as in
    SLOW, once no request waits.
    """

    IDLE = "idle"
    COMPILING = "compiling"
    ALONE = "alone"
    RUNNING = "running"
    HOLDING = "holding"
    SLOW = "slow"
    REPORTING = "reporting"
    CLOSED = "closed"


@dataclass(slots=True)
class Deadlines:
    """When a worker must act, in seconds of the monotonic clock; infinity for never.

    Attributes:
        listen_at: When a request that waits is given back, the program's socket is read, and its
            clock for the first time.
        check_at: When the program's clock is read again.
        leave_at: When a candidate whose test is over is stopped.
        wedged_at: When the zygote should long have reported the program's end.
        report_by: When the examiner must have reported.
    """

    listen_at: float = NEVER
    check_at: float = NEVER
    leave_at: float = NEVER
    wedged_at: float = NEVER
    report_by: float = NEVER

    def first(self) -> float:
        """Return the earliest deadline."""
        return min(self.listen_at, self.check_at, self.leave_at, self.wedged_at, self.report_by)
