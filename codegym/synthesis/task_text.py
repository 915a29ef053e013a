"""Task text: writes a composition as a prompt and as a solution.

The prompt is the head of a function: a typed signature on one line, a one-line docstring and a
line break. The solution continues the prompt. This module never runs a composition.
"""

import re
from random import Random
from typing import Literal

from codegym.atoms.atom import NAMES, Atom
from codegym.synthesis.composition import Composition, Fork, Parameters

Style = Literal["inline", "helpers"]
BRANCHES = ("a", "b")
"""Names of the results of a fork's branches, in prompts and in solutions."""
_PLURAL_OF_ONE = re.compile(r"\b(?:(first|last) )?1 (item|character|letter)s\b")


def argument_names(types: tuple[str, ...]) -> list[str]:
    """Return the variable name of each argument of a composed function."""
    return [
        NAMES[kind][1 if number and kind == types[0] else 0] for number, kind in enumerate(types)
    ]


def write_prompt(composition: Composition, parameters: Parameters, rng: Random) -> str:
    r"""Write signature and docstring, with a template and phrases drawn from ``rng``.

    Returns:
        Text such as ``def f(xs: list[int]) -> int:\n    \"\"\"Keep ..., then ...\"\"\"\n``.
    """
    names = argument_names(composition.arguments)
    typed = ", ".join(
        f"{name}: {kind}" for name, kind in zip(names, composition.arguments, strict=True)
    )
    text = _describe(composition, parameters, names, rng)
    return f'def f({typed}) -> {composition.returns}:\n    """{text[0].upper()}{text[1:]}."""\n'


def _describe(
    composition: Composition, parameters: Parameters, names: list[str], rng: Random
) -> str:
    words: list[str] = []
    at = 0
    for stage in composition.stages:
        if isinstance(stage, Fork):
            size = len(stage.left) + len(stage.right) + 1
            words.append(
                _describe_fork(
                    stage,
                    parameters[at : at + size],
                    names,
                    rng,
                    is_last=stage is composition.stages[-1],
                )
            )
            at += size
        else:
            words.append(_phrase(stage, parameters[at], names, rng))
            at += 1
    if len(words) == 1:
        return words[0]
    draw = rng.random()
    if draw < 0.5 or any(isinstance(stage, Fork) for stage in composition.stages):
        return ", then ".join(words)
    if draw < 0.8:
        return "first " + ", next ".join(words[:-1]) + ", finally " + words[-1]
    return ", but before that ".join(reversed(words))


def _phrase(atom: Atom, values: dict[str, object], names: list[str], rng: Random) -> str:
    phrase = atom.phrases[int(rng.random() * len(atom.phrases))]
    if "{" not in phrase:
        return phrase
    text = phrase.format(**dict(zip("ab", names, strict=False)), **values)
    return _PLURAL_OF_ONE.sub(_singular, text)


def _singular(match: re.Match[str]) -> str:
    """Write "the first item" for "the first 1 items", and "1 letter" for "1 letters"."""
    return f"{match[1] or 1} {match[2]}"


def _describe_fork(
    fork: Fork, parameters: Parameters, names: list[str], rng: Random, *, is_last: bool
) -> str:
    left = [_phrase(a, p, names, rng) for a, p in zip(fork.left, parameters, strict=False)]
    right = [
        _phrase(a, p, names, rng)
        for a, p in zip(fork.right, parameters[len(fork.left) :], strict=False)
    ]
    results = [
        name if branch else names[0] for name, branch in zip(BRANCHES, (left, right), strict=True)
    ]
    join = _phrase(fork.join, parameters[-1], results, rng)
    steps = [
        (name, ", then ".join(branch))
        for name, branch in zip(BRANCHES, (left, right), strict=True)
        if branch
    ]
    if not is_last or rng.random() < 0.5:
        return "; ".join([*(f"to get {name}, {how}" for name, how in steps), f"then {join}"])
    return "; ".join([join, *(f"to get {name} before that, {how}" for name, how in steps)])


def write_solution(composition: Composition, parameters: Parameters, style: Style) -> str:
    """Write the rest of the function: a statement per atom, indented by four.

    Args:
        composition: The composition.
        parameters: A dictionary for each atom.
        style: ``inline`` writes each atom's one-line form; ``helpers`` calls the atoms by name and
            defines them after the function.
    """
    names = argument_names(composition.arguments)
    lines: list[str] = []
    at = 0
    for stage in composition.stages:
        if isinstance(stage, Fork):
            middle = at + len(stage.left)
            end = middle + len(stage.right)
            branches = [
                _branch(stage.left, parameters[at:middle], names[0], BRANCHES[0], style, lines),
                _branch(stage.right, parameters[middle:end], names[0], BRANCHES[1], style, lines),
            ]
            expression = _expression(stage.join, parameters[end], branches, style)
            at, returns = end + 1, stage.join.returns
        else:
            expression = _expression(stage, parameters[at], names, style)
            at, returns = at + 1, stage.returns
        names = [NAMES[returns][0]]
        lines.append(f"    {names[0]} = {expression}\n")
    lines[-1] = f"    return {expression}\n"
    if style == "helpers":
        helpers = dict.fromkeys(atom.source for atom in composition.atoms)
        lines += [f"\n\n{source}" for source in helpers]
    return "".join(lines)


def _branch(
    atoms: tuple[Atom, ...],
    parameters: Parameters,
    value: str,
    name: str,
    style: Style,
    lines: list[str],
) -> str:
    """Append the statements of a branch; return the variable that holds its result."""
    for atom, values in zip(atoms, parameters, strict=True):
        lines.append(f"    {name} = {_expression(atom, values, [value], style)}\n")
        value = name
    return value


def _expression(atom: Atom, values: dict[str, object], names: list[str], style: Style) -> str:
    if style == "helpers":
        return f"{atom.name}({', '.join([*names, *map(_literal, values.values())])})"
    written = {name: _literal(value) for name, value in values.items()}
    return atom.expression.format(**dict(zip("ab", names, strict=False)), **written)


def _literal(value: object) -> str:
    return f'"{value}"' if isinstance(value, str) else repr(value)
