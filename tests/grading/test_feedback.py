"""Feedback finds the line that failed, and exactly its tokens."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from codegym.grading.feedback import Granularity, locate
from codegym.grading.verdict import CaseResult, Outcome, Verdict
from codegym.tokenizers.bytes import ByteTokenizer
from codegym.tokenizers.lexemes import LexemeTokenizer

TOKENS = LexemeTokenizer()
PROGRAM = "def f(x):\n    y = x\n    return y / 0\n\ny = 1\n    return y / 0\n"

VALID = '''def f(x, *, key=None, **rest):
    """Doc."""
    total = 0x1F + 1e5
    for item in sorted(x, key=lambda a: (a[0], -a[1])):
        # why
        if item in ("a", 'b') and item[0] != "it's":
            total += len(f"{item!r:>10} x {total}")
        else:
            try:
                total -= {
                    "a": 1,
                }[item]
            except (KeyError,
                    IndexError) as error:
                print(error, sep="", **rest)
    with open(x) as handle, \\
            open(key) as other:
        data = [line for line in handle
                if line]
    return total if total else (yield)
@decorate
class A(B):
    async def g(self, a=1):
        await self.h(a=1,
                     b=2)
import os
from math import (
    pi,
)
assert f([]) == 0, "no"
'''


def syntax(message, line, *, cut=False, kind="SyntaxError"):
    verdict = Verdict.syntax_error(n_cases=2, error_type=kind, message=message, line=line)
    return verdict.as_cut() if cut else verdict


def runtime(kind, line, outcome=Outcome.RUNTIME_ERROR):
    return Verdict.from_cases([CaseResult(outcome=outcome, error_type=kind, error_line=line)])


def find(verdict, program=PROGRAM, tokens=TOKENS, start=0):
    ids = [*tokens.encode(program[start:]), tokens.end_id]
    feedback = locate(verdict, program, spans=tokens.spans(ids), program_start=start)
    assert feedback.n_tokens == len(ids)
    return feedback, tokens.decode(ids[slice(*feedback.tokens)])


IGNORED = [
    "inconsistent use of tabs and spaces in indentation",
    "unindent does not match any outer indentation level",
    "EOF while scanning triple-quoted string literal",  # 3.9
    "unterminated triple-quoted string literal (detected at line 3)",  # 3.10+
    "unterminated triple-quoted f-string literal (detected at line 3)",  # 3.12+
    "duplicate argument 'x' in function definition",
    "import * only allowed at module level",
]
SPLIT_BY_CUT = [
    "unexpected EOF while parsing",  # 3.9
    "'(' was never closed",  # 3.10+
    "invalid syntax",
    "invalid syntax. Perhaps you forgot a comma?",  # 3.10+
    "EOL while scanning string literal",  # 3.9
    "unterminated string literal (detected at line 6)",  # 3.10+
    "expected an indented block",  # 3.9
    "expected an indented block after 'if' statement on line 5",  # 3.10+
    "expected ':'",  # 3.10+; 3.9 says invalid syntax
    "expected 'except' or 'finally' block",  # 3.10+
    "expected 'else' after 'if' expression",  # 3.11+
    "unterminated f-string literal (detected at line 6)",  # 3.12+
    "unterminated t-string literal (detected at line 6)",  # 3.14+
    "f-string: expecting '}'",
    "'in' expected after for-loop variables",  # 3.13+
    "Expected one or more names after 'import'",  # 3.13+
    "invalid hexadecimal literal",
    "positional argument follows keyword argument",  # 3.9, of `f(a=1, b` before its `=2)`
]
# What no more text would have mended.
OF_THE_LINE = [
    "unmatched ')'",
    "closing parenthesis ']' does not match opening parenthesis '('",
    "'return' outside function",
    "name 'x' is parameter and global",
    "name 'x' is assigned to before global declaration",
    "cannot assign to function call here. Maybe you meant '==' instead of '='?",
    "non-default argument follows default argument",  # to 3.11
    "parameter without a default follows parameter with a default",  # 3.12+
    "unexpected character after line continuation character",
    "invalid character '\u201c' (U+201C)",
    "Missing parentheses in call to 'print'. Did you mean print(...)?",
]


@pytest.mark.parametrize("message", IGNORED)
@pytest.mark.parametrize("cut", [False, True])
def test_errors_that_point_nowhere_are_ignored(message, cut):
    feedback, text = find(syntax(message, 3, cut=cut))
    assert feedback.granularity is Granularity.IGNORE
    assert (feedback.lines, text) == (None, "")


@pytest.mark.parametrize("message", SPLIT_BY_CUT)
def test_a_syntax_error_at_the_end_is_global_only_where_the_budget_cut_it(message):
    line, whole = find(syntax(message, 6)), find(syntax(message, 6, cut=True))
    assert line[0].granularity is Granularity.LINE
    assert line[1] == "return y / 0"
    assert whole[0].granularity is Granularity.GLOBAL
    assert whole[0].tokens == (0, whole[0].n_tokens)


@pytest.mark.parametrize("message", OF_THE_LINE)
@pytest.mark.parametrize("cut", [False, True])
def test_an_error_that_no_more_text_mends_is_the_lines_own(message, cut):
    feedback, text = find(syntax(message, 6, cut=cut))
    assert (feedback.lines, text) == ((6, 6), "return y / 0")


@pytest.mark.parametrize("tokens", [TOKENS, ByteTokenizer()], ids=["lexemes", "bytes"])
def test_a_valid_program_cut_anywhere_is_at_fault_nowhere_in_particular(tokens):
    """Every prefix that this Python refuses: the truncation is to blame, not a line."""
    for count in range(1, len(VALID)):
        program = VALID[:count]
        try:
            compile(program, "program", "exec")
        except SyntaxError as error:
            kind = type(error).__name__
            feedback, _ = find(
                syntax(error.msg, error.lineno, cut=True, kind=kind), program, tokens
            )
            docstring = "triple-quoted" in error.msg
            expected = Granularity.IGNORE if docstring else Granularity.GLOBAL
            assert feedback.granularity is expected, (program, error)


def test_a_syntax_error_before_the_end_is_the_lines_own_even_in_a_cut_program():
    assert find(syntax("invalid syntax", 2, cut=True))[1] == "y = x"
    # An open bracket is reported where it was opened, and missed where the text was cut.
    assert find(syntax("'(' was never closed", 2, cut=True))[0].granularity is Granularity.GLOBAL


def test_an_unexpected_indent_keeps_its_blanks():
    assert find(syntax("unexpected indent", 6, kind="IndentationError"))[1] == "\n    return y / 0"


@pytest.mark.parametrize(
    "message", ["no binding for nonlocal 'total' found", "name 'total' is parameter and nonlocal"]
)
def test_a_nonlocal_error_is_the_statement_that_names_the_variable(message):
    program = "def f(total):\n    nonlocal other\n    nonlocal total\n    return 1"
    assert find(syntax(message, 1), program)[1] == "nonlocal total"


@pytest.mark.parametrize(
    "kind",
    [
        "NameError",
        "TypeError",
        "IndexError",
        "ValueError",
        "KeyError",
        "UnboundLocalError",
        "ZeroDivisionError",
        "ImportError",
    ],
)
def test_an_exception_is_the_line_it_was_raised_on(kind):
    feedback, text = find(runtime(kind, 3))
    assert (feedback.lines, text) == ((3, 3), "return y / 0")


@pytest.mark.parametrize(
    ("verdict", "granularity"),
    [
        (runtime("RecursionError", 3), Granularity.GLOBAL),
        (runtime("", 3, Outcome.TIMEOUT), Granularity.GLOBAL),
        (runtime("", None, Outcome.MEMORY), Granularity.GLOBAL),
        (runtime("", None, Outcome.OUTPUT_LIMIT), Granularity.GLOBAL),
        (Verdict.no_program(n_cases=1), Granularity.GLOBAL),
        (runtime("RuntimeError", 3), Granularity.IGNORE),
        (runtime("SystemExit", 3), Granularity.IGNORE),
        (runtime("", 3), Granularity.IGNORE),
        (runtime("KeyError", None), Granularity.IGNORE),
        (runtime("KeyError", 99), Granularity.IGNORE),
        (runtime("", None, Outcome.FAILED), Granularity.IGNORE),
        (runtime("", None, Outcome.PASSED), Granularity.IGNORE),
        (syntax("source code string cannot contain null bytes", None), Granularity.IGNORE),
    ],
)
def test_categories(verdict, granularity):
    feedback, _ = find(verdict)
    assert feedback.granularity is granularity
    expected = {"global": (0, feedback.n_tokens), "ignore": (0, 0)}[granularity]
    assert feedback.tokens == expected


def test_copies_of_a_line_are_told_apart_by_number():
    program = "x = 1\n" * 5
    positions = [find(runtime("NameError", line), program)[0].tokens for line in range(1, 6)]
    assert len(set(positions)) == 5
    assert positions == sorted(positions)


def test_a_fault_in_the_prompt_has_no_tokens():
    start = PROGRAM.index("    return")
    feedback, text = find(runtime("TypeError", 2), start=start)
    assert (feedback.granularity, feedback.lines, text) == (Granularity.LINE, (2, 2), "")
    assert find(runtime("TypeError", 3), start=start)[1] == "return y / 0"


@given(
    lines=st.lists(st.sampled_from(["x = 1", "  y=2", "", "é = 'ü'", "if x:", "\treturn"])),
    data=st.data(),
)
@pytest.mark.parametrize("tokens", [TOKENS, ByteTokenizer()], ids=["lexemes", "bytes"])
def test_tokens_decode_to_exactly_the_line(tokens, lines, data):
    lines.append("z = 0")
    number = data.draw(st.integers(1, len(lines)))
    feedback, text = find(runtime("NameError", number), "\n".join(lines), tokens)
    # A token of indentation may hold the line's end before it; nothing else may come along.
    assert text.strip() == lines[number - 1].strip()
    assert feedback.lines == (number, number)


def test_no_tokens_at_all():
    feedback = locate(Verdict.no_program(n_cases=1), "", spans=np.zeros((0, 2), dtype=np.int64))
    assert feedback.tokens == (0, 0)
