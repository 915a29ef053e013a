"""Numbers of wire trees: read without trust, and compared as Python compares them."""

import decimal
from fractions import Fraction
from typing import Any

NUMBER_CHARS = 400_000
# Longer integers are compared with integers only: turning them into decimals takes seconds.
_MIXED_BITS = 1 << 17

Real = int | float | Fraction | decimal.Decimal
Number = tuple[Real, Real]


def plain_number(tree: Any) -> int | float | None:
    """Return the value of an int's or a float's tree, None for any other tree."""
    kind = type(tree)
    if kind is int or kind is float:
        return tree  # type: ignore[no-any-return]
    if kind is dict and len(tree) == 1:
        body = tree.get("I", tree.get("f"))
        if type(body) is str and len(body) < NUMBER_CHARS:
            return int(body, 16) if "I" in tree else float.fromhex(body)
    return None


def number(tree: Any) -> Number | None:
    """Return the real and imaginary parts of any number's tree, None for any other tree."""
    if type(tree) is bool:
        return int(tree), 0
    if type(tree) is dict and len(tree) == 1:
        ((tag, body),) = tree.items()
        if tag == "c" and type(body) is list and len(body) == 2:
            real, imaginary = plain_number(body[0]), plain_number(body[1])
            return None if real is None or imaginary is None else (real, imaginary)
        if tag == "m" and type(body) is str:
            return decimal.Decimal(body[:NUMBER_CHARS]), 0
        if tag == "F" and type(body) is list and len(body) == 2:
            top, bottom = plain_number(body[0]), plain_number(body[1])
            if type(top) is int and type(bottom) is int:
                if max(top.bit_length(), bottom.bit_length()) <= _MIXED_BITS:
                    return Fraction(top, bottom), 0
    plain = plain_number(tree)
    return None if plain is None else (plain, 0)


def is_nan(value: Real) -> bool:
    """Say whether a number is no number, a signalling decimal included."""
    return value.is_nan() if isinstance(value, decimal.Decimal) else value != value


def equal(left: Real, right: Real) -> bool:
    """Say whether two numbers are equal in Python's sense; two that are no numbers are."""
    if is_nan(left) or is_nan(right):
        return is_nan(left) and is_nan(right)
    if type(left) is not type(right) and max(_bits(left), _bits(right)) > _MIXED_BITS:
        return False
    return bool(left == right)


def close(got: Real, expected: Real, tolerance: float) -> bool:
    """Say whether a number equals an expected one, which may be a float with a tolerance.

    The tolerance is relative, and absolute only where zero is expected: an expected 6.6e-34 is not
    met by 0.
    """
    if equal(got, expected):
        return True
    if type(expected) is not float or is_nan(got) or is_nan(expected):
        return False
    if abs(expected) == float("inf") or _bits(got) > _MIXED_BITS:
        return False
    try:
        value = float(got)
    except OverflowError:
        return False
    if abs(value) == float("inf"):
        return False
    return abs(value - expected) <= tolerance * (abs(expected) or 1.0)


def rank(parts: Number) -> tuple[Any, ...]:
    """Return a sort key, the same for numbers that are equal."""
    real, imaginary = parts
    if is_nan(real) or is_nan(imaginary):
        return (1,)
    # Long integers go after all other numbers, since only integers can be compared with them.
    if _bits(real) > _MIXED_BITS:
        return (0, 1, real, imaginary)
    return (0, 0, real, imaginary)


def _bits(value: Real) -> int:
    return value.bit_length() if isinstance(value, int) else 0
