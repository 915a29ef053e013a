"""Lexer: reads Python byte by byte and says which terminals that has completed.

Its states are few, small and independent of the parser. A text it refuses is in no program of the
grammar; a text it accepts may still be refused by the parser. It reads UTF-8 in units of a byte,
``chr(0)`` to ``chr(255)``, or of half a byte, ``chr(256)`` to ``chr(271)``, the high half first.
"""

from functools import lru_cache
from string import ascii_letters, digits

from codegym.grammar.lex import Event, Frame, Lex, Step, Way
from codegym.grammar.string_literals import (
    PREFIXES,
    begin_spec,
    close_field,
    closed,
    is_barred,
    may_quote,
    open_field,
    open_string,
    opened,
    read_conversion,
    read_string,
    string_ways,
)
from codegym.grammar.unicode import completion
from codegym.grammar.word_tokens import (
    BRACKETS,
    FOREIGN_OPERATORS,
    KEYWORDS,
    OPERATORS,
    SOFT,
    SPECIAL,
)

LINE = Lex("line")
BETWEEN = Lex("between")
HALF = 256
MOST_SPACES, MOST_TABS = 100, 20

_LETTERS = frozenset(ascii_letters + "_")
_DIGITS = frozenset(digits)
_SPACES = frozenset(" \t\f")
_TERMINAL_OF_WORD = {word: word.upper() for word in KEYWORDS} | SOFT | SPECIAL
# Prefixes of strings are words until a quote follows, in capitals as well.
_WORDS = (*_TERMINAL_OF_WORD, *(word for one in PREFIXES for word in (one, one.upper())))
_WORDS += tuple(word for one in PREFIXES for word in (one.title(), one.title().swapcase()))
_WORD_PREFIXES = frozenset(word[:length] for word in _WORDS for length in range(1, len(word) + 1))
_ALL_OPERATORS = (*OPERATORS, *FOREIGN_OPERATORS)
_OPERATOR_PREFIXES = frozenset(
    sign[:length] for sign in _ALL_OPERATORS for length in range(1, len(sign) + 1)
)
# How a number goes on. Its form: "0", "00" (zeros alone), "1" (an integer), "01" (one that may only
# be the beginning of a fraction, for its leading zero), "f" and "." (a fraction), "e", "e+", "e1"
# (an exponent), "x", "o", "b" and "x1", "o1", "b1" (other bases), "j" (imaginary); with "_" after
# it a digit is wanted. The character: "0", or "1" for another digit of a decimal number.
_DIGIT_AFTER = {"1": "1", "01": "01", "f": ".", ".": ".", "e": "e1", "e+": "e1", "e1": "e1"}
_NUMBER = {(form, one): to for form, to in _DIGIT_AFTER.items() for one in "01"}
_NUMBER |= {("0", "0"): "00", ("00", "0"): "00", ("0", "1"): "01", ("00", "1"): "01"}
_NUMBER |= {(base, "0"): f"{base}1" for base in "box"}
_NUMBER |= {(f"{base}1", "0"): f"{base}1" for base in "box"}
_UNDERSCORED = ("0", "00", "1", "01", ".", "e1", "b", "b1", "o", "o1", "x", "x1")
_NUMBER |= {(f"{form}_", one): to for (form, one), to in _NUMBER.items() if form in _UNDERSCORED}
_NUMBER |= {(form, "_"): f"{form}_" for form in _UNDERSCORED} | {
    ("0", base): base for base in "box"
}
_NUMBER |= {(form, "."): "f" for form in ("0", "00", "1", "01")}
_NUMBER |= {(form, "e"): "e" for form in ("0", "00", "1", "01", "f", ".")}
_NUMBER |= {(form, "j"): "j" for form in ("0", "00", "1", "01", "f", ".", "e1")}
_NUMBER |= {("e", "+"): "e+", ("e", "-"): "e+"}
_WHOLE_NUMBERS = {"0", "00", "1", "f", ".", "e1", "b1", "o1", "x1", "j"}
_FINISH_NUMBER = {"01": ".", "e+": "0", "e": "0"}
_STRINGS = ("string", "brace")
_RETURN = chr(HALF + 0x0D)
_READ_KEPT = 1 << 18
_WAYS_KEPT = 1 << 14


@lru_cache(maxsize=_READ_KEPT)
def read(lex: Lex, unit: str, inside: bool) -> Step:
    """Read one unit.

    Args:
        lex: The state before it.
        unit: A byte or half a byte.
        inside: Whether a bracket is open, so that a newline is mere space.

    Returns:
        What it completed, in order, and the state after it; None where it cannot stand.
    """
    code = ord(unit)
    if code >= HALF:
        return _read_half(lex, code - HALF, inside)
    if lex.half >= 0:
        return None
    if code < 0x80:
        return None if lex.data else _read_character(lex, unit, inside)
    data = lex.data + unit
    rest = rest_of_character(lex, data)
    if rest is None:
        return None
    if rest:
        return (), lex._replace(data=data)
    return _read_character(lex._replace(data=""), data.encode("latin-1").decode(), inside)


def rest_of_character(lex: Lex, data: str) -> str | None:
    """Return bytes that complete a character here, "" where it is complete, None where none do."""
    if lex.kind in ("string", "comment", "remark"):
        return completion(data, named=False, first=False)
    return completion(data, named=True, first=lex.kind != "word")


def _read_half(lex: Lex, half: int, inside: bool) -> Step:
    if lex.half >= 0:
        byte = lex.half << 4 | half
        # What has an id of its own is never written by halves.
        plain = 0x20 <= byte < 0x7F or byte in (0x09, 0x0A)
        return None if plain else read(lex._replace(half=-1), chr(byte), inside)
    begun = lex._replace(half=half)
    return ((), begun) if second_halves(begun, inside) else None


@lru_cache(maxsize=_WAYS_KEPT)
def second_halves(lex: Lex, inside: bool) -> tuple[str, ...]:
    """Return the second halves for a byte that is begun that are worth a look; none if none fit.

    All but a newline take as long to make a whole character, and lead to the same.
    """
    fit = [chr(HALF + low) for low in range(16) if read(lex, chr(HALF + low), inside) is not None]
    return tuple(fit[:1] + [low for low in fit[1:] if lex.half == 0 and low == _RETURN])


def _read_character(lex: Lex, character: str, inside: bool) -> Step:
    if lex.returned:
        lex = lex._replace(returned=False)
        if character == "\n":
            return (), lex
    if character == "\r":
        # CPython reads every newline as a line feed before anything else.
        step = _read_character(lex, "\n", inside)
        return None if step is None else (step[0], step[1]._replace(returned=True))
    if lex.kind in _STRINGS:
        step = read_string(lex, character)
        if step is None and lex.kind == "brace" and lex.size and character != "{":
            step = _after(("FOPEN",), _read_character(open_field(lex), character, inside))
        return step
    if lex.kind in ("conversion", "converted"):
        return read_conversion(lex, character)
    if lex.kind in ("comment", "remark"):
        return _read_comment(lex, character, inside)
    if lex.kind == "backslash":
        return ((), Lex("joined")) if character == "\n" else None
    if character == "\0" or is_barred(character, lex.frames):
        return None
    if lex.kind == "line":
        return _read_line(lex, character)
    return _read_code(lex, character, inside)


def _read_code(lex: Lex, character: str, inside: bool) -> Step:
    extended = _extend(lex, character)
    if extended is not None:
        return extended
    done = finish(lex)
    if done is None or (lex.kind in ("word", "number") and _is_letter(character)):
        return None
    if lex.frames and lex.frames[-1].depth == 0 and character in ":!=}":
        return _after(done, _end_field(lex, character))
    if character == "\n":
        if inside or lex.frames:
            return done, Lex("between", frames=lex.frames)
        return (*done, "NEWLINE"), LINE
    bar = lex if lex.kind == "between" else BETWEEN
    return _after(done, _begin(bar._replace(frames=lex.frames), character, lex.kind == "joined"))


def _after(done: tuple[Event, ...], step: Step) -> Step:
    return None if step is None else ((*done, *step[0]), step[1])


@lru_cache(maxsize=_WAYS_KEPT)
def finish(lex: Lex) -> tuple[Event, ...] | None:
    """Return the terminals that what is pending stands for when it goes no further.

    None where it cannot end here: in a string, or in half an operator or number.
    """
    if lex.data or lex.half >= 0:
        return None
    if lex.kind == "word":
        return (_TERMINAL_OF_WORD.get(lex.text, "NAME"),)
    if lex.kind == "number":
        if lex.text not in _WHOLE_NUMBERS:
            return None
        return ("IMAGINARY",) if lex.text == "j" else ("NUMBER",)
    if lex.kind == "operator":
        if lex.text == "..":
            return ("DOT", "DOT")
        if lex.text == "=" and _at_end_of_field(lex):
            return ("FEQUAL",)
        return (OPERATORS[lex.text],) if lex.text in OPERATORS else None
    if lex.kind == "quotes":
        return (*opened(lex), closed(lex))
    return () if lex.kind in ("line", "between", "joined", "comment", "remark") else None


@lru_cache(maxsize=_WAYS_KEPT)
def ways_out(lex: Lex) -> tuple[Way, ...]:
    """Return the ways to finish what is pending: what to write, and the terminals that gives."""
    if lex.kind == "word":
        return _word_ways(lex)
    if lex.kind == "operator":
        return _operator_ways(lex)
    if lex.kind == "number":
        rest = _FINISH_NUMBER.get(lex.text, "" if lex.text in _WHOLE_NUMBERS else "0")
        form = "IMAGINARY" if lex.text == "j" else "NUMBER"
        if form == "NUMBER" and lex.text[0] not in "box":
            return ((rest, ("NUMBER",)), (f"{rest}j", ("IMAGINARY",)))
        return ((rest, (form,)),)
    if lex.kind == "converted":
        return (("", ()),)
    return string_ways(lex)


def _word_ways(lex: Lex) -> tuple[Way, ...]:
    text = lex.text
    ways: list[Way] = [
        (word[len(text) :], (terminal,))
        for word, terminal in _TERMINAL_OF_WORD.items()
        if word.startswith(text)
    ]
    ways.append(("x" if text in _TERMINAL_OF_WORD else "", ("NAME",)))
    for word in _WORDS:
        if word.lower() in PREFIXES and word.startswith(text):
            for quote in "'\"":
                if not any(frame.quotes[0] == quote for frame in lex.frames):
                    string = open_string(word, quote, lex.frames)
                    rest = f"{word[len(text) :]}{quote}{quote}"
                    ways.append((rest, (*opened(string), closed(string))))
    return tuple(ways)


def _operator_ways(lex: Lex) -> tuple[Way, ...]:
    text = lex.text
    ways: list[Way] = [
        (sign[len(text) :], (terminal,))
        for sign, terminal in OPERATORS.items()
        if sign.startswith(text)
    ]
    if text == "..":
        ways.append(("", ("DOT", "DOT")))
    if text == ".":
        ways.append(("0", ("NUMBER",)))
    if text == "!" and _at_end_of_field(lex):
        ways.append(("s", ("FCONVERSION",)))
    if text == "=" and _at_end_of_field(lex):
        ways = [("", ("FEQUAL",)), ("=", ("EQUAL",))]
    return tuple(ways)


def _at_end_of_field(lex: Lex) -> bool:
    return bool(lex.frames) and lex.frames[-1].depth == 0


def _is_letter(character: str) -> bool:
    return character in _LETTERS or character in _DIGITS or character > "\x7f"


def _end_field(lex: Lex, character: str) -> Step:
    if character == "}":
        return ("FCLOSE",), close_field(lex)
    if character == ":":
        return ("FCOLON",), begin_spec(lex)
    if character == "!":
        return (), Lex("conversion", frames=lex.frames)
    return (), Lex("operator", "=", frames=lex.frames)


def _begin(lex: Lex, character: str, joined: bool) -> Step:
    frames = lex.frames
    if character in _SPACES:
        return (), Lex("joined" if joined else "between", frames=frames)
    if character == "\\":
        return (), Lex("backslash")
    if character in _LETTERS or character > "\x7f":
        text = character if character in _WORD_PREFIXES else "*"
        return (), Lex("word", text, frames=frames)
    if character in _DIGITS:
        return (), Lex("number", "0" if character == "0" else "1", frames=frames)
    if character in "'\"":
        return ((), open_string("", character, frames)) if may_quote(character, lex) else None
    if character == "#":
        return (), Lex("comment")
    return _settle(character, frames) if character in _OPERATOR_PREFIXES else None


def _settle(sign: str, frames: tuple[Frame, ...]) -> Step:
    if any(one.startswith(sign) and one != sign for one in _ALL_OPERATORS):
        return (), Lex("operator", sign, frames=frames)
    if frames and sign in BRACKETS:
        last = frames[-1]
        frames = (*frames[:-1], last._replace(depth=last.depth + BRACKETS[sign]))
    terminal = OPERATORS.get(sign)
    return None if terminal is None else ((terminal,), Lex("between", frames=frames))


def _extend(lex: Lex, character: str) -> Step:
    """Read a character that belongs to what is pending; None where it does not."""
    text = lex.text
    if lex.kind == "word":
        if _is_letter(character):
            longer = text + character
            return (), lex._replace(text=longer if longer in _WORD_PREFIXES else "*")
        if character in "'\"" and text.lower() in PREFIXES:
            return (), open_string(text, character, lex.frames)
    elif lex.kind == "number":
        form = _NUMBER.get((text, _digit(text, character)))
        return None if form is None else ((), lex._replace(text=form))
    elif lex.kind == "quotes" and character == text:
        long = lex._replace(kind="string", text=character * 3, size=0)
        return opened(long), long
    elif lex.kind == "operator":
        if text == "." and character in _DIGITS:
            return (), Lex("number", ".", frames=lex.frames)
        if text + character in _OPERATOR_PREFIXES:
            return _settle(text + character, lex.frames)
    return None


def _digit(form: str, character: str) -> str:
    """Return what a character is to a number of some form."""
    small = character.lower()
    if form[0] in "box":
        allowed = {"b": "01", "o": "01234567", "x": "0123456789abcdef"}[form[0]]
        return "0" if small in allowed else small if small == "_" else ""
    return small if small not in _DIGITS or small == "0" else "1"


def _read_line(lex: Lex, character: str) -> Step:
    if character == " ":
        return ((), lex._replace(size=lex.size + 1)) if lex.size < MOST_SPACES else None
    if character == "\t":
        fits = not lex.size and len(lex.mode) < MOST_TABS
        return ((), lex._replace(mode=lex.mode + "\t")) if fits else None
    if character in "\n\f":
        return (), LINE
    if character == "#":
        return (), Lex("remark")
    if character == "\\":
        return None
    return _after(((len(lex.mode), lex.size),), _begin(BETWEEN, character, False))


def _read_comment(lex: Lex, character: str, inside: bool) -> Step:
    if character == "\0":
        return None
    if character != "\n":
        return (), lex
    if inside:
        return (), BETWEEN
    return ((), LINE) if lex.kind == "remark" else (("NEWLINE",), LINE)
