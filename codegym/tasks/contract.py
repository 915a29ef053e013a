"""Contract: how a data set's own grader judges a program, as data."""

from collections.abc import Iterator
from dataclasses import dataclass

from codegym.sandbox.inside.sites import SITES
from codegym.tasks.suite import Match, OutputRule


@dataclass(frozen=True, slots=True, kw_only=True)
class Contract:
    """The grading contract of a data set; a task source declares it and builds its tasks by it.

    Attributes:
        name: Name of the contract.
        grader: The published grader that it follows.
        output_rule: Comparison of printed text; see ``TestSuite``.
        match: Comparison of values; see ``TestSuite``.
        float_tolerance: Relative tolerance where a float is expected, absolute where 0.0 is.
        site: What the grader does around a program; a name of ``SITES``.
        limits: The limits of a run, in words.
        stop: When the published grader stops. Here every case runs, so that the pass rate is known;
            whether a program passes does not depend on it.
    """

    name: str
    grader: str
    output_rule: OutputRule = "trailing"
    match: Match = "python"
    float_tolerance: float = 1e-9
    site: str = ""
    limits: str = "10 s, 5 s of processor time, 512 MiB, output of 1 MiB or twice the expected"
    stop: str = "after every case"

    def rows(self) -> Iterator[tuple[str, str]]:
        """Yield each rule as a label and its text."""
        site = SITES[self.site]
        names = f"{len(site.imports)} names, if used" if site.imports else "none"
        digits = "4,300" if site.digits is None else f"{site.digits:,}" if site.digits else "any"
        yield "grader", self.grader
        yield "printed text", self.output_rule
        yield "values", self.match
        yield "float tolerance", f"{self.float_tolerance:g}"
        yield "imports before every program", names
        yield "digits of an integer", digits
        yield "return outside functions", "ends the program" if site.wrapped else "a syntax error"
        yield "sys.exit with a status", "ends the program" if site.exit_ends else "an error"
        yield "limits", self.limits
        yield "the published grader stops", self.stop
        yield "an error while loading", "a syntax error" if site.load_is_syntax else "an error"


CODEGYM = Contract(name="codegym", grader="codegym's own tasks")
