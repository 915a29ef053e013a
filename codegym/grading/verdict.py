"""Verdict: what was judged of one program. Facts come before it, prices after it.

A Verdict is built only through the named constructors, so that a wrong combination of fields
cannot be written.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

MESSAGE_CHARS = 300


class Outcome(StrEnum):
    """How a program, or one of its cases, ended."""

    PASSED = "passed"
    FAILED = "failed"
    RUNTIME_ERROR = "runtime_error"
    TIMEOUT = "timeout"
    MEMORY = "memory"
    OUTPUT_LIMIT = "output_limit"
    SYNTAX_ERROR = "syntax_error"
    NO_PROGRAM = "no_program"


# From the gravest to the best: a text that does not compile, a program that exhausts a limit, a
# program that raises, a wrong answer.
GRAVITY = (
    Outcome.NO_PROGRAM,
    Outcome.SYNTAX_ERROR,
    Outcome.MEMORY,
    Outcome.OUTPUT_LIMIT,
    Outcome.TIMEOUT,
    Outcome.RUNTIME_ERROR,
    Outcome.FAILED,
    Outcome.PASSED,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseResult:
    """What became of one test case.

    Attributes:
        outcome: PASSED, FAILED (wrong answer), RUNTIME_ERROR, TIMEOUT, MEMORY or OUTPUT_LIMIT.
        error_type: Class name of the exception, "" without one.
        error_message: Its message, at most 300 characters.
        error_line: Line of the program, from 1, where it was raised or was running at a time-out.
        got: What came back, as text for people, at most 300 characters.
    """

    outcome: Outcome
    error_type: str = ""
    error_message: str = ""
    error_line: int | None = None
    got: str = ""

    @property
    def passed(self) -> bool:
        """Whether this case passed."""
        return self.outcome is Outcome.PASSED


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """What one run cost: seconds elapsed, seconds of processor, peak resident bytes."""

    wall_s: float = 0.0
    cpu_s: float = 0.0
    memory_bytes: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """The judged facts of one program on one task.

    Attributes:
        outcome: PASSED only when every case passed; else the gravest outcome of a case, in the
            order of ``GRAVITY``, or SYNTAX_ERROR / NO_PROGRAM for a text that never ran.
        cases: One result per case, in order. A case never reached has the outcome of what
            stopped the run, and a message that begins with "not run".
        error_type, error_message, error_line: Error of the first case with that outcome.
        error_offset: Column of a syntax error, from 1.
        cut: Whether the text was cut at a token budget before its end (set by whoever knows).
        usage: What the run cost; not part of equality, since it varies.
    """

    outcome: Outcome
    cases: tuple[CaseResult, ...]
    error_type: str = ""
    error_message: str = ""
    error_line: int | None = None
    error_offset: int | None = None
    cut: bool = False
    usage: Usage = field(default_factory=Usage)

    @property
    def passed(self) -> bool:
        """Whether every case passed."""
        return self.outcome is Outcome.PASSED

    @property
    def pass_rate(self) -> float:
        """Share of cases that passed, in [0, 1]."""
        return sum(case.passed for case in self.cases) / len(self.cases) if self.cases else 0.0

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Verdict):
            return NotImplemented
        return self._key() == other._key()

    def __hash__(self) -> int:
        return hash(self._key())

    def _key(self) -> tuple[Any, ...]:
        return tuple(getattr(self, name) for name in self.__slots__ if name != "usage")

    @classmethod
    def from_cases(
        cls,
        cases: Sequence[CaseResult],
        usage: Usage | None = None,
    ) -> "Verdict":
        """Judge a program that ran by its cases, at least one.

        Args:
            cases: The results, in order.
            usage: What the run cost.
        """
        if not cases:
            raise ValueError("a verdict needs at least one case")
        worst = gravest(cases)
        return cls(
            outcome=worst.outcome,
            cases=tuple(cases),
            error_type=worst.error_type,
            error_message=worst.error_message,
            error_line=worst.error_line,
            usage=usage or Usage(),
        )

    @classmethod
    def syntax_error(
        cls,
        *,
        n_cases: int,
        error_type: str,
        message: str,
        line: int | None,
        offset: int | None = None,
        usage: Usage | None = None,
    ) -> "Verdict":
        """Judge a text that does not compile (SyntaxError, or one of its subclasses)."""
        case = CaseResult(
            outcome=Outcome.SYNTAX_ERROR,
            error_type=error_type,
            error_message=message[:MESSAGE_CHARS],
            error_line=line,
        )
        return cls(
            outcome=Outcome.SYNTAX_ERROR,
            cases=(case,) * n_cases,
            error_type=error_type,
            error_message=message[:MESSAGE_CHARS],
            error_line=line,
            error_offset=offset,
            usage=usage or Usage(),
        )

    @classmethod
    def no_program(cls, *, n_cases: int, message: str = "no program text") -> "Verdict":
        """Judge an empty text."""
        case = CaseResult(outcome=Outcome.NO_PROGRAM, error_message=message)
        return cls(outcome=Outcome.NO_PROGRAM, cases=(case,) * n_cases, error_message=message)

    def as_cut(self) -> "Verdict":
        """Return the same verdict of a text that was cut at its token budget."""
        return Verdict(**{name: getattr(self, name) for name in self.__slots__} | {"cut": True})

    def to_json(self) -> dict[str, Any]:
        """Return the verdict as JSON values; ``from_json`` is its inverse."""
        row = {name: getattr(self, name) for name in self.__slots__}
        row["outcome"] = str(self.outcome)
        row["cases"] = [
            {name: getattr(case, name) for name in case.__slots__} | {"outcome": str(case.outcome)}
            for case in self.cases
        ]
        row["usage"] = {name: getattr(self.usage, name) for name in self.usage.__slots__}
        return row

    @classmethod
    def from_json(cls, row: dict[str, Any]) -> "Verdict":
        """Read what ``to_json`` wrote."""
        cases = tuple(
            CaseResult(**case | {"outcome": Outcome(case["outcome"])}) for case in row["cases"]
        )
        return cls(
            **row
            | {"outcome": Outcome(row["outcome"]), "cases": cases, "usage": Usage(**row["usage"])}
        )


def gravest(cases: Sequence[CaseResult]) -> CaseResult:
    """Return the first of the cases that ended most gravely, whatever the order of the cases.

    Outcome, reward and fault of a program all follow from this case. RLTF's and CodeRL's executors
    file a program the same way: not compiling, then not finishing, then a wrong answer.
    """
    return min(cases, key=lambda case: GRAVITY.index(case.outcome))
