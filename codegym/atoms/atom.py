"""Atom: a hand-written function with its wording and its one-line form.

A topic file decorates plain functions with ``atom``; ``read_atoms`` parses the file later. An atom
is total: it returns a result for every value of its argument types.
"""

import ast
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from types import ModuleType
from typing import Any, TypeVar

from codegym.errors import ConfigError

NAMES = {
    "int": ("n", "m"),
    "float": ("x", "y"),
    "str": ("s", "t"),
    "bool": ("p", "q"),
    "list[int]": ("xs", "ys"),
    "list[float]": ("fs", "gs"),
    "list[str]": ("ws", "vs"),
    "dict[str, int]": ("d", "e"),
}
"""Type -> names of its first and second variable, in atoms and in composed functions."""

Sampler = Callable[[Random], tuple[Any, ...]]
_Function = TypeVar("_Function", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True, kw_only=True)
class Atom:
    """An atomic function.

    Attributes:
        name: Name in the topic file, unique among all atoms.
        topic: Name of the topic file.
        level: 1, 2 or 3, the smallest domain with this atom (small, big, all).
        function: The Python function.
        phrases: Wordings of its task; ``{k}`` stands for a parameter, ``{a}`` and ``{b}`` for the
            arguments of an atom that takes two.
        arguments: Types of its one or two arguments.
        returns: Type of its result.
        parameters: Parameter name -> the values to draw from, once per task.
        expression: The one-line form, a template: ``{a}`` and ``{b}`` are the arguments.
        source: The function as text, for solutions that call helpers.
        sampler: Draws a tuple of arguments; None for the sampler of its types.
    """

    name: str
    topic: str
    level: int
    function: Callable[..., Any]
    phrases: tuple[str, ...]
    arguments: tuple[str, ...]
    returns: str
    parameters: Mapping[str, Sequence[Any]]
    expression: str
    source: str
    sampler: Sampler | None

    def draw(self, rng: Random) -> dict[str, Any]:
        """Draw a value for each parameter."""
        return {name: rng.choice(values) for name, values in self.parameters.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Notes:
    """The arguments of ``atom``, kept until the file is read."""

    phrases: tuple[str, ...]
    level: int
    draw: Mapping[str, Sequence[Any]]
    inline: str
    sampler: Sampler | None


def atom(
    *phrases: str,
    level: int = 3,
    draw: Mapping[str, Sequence[Any]] | None = None,
    inline: str = "",
    sampler: Sampler | None = None,
) -> Callable[[_Function], _Function]:
    """Mark a function of a topic file as an atom.

    Args:
        *phrases: Wordings of its task, in the imperative, without capital or full stop.
        level: 1, 2 or 3, see ``Atom``.
        draw: Parameter name -> the values to draw from.
        inline: The one-line form, written with the function's variable names; by default the
            returned expression of a body that is a single ``return``.
        sampler: Draws arguments; useful if the plain sampler of the types seldom draws the
            interesting cases.
    """
    notes = _Notes(phrases=phrases, level=level, draw=draw or {}, inline=inline, sampler=sampler)

    def decorate(function: _Function) -> _Function:
        function.__dict__["__atom__"] = notes
        return function

    return decorate


def read_atoms(module: ModuleType) -> list[Atom]:
    """Return the atoms of a topic file, in the order of the file.

    Raises:
        ConfigError: An atom has a type outside ``NAMES``, or no one-line form.
    """
    text = inspect.getsource(module)
    topic = module.__name__.rpartition(".")[2]
    found = []
    for node in ast.parse(text).body:
        if isinstance(node, ast.FunctionDef):
            function = getattr(module, node.name)
            notes = function.__dict__.get("__atom__")
            if notes is not None:
                found.append(_read(node, text, function, notes, topic))
    return found


def _read(
    node: ast.FunctionDef, text: str, function: Callable[..., Any], notes: _Notes, topic: str
) -> Atom:
    parameters = {name: tuple(values) for name, values in notes.draw.items()}
    arguments = [arg for arg in node.args.args if arg.arg not in parameters]
    types = tuple(ast.unparse(arg.annotation) for arg in arguments if arg.annotation is not None)
    returns = ast.unparse(node.returns) if node.returns is not None else ""
    for kind in (*types, returns):
        if kind not in NAMES:
            raise ConfigError(
                f"atom {node.name!r} has a type outside the known types",
                value=kind,
                expected="one of " + ", ".join(NAMES),
            )
    slots = dict(zip((arg.arg for arg in arguments), "ab", strict=False))
    slots |= {name: name for name in parameters}
    return Atom(
        name=node.name,
        topic=topic,
        level=notes.level,
        function=function,
        phrases=notes.phrases,
        arguments=types,
        returns=returns,
        parameters=parameters,
        expression=_template(notes.inline or _returned(node, text), slots),
        source=_plain_source(node, text),
        sampler=notes.sampler,
    )


def _returned(node: ast.FunctionDef, text: str) -> str:
    last = node.body[-1]
    if len(node.body) != 2 or not isinstance(last, ast.Return) or last.value is None:
        raise ConfigError(
            f"atom {node.name!r} has no one-line form",
            expected="a body that is a single return, or atom(..., inline=...)",
        )
    return ast.get_source_segment(text, last.value) or ast.unparse(last.value)


def _template(expression: str, slots: Mapping[str, str]) -> str:
    """Replace the names in ``slots`` by ``{slot}`` and double all other braces."""
    nodes = [
        node
        for node in ast.walk(ast.parse(expression, mode="eval"))
        if isinstance(node, ast.Name) and node.id in slots
    ]
    if any(isinstance(node.ctx, ast.Store) for node in nodes):
        raise ConfigError("a one-line form binds the name of an argument", value=expression)
    names = sorted((node.col_offset, node.end_col_offset or 0, slots[node.id]) for node in nodes)
    parts, at = [], 0
    for start, end, slot in names:
        parts += [expression[at:start].replace("{", "{{").replace("}", "}}"), f"{{{slot}}}"]
        at = end
    return "".join([*parts, expression[at:].replace("{", "{{").replace("}", "}}")])


def _plain_source(node: ast.FunctionDef, text: str) -> str:
    """Return the function without decorator, its docstring cut to the first sentence."""
    lines = text.splitlines()
    summary = (ast.get_docstring(node) or node.name).split("\n")[0]
    head = lines[node.lineno - 1 : node.body[0].lineno - 1]
    body = lines[node.body[1].lineno - 1 : node.end_lineno]
    return "\n".join([*head, f'    """{summary}"""', *body]) + "\n"
