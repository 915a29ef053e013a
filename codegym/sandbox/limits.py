"""Limits: the bounds of one run of one program. The sandbox enforces them."""

from dataclasses import dataclass
from math import inf
from typing import Literal, get_args

from codegym.errors import ConfigError

Stop = Literal["never", "first_failure"]
# Without ``case_s``, a case may take this share of the whole run.
CASE_SHARE = 0.25
# Elapsed time ends a program that has this many times its time, or so many seconds more.
PATIENCE, MOST_WAITS_S = 10.0, 120.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Bounds of one run of one program over all its test cases.

    Time is read from the program's clock (``codegym.sandbox.program_clock``). It counts the seconds
    in which the program computes or sleeps, and none in which it waits for a processor that other
    work has, so that a verdict does not depend on the machine's load. Elapsed time decides only on
    a machine that is far too slow: at ten times ``wall_s``, or two minutes more.

    After a case that reached its limit, or that ended the process, the remaining cases run in a
    fresh process. The limits of the whole run bound the sum.

    Attributes:
        case_s: Seconds of the program's clock for one case; the first case of a process includes
            loading the program. None allows a quarter of the whole run, and all of it to a task
            with one case.
        wall_s: Seconds of the program's clock for the whole run.
        cpu_s: Processor seconds of the program for the whole run.
        memory_bytes: Address space of the program's process.
        output_bytes: Bytes of standard output and replies together.
        stop: ``first_failure`` ends the run with the first case that does not pass; the later cases
            count as failed in the same way. For data sets that do so, and where nothing but pass or
            fail is asked.
    """

    case_s: float | None = None
    wall_s: float = 10.0
    cpu_s: float = 5.0
    memory_bytes: int = 512 << 20
    output_bytes: int = 1 << 20
    stop: Stop = "never"

    def __post_init__(self) -> None:
        for name in ("wall_s", "cpu_s", "memory_bytes", "output_bytes", "case_s"):
            value = getattr(self, name)
            if name == "case_s" and value is None:
                continue
            if isinstance(value, bool) or not isinstance(value, int | float) or not value > 0:
                raise ConfigError(f"limit {name!r} is unusable", value=value, expected="> 0")
        if self.stop not in get_args(Stop):
            expected = " or ".join(get_args(Stop))
            raise ConfigError("limit 'stop' is unusable", value=self.stop, expected=expected)

    def of_case(self, n_cases: int) -> float:
        """Return the seconds of one of so many cases; infinity where only the whole run has any."""
        if self.case_s is not None:
            return self.case_s
        return inf if n_cases <= 1 else CASE_SHARE * min(self.wall_s, self.cpu_s)

    @property
    def elapsed_s(self) -> float:
        """Elapsed seconds after which the run ends on any machine."""
        return min(PATIENCE * self.wall_s, self.wall_s + MOST_WAITS_S)
