r"""Answers: reads the program out of whatever text a model wrote for a task.

Nothing is run: answers are read line by line, and parsed to tell code from prose. This is the only
reader: environments, ``codegym grade``, policies and integrations all call ``read_program``.

A text that parses is a program and stays unchanged. Otherwise thoughts, other turns and end tokens
are left out (``answer_markup``), the rest is cut into blocks (``answer_blocks``), and one of these
is chosen, with what it needs of the others (``answer_choice``).
"""

import textwrap
from typing import Literal

from codegym.tasks.answer_blocks import blocks_of, has_fence, inline_code
from codegym.tasks.answer_choice import program_of, put_before, statement_text
from codegym.tasks.answer_markup import final_text, sections
from codegym.tasks.contest import call_method, imports_of
from codegym.tasks.program_text import (
    defined,
    defines,
    free_names,
    has_code,
    is_stub,
    mended,
    mentions,
    names_of,
    returns_inside,
    tree_of,
    without_labels,
)
from codegym.tasks.prose import is_prose
from codegym.tasks.task import Task

Form = Literal["continuation", "program", "answer"]

# This many last characters of a program are assumed to occur only once in an answer.
_ENOUGH = 40
_MOST_DEPTH = 2
_INDENT = " " * 4


def extract_program(answer: str, entry_point: str = "") -> str:
    r"""Return the program in a chat model's answer; what it finally says if none is found.

    Args:
        answer: The model's answer.
        entry_point: Name that the program must define, which decides between several blocks.

    Example:
        >>> extract_program("Sure!\n```python\ndef f(x):\n    return x\n```\nHope it helps.")
        'def f(x):\n    return x'
    """
    return _read(answer, entry_point, _MOST_DEPTH)


def _read(answer: str, entry_point: str, depth: int) -> str:
    if tree_of(answer) is not None:
        return without_labels(answer)
    text = mended(final_text(answer))
    if tree_of(text) is not None:
        return without_labels(text.strip("\n"))
    for section in sections(text) if depth else ():
        program = _read(section, entry_point, depth - 1)
        if _is_answer(program, entry_point):
            return program
    blocks = blocks_of(text)
    if not any(tree_of(block.text) is not None and block.text.strip() for block in blocks):
        spans = [span for span in inline_code(text) if _is_answer(span, entry_point)]
        if spans:
            return spans[-1]
    return without_labels(program_of(blocks, entry_point)) if blocks else text


def _is_answer(program: str, entry_point: str) -> bool:
    """Return whether a text is a program that answers, or the body of a function that does."""
    if not entry_point:
        return has_code(program)
    body = textwrap.dedent(program)
    returns = any(line.lstrip().startswith(("return", "yield")) for line in body.split("\n"))
    return defines(program, entry_point) or (returns and has_code(body))


def start_of(program: str, written: str) -> int:
    """Return where in a program the text begins that was written, below 0 where less was taken.

    Prose before a program stands before its beginning; a program that was put together from several
    blocks is placed by its end.
    """
    if program.endswith(written):
        return len(program) - len(written)
    end = program.rstrip()
    # Behind a prompt a short program may have been indented: its last line tells the place too.
    last_line = end.rpartition("\n")[2].strip()
    for length in (len(end), _ENOUGH, len(last_line)):
        at = written.rfind(end[-length:]) if end else -1
        if at >= 0:
            return len(end) - len(end[-length:]) - at
    return 0


def read_program(task: Task, written: str, form: Form) -> tuple[str, int]:
    """Return the whole program that a written text means, and where in it the text begins.

    This is the only place where a prompt and what was written for it are put together.

    Args:
        task: The task.
        written: The text that was written after the prompt.
        form: ``continuation`` continues a prompt that is code, and is the program otherwise;
            ``program`` may also be a whole program, or an answer that holds one; ``answer`` is a
            chat model's, see ``program_from_answer``. The last two differ only where a text holds
            no program: the first keeps the text, so that its verdict names the place of the error.
    """
    if form == "continuation":
        start = len(task.prompt) if task.prompt_is_code else 0
        return task.prompt[:start] + written, start
    program = program_from_answer(task, written)
    if form == "program" and tree_of(program) is None and not has_fence(written):
        program = task.program(written)
    return program, start_of(program, written)


def program_from_answer(task: Task, answer: str) -> str:
    """Return the whole program that an answer means for a task; "" where it holds only thoughts.

    What the answer defines anew is not written twice: where the task's prompt is code and the
    answer holds the function, only the rest of the prompt (its imports, its other functions) is put
    before it. Where the answer holds the body alone, it continues the prompt.

    Args:
        task: What was asked.
        answer: What the model wrote.
    """
    name = task.entry_point
    if task.prompt_is_code:
        whole = task.program(answer)
        if tree_of(whole) is not None and (mentions(answer, name) or not is_stub(whole, name)):
            return _completed(task, without_labels(whole))
        text = final_text(answer)
        if text.strip() and (continued := _continued(task, text)):
            return continued
    program = extract_program(answer, name)
    if not task.prompt_is_code:
        return call_method(program, name) if name else program
    if not program.strip():
        return task.program(answer) if not answer.strip() else ""
    if name in defined(program):
        return _completed(task, program)
    if defines(program, name):
        return call_method(put_before(imports_of(task.prompt), program), name)
    if mentions(program, name):
        return program
    return _continued(task, program) or task.prompt + program


def _continued(task: Task, answer: str) -> str:
    """Return a prompt that is code with the body of its function behind it, "" if that fails.

    The body's indentation may be missing, of its first line alone, or of another width, and prose
    may surround it.
    """
    body = _body_in(answer)
    if not body.strip() or mentions(answer, task.entry_point):
        return ""
    first, _, rest = body.partition("\n")
    dedented = textwrap.dedent(mended(body))
    indented = (
        body,
        f"{_INDENT}{first.lstrip()}\n{rest}",
        textwrap.indent(dedented, _INDENT),
        textwrap.indent(dedented, "\t"),
    )
    for text in (*indented, *map(_before_prose, indented)):
        program = mended(task.prompt + text)
        if returns_inside(program) and not is_stub(program, task.entry_point):
            return without_labels(program)
    return ""


def _body_in(answer: str) -> str:
    """Return what may be a function's body: the text before a fence, from its indented lines on."""
    lines = answer.split("\n")
    fence = next((n for n, line in enumerate(lines) if has_fence(line)), len(lines))
    lines = lines[:fence]
    first = next((n for n, line in enumerate(lines) if line.strip()), len(lines))
    if fence < len(answer.split("\n")) or (first < len(lines) and is_prose(lines[first])):
        first = next((n for n, line in enumerate(lines) if line[:1].isspace()), len(lines))
    return "\n".join(lines[first:])


def _before_prose(body: str) -> str:
    """Return a body without the prose at the margin behind it."""
    lines = body.split("\n")
    end = next((n for n, line in enumerate(lines) if n and line[:1].strip()), len(lines))
    return "\n".join(lines[:end]) if end < len(lines) and is_prose(lines[end]) else body


def _completed(task: Task, program: str) -> str:
    """Return a program with the rest of its task's prompt before it, if it needs that."""
    rest = _rest_of(task)
    needs = not program.startswith(task.prompt) and free_names(program) & defined(rest)
    return put_before(rest, program) if needs else program


def _rest_of(task: Task) -> str:
    """Return the statements of a prompt other than the requested function."""
    tree = tree_of(task.prompt) or tree_of(task.prompt.rstrip() + "\n    pass\n")
    if tree is None:
        return ""
    lines = task.prompt.split("\n")
    kept = [
        statement_text(lines, node) for node in tree.body if task.entry_point not in names_of(node)
    ]
    return "\n".join(kept) + "\n\n\n" if kept else ""
