"""Ratios: one measure beside its baseline, taken in turn in the same run."""

from collections.abc import Callable
from dataclasses import dataclass
from statistics import median


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One comparison.

    Attributes:
        name: What is compared.
        ours: Our figure, in ``unit``.
        theirs: The baseline's.
        unit: Of both.
        ratio: Ours over theirs, the median over the repeats.
        target: What the ratio should be, as text; "" where it is only shown.
        met: Whether it is.
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
    ratio = median(one / other for one, other in pairs)
    return Figure(
        name=name,
        ours=median(one for one, _ in pairs),
        theirs=median(other for _, other in pairs),
        unit=unit,
        ratio=ratio,
        target=f">= {at_least:g}" if at_least else f"<= {at_most:g}" if at_most else "",
        met=(at_least is None or ratio >= at_least) and (at_most is None or ratio <= at_most),
    )
