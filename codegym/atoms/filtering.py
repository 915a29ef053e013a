"""Filtering: keep the items of a list that pass a test."""

from codegym.atoms.atom import atom
from codegym.atoms.inputs import overlapping


@atom(
    "keep the even numbers",
    "drop the odd numbers",
    "remove the odd numbers",
    level=1,
)
def keep_even(xs: list[int]) -> list[int]:
    """Keep the numbers that two divides.

    >>> keep_even([3, 4, -2])
    [4, -2]
    """
    return [x for x in xs if x % 2 == 0]


@atom(
    "keep the odd numbers",
    "drop the even numbers",
    "remove the even numbers",
    level=1,
)
def keep_odd(xs: list[int]) -> list[int]:
    """Keep the numbers that two does not divide.

    >>> keep_odd([3, 4, -1])
    [3, -1]
    """
    return [x for x in xs if x % 2 != 0]


@atom(
    "keep the positive numbers",
    "keep only the positive numbers",
    "keep numbers greater than 0",
    level=1,
)
def keep_positive(xs: list[int]) -> list[int]:
    """Keep the numbers above zero.

    >>> keep_positive([3, 0, -2])
    [3]
    """
    return [x for x in xs if x > 0]


@atom(
    "keep the negative numbers",
    "keep only the negative numbers",
    "keep numbers less than 0",
    level=1,
)
def keep_negative(xs: list[int]) -> list[int]:
    """Keep the numbers below zero.

    >>> keep_negative([3, 0, -2])
    [-2]
    """
    return [x for x in xs if x < 0]


@atom(
    "keep numbers greater than {k}",
    "keep numbers above {k}",
    "drop numbers not above {k}",
    level=1,
    draw={"k": range(1, 10)},
)
def keep_above(xs: list[int], k: int) -> list[int]:
    """Keep the numbers above a bound.

    >>> keep_above([3, 8, 5], 4)
    [8, 5]
    """
    return [x for x in xs if x > k]


@atom(
    "keep numbers less than {k}",
    "keep numbers below {k}",
    "drop numbers not below {k}",
    level=1,
    draw={"k": range(1, 10)},
)
def keep_below(xs: list[int], k: int) -> list[int]:
    """Keep the numbers below a bound.

    >>> keep_below([3, 8, 5], 6)
    [3, 5]
    """
    return [x for x in xs if x < k]


@atom(
    "remove duplicates",
    "drop duplicates",
    "keep only the first copy of each number",
    level=1,
)
def unique(xs: list[int]) -> list[int]:
    """Keep the first copy of each number, in order.

    >>> unique([2, 1, 2, 3, 1])
    [2, 1, 3]
    """
    return list(dict.fromkeys(xs))


@atom(
    "keep words longer than {k} letters",
    "drop words not longer than {k} letters",
    "keep words with more than {k} letters",
    level=2,
    draw={"k": range(1, 6)},
)
def keep_long(ws: list[str], k: int) -> list[str]:
    """Keep the words of more than k letters.

    >>> keep_long(["bee", "ox"], 2)
    ['bee']
    """
    return [w for w in ws if len(w) > k]


@atom(
    "keep the multiples of {k}",
    "keep numbers that {k} divides",
    "drop numbers that {k} does not divide",
    draw={"k": range(3, 8)},
    inline="[x for x in xs if x % k == 0]",
)
def keep_multiples(xs: list[int], k: int) -> list[int]:
    """Keep the numbers that k divides.

    >>> keep_multiples([3, 4, -6], 3)
    [3, -6]
    """
    kept = []
    for x in xs:
        if x % k == 0:
            kept.append(x)
    return kept


@atom(
    "keep the items of {a} that are also in {b}",
    "remove from {a} what is not in {b}",
    "drop the items of {a} that are not in {b}",
    sampler=overlapping,
)
def keep_common(xs: list[int], ys: list[int]) -> list[int]:
    """Keep the items of a first list that a second one holds too.

    >>> keep_common([4, 1, 4, 2], [2, 4])
    [4, 4, 2]
    """
    return [x for x in xs if x in ys]
