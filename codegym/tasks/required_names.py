"""Required names: the names that a program may define for the tests, and the kind of each.

Assertion tests use names that only the program can define. These names are read from the reference
solution and the prompt, never from the program: a program with its own ``is_close`` for the tests
to call would judge itself.
"""

import ast
import re
from typing import Literal

from codegym.tasks.task import Task

Kind = Literal["class", "function", "value"]
_DEFINITION = re.compile(r"^(class|def|async\s+def)\s+(\w+)", re.MULTILINE)
_WORD = re.compile(r"\b[A-Za-z_]\w*\b")


def interface_of(task: Task) -> dict[str, Kind]:
    """Return the names that a program may define for the tests, including the entry point.

    They are the top-level definitions of the reference solution and of a prompt that is code. A
    task without either allows the words of its prompt; a word with a capital letter, or after the
    word ``class``, names a class.
    """
    names: dict[str, Kind] = {}
    if task.prompt_is_code:
        names |= _defined(task.prompt)
    if task.canonical_solution is not None:
        names |= _defined(task.program(task.canonical_solution))
    if not names:
        names = {
            word: "class" if word[0].isupper() else "function"
            for word in _WORD.findall(task.prompt)
        }
    if re.search(rf"\bclass\s+`*{re.escape(task.entry_point)}\b", task.prompt):
        names[task.entry_point] = "class"
    elif names.get(task.entry_point) != "class" or task.canonical_solution is None:
        names[task.entry_point] = "function"
    return dict(sorted(names.items()))


def defines_class(task: Task) -> bool:
    """Return whether the reference solution or the prompt defines a class, in any place.

    Only then may a program answer with instances of classes that the test does not name: a
    container of its own could give each reader a different answer.
    """
    texts = [task.prompt if task.prompt_is_code else "", task.canonical_solution or ""]
    return any(re.search(r"^[ \t]*class[ \t]+\w", text, re.MULTILINE) for text in texts)


def setup_classes(code: str) -> tuple[str, tuple[str, ...]]:
    """Return the imports and classes of set-up code, as code, and the names of the classes."""
    if "class" not in code:
        return "", ()
    tree = ast.parse(code)
    names = tuple(node.name for node in tree.body if isinstance(node, ast.ClassDef))
    kept = ast.Import | ast.ImportFrom | ast.ClassDef
    tree.body = [node for node in tree.body if isinstance(node, kept)]
    return (ast.unparse(tree), names) if names else ("", ())


def _defined(text: str) -> dict[str, Kind]:
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return {
            name: "class" if word == "class" else "function"
            for word, name in _DEFINITION.findall(text)
        }
    names: dict[str, Kind] = {}
    for node in tree.body:
        if isinstance(node, ast.ClassDef):
            names[node.name] = "class"
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            names[node.name] = "function"
        else:
            for name in ast.walk(node):
                if isinstance(name, ast.Name) and isinstance(name.ctx, ast.Store):
                    names[name.id] = "value"
    return names
