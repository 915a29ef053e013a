"""Answer shapes: the reader finds the program in every shape, and changes no plain program."""

import ast
import contextlib
import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codegym.sources import load_tasks
from codegym.tasks.answers import extract_program, program_from_answer, read_program
from codegym.tasks.task import Task
from tests.tasks.answer_shapes import CODE, NONE, SHAPES

PROMPT = (
    'from math import floor\n\n\ndef aid(x):\n    return floor(x)\n\n\ndef f(x):\n    """Add."""\n'
)
TASKS = {
    "named": Task.from_calls("Write f, which adds one.", "f", [((1,), 2)]),
    "prompt": Task.from_calls(PROMPT, "f", [((1,), 2)]),
    "stdio": Task.from_stdio("Add two numbers.", [("1 2\n", "3\n")]),
}
SOLVED = [shape for shape in SHAPES if shape.kind != "none"]


def run(program, kind, monkeypatch):
    """Run a program of this file; return what ``f(1)`` is, or what it prints."""
    names = {"__name__": "__main__"}
    printed = io.StringIO()
    monkeypatch.setattr("sys.stdin", io.StringIO("1 2\n"))
    monkeypatch.setattr("builtins.open", lambda _: io.StringIO("1 2\n"))
    with contextlib.redirect_stdout(printed):
        exec(compile(program, "answer", "exec"), names)
    return printed.getvalue().split()[-1:] if kind == "stdio" else names["f"](1)


def test_the_corpus_is_large():
    assert len({shape.answer for shape in SHAPES}) >= 250
    assert len({(shape.kind, shape.name) for shape in SHAPES}) == len(SHAPES)


@pytest.mark.parametrize("shape", SOLVED, ids=lambda shape: f"{shape.kind} {shape.name}")
@pytest.mark.parametrize("form", ["answer", "program"])
def test_the_program_is_found(shape, form, monkeypatch):
    program, _ = read_program(TASKS[shape.kind], shape.answer, form)
    expected = ["3"] if shape.kind == "stdio" else 2
    assert run(program, shape.kind, monkeypatch) == expected, program


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: f"{shape.kind} {shape.name}")
def test_reading_twice_changes_nothing(shape):
    for name in ("f", ""):
        program = extract_program(shape.answer, name)
        assert extract_program(program, name) == program
    task = TASKS.get(shape.kind, TASKS["named"])
    program = program_from_answer(task, shape.answer)
    assert program_from_answer(task, program) == program


@pytest.mark.parametrize("name", NONE)
@pytest.mark.parametrize("kind", TASKS)
def test_no_program_is_made_up(name, kind):
    program, _ = read_program(TASKS[kind], NONE[name], "answer")
    assert "x + 1" not in program or "int f" in program


def test_a_broken_program_is_not_cut_to_a_whole_one():
    for tail in ("print(f(", "def g(:\n    return 1", 'x = "abc', "for x in", "assert f(1 == 2"):
        for text in (f"{CODE}\n\n\n{tail}\n", f"```python\n{CODE}\n\n\n{tail}\n```"):
            program, _ = read_program(TASKS["named"], text, "program")
            with pytest.raises(SyntaxError):
                ast.parse(program)
        program, _ = read_program(TASKS["prompt"], f"    return x + 1\n\n\n{tail}\n", "answer")
        with pytest.raises(SyntaxError):
            ast.parse(program)


@pytest.mark.parametrize("uri", ["humaneval", "composites?size=60", "atoms"])
def test_reference_programs_stay_unchanged(uri):
    for task, _ in zip(load_tasks(uri), range(164), strict=False):
        program = task.program(task.canonical_solution)
        assert extract_program(program, task.entry_point) == program
        for form in ("program", "answer"):
            assert read_program(task, task.canonical_solution, form)[0] == program
            assert read_program(task, program, form)[0] == program
        text = f"<think>Hm.</think>Here:\n\n```python\n{program}\n```\n\nThat is all."
        assert read_program(task, text, "answer")[0].strip() == program.strip()


PIECES = st.lists(
    st.sampled_from(
        ["```", "```python", "~~~", "<|im_end|>", "<think>", "</think>", "</s>", "[DONE]", "x = 0",
         "\u00a0", "&lt;", "<answer>", ">>> f(1)", "def f(x):", "Done.", "[PYTHON]"]
    ),
    max_size=6,
)  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(PIECES, PIECES, PIECES)
def test_marks_in_strings_and_comments_are_no_marks(doc, text, comments):
    lines = [f"    # {piece}" for piece in comments]
    program = "\n".join(
        [
            "def f(x):",
            '    """Doc.',
            *doc,
            '    """',
            *lines,
            f"    mark = {text!r}",
            "    return x + 1",
        ]
    )
    for task in TASKS.values():
        if task.entry_point:
            assert program_from_answer(task, program) == program
    assert extract_program(program, "f") == program
    assert extract_program(program) == program


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.sampled_from([CODE, "Done.", "```", "```python", "<think>", "</think>", "", "x ="]))
)
def test_any_text_is_read_and_reading_it_again_changes_nothing_that_parses(lines):
    program = extract_program("\n".join(lines), "f")
    with contextlib.suppress(SyntaxError):
        ast.parse(program)
        assert extract_program(program, "f") == program
