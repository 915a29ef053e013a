"""Decimals: numbers with a fractional part, alone and in lists."""

from codegym.atoms.atom import atom
from codegym.atoms.inputs import around_zero


@atom(
    "divide by {k}",
    "divide it by {k}",
    "divide the number by {k}",
    draw={"k": (2, 4, 5, 10)},
)
def divide(n: int, k: int) -> float:
    """Divide a whole number and keep the fraction.

    >>> divide(7, 2)
    3.5
    """
    return n / k


@atom(
    "increase by {k} percent",
    "add {k} percent",
    "increase it by {k} percent",
    draw={"k": (10, 25, 50)},
)
def increase_percent(x: float, k: int) -> float:
    """Add a percentage of a number to it.

    >>> increase_percent(8.0, 25)
    10.0
    """
    return x + x * k / 100


@atom(
    "round to the nearest integer",
    "convert to the nearest integer",
    "round it to an integer",
    sampler=around_zero,
)
def round_to_integer(x: float) -> int:
    """Round to the nearest whole number, a half to the even one.

    >>> round_to_integer(2.6), round_to_integer(2.5)
    (3, 2)
    """
    return round(x)


@atom(
    "cut off the fraction",
    "drop the digits after the point",
    "cut off what is after the point",
    sampler=around_zero,
)
def cut_fraction(x: float) -> int:
    """Drop what stands after the point, towards zero.

    >>> cut_fraction(-2.75)
    -2
    """
    return int(x)


@atom(
    "check that it is above {k}",
    "tell whether it is above {k}",
    "tell whether it is greater than {k}",
    draw={"k": range(0, 9)},
)
def is_above(x: float, k: int) -> bool:
    """Tell whether a number is above a bound.

    >>> is_above(2.5, 2)
    True
    """
    return x > k


@atom(
    "compute the mean or 0 if empty",
    "take the average or 0 if empty",
    "compute the average or 0 if empty",
    inline="sum(xs) / len(xs) if xs else 0.0",
)
def mean(xs: list[int]) -> float:
    """Divide the sum by the count; an empty list gives 0.

    >>> mean([1, 2, 4, 5])
    3.0
    """
    if not xs:
        return 0.0
    return sum(xs) / len(xs)


@atom(
    "divide each number by {k}",
    "divide all numbers by {k}",
    "divide every number by {k}",
    draw={"k": (2, 4, 5)},
)
def divide_each(xs: list[int], k: int) -> list[float]:
    """Divide each number and keep the fractions.

    >>> divide_each([1, 4], 2)
    [0.5, 2.0]
    """
    return [x / k for x in xs]


@atom(
    "round each to the nearest integer",
    "round all decimals",
    "round each decimal to an integer",
)
def round_each(fs: list[float]) -> list[int]:
    """Round each number to the nearest whole one, a half to the even one.

    >>> round_each([0.4, 1.75])
    [0, 2]
    """
    return [round(x) for x in fs]


@atom(
    "add up all decimals",
    "take the sum of the decimals",
    "compute the sum of the decimals",
)
def total_decimals(fs: list[float]) -> float:
    """Add up all numbers; an empty list gives 0.

    >>> total_decimals([0.5, 1.25])
    1.75
    """
    return sum(fs, 0.0)


@atom(
    "divide {a} by {b} or give 0 if {b} is 0",
    "give 0 if {b} is 0 or else divide {a} by {b}",
    "compute {a} divided by {b} or 0 if {b} is 0",
)
def ratio(n: int, m: int) -> float:
    """Divide one number by another; dividing by 0 gives 0.

    >>> ratio(3, 4), ratio(3, 0)
    (0.75, 0.0)
    """
    return n / m if m else 0.0
