"""Prompts: turn a problem in prose into the head of a program.

A base model with a byte-pair vocabulary has learnt a line break and the next line's indentation as
a single token. A prompt that ends in a line break cuts that token in two, and the model fails: the
same model solves 5 of 40 HumanEval problems without the last line break and 0 of 40 with it.
Readers of benchmarks therefore end prompts at the last visible character (``bare``), and the
policy's text begins with the line break.
"""

import ast
import dataclasses
import re
import textwrap

from codegym.tasks.task import Task


def bare(task: Task) -> Task:
    """Move white space from the end of a prompt to the start of the solution that continues it."""
    prompt = task.prompt.rstrip()
    solution = task.canonical_solution
    if solution is not None and task.program(solution) != solution:
        solution = task.prompt[len(prompt) :] + solution
    return dataclasses.replace(task, prompt=prompt, canonical_solution=solution)


def docstring(text: str, indent: str = "") -> str:
    r"""Write text as a docstring over several lines, without a line break at the end.

    Example:
        >>> docstring("Say it.", "    ")
        '    \"\"\"Say it.\"\"\"'
    """
    body = text.strip().replace('"""', "'''")
    prefix = "r" if "\\" in body else ""
    lines = body.split("\n")
    if len(lines) == 1 and not body.endswith(('"', "\\")):
        return f'{indent}{prefix}"""{body}"""'
    written = "\n".join(f"{indent}{line}".rstrip() for line in lines)
    return f'{indent}{prefix}"""\n{written}\n{indent}"""'


def as_function(starter: str, name: str) -> str:
    """Return the signature of a starter, for a method without its class and ``self``.

    Args:
        starter: Code such as ``class Solution: def twoSum(self, nums: List[int]): ...`` or a
            function's first line; it need not parse.
        name: The function's name.

    Returns:
        The imports that its annotations need and ``def name(...) -> ...:``; ``def name(*args):``
        if the starter does not hold the function.
    """
    head = re.search(rf"^[ \t]*def[ \t]+{re.escape(name)}\b", starter, re.MULTILINE)
    if head is None:
        return f"def {name}(*args):"
    tail = textwrap.dedent(starter[head.start() :])
    end = _signature_end(tail)
    try:
        tree = ast.parse(tail[:end] + " ...")
    except SyntaxError:
        return f"def {name}(*args):"
    function = tree.body[0]
    assert isinstance(function, ast.FunctionDef)
    if function.args.args and function.args.args[0].arg == "self":
        del function.args.args[0]
    line = ast.unparse(function).split("\n")[0]
    used = {node.id for node in ast.walk(function) if isinstance(node, ast.Name)}
    typing = sorted(used & {"List", "Dict", "Optional", "Tuple", "Set", "Any", "Union"})
    return (f"from typing import {', '.join(typing)}\n\n\n" if typing else "") + line


def _signature_end(text: str) -> int:
    depth = 0
    for at, character in enumerate(text):
        depth += (character in "([{") - (character in ")]}")
        if character == ":" and depth == 0:
            return at + 1
    return len(text)
