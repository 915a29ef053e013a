"""Number literals: how the lexer reads numbers, as an automaton over forms.

A form is the state of a number: "0", "00" (zeros alone), "1" (an integer), "01" (digits after a
leading zero, which only a fraction may follow), "f" and "." (a fraction), "e", "e+", "e1" (an
exponent), "x", "o", "b" and "x1", "o1", "b1" (other bases), "j" (imaginary). A form that ends in
"_" needs a digit next.
"""

from codegym.grammar.lexer_state import Completion

# (form, class of a character) -> next form. Decimal digits but 0 are of the class "1".
_DIGIT_AFTER = {"1": "1", "01": "01", "f": ".", ".": ".", "e": "e1", "e+": "e1", "e1": "e1"}
_FORMS = {(form, digit): to for form, to in _DIGIT_AFTER.items() for digit in "01"}
_FORMS |= {("0", "0"): "00", ("00", "0"): "00", ("0", "1"): "01", ("00", "1"): "01"}
_FORMS |= {(base, "0"): f"{base}1" for base in "box"}
_FORMS |= {(f"{base}1", "0"): f"{base}1" for base in "box"}
_UNDERSCORED = ("0", "00", "1", "01", ".", "e1", "b", "b1", "o", "o1", "x", "x1")
_FORMS |= {(f"{form}_", sign): to for (form, sign), to in _FORMS.items() if form in _UNDERSCORED}
_FORMS |= {(form, "_"): f"{form}_" for form in _UNDERSCORED}
_FORMS |= {("0", base): base for base in "box"}
_FORMS |= {(form, "."): "f" for form in ("0", "00", "1", "01")}
_FORMS |= {(form, "e"): "e" for form in ("0", "00", "1", "01", "f", ".")}
_FORMS |= {(form, "j"): "j" for form in ("0", "00", "1", "01", "f", ".", "e1")}
_FORMS |= {("e", "+"): "e+", ("e", "-"): "e+"}
_WHOLE = {"0", "00", "1", "f", ".", "e1", "b1", "o1", "x1", "j"}
_ENDING = {"01": ".", "e+": "0", "e": "0"}


def extend_number(form: str, character: str) -> str | None:
    """Return the form of a number after a further character; None if it does not belong to it."""
    return _FORMS.get((form, _class_of(form, character)))


def number_terminals(form: str) -> tuple[str, ...] | None:
    """Return the terminal of a number that ends here; None if it cannot end here."""
    if form not in _WHOLE:
        return None
    return ("IMAGINARY",) if form == "j" else ("NUMBER",)


def number_completions(form: str) -> tuple[Completion, ...]:
    """Return the ways to finish a number, each with its terminal."""
    rest = _ENDING.get(form, "" if form in _WHOLE else "0")
    terminal = "IMAGINARY" if form == "j" else "NUMBER"
    if terminal == "NUMBER" and form[0] not in "box":
        return ((rest, ("NUMBER",)), (f"{rest}j", ("IMAGINARY",)))
    return ((rest, (terminal,)),)


def _class_of(form: str, character: str) -> str:
    """Return the character class that a number of some form sees in a character."""
    small = character.lower()
    if form[0] in "box":
        allowed = {"b": "01", "o": "01234567", "x": "0123456789abcdef"}[form[0]]
        return "0" if small in allowed else small if small == "_" else ""
    return "1" if small in "123456789" else small
