r"""String literals: how the lexer reads strings and f-strings with their fields.

The rules are those of Python 3.11, which later versions only loosen: a field holds no backslash,
comment or quote of its string's kind (but a field that is not empty may open a string with a quote
of a long string's kind), newlines occur only in long strings, and fields nest two levels deep.
``\N{...}`` is refused.
"""

from codegym.grammar.lexer_state import Completion, Frame, LexerState, Step

PREFIXES = ("r", "u", "b", "br", "rb", "f", "fr", "rf")
_HEX = frozenset("0123456789abcdefABCDEF")
_CONVERSIONS = frozenset("sra")


def is_barred(character: str, frames: tuple[Frame, ...]) -> bool:
    """Whether the open fields forbid a character in every role."""
    if not frames:
        return False
    if character in "'\"":
        return any(frame.quotes == character for frame in frames)
    return character in "\\#" or (character == "\n" and any(len(f.quotes) == 1 for f in frames))


def may_quote(character: str, lex: LexerState) -> bool:
    """Whether a string may open here with this quote."""
    return lex.text != character if lex.kind == "between" and lex.text else True


def open_string(prefix: str, quote: str, frames: tuple[Frame, ...]) -> LexerState:
    """Return the state after a string's prefix and its first quote."""
    mode = "".join(sorted(prefix.lower())).replace("u", "")
    return LexerState("string", quote, 0, mode, frames=frames)


def opened(lex: LexerState) -> tuple[str, ...]:
    """Return the event of an f-string's start, once its quotes are known."""
    return (("FLONG" if len(lex.text) == 3 else "FSTART"),) if "f" in lex.mode else ()


def closed(lex: LexerState) -> str:
    """Return the event of a string's end."""
    if "f" in lex.mode:
        return "FLONGEND" if len(lex.text) == 3 else "FEND"
    return "BYTES" if "b" in lex.mode else "STRING"


def read_string(lex: LexerState, character: str) -> Step:
    """Read a character of a string or of the literal part of an f-string."""
    if lex.kind == "brace":
        return _read_brace(lex, character)
    if lex.escape:
        return _read_escape(lex, character)
    if character == "\0" or (character > "\x7f" and "b" in lex.mode):
        return None
    long, quote = len(lex.text) == 3, lex.text[0]
    if character == quote:
        return _read_quote(lex, long)
    if character == "\n" and (not long or lex.level):
        return None
    if _bars(lex, character):
        return None
    begun = opened(lex) if lex.size == 0 and not long else ()
    inner = lex._replace(size=int(not long))
    if character == "\\":
        return None if lex.level else (begun, inner._replace(escape="\\"))
    if "f" in lex.mode and character in "{}":
        return _begin_brace(inner, character, begun)
    return begun, inner


def _bars(lex: LexerState, character: str) -> bool:
    # A format specification follows the rules of the string, so its own field does not count.
    frames = lex.frames[:-1] if lex.level else lex.frames
    if character in "'\"":
        return any(frame.quotes[0] == character for frame in frames)
    return character != "#" and is_barred(character, frames)


def _read_quote(lex: LexerState, long: bool) -> Step:
    if lex.level:
        return None
    if not long and lex.size == 0:
        # Inside a field of a long f-string, the string's quote never occurs twice in a row.
        if any(frame.quotes[0] == lex.text for frame in lex.frames):
            return None
        return (), lex._replace(kind="quotes")
    if long and lex.size < 2:
        return (), lex._replace(size=lex.size + 1)
    bar = lex.text if any(frame.quotes[0] == lex.text for frame in lex.frames) else ""
    return (closed(lex),), LexerState("between", bar, frames=lex.frames)


def _begin_brace(lex: LexerState, character: str, begun: tuple[str, ...]) -> Step:
    if lex.level == 0:
        return begun, lex._replace(kind="brace", size=int(character == "{"))
    if character == "{":
        if lex.level > 1:
            return None
        return begun, lex._replace(kind="brace", size=1)
    return ("FCLOSE",), close_field(lex)


def _read_brace(lex: LexerState, character: str) -> Step:
    opening = lex.size == 1
    literal = lex._replace(kind="string", size=int(len(lex.text) == 1))
    if character == ("{" if opening else "}"):
        return None if lex.level else ((), literal)
    return None


def open_field(lex: LexerState) -> LexerState:
    """Return the state in the field that a brace opens."""
    return LexerState("between", frames=(*lex.frames, Frame(lex.text, lex.mode, lex.level, 0)))


def begin_spec(lex: LexerState) -> LexerState:
    """Return the state in the format specification of the innermost field."""
    frame = lex.frames[-1]
    size = int(len(frame.quotes) == 1)
    return LexerState("string", frame.quotes, size, frame.mode, "", frame.level + 1, lex.frames)


def close_field(lex: LexerState) -> LexerState:
    """Return the state after the brace that closes the innermost field."""
    frame = lex.frames[-1]
    size = int(len(frame.quotes) == 1)
    return LexerState("string", frame.quotes, size, frame.mode, "", frame.level, lex.frames[:-1])


def _read_escape(lex: LexerState, character: str) -> Step:
    long = len(lex.text) == 3
    literal = lex._replace(escape="", size=int(not long))
    if lex.escape == "\\":
        return _begin_escape(lex, literal, character)
    kind, left = lex.escape[0], int(lex.escape[1:])
    if kind == "U" and left > 5:
        known = "01" if left == 6 else "0"
        if character not in known:
            return None
        return (), lex._replace(escape="V5" if character == "1" else f"U{left - 1}")
    if character not in (_HEX if kind != "V" else "0"):
        return None
    return (), (lex._replace(escape=f"U{left - 1}") if left > 1 else literal)


def _begin_escape(lex: LexerState, literal: LexerState, character: str) -> Step:
    if character == "\0" or _bars(lex, character):
        return None
    if character > "\x7f" and "b" in lex.mode:
        return None
    if "f" in lex.mode and character in "{}":
        return _begin_brace(literal, character, ())
    if "r" not in lex.mode:
        if character == "x":
            return (), literal._replace(escape="x2")
        if character in "uUN" and "b" not in lex.mode:
            if character == "N":
                return None
            return (), literal._replace(escape="u4" if character == "u" else "U8")
    return (), literal


def read_conversion(lex: LexerState, character: str) -> Step:
    """Read a character after ``!`` in a field, or after the conversion's letter."""
    if lex.kind == "conversion":
        if character == "=":
            return ("UNEQUAL",), LexerState("between", frames=lex.frames)
        if character in _CONVERSIONS:
            return ("FCONVERSION",), LexerState("converted", frames=lex.frames)
        return None
    if character == ":":
        return ("FCOLON",), begin_spec(lex)
    return (("FCLOSE",), close_field(lex)) if character == "}" else None


def string_completions(lex: LexerState) -> tuple[Completion, ...]:
    """Return the ways to finish a string or a part of an f-string's field."""
    if lex.kind == "conversion":
        return (("=", ("UNEQUAL",)), ("s", ("FCONVERSION",)))
    if lex.kind == "quotes":
        return (("", (*opened(lex), closed(lex))),)
    if lex.level:
        # A format specification ends with its field's brace; after "{" a field must follow.
        return (("}", ("FCLOSE",)) if lex.kind == "string" else ("", ("FOPEN",)),)
    begun = opened(lex) if len(lex.text) == 1 and lex.size == 0 and lex.kind == "string" else ()
    run = lex.size if len(lex.text) == 3 and lex.kind == "string" and not lex.escape else 0
    brace = "" if lex.kind == "string" else "{" if lex.size else "}"
    whole = (_finish_escape(lex.escape) + brace + lex.text[run:], (*begun, closed(lex)))
    return (whole, ("", ("FOPEN",))) if brace == "{" else (whole,)


def _finish_escape(escape: str) -> str:
    if escape == "\\":
        return "n"
    return "0" * int(escape[1:]) if escape else ""
