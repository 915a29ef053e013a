"""Aggregating: many values become a single value."""

from codegym.atoms.atom import atom
from codegym.atoms.inputs import often_positive


@atom(
    "take the sum",
    "add up all numbers",
    "compute the sum of the numbers",
    level=1,
)
def total(xs: list[int]) -> int:
    """Add up all numbers; an empty list gives 0.

    >>> total([1, 2, 3])
    6
    """
    return sum(xs)


@atom(
    "count the items",
    "compute the number of items",
    "take the length of the list",
    level=1,
)
def count_items(xs: list[int]) -> int:
    """Count the items of a list.

    >>> count_items([4, 4])
    2
    """
    return len(xs)


@atom(
    "take the maximum or 0 if empty",
    "take the largest or 0 if empty",
    "find the largest number or 0 if empty",
    level=1,
)
def largest(xs: list[int]) -> int:
    """Return the largest number, or 0 for an empty list.

    >>> largest([2, 5, 3]), largest([])
    (5, 0)
    """
    return max(xs, default=0)


@atom(
    "take the minimum or 0 if empty",
    "take the smallest or 0 if empty",
    "find the smallest number or 0 if empty",
    level=1,
)
def smallest(xs: list[int]) -> int:
    """Return the smallest number, or 0 for an empty list.

    >>> smallest([2, 5, 3]), smallest([])
    (2, 0)
    """
    return min(xs, default=0)


@atom(
    "count the even numbers",
    "compute how many numbers are even",
    "count how many numbers are even",
    level=1,
    inline="sum(x % 2 == 0 for x in xs)",
)
def count_even(xs: list[int]) -> int:
    """Count the numbers that two divides.

    >>> count_even([2, 5, 0])
    2
    """
    count = 0
    for x in xs:
        if x % 2 == 0:
            count += 1
    return count


@atom(
    "count the vowels",
    "compute the number of vowels",
    "count how many letters are vowels",
    level=2,
)
def count_vowels(s: str) -> int:
    """Count the letters a, e, i, o and u in either case.

    >>> count_vowels("Apple tree")
    4
    """
    return sum(c.lower() in "aeiou" for c in s)


@atom(
    "count the upper case letters",
    "compute the number of capital letters",
    "count the capital letters",
    level=2,
)
def count_capitals(s: str) -> int:
    """Count the upper case letters.

    >>> count_capitals("Eve and Bob")
    2
    """
    return sum(c.isupper() for c in s)


@atom(
    "count the words",
    "compute the number of words",
    "count how many words there are",
    level=2,
)
def count_words(ws: list[str]) -> int:
    """Count the words of a list.

    >>> count_words(["ox", "bee"])
    2
    """
    return len(ws)


@atom(
    "compute the largest minus the smallest or 0 if empty",
    "subtract the smallest from the largest or give 0 if empty",
    "compute the range of the numbers or 0 if empty",
    inline="max(xs, default=0) - min(xs, default=0)",
)
def spread(xs: list[int]) -> int:
    """Subtract the smallest number from the largest; an empty list gives 0.

    >>> spread([4, -1, 2])
    5
    """
    if not xs:
        return 0
    return max(xs) - min(xs)


@atom(
    "check that all numbers are positive",
    "tell whether each number is positive",
    "tell whether all numbers are greater than 0",
    sampler=often_positive,
)
def all_positive(xs: list[int]) -> bool:
    """Tell whether every number is above zero, as in an empty list.

    >>> all_positive([1, 2]), all_positive([1, 0])
    (True, False)
    """
    return all(x > 0 for x in xs)
