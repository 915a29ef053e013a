"""Strings: one text becomes another, character by character or by slices."""

from codegym.atoms.atom import atom


@atom(
    "reverse the string",
    "spell it backwards",
    "put the characters in reverse order",
    level=2,
)
def reverse_text(s: str) -> str:
    """Write a text from its last character to its first.

    >>> reverse_text("moon")
    'noom'
    """
    return s[::-1]


@atom(
    "convert to upper case",
    "make all letters capital",
    "make it upper case",
    level=2,
)
def upper_case(s: str) -> str:
    """Turn every letter into a capital.

    >>> upper_case("Eve 2")
    'EVE 2'
    """
    return s.upper()


@atom(
    "convert to lower case",
    "make all letters small",
    "make it lower case",
    level=2,
)
def lower_case(s: str) -> str:
    """Turn every letter into a small one.

    >>> lower_case("Eve 2")
    'eve 2'
    """
    return s.lower()


@atom(
    "swap the case",
    "flip the case",
    "swap upper and lower case",
    level=2,
)
def swap_case(s: str) -> str:
    """Turn capitals into small letters and small letters into capitals.

    >>> swap_case("Eve")
    'eVE'
    """
    return s.swapcase()


@atom(
    "remove the vowels",
    "drop the vowels",
    "keep all characters but the vowels",
    level=2,
)
def remove_vowels(s: str) -> str:
    """Drop the letters a, e, i, o and u in either case.

    >>> remove_vowels("Apple tree")
    'ppl tr'
    """
    return "".join(c for c in s if c.lower() not in "aeiou")


@atom(
    "keep only the vowels",
    "drop all but the vowels",
    "remove all characters but the vowels",
    level=2,
)
def keep_vowels(s: str) -> str:
    """Keep the letters a, e, i, o and u in either case.

    >>> keep_vowels("Apple tree")
    'Aeee'
    """
    return "".join(c for c in s if c.lower() in "aeiou")


@atom(
    "keep the first {k} characters",
    "take the first {k} characters",
    "cut off all but the first {k} characters",
    level=2,
    draw={"k": range(1, 7)},
)
def take_characters(s: str, k: int) -> str:
    """Keep at most the first k characters.

    >>> take_characters("river", 2)
    'ri'
    """
    return s[:k]


@atom(
    "keep the last {k} characters",
    "take the last {k} characters",
    "cut off all but the last {k} characters",
    level=2,
    draw={"k": range(1, 7)},
)
def last_characters(s: str, k: int) -> str:
    """Keep at most the last k characters.

    >>> last_characters("river", 2)
    'er'
    """
    return s[-k:]


@atom(
    "double each character",
    "put a copy after each character",
    "write each character two times",
    level=2,
)
def double_characters(s: str) -> str:
    """Write every character twice.

    >>> double_characters("sky")
    'sskkyy'
    """
    return "".join(c * 2 for c in s)


@atom(
    "take the length of the string",
    "count the characters",
    "compute the number of characters",
    level=2,
)
def length(s: str) -> int:
    """Count the characters of a text.

    >>> length("a bee")
    5
    """
    return len(s)
