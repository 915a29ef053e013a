"""Study report: the results of a study in the sandbox, checked before use."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from codegym.grading.compare import same
from codegym.mining.recorded_answers import Answer, Call
from codegym.sandbox.job import ExecutionResult

FEWEST_VALUES, FEWEST_MUTANTS = 2, 2
LARGEST_SHARE = 0.6
TOLERANCE = 1e-9


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyReport:
    """Cases chosen for a function, and their strength.

    Attributes:
        cases: Arguments of each case, as wire trees.
        ends: Answer to each case during the study.
        witnesses: Further inputs that the task does not use, but whose results must be stable.
        runs: Number of inputs that were run.
        branches: Number of branches of the function.
        covered: Number of branches that the cases take.
        mutants: Number of mutants that compile to other code than the function.
        killed: Number of mutants that the cases kill.
        equivalent: Number of mutants that compile to the function's code.
        survivors: Operator and line, from 1, of some surviving mutants.
    """

    cases: list[Call]
    ends: list[Answer]
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
        """Share of branches taken; 1 for a function without branches."""
        return self.covered / self.branches if self.branches else 1.0

    def agrees(self, answers: Sequence[Answer]) -> bool:
        """Return whether recorded answers match the answers of the study."""
        return all(
            kind == other
            and (same(body, expected, TOLERANCE, "strict") if kind == "r" else body == expected)
            for (kind, body), (other, expected) in zip(answers, self.ends, strict=True)
        )


def read_report(
    answers: Sequence[Any], result: ExecutionResult, min_strength: float
) -> StudyReport | tuple[str, str]:
    """Return the report of a study, or the failed stage and the reason.

    Args:
        answers: The answers to ``load``, ``explore``, ``strength`` and ``behaviour``.
        result: Result of the job, which says what stopped it.
        min_strength: Least share of mutants killed.
    """
    stopped = f"stopped ({result.limit or 'died'})"
    if not answers:
        return "runs", stopped
    if isinstance(answers[0], str):
        return "self-contained", f"does not load: {answers[0]}"
    if len(answers) < 2:
        return "runs", stopped
    try:
        return _judged(answers[1], answers[2] if len(answers) > 2 else stopped, min_strength)
    except (KeyError, TypeError, ValueError, IndexError):
        return "runs", "an unreadable report"


def _judged(explored: Any, tested: Any, min_strength: float) -> StudyReport | tuple[str, str]:
    if isinstance(explored, str):
        return "runs", explored.partition("(")[0]
    reason = _uninformative(explored)
    if reason:
        return reason
    if isinstance(tested, str):
        return "runs", tested
    report = StudyReport(
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
    if all(is_echo(case, end) for case, end in zip(report.cases, report.ends, strict=True)):
        return "informative", "gives its first argument back"
    return report


def is_echo(case: Call, end: Answer) -> bool:
    """Return whether the answer to a case is the case's first argument."""
    (args, kwargs), (kind, body) = case, end
    given = [*args, *kwargs.values()]
    return kind == "r" and bool(given) and same(given[0], body, TOLERANCE, "strict")


def _uninformative(explored: dict[str, Any]) -> tuple[str, str] | None:
    ends = {str(name): int(number) for name, number in explored["ends"].items()}
    if explored["values"] == 0:
        if not ends:
            return "runs", "no input could be made"
        worst = max(ends, key=lambda name: ends[name])
        words = {"u": "a result that cannot cross", "x": "too many steps", "r": "only None or huge"}
        return "runs", words.get(worst, f"only errors: {worst.partition(':')[2][:40]}")
    if explored["nones"] == explored["values"]:
        return "informative", "always None"
    if explored["results"] < 2:
        return "informative", "always the same"
    return None
