"""Renaming: variants of a mined task with other parameter names.

A few hundred functions lead a small policy to memorise their parameter names. If the names change
from variant to variant, the policy must learn to read them from the signature. With plain names,
the same in every function, there is nothing to memorise.
"""

import ast
import io
import re
import tokenize
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from keyword import iskeyword
from random import Random

from codegym.tasks.task import CallCase, Task, TestSuite

_Edit = tuple[int, int, int, str]
# Python 3.12 and later read an f-string (3.14: a t-string) as several tokens, this one first.
_PARTED_STRINGS = {
    getattr(tokenize, name)
    for name in ("FSTRING_START", "TSTRING_START")
    if hasattr(tokenize, name)
}
# "a" comes late, since many docstrings contain the word.
_PLAIN = "xyzuvwpqrstmnkbcdefghjloai"


def parameter_names(tasks: Sequence[Task]) -> list[str]:
    """Return the parameter names of some tasks' functions, sorted."""
    found = {name for task in tasks if (own := _own(task)) for name in _parameters(own)}
    return sorted(name for name in found if not name.startswith("_"))


def with_other_names(task: Task, pool: Sequence[str], rng: Random) -> Task | None:
    """Return the task with its function's parameters renamed in prompt, solution and test cases.

    Args:
        task: A mined task.
        pool: Candidates for the new names.
        rng: Source of randomness.

    Returns:
        The task, with the new names in its metadata; None if the function has no parameter, or if
        an f-string in it may use a parameter's name.
    """

    def draw(taken: set[str], olds: list[str]) -> list[str] | None:
        free = [name for name in pool if name not in taken and not iskeyword(name)]
        return rng.sample(free, len(olds)) if len(free) >= len(olds) else None

    return _renamed(task, draw)


def with_plain_names(task: Task) -> Task:
    """Return the task with its parameters called x, y, z and so on, except letters it uses.

    A task that ``with_other_names`` would not rename is returned unchanged.
    """

    def next_letters(taken: set[str], olds: list[str]) -> list[str] | None:
        free = [name for name in _PLAIN if name not in taken.difference(olds)]
        return free[: len(olds)] if len(free) >= len(olds) else None

    return _renamed(task, next_letters) or task


def _renamed(task: Task, choose: Callable[[set[str], list[str]], list[str] | None]) -> Task | None:
    own = _own(task)
    program = task.program(task.canonical_solution or "")
    if own is None or not program.startswith(task.prompt):
        return None
    olds = [name for name in _parameters(own) if not name.startswith("_")]
    taken = set(re.findall(r"[A-Za-z_]\w*", program))
    news = choose(taken, olds)
    if not olds or news is None:
        return None
    names = dict(zip(olds, news, strict=True))
    edits = _edits(program, own, names)
    if edits is None:
        return None
    text, grown = _edited(program, edits, len(task.prompt))
    cut = len(task.prompt) + grown
    made = replace(
        task,
        prompt=text[:cut],
        canonical_solution=text[cut:],
        tests=_with_names(task.tests, names),
        hidden_tests=task.hidden_tests and _with_names(task.hidden_tests, names),
        metadata={**task.metadata, "renamed": names},
    )
    return made if made.program(text[cut:]) == text and _own(made) is not None else None


def _with_names(suite: TestSuite, names: Mapping[str, str]) -> TestSuite:
    """Return a suite of calls whose keyword arguments have other names."""
    cases = tuple(
        replace(case, kwargs={names.get(name, name): value for name, value in case.kwargs.items()})
        for case in suite.cases
        if isinstance(case, CallCase)
    )
    return replace(suite, cases=cases)


def _own(task: Task) -> ast.FunctionDef | None:
    try:
        tree = ast.parse(task.program(task.canonical_solution or ""))
    except (SyntaxError, ValueError, RecursionError):
        return None
    named = (node for node in tree.body if isinstance(node, ast.FunctionDef))
    return next((node for node in named if node.name == task.entry_point), None)


def _parameters(function: ast.FunctionDef) -> list[str]:
    args = function.args
    rest = [arg for arg in (args.vararg, args.kwarg) if arg is not None]
    return [arg.arg for arg in (*args.posonlyargs, *args.args, *args.kwonlyargs, *rest)]


def _edits(program: str, own: ast.FunctionDef, names: dict[str, str]) -> list[_Edit] | None:
    """Return (line, column, length, new text) of each change; None if a change is unsafe."""
    kept = _keywords_of_others(program, own, names)
    if kept is None:
        return None
    found: list[_Edit] = []
    # In the escape of a line break, the letter is not a name.
    words = re.compile(r"(?<!\\)\b(" + "|".join(map(re.escape, names)) + r")\b")
    first = own.body[0]
    documented = ast.get_docstring(own, clean=False) is not None
    docstring = (first.lineno, first.col_offset) if documented else None
    tokens = list(tokenize.generate_tokens(io.StringIO(program).readline))
    for before, token in pairwise(tokens):
        line, column = token.start
        if line < own.lineno:
            continue
        if token.type == tokenize.STRING:
            prefix = token.string[: token.string.find(token.string[-1])]
            if token.start == docstring:
                text = token.string[len(prefix) :]
                renamed = words.sub(lambda match: names[match[0]], text)
                found.append((line, column + len(prefix), len(text), renamed))
            elif "f" in prefix.lower():
                return None
        elif token.type in _PARTED_STRINGS:
            return None
        elif token.type == tokenize.NAME and token.string in names and before.string != ".":
            # A parameter may have the name of its function, which stays.
            head = before.string == "def" and line == own.lineno
            if not head and token.start not in kept:
                found.append((line, column, len(token.string), names[token.string]))
    return found


def _keywords_of_others(
    program: str, own: ast.FunctionDef, names: dict[str, str]
) -> set[tuple[int, int]] | None:
    """Return places (line, column) where a name is a keyword in a call of another function.

    None if such a call may reach a function inside this function, whose parameters are unknown.
    """
    lines = program.split("\n")
    inside = {node.name for node in ast.walk(own) if isinstance(node, ast.FunctionDef)}
    inside |= {node.id for node in ast.walk(own) if isinstance(node, ast.Name) and _stored(node)}
    found = set()
    for call in ast.walk(own):
        if not isinstance(call, ast.Call):
            continue
        called = call.func.id if isinstance(call.func, ast.Name) else ""
        for keyword in call.keywords:
            if keyword.arg not in names or called == own.name:
                continue
            if called in inside:
                return None
            # Syntax trees count columns in bytes, tokens in characters.
            before = lines[keyword.lineno - 1].encode()[: keyword.col_offset].decode()
            found.add((keyword.lineno, len(before)))
    return found


def _stored(name: ast.Name) -> bool:
    return isinstance(name.ctx, ast.Store)


def _edited(program: str, edits: list[_Edit], boundary: int) -> tuple[str, int]:
    """Apply edits; return the text and the growth of the part before ``boundary``."""
    starts = [0]
    for text in program.split("\n"):
        starts.append(starts[-1] + len(text) + 1)
    grown = 0
    for line, column, length, new in reversed(edits):
        at = starts[line - 1] + column
        program = program[:at] + new + program[at + length :]
        grown += (len(new) - length) * (at < boundary)
    return program, grown
