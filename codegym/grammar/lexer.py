"""Lexer: reads Python character by character and says which terminals that has completed.

Its states are few, small and independent of the parser: what is pending is either a word, a number,
an operator, a string, a comment or an indentation. A text it refuses is in no program of the
grammar; a text it accepts may still be refused by the parser.
"""

from functools import cache
from string import ascii_letters, digits
from typing import Literal, NamedTuple

from codegym.grammar.subset import FORBIDDEN_WORDS, FOREIGN_OPERATORS, KEYWORDS, OPERATORS

Kind = Literal[
    "line", "between", "word", "number", "operator", "string", "quotes", "comment", "remark"
]
# A terminal's name, or the column at which a line's first word stands.
Event = str | int

_LETTERS = frozenset(ascii_letters + "_")
_DIGITS = frozenset(digits)
_TERMINAL_OF_WORD = {word: word.upper() for word in KEYWORDS} | dict.fromkeys(FORBIDDEN_WORDS, "")
_WORD_PREFIXES = frozenset(
    word[:length] for word in _TERMINAL_OF_WORD for length in range(1, len(word) + 1)
)
_ALL_OPERATORS = (*OPERATORS, *FOREIGN_OPERATORS)
_OPERATOR_PREFIXES = frozenset(
    sign[:length] for sign in _ALL_OPERATORS for length in range(1, len(sign) + 1)
)
# How a number goes on: what it is so far, and the character ("1" for any digit).
_NUMBER = {
    ("0", "."): ".",
    ("1", "1"): "1",
    ("1", "."): ".",
    ("1", "e"): "e",
    (".", "1"): ".",
    (".", "e"): "e",
    ("e", "1"): "e1",
    ("e", "+"): "e+",
    ("e", "-"): "e+",
    ("e+", "1"): "e1",
    ("e1", "1"): "e1",
}
# After a backslash in a string; every other escape is an error or a warning somewhere.
_ESCAPES = frozenset("\\'\"nrtabfv0")


class Lex(NamedTuple):
    r"""A state of the lexer.

    Attributes:
        kind: ``line`` in a line's indentation, ``between`` words, ``quotes`` after two quotes that
            a third may make a long string's, ``remark`` in a comment that has its line to itself,
            else what is pending.
        text: Of a ``word``: its letters while it may become a keyword, then "*". Of a ``number``:
            "0", "1" (an integer), "." (a float), "e", "e+" or "e1" (an exponent). Of an
            ``operator``: its characters. Of a ``string``: its opening quotes, then ``\`` after a
            backslash. Of ``quotes``: one.
        size: Of a ``line``: its column. Of a long ``string``: quotes just written that may close
            it; of a short one: 0 while it is empty.
    """

    kind: Kind
    text: str = ""
    size: int = 0


LINE = Lex("line")
BETWEEN = Lex("between")


@cache
def read(lex: Lex, character: str, inside: bool) -> tuple[tuple[Event, ...], Lex] | None:
    """Read one character.

    Args:
        lex: The state before it.
        character: One character.
        inside: Whether a bracket is open, so that a newline is mere space.

    Returns:
        What the character completed, in order, and the state after it; None where it cannot stand.
    """
    if lex.kind == "string":
        return _read_string(lex, character)
    if lex.kind in ("comment", "remark"):
        return _read_comment(lex, character, inside)
    if lex.kind == "line":
        return _read_line(lex, character)
    extended = _extend(lex, character)
    if extended is not None:
        return (), extended
    done = finish(lex)
    if done is None or (lex.kind in ("word", "number") and character in _LETTERS | _DIGITS):
        return None
    if character == "\n":
        return (done, BETWEEN) if inside else ((*done, "NEWLINE"), LINE)
    begun = _begin(character)
    return None if begun is None else (done + begun[0], begun[1])


@cache
def finish(lex: Lex) -> tuple[Event, ...] | None:
    """Return the terminals that what is pending stands for when it goes no further.

    None where it cannot end here: in a string, or in half an operator or a word that is no name.
    """
    if lex.kind == "word":
        terminal = _TERMINAL_OF_WORD.get(lex.text, "NAME")
        return (terminal,) if terminal else None
    if lex.kind == "number":
        return None if lex.text in ("e", "e+") else ("NUMBER",)
    if lex.kind == "operator":
        return (OPERATORS[lex.text],) if lex.text in OPERATORS else None
    if lex.kind == "quotes":
        return ("STRING",)
    return None if lex.kind == "string" else ()


@cache
def ways_out(lex: Lex) -> tuple[tuple[str, str], ...]:
    """Return the ways to finish what is pending: what to write, and the terminal that gives."""
    text = lex.text
    if lex.kind == "word":
        longer = tuple(
            (word[len(text) :], word.upper())
            for word in KEYWORDS
            if word.startswith(text) and word != text
        )
        if text in _TERMINAL_OF_WORD:
            return (*longer, ("", _TERMINAL_OF_WORD[text]), ("x", "NAME"))
        return (*longer, ("", "NAME"))
    if lex.kind == "operator":
        return tuple(
            (sign[len(text) :], terminal)
            for sign, terminal in OPERATORS.items()
            if sign.startswith(text)
        )
    if lex.kind == "string":
        escaped, opening = text.endswith("\\"), text.rstrip("\\")
        quotes = 3 - lex.size if len(opening) == 3 else 1
        return (("n" * escaped + opening[0] * quotes, "STRING"),)
    if lex.kind == "number":
        return (("0" if lex.text in ("e", "e+") else "", "NUMBER"),)
    return (("", "STRING"),)


def _begin(character: str) -> tuple[tuple[Event, ...], Lex] | None:
    if character == " ":
        return (), BETWEEN
    if character in _LETTERS:
        return (), Lex("word", character if character in _WORD_PREFIXES else "*")
    if character in _DIGITS:
        return (), Lex("number", "0" if character == "0" else "1")
    if character in "'\"":
        return (), Lex("string", character)
    if character == "#":
        return (), Lex("comment")
    if character not in _OPERATOR_PREFIXES:
        return None
    return _settle(character)


def _settle(sign: str) -> tuple[tuple[Event, ...], Lex]:
    longer = any(one.startswith(sign) and one != sign for one in _ALL_OPERATORS)
    if longer:
        return (), Lex("operator", sign)
    # "..." and its like end here too, and are refused by the parser: no terminal is theirs.
    return (OPERATORS.get(sign, ""),), BETWEEN


def _extend(lex: Lex, character: str) -> Lex | None:
    if lex.kind == "word" and (character in _LETTERS or character in _DIGITS):
        longer = lex.text + character
        return Lex("word", longer if longer in _WORD_PREFIXES else "*")
    if lex.kind == "number":
        text = _NUMBER.get((lex.text, "1" if character in _DIGITS else character.lower()))
        return None if text is None else Lex("number", text)
    if lex.kind == "quotes" and character == lex.text:
        return Lex("string", character * 3)
    if lex.kind == "operator" and lex.text + character in _OPERATOR_PREFIXES:
        return Lex("operator", lex.text + character)
    return None


def _read_line(lex: Lex, character: str) -> tuple[tuple[Event, ...], Lex] | None:
    if character == " ":
        return (), Lex("line", "", lex.size + 1)
    if character == "\n":
        return (), LINE
    if character == "#":
        return (), Lex("remark")
    begun = _begin(character)
    return None if begun is None else ((lex.size, *begun[0]), begun[1])


def _read_comment(lex: Lex, character: str, inside: bool) -> tuple[tuple[Event, ...], Lex] | None:
    if character != "\n":
        return ((), lex) if character >= " " or character == "\t" else None
    if inside:
        return (), BETWEEN
    return ((), LINE) if lex.kind == "remark" else (("NEWLINE",), LINE)


def _read_string(lex: Lex, character: str) -> tuple[tuple[Event, ...], Lex] | None:
    escaped = lex.text.endswith("\\")
    opening = lex.text.rstrip("\\")
    long = len(opening) == 3
    if escaped:
        known = character in _ESCAPES or (character == "\n" and long)
        return ((), Lex("string", opening, int(not long))) if known else None
    if character == "\\":
        return (), Lex("string", opening + character)
    if character == opening[0]:
        if not long and lex.size == 0:
            return (), Lex("quotes", character)
        if not long or lex.size == 2:
            return ("STRING",), BETWEEN
        return (), Lex("string", opening, lex.size + 1)
    if character in "\n\r" and not (long and character == "\n"):
        return None
    if character < " " and character not in "\n\t":
        return None
    return (), Lex("string", opening, int(not long))
