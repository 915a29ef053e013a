"""Sorting: put items in order, and take results that depend on the order."""

from codegym.atoms.atom import atom
from codegym.atoms.inputs import often_sorted


@atom(
    "sort in ascending order",
    "sort from small to large",
    "put the numbers in ascending order",
    level=1,
)
def sort_up(xs: list[int]) -> list[int]:
    """Sort from the smallest to the largest.

    >>> sort_up([2, 3, 1])
    [1, 2, 3]
    """
    return sorted(xs)


@atom(
    "sort in descending order",
    "sort from large to small",
    "put the numbers in descending order",
    level=1,
)
def sort_down(xs: list[int]) -> list[int]:
    """Sort from the largest to the smallest.

    >>> sort_down([2, 3, 1])
    [3, 2, 1]
    """
    return sorted(xs, reverse=True)


@atom(
    "sort the characters",
    "put the characters in ascending order",
    "sort the characters by code",
    level=2,
)
def sort_characters(s: str) -> str:
    """Sort the characters of a text by their codes, capitals first.

    >>> sort_characters("bAca")
    'Aabc'
    """
    return "".join(sorted(s))


@atom(
    "sort the words alphabetically",
    "put the words in ascending order",
    "put the words in alphabetical order",
    level=2,
)
def sort_words(ws: list[str]) -> list[str]:
    """Sort words by their characters' codes, capitals first.

    >>> sort_words(["ox", "bee", "Eve"])
    ['Eve', 'bee', 'ox']
    """
    return sorted(ws)


@atom(
    "sort the words by length",
    "put the words in order of length",
    "sort the words from short to long",
    level=2,
)
def sort_words_by_length(ws: list[str]) -> list[str]:
    """Sort words by length; words of one length keep their order.

    >>> sort_words_by_length(["moon", "bee", "ox", "dog"])
    ['ox', 'bee', 'dog', 'moon']
    """
    return sorted(ws, key=len)


@atom(
    "reverse the word order",
    "flip the order of the words",
    "put the words in reverse order",
    level=2,
)
def reverse_words(ws: list[str]) -> list[str]:
    """List the words from the last to the first.

    >>> reverse_words(["ox", "bee"])
    ['bee', 'ox']
    """
    return ws[::-1]


@atom(
    "sort by absolute value",
    "sort by distance from 0",
    "put the numbers in order of absolute value",
)
def sort_by_size(xs: list[int]) -> list[int]:
    """Sort by distance from zero; equal distances keep their order.

    >>> sort_by_size([-3, 1, 3, -2])
    [1, -2, -3, 3]
    """
    return sorted(xs, key=abs)


@atom(
    "keep the {k} largest numbers in descending order",
    "take the {k} largest numbers from large to small",
    "find the {k} largest numbers in descending order",
    draw={"k": range(2, 5)},
    inline="sorted(xs, reverse=True)[:k]",
)
def top(xs: list[int], k: int) -> list[int]:
    """List the k largest numbers, the largest first.

    >>> top([4, 9, 1, 7], 2)
    [9, 7]
    """
    ordered = sorted(xs, reverse=True)
    return ordered[:k]


@atom(
    "take the middle item in sorted order or 0 if empty",
    "take the upper median or 0 if empty",
    "find the upper of the middle numbers in order or 0 if empty",
    inline="sorted(xs)[len(xs) // 2] if xs else 0",
)
def median(xs: list[int]) -> int:
    """Return the item in the middle of the sorted list, the upper of two; 0 if there is none.

    >>> median([5, 1, 3]), median([4, 1, 3, 2])
    (3, 3)
    """
    if not xs:
        return 0
    ordered = sorted(xs)
    return ordered[len(ordered) // 2]


@atom(
    "check that the list is sorted",
    "tell whether the list is in ascending order",
    "tell whether no number is less than the one before it",
    sampler=often_sorted,
)
def is_sorted(xs: list[int]) -> bool:
    """Tell whether no item is smaller than the one before it.

    >>> is_sorted([1, 2, 2]), is_sorted([2, 1])
    (True, False)
    """
    return xs == sorted(xs)
