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
    SLOW       A program runs and its socket is read.             REPORTING, IDLE
    REPORTING  The program has ended; its report is still to      RUNNING, ALONE, IDLE
               come. A request that waits goes on waiting for a
               moment.
    CLOSED     Everything was killed.
    ========== ================================================== ============================

    A program of several parts (mode ``stdio``) passes from each part to ALONE or RUNNING. A
    request that waited becomes the program that runs as soon as its predecessor is finished.
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
        listen_at: When a request that waits is given back, and the program's socket is read.
        leave_at: When a candidate whose test is over is stopped.
        wedged_at: When the zygote should long have reported the program's end.
        report_by: When the examiner must have reported.
    """

    listen_at: float = NEVER
    leave_at: float = NEVER
    wedged_at: float = NEVER
    report_by: float = NEVER

    def first(self) -> float:
        """Return the earliest deadline."""
        return min(self.listen_at, self.leave_at, self.wedged_at, self.report_by)
