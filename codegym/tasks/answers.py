r"""Answers: extracts the program from a chat model's answer, without its fences and prose.

Nothing is run: answers are read line by line, and parsed to tell code from prose.

A fence is a line of at least three backticks or tildes, possibly indented, with the language behind
them; an unclosed fence reaches to the end. Of several blocks, the last block that parses and
defines the task's function counts; earlier blocks are put before it if it uses their definitions.
"""

import ast
import re
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from codegym.tasks.task import Task

Form = Literal["continuation", "program", "answer"]

_FENCE = re.compile(r"^(?P<indent>[ \t>]*?)(?P<mark>`{3,}|~{3,})[ \t]*(?P<info>[^`\n]*)$")
_PYTHON = frozenset({"", "python", "python3", "py", "py3", "python-repl", "pycon", "ipython"})
_START = re.compile(r"^(?:import |from \w|def |async def |class |@\w|\w+ *(?::[^=]+)?= *\S)")
_MOST_ENDS = 200
# This many last characters of a program are assumed to occur only once in an answer.
_ENOUGH = 40
_THOUGHT = re.compile(r"^.*</think(?:ing)?>", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Block:
    """A piece of an answer that may be code.

    Attributes:
        text: Its lines, without the indentation of its fence and without ``>>>``.
        language: Word behind the fence, in lower case; "" if there is none.
        fenced: Whether a fence begins it.
    """

    text: str
    language: str = ""
    fenced: bool = True


def blocks_of(answer: str) -> list[Block]:
    """Return the text before the first fence of an answer, and its fenced blocks."""
    found: list[Block] = []
    lines = answer.replace("\r\n", "\n").split("\n")
    opening, start = None, 0
    for number, line in enumerate(lines):
        fence = _FENCE.match(line)
        if fence is None:
            continue
        if opening is None:
            if not found:
                found.append(Block("\n".join(lines[:number]), fenced=False))
            opening, start = fence, number + 1
        elif _closes(fence, opening):
            found.append(_block(lines[start:number], opening))
            opening = None
    if opening is not None:
        found.append(_block(lines[start:], opening))
    return found


def _closes(fence: re.Match[str], opening: re.Match[str]) -> bool:
    mark, wanted = fence["mark"], opening["mark"]
    return mark[0] == wanted[0] and len(mark) >= len(wanted) and not fence["info"].strip()


def _block(lines: Sequence[str], opening: re.Match[str]) -> Block:
    indent = opening["indent"]
    if indent.strip():  # quoted, as in e-mail
        lines = [line.lstrip("> \t") if not line.startswith(indent) else line for line in lines]
    inside = "\n".join(line.removeprefix(indent) for line in lines)
    info = opening["info"].strip().lower().lstrip("{.").split()
    language = re.split(r"[,{}:]", info[0])[0] if info else ""
    text = _without_prompts(inside)
    # Definitions start at the margin; a block without definitions may be a body that continues a
    # prompt.
    dedented = textwrap.dedent(text)
    return Block(dedented if _defined(dedented) else text, language)


def _without_prompts(text: str) -> str:
    """Return the typed lines of an interactive session, or any other text unchanged."""
    lines = text.split("\n")
    first = next((line for line in lines if line.strip()), "")
    if not first.lstrip().startswith(">>>"):
        return text
    lines = textwrap.dedent(text).split("\n")
    typed = [line[4:] for line in lines if line[:3] in (">>>", "...") and line[3:4] in ("", " ")]
    return "\n".join(typed)


def extract_program(answer: str, entry_point: str = "") -> str:
    r"""Return the program in a chat model's answer; the whole answer if none is found.

    Args:
        answer: The model's answer.
        entry_point: Name that the program must define, which decides between several blocks.

    Example:
        >>> extract_program("Sure!\n```python\ndef f(x):\n    return x\n```\nHope it helps.")
        'def f(x):\n    return x'
    """
    answer = _THOUGHT.sub("", answer)
    if _tree(answer) is not None and _defined(answer):
        return answer
    blocks = blocks_of(answer)
    if not blocks:
        return _out_of_prose(answer)
    before, fenced = blocks[0], blocks[1:]
    # If an answer continues a fence that the prompt opened, its code is before the first fence.
    begun = before.text.strip() and _tree(before.text) is not None
    known = [block for block in fenced if block.language in _PYTHON] or fenced
    candidates = [before, *known] if begun else known
    if not candidates:
        return _out_of_prose(answer)
    chosen = _choose(candidates, entry_point)
    return _joined(candidates[: candidates.index(chosen)], chosen)


def _choose(blocks: Sequence[Block], entry_point: str) -> Block:
    """Return the last block that parses and defines the name, or the closest to that."""

    def rank(numbered: tuple[int, Block]) -> tuple[bool, bool, bool, int]:
        number, block = numbered
        named = re.search(rf"\b{re.escape(entry_point)}\b *[(=:]", block.text) if entry_point else 1
        defines = entry_point in _defined(block.text) or (
            bool(entry_point) and bool(re.search(rf"\bdef +{re.escape(entry_point)}\b", block.text))
        )
        # Without a name, the first block that defines something is the answer.
        code = bool(_defined(block.text)) if not entry_point else bool(named)
        order = number if entry_point else -number
        return defines, code, _tree(block.text) is not None, order

    return max(enumerate(blocks), key=rank)[1]


def _joined(earlier: Sequence[Block], chosen: Block) -> str:
    """Put the earlier blocks whose definitions a block uses before it."""
    text = chosen.text
    for block in reversed(earlier):
        tree = _tree(block.text)
        if tree is None or not all(isinstance(node, _DEFINITIONS) for node in tree.body):
            continue
        if (_defined(block.text) & _used(text)) - _defined(text):
            text = f"{block.text.rstrip()}\n\n{text}"
    return text


_DEFINITIONS = (
    ast.Import | ast.ImportFrom | ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Assign
)


def _tree(text: str) -> ast.Module | None:
    try:
        return ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def _names(statement: ast.stmt) -> Iterator[str]:
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        yield statement.name
    elif isinstance(statement, ast.Import | ast.ImportFrom):
        for alias in statement.names:
            yield (alias.asname or alias.name).split(".")[0]
    elif isinstance(statement, ast.Assign):
        for target in statement.targets:
            yield from (node.id for node in ast.walk(target) if isinstance(node, ast.Name))
    elif isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
        yield statement.target.id


def _defined(text: str) -> set[str]:
    tree = _tree(text)
    return set() if tree is None else {name for node in tree.body for name in _names(node)}


def _used(text: str) -> set[str]:
    tree = _tree(text)
    if tree is None:
        return set(re.findall(r"[A-Za-z_]\w*", text))
    return {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}


def _out_of_prose(answer: str) -> str:
    """Return the lines from the first line of code to the last line that still parses."""
    lines = answer.replace("\r\n", "\n").split("\n")
    first = next((n for n, line in enumerate(lines) if _START.match(line)), None)
    if first is None:
        return answer
    # Prose after code begins at the margin, so the program may end only there.
    ends = [n for n in range(first + 1, len(lines)) if lines[n][:1].strip()] + [len(lines)]
    for end in reversed(ends[-_MOST_ENDS:]):
        text = "\n".join(lines[first:end])
        if _tree(text) is not None:
            return text
    return "\n".join(lines[first:])


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
            ``program`` may also be a whole program, or an answer with the program in a fence;
            ``answer`` is a chat model's, see ``program_from_answer``.
    """
    if form == "continuation":
        start = len(task.prompt) if task.prompt_is_code else 0
        return task.prompt[:start] + written, start
    if form == "answer":
        program = program_from_answer(task, written)
    else:
        program = task.program(written)
        if _fenced(written) and _tree(program) is None:
            program = program_from_answer(task, written)
    return program, start_of(program, written)


def program_from_answer(task: Task, answer: str) -> str:
    """Return the whole program that an answer means for a task.

    What the answer defines anew is not written twice: where the task's prompt is code and the
    answer holds the function, only the rest of the prompt (its imports, its other functions) is put
    before it. Where the answer holds the body alone, it continues the prompt.

    Args:
        task: What was asked.
        answer: What the model wrote.
    """
    if not task.prompt_is_code:
        return extract_program(answer, task.entry_point)
    if not _fenced(answer):
        continued = task.prompt + answer
        if _tree(continued) is not None:
            return continued
    program = extract_program(answer, task.entry_point)
    if task.entry_point in _defined(program):
        return _rest_of(task) + program
    if program.strip() and not program.lstrip("\n")[0].isspace():
        program = textwrap.indent(program, "    ")
    return task.prompt + program


def _fenced(answer: str) -> bool:
    return any(_FENCE.match(line) for line in answer.split("\n"))


def _rest_of(task: Task) -> str:
    """Return the statements of a prompt other than the requested function."""
    tree = _tree(task.prompt) or _tree(task.prompt.rstrip() + "\n    pass\n")
    if tree is None:
        return ""
    lines = task.prompt.split("\n")
    kept = []
    for node in tree.body:
        if task.entry_point in _names(node):
            continue
        decorators = getattr(node, "decorator_list", [])
        start = min([node.lineno, *(decorator.lineno for decorator in decorators)])
        kept.append("\n".join(lines[start - 1 : node.end_lineno]))
    return "\n".join(kept) + "\n\n\n" if kept else ""
