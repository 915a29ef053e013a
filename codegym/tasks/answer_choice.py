"""Answer choice: which block of an answer is the program, and which other blocks it needs.

Where the task names a function, the last block counts that parses and defines it. Where it names
none, the last whole program counts: a block that parses, reads its input or does something, and
uses no name that neither it nor another block defines.
"""

import ast
from collections.abc import Sequence

from codegym.tasks.answer_blocks import Block
from codegym.tasks.program_text import (
    DEFINITIONS,
    defined,
    defines,
    free_names,
    has_code,
    has_effect,
    is_stub,
    mentions,
    names_of,
    reads_input,
    tree_of,
)


def program_of(blocks: Sequence[Block], entry_point: str) -> str:
    """Return the program in some blocks of an answer, of which there is at least one."""
    known = [block for block in blocks if block.is_python] or list(blocks)
    rank = _named if entry_point else _unnamed
    chosen = max(range(len(known)), key=lambda number: (*rank(known, number, entry_point), number))
    return _joined(known, chosen)


def _named(blocks: Sequence[Block], number: int, entry_point: str) -> tuple[object, ...]:
    text = blocks[number].text
    full = defines(text, entry_point)
    return (
        full and not is_stub(text, entry_point),
        full,
        mentions(text, entry_point),
        tree_of(text) is not None and bool(text.strip()),
        blocks[number].fenced,
    )


def _unnamed(blocks: Sequence[Block], number: int, entry_point: str) -> tuple[object, ...]:
    block, text = blocks[number], _joined(blocks, number)
    return (
        has_code(text) and not block.session,
        not free_names(text),
        reads_input(text),
        has_effect(text),
        block.fenced,
        bool(block.language),
    )


def _joined(blocks: Sequence[Block], number: int) -> str:
    """Put what a block uses and other blocks define before it; earlier blocks come first."""
    text = blocks[number].text
    if tree_of(text) is None:
        return text
    for other in [*reversed(blocks[:number]), *blocks[number + 1 :]]:
        wanted = free_names(text)
        if wanted & defined(other.text):
            text = f"{_definitions(other.text, text, wanted)}\n\n{text}"
    return _future_first(text)


def _definitions(source: str, text: str, wanted: set[str]) -> str:
    """Return a block that only defines, or else those of its definitions that are wanted."""
    tree = tree_of(source)
    assert tree is not None
    only = all(isinstance(node, DEFINITIONS) for node in tree.body)
    if only and not defined(source) & defined(text):
        return source.rstrip()
    lines, needed, before = source.split("\n"), set(wanted), -1
    while len(needed) > before:
        before = len(needed)
        for node in tree.body:
            if isinstance(node, DEFINITIONS) and needed & set(names_of(node)):
                needed |= free_names(statement_text(lines, node))
    needed -= defined(text)
    return "\n".join(
        statement_text(lines, node)
        for node in tree.body
        if isinstance(node, DEFINITIONS) and needed & set(names_of(node))
    )


def statement_text(lines: Sequence[str], node: ast.stmt) -> str:
    """Return the lines of a statement, from its first decorator."""
    decorators = getattr(node, "decorator_list", [])
    start = min([node.lineno, *(decorator.lineno for decorator in decorators)])
    return "\n".join(lines[start - 1 : node.end_lineno])


def _future_first(text: str) -> str:
    """Move ``from __future__`` imports to the beginning, where alone they may stand."""
    tree = tree_of(text)
    if tree is None or "__future__" not in text:
        return text
    found = [
        node
        for node in tree.body
        if isinstance(node, ast.ImportFrom) and node.module == "__future__"
    ]
    if all(node is tree.body[at] for at, node in enumerate(found)):
        return text
    lines = text.split("\n")
    moved = {node.lineno - 1: lines[node.lineno - 1] for node in found}
    rest = [line for number, line in enumerate(lines) if number not in moved]
    return "\n".join([*moved.values(), *rest])


def put_before(head: str, program: str) -> str:
    """Return a program with definitions before it."""
    return _future_first(head + program)
