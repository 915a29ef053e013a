"""Ratios: a measure over its baseline, both taken in turn in the same run."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median

from codegym.measuring.result_table import Column, ResultTable, words


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """The result of one comparison.

    Attributes:
        name: Name of the comparison.
        ours: The measure, in ``unit``.
        theirs: The baseline, in ``unit``.
        unit: Unit of both.
        ratio: Median over the repeats of the measure over the baseline.
        target: Bound that the ratio should satisfy, as text; "" if there is none.
        met: Whether the ratio satisfies the bound.
    """

    name: str
    ours: float
    theirs: float
    unit: str
    ratio: float
    target: str = ""
    met: bool = True


def compare(
    name: str,
    ours: Callable[[], float],
    theirs: Callable[[], float],
    *,
    repeats: int,
    unit: str = "steps/s",
    at_least: float | None = None,
    at_most: float | None = None,
) -> Figure:
    """Take both measures in turn and return the median of their ratios."""
    pairs = [(ours(), theirs()) for _ in range(repeats)]
    ratio = median(own / other for own, other in pairs)
    return Figure(
        name=name,
        ours=median(own for own, _ in pairs),
        theirs=median(other for _, other in pairs),
        unit=unit,
        ratio=ratio,
        target=f">= {at_least:g}" if at_least else f"<= {at_most:g}" if at_most else "",
        met=(at_least is None or ratio >= at_least) and (at_most is None or ratio <= at_most),
    )


def ratio_table(figures: Sequence[Figure], title: str) -> ResultTable:
    """Return comparisons as a table."""
    rows = [
        (
            figure.name,
            figure.ours,
            figure.theirs,
            figure.unit,
            figure.ratio,
            figure.target,
            ("yes" if figure.met else "NO") if figure.target else "",
        )
        for figure in figures
    ]
    columns = (
        words("what, baseline", "name"),
        Column("ours", digits=0),
        Column("baseline", digits=0, key="theirs"),
        words("unit"),
        Column("ratio", digits=2),
        words("target"),
        words("met"),
    )
    return ResultTable(columns, rows, title=title)
