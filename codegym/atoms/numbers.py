"""Numbers: whole numbers in, whole numbers or their digits out."""

from codegym.atoms.atom import atom


@atom(
    "add {k}",
    "increase by {k}",
    "add {k} to it",
    level=1,
    draw={"k": range(1, 10)},
)
def add(n: int, k: int) -> int:
    """Add a constant to a number.

    >>> add(7, 3)
    10
    """
    return n + k


@atom(
    "multiply by {k}",
    "multiply it by {k}",
    "multiply the number by {k}",
    level=1,
    draw={"k": range(2, 10)},
)
def multiply(n: int, k: int) -> int:
    """Multiply a number by a constant.

    >>> multiply(7, 3)
    21
    """
    return n * k


@atom(
    "take the remainder modulo {k}",
    "take it modulo {k}",
    "compute the remainder after division by {k}",
    level=1,
    draw={"k": range(2, 10)},
)
def remainder(n: int, k: int) -> int:
    """Divide and keep the remainder, which is never negative.

    >>> remainder(-1, 3)
    2
    """
    return n % k


@atom(
    "take the absolute value",
    "drop the sign",
    "compute its distance from 0",
    level=1,
)
def absolute_value(n: int) -> int:
    """Drop the sign of a number.

    >>> absolute_value(-7)
    7
    """
    return abs(n)


@atom(
    "square it",
    "compute the square",
    "multiply it by itself",
    level=1,
)
def square(n: int) -> int:
    """Multiply a number by itself.

    >>> square(-4)
    16
    """
    return n * n


@atom(
    "convert to a string",
    "make it a string",
    "write it as a string",
    level=2,
)
def to_text(n: int) -> str:
    """Write a number in decimal digits.

    >>> to_text(-42)
    '-42'
    """
    return str(n)


@atom(
    "list the digits",
    "split into digits",
    "make a list of the digits",
    level=2,
)
def list_digits(n: int) -> list[int]:
    """List the decimal digits from the left; the sign is ignored.

    >>> list_digits(-305)
    [3, 0, 5]
    """
    return [int(c) for c in str(abs(n))]


@atom(
    "add up the digits",
    "compute the sum of the digits",
    "take the sum of all digits",
    inline="sum(int(c) for c in str(abs(n)))",
)
def sum_digits(n: int) -> int:
    """Add up the decimal digits; the sign is ignored.

    >>> sum_digits(-305)
    8
    """
    total = 0
    n = abs(n)
    while n > 0:
        total += n % 10
        n //= 10
    return total


@atom(
    "check that it is even",
    "tell whether it is even",
    "tell whether 2 divides it",
)
def is_even(n: int) -> bool:
    """Tell whether two divides a number.

    >>> is_even(-4)
    True
    """
    return n % 2 == 0


@atom(
    "take the gap between {a} and {b}",
    "compute how far {a} is from {b}",
    "compute the distance between {a} and {b}",
)
def gap(n: int, m: int) -> int:
    """Measure how far apart two numbers are.

    >>> gap(3, -4)
    7
    """
    return abs(n - m)
