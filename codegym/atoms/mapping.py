"""Mapping: turn each item of a list, or each character, into something else."""

from codegym.atoms.atom import atom


@atom(
    "square each number",
    "square all numbers",
    "multiply each number by itself",
    level=1,
)
def square_each(xs: list[int]) -> list[int]:
    """Multiply each number by itself.

    >>> square_each([1, -2, 3])
    [1, 4, 9]
    """
    return [x * x for x in xs]


@atom(
    "negate each number",
    "flip the sign of each number",
    "negate all numbers",
    level=1,
)
def negate_each(xs: list[int]) -> list[int]:
    """Change the sign of each number.

    >>> negate_each([1, -2, 0])
    [-1, 2, 0]
    """
    return [-x for x in xs]


@atom(
    "take absolute values",
    "drop the sign of each number",
    "take the absolute value of each number",
    level=1,
)
def absolute_each(xs: list[int]) -> list[int]:
    """Drop the sign of each number.

    >>> absolute_each([1, -2])
    [1, 2]
    """
    return [abs(x) for x in xs]


@atom(
    "add {k} to each number",
    "increase each number by {k}",
    "add {k} to all numbers",
    level=1,
    draw={"k": range(1, 10)},
)
def add_to_each(xs: list[int], k: int) -> list[int]:
    """Add a constant to each number.

    >>> add_to_each([1, -2], 5)
    [6, 3]
    """
    return [x + k for x in xs]


@atom(
    "subtract {k} from each number",
    "decrease each number by {k}",
    "subtract {k} from all numbers",
    level=1,
    draw={"k": range(1, 10)},
)
def subtract_from_each(xs: list[int], k: int) -> list[int]:
    """Subtract a constant from each number.

    >>> subtract_from_each([1, 7], 5)
    [-4, 2]
    """
    return [x - k for x in xs]


@atom(
    "multiply each number by {k}",
    "multiply all numbers by {k}",
    "multiply every number by {k}",
    level=1,
    draw={"k": range(2, 10)},
)
def multiply_each(xs: list[int], k: int) -> list[int]:
    """Multiply each number by a constant.

    >>> multiply_each([1, -2], 5)
    [5, -10]
    """
    return [x * k for x in xs]


@atom(
    "compute running totals",
    "compute the running totals of the numbers",
    "add to each number all numbers before it",
    level=1,
    inline="[sum(xs[:i + 1]) for i in range(len(xs))]",
)
def running_totals(xs: list[int]) -> list[int]:
    """Replace each number by the sum of all up to it.

    >>> running_totals([3, 1, -2])
    [3, 4, 2]
    """
    totals = []
    total = 0
    for x in xs:
        total += x
        totals.append(total)
    return totals


@atom(
    "compute differences of neighbours",
    "subtract each number from the next",
    "subtract each number from the one after it",
    level=1,
    inline="[y - x for x, y in zip(xs, xs[1:])]",
)
def differences(xs: list[int]) -> list[int]:
    """List how much each number adds to the one before it.

    >>> differences([3, 1, 5])
    [-2, 4]
    """
    return [xs[i + 1] - xs[i] for i in range(len(xs) - 1)]


@atom(
    "list the character codes",
    "list the codes of the characters",
    "convert each character to its code",
    level=2,
)
def character_codes(s: str) -> list[int]:
    """List the number that stands for each character.

    >>> character_codes("aB")
    [97, 66]
    """
    return [ord(c) for c in s]


@atom(
    "list the word lengths",
    "list the length of each word",
    "count the letters of each word",
    level=2,
)
def word_lengths(ws: list[str]) -> list[int]:
    """List how many letters each word has.

    >>> word_lengths(["bee", "ox"])
    [3, 2]
    """
    return [len(w) for w in ws]
