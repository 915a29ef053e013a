"""Report: what a study in the sandbox says of a function, checked before it is believed."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from codegym.grading.compare import same
from codegym.mining.recorded_answers import Call, Reply
from codegym.sandbox.job import ExecutionResult

FEWEST_VALUES, FEWEST_MUTANTS = 2, 2
LARGEST_SHARE = 0.6
TOLERANCE = 1e-9


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """Cases chosen for a function, and how strong they are.

    Attributes:
        cases: Arguments of each case, as wire trees.
        ends: How each ended when studied.
        witnesses: Further inputs: the task does without them, but their results must be steady.
        runs: How many inputs were run.
        branches, covered: Branches of the function, and those that the cases take.
        mutants, killed: Mutants that compile to other code, and those that the cases kill.
        equivalent: Mutants that compile to the function's own code.
        survivors: Operator and line, from 1, of some mutants that survive.
    """

    cases: list[Call]
    ends: list[Reply]
    witnesses: list[Call]
    runs: int
    branches: int
    covered: int
    mutants: int
    killed: int
    equivalent: int
    survivors: list[list[Any]]

    @property
    def strength(self) -> float:
        """Share of mutants killed."""
        return self.killed / self.mutants if self.mutants else 0.0

    @property
    def branch_coverage(self) -> float:
        """Share of branches taken; 1 for a function without any."""
        return self.covered / self.branches if self.branches else 1.0

    def agrees(self, replies: Sequence[Reply]) -> bool:
        """Tell whether recorded replies are what the study saw."""
        return all(
            kind == other and (same(body, told, TOLERANCE) if kind == "r" else body == told)
            for (kind, body), (other, told) in zip(replies, self.ends, strict=True)
        )


def read_report(
    told: Sequence[Any], result: ExecutionResult, min_strength: float
) -> Report | tuple[str, str]:
    """Return the report of a study, or the stage it did not pass and why.

    Args:
        told: The answers to ``load``, ``explore``, ``strength`` and ``behaviour``.
        result: Of the job; says what stopped it.
        min_strength: Least share of mutants killed.
    """
    stopped = f"stopped ({result.limit or 'died'})"
    if not told:
        return "runs", stopped
    if isinstance(told[0], str):
        return "self-contained", f"does not load: {told[0]}"
    if len(told) < 2:
        return "runs", stopped
    try:
        return _judged(told[1], told[2] if len(told) > 2 else stopped, min_strength)
    except (KeyError, TypeError, ValueError, IndexError):
        return "runs", "an unreadable report"


def _judged(explored: Any, tested: Any, min_strength: float) -> Report | tuple[str, str]:
    if isinstance(explored, str):
        return "runs", explored.partition("(")[0]
    reason = _uninformative(explored)
    if reason:
        return reason
    if isinstance(tested, str):
        return "runs", tested
    report = Report(
        cases=[(list(args), dict(kwargs)) for args, kwargs in tested["cases"]],
        ends=[(kind, body) for kind, body in tested["ends"]],
        witnesses=[(list(args), dict(kwargs)) for args, kwargs in tested["witnesses"]],
        runs=int(explored["runs"]),
        **{
            name: int(tested[name])
            for name in ("branches", "covered", "mutants", "killed", "equivalent")
        },
        survivors=[[str(operator), int(line)] for operator, line in tested["survivors"]],
    )
    if not tested["steady"]:
        return "pure", "keeps state between calls"
    values = [str(body) for kind, body in report.ends if kind == "r"]
    if len(values) < FEWEST_VALUES or len(set(values)) < 2:
        return "informative", "too few answers"
    ((_, most),) = Counter(map(str, report.ends)).most_common(1)
    if most > LARGEST_SHARE * len(report.ends):
        return "informative", "nearly always the same"
    if report.mutants < FEWEST_MUTANTS:
        return "strong", "too little code to mutate"
    if report.strength < min_strength:
        return "strong", f"kills {10 * int(10 * report.strength)} % or more"
    if all(_is_echo(case, end) for case, end in zip(report.cases, report.ends, strict=True)):
        return "informative", "gives its first argument back"
    return report


def _is_echo(case: Call, end: Reply) -> bool:
    (args, kwargs), (kind, body) = case, end
    given = [*args, *kwargs.values()]
    return kind == "r" and bool(given) and same(given[0], body, TOLERANCE)


def _uninformative(explored: dict[str, Any]) -> tuple[str, str] | None:
    ends = {str(name): int(number) for name, number in explored["ends"].items()}
    if explored["values"] == 0:
        if not ends:
            return "runs", "no input could be made"
        worst = max(ends, key=lambda name: ends[name])
        told = {"u": "a result that cannot cross", "x": "too many steps", "r": "only None or huge"}
        return "runs", told.get(worst, f"only errors: {worst.partition(':')[2][:40]}")
    if explored["nones"] == explored["values"]:
        return "informative", "always None"
    if explored["results"] < 2:
        return "informative", "always the same"
    return None
