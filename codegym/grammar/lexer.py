"""Lexer: reads Python byte by byte and returns the terminals that each byte completes.

Its states are few, small and independent of the parser. No program of the grammar contains a text
that the lexer refuses; the parser may still refuse a text that the lexer accepts. The lexer reads
UTF-8 in units of a byte, ``chr(0)`` to ``chr(255)``, or of half a byte, ``chr(256)`` to
``chr(271)``, the high half first.
"""

from functools import lru_cache
from string import ascii_letters, digits

from codegym.grammar.lexer_state import Completion, Event, Frame, LexerState, Step
from codegym.grammar.number_literals import extend_number, number_completions, number_terminals
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
    string_completions,
)
from codegym.grammar.unicode import character_completion
from codegym.grammar.word_tokens import (
    BRACKETS,
    FOREIGN_OPERATORS,
    KEYWORDS,
    OPERATORS,
    SOFT,
    SPECIAL,
)

LINE = LexerState("line")
BETWEEN = LexerState("between")
HALF = 256
MOST_SPACES, MOST_TABS = 100, 20

_LETTERS = frozenset(ascii_letters + "_")
_DIGITS = frozenset(digits)
_SPACES = frozenset(" \t\f")
_TERMINAL_OF_WORD = {word: word.upper() for word in KEYWORDS} | SOFT | SPECIAL
# Prefixes of strings are words until a quote follows, in capitals as well.
_WORDS = (*_TERMINAL_OF_WORD, *(word for prefix in PREFIXES for word in (prefix, prefix.upper())))
_WORDS += tuple(word for prefix in PREFIXES for word in (prefix.title(), prefix.title().swapcase()))
_WORD_PREFIXES = frozenset(word[:length] for word in _WORDS for length in range(1, len(word) + 1))
_ALL_OPERATORS = (*OPERATORS, *FOREIGN_OPERATORS)
_OPERATOR_PREFIXES = frozenset(
    sign[:length] for sign in _ALL_OPERATORS for length in range(1, len(sign) + 1)
)
_STRINGS = ("string", "brace")
_RETURN = chr(HALF + 0x0D)
_READ_KEPT = 1 << 18
_WAYS_KEPT = 1 << 14


@lru_cache(maxsize=_READ_KEPT)
def read(lex: LexerState, unit: str, inside: bool) -> Step:
    """Read a unit.

    Args:
        lex: The state before the unit.
        unit: A byte or half a byte.
        inside: Whether a bracket is open, which makes a newline mere space.

    Returns:
        The events that the unit completes, in order, and the state after it; None if the unit is
        not allowed here.
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


def rest_of_character(lex: LexerState, data: str) -> str | None:
    """Return bytes that complete a character here, "" if it is complete, None if none do."""
    if lex.kind in ("string", "comment", "remark"):
        return character_completion(data, named=False, first=False)
    return character_completion(data, named=True, first=lex.kind != "word")


def _read_half(lex: LexerState, half: int, inside: bool) -> Step:
    if lex.half >= 0:
        byte = lex.half << 4 | half
        # A byte with its own id is never written by halves.
        plain = 0x20 <= byte < 0x7F or byte in (0x09, 0x0A)
        return None if plain else read(lex._replace(half=-1), chr(byte), inside)
    begun = lex._replace(half=half)
    return ((), begun) if second_halves(begun, inside) else None


@lru_cache(maxsize=_WAYS_KEPT)
def second_halves(lex: LexerState, inside: bool) -> tuple[str, ...]:
    """Return the second halves worth trying for a begun byte; none if no half fits.

    All second halves but a newline's complete a character in equally many tokens and lead to
    equivalent states.
    """
    fit = [chr(HALF + low) for low in range(16) if read(lex, chr(HALF + low), inside) is not None]
    return tuple(fit[:1] + [low for low in fit[1:] if lex.half == 0 and low == _RETURN])


def _read_character(lex: LexerState, character: str, inside: bool) -> Step:
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
        return ((), LexerState("joined")) if character == "\n" else None
    if character == "\0" or is_barred(character, lex.frames):
        return None
    if lex.kind == "line":
        return _read_line(lex, character)
    return _read_code(lex, character, inside)


def _read_code(lex: LexerState, character: str, inside: bool) -> Step:
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
            return done, LexerState("between", frames=lex.frames)
        return (*done, "NEWLINE"), LINE
    bar = lex if lex.kind == "between" else BETWEEN
    return _after(done, _begin(bar._replace(frames=lex.frames), character, lex.kind == "joined"))


def _after(done: tuple[Event, ...], step: Step) -> Step:
    return None if step is None else ((*done, *step[0]), step[1])


@lru_cache(maxsize=_WAYS_KEPT)
def finish(lex: LexerState) -> tuple[Event, ...] | None:
    """Return the terminals of the pending text if it ends here.

    None if it cannot end here: in a string, or in half an operator or number.
    """
    if lex.data or lex.half >= 0:
        return None
    if lex.kind == "word":
        return (_TERMINAL_OF_WORD.get(lex.text, "NAME"),)
    if lex.kind == "number":
        return number_terminals(lex.text)
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
def completions(lex: LexerState) -> tuple[Completion, ...]:
    """Return the ways to finish the pending text, each with the terminals that it completes."""
    if lex.kind == "word":
        return _word_completions(lex)
    if lex.kind == "operator":
        return _operator_completions(lex)
    if lex.kind == "number":
        return number_completions(lex.text)
    if lex.kind == "converted":
        return (("", ()),)
    return string_completions(lex)


def _word_completions(lex: LexerState) -> tuple[Completion, ...]:
    text = lex.text
    found: list[Completion] = [
        (word[len(text) :], (terminal,))
        for word, terminal in _TERMINAL_OF_WORD.items()
        if word.startswith(text)
    ]
    found.append(("x" if text in _TERMINAL_OF_WORD else "", ("NAME",)))
    for word in _WORDS:
        if word.lower() in PREFIXES and word.startswith(text):
            for quote in "'\"":
                if not any(frame.quotes[0] == quote for frame in lex.frames):
                    string = open_string(word, quote, lex.frames)
                    rest = f"{word[len(text) :]}{quote}{quote}"
                    found.append((rest, (*opened(string), closed(string))))
    return tuple(found)


def _operator_completions(lex: LexerState) -> tuple[Completion, ...]:
    text = lex.text
    found: list[Completion] = [
        (sign[len(text) :], (terminal,))
        for sign, terminal in OPERATORS.items()
        if sign.startswith(text)
    ]
    if text == "..":
        found.append(("", ("DOT", "DOT")))
    if text == ".":
        found.append(("0", ("NUMBER",)))
    if text == "!" and _at_end_of_field(lex):
        found.append(("s", ("FCONVERSION",)))
    if text == "=" and _at_end_of_field(lex):
        found = [("", ("FEQUAL",)), ("=", ("EQUAL",))]
    return tuple(found)


def _at_end_of_field(lex: LexerState) -> bool:
    return bool(lex.frames) and lex.frames[-1].depth == 0


def _is_letter(character: str) -> bool:
    return character in _LETTERS or character in _DIGITS or character > "\x7f"


def _end_field(lex: LexerState, character: str) -> Step:
    if character == "}":
        return ("FCLOSE",), close_field(lex)
    if character == ":":
        return ("FCOLON",), begin_spec(lex)
    if character == "!":
        return (), LexerState("conversion", frames=lex.frames)
    return (), LexerState("operator", "=", frames=lex.frames)


def _begin(lex: LexerState, character: str, joined: bool) -> Step:
    frames = lex.frames
    if character in _SPACES:
        return (), LexerState("joined" if joined else "between", frames=frames)
    if character == "\\":
        return (), LexerState("backslash")
    if character in _LETTERS or character > "\x7f":
        text = character if character in _WORD_PREFIXES else "*"
        return (), LexerState("word", text, frames=frames)
    if character in _DIGITS:
        return (), LexerState("number", "0" if character == "0" else "1", frames=frames)
    if character in "'\"":
        return ((), open_string("", character, frames)) if may_quote(character, lex) else None
    if character == "#":
        return (), LexerState("comment")
    return _settle(character, frames) if character in _OPERATOR_PREFIXES else None


def _settle(sign: str, frames: tuple[Frame, ...]) -> Step:
    if any(longer.startswith(sign) and longer != sign for longer in _ALL_OPERATORS):
        return (), LexerState("operator", sign, frames=frames)
    if frames and sign in BRACKETS:
        last = frames[-1]
        frames = (*frames[:-1], last._replace(depth=last.depth + BRACKETS[sign]))
    terminal = OPERATORS.get(sign)
    return None if terminal is None else ((terminal,), LexerState("between", frames=frames))


def _extend(lex: LexerState, character: str) -> Step:
    """Read a character that belongs to the pending text; None if it does not."""
    text = lex.text
    if lex.kind == "word":
        if _is_letter(character):
            longer = text + character
            return (), lex._replace(text=longer if longer in _WORD_PREFIXES else "*")
        if character in "'\"" and text.lower() in PREFIXES:
            return (), open_string(text, character, lex.frames)
    elif lex.kind == "number":
        form = extend_number(text, character)
        return None if form is None else ((), lex._replace(text=form))
    elif lex.kind == "quotes" and character == text:
        long = lex._replace(kind="string", text=character * 3, size=0)
        return opened(long), long
    elif lex.kind == "operator":
        if text == "." and character in _DIGITS:
            return (), LexerState("number", ".", frames=lex.frames)
        if text + character in _OPERATOR_PREFIXES:
            return _settle(text + character, lex.frames)
    return None


def _read_line(lex: LexerState, character: str) -> Step:
    if character == " ":
        return ((), lex._replace(size=lex.size + 1)) if lex.size < MOST_SPACES else None
    if character == "\t":
        fits = not lex.size and len(lex.mode) < MOST_TABS
        return ((), lex._replace(mode=lex.mode + "\t")) if fits else None
    if character in "\n\f":
        return (), LINE
    if character == "#":
        return (), LexerState("remark")
    if character == "\\":
        return None
    return _after(((len(lex.mode), lex.size),), _begin(BETWEEN, character, False))


def _read_comment(lex: LexerState, character: str, inside: bool) -> Step:
    if character == "\0":
        return None
    if character != "\n":
        return (), lex
    if inside:
        return (), BETWEEN
    return ((), LINE) if lex.kind == "remark" else (("NEWLINE",), LINE)
