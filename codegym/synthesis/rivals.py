"""Rivals: wrong programs of a composition, and how many of them the tests tell from the right one.

The wrong programs of a composition are its rivals: the same composition with one atom replaced by
another of the same types, or with other values of an atom's parameters. A case kills a rival that
gives another answer, or raises. A policy that has learnt to compose atoms makes these mistakes.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from codegym.atoms.atom import Atom
from codegym.synthesis.composition import Composition, Parameters
from codegym.synthesis.space import Space

Case = tuple[Sequence[Any], Any]
_RAISED = object()
_MOST_RIVALS = 60


def kills(
    composition: Composition, parameters: Parameters, cases: Sequence[Case], space: Space
) -> NDArray[np.bool_]:
    """Return which case kills which rival, (rivals, cases).

    Rivals that agree with the composition on every case are left out: they may be equivalent.
    """
    rows = []
    expected = [repr(output) for _, output in cases]
    for rival, values in _rivals(composition, parameters, space):
        run = rival.bind(values)
        row = [
            _answer(run, inputs) != text for (inputs, _), text in zip(cases, expected, strict=True)
        ]
        if any(row):
            rows.append(row)
    return np.array(rows, dtype=np.bool_).reshape(len(rows), len(cases))


def chosen_cases(
    composition: Composition,
    parameters: Parameters,
    cases: Sequence[Case],
    space: Space,
    count: int,
) -> dict[str, list[int]]:
    """Return the places of the cases that each way of choosing takes.

    Returns:
        ``drawn``: the first; ``weak``: those that kill fewest rivals; ``strong``: one after the
        other the case that kills most of the rivals still alive.
    """
    table = kills(composition, parameters, cases, space)
    killed = table.sum(axis=0)
    strong: list[int] = []
    alive = np.ones(len(table), dtype=np.bool_)
    for _ in range(count):
        # Where no case kills more of those alive, the case that kills most of all is taken.
        gains = table[alive].sum(axis=0) * (len(table) + 1) + killed
        gains[strong] = -1
        strong.append(int(np.argmax(gains)))
        alive &= ~table[:, strong[-1]]
    return {
        "drawn": list(range(count)),
        "weak": sorted(np.argsort(killed, kind="stable")[:count].tolist()),
        "strong": sorted(strong),
    }


def _rivals(
    composition: Composition, parameters: Parameters, space: Space
) -> Iterator[tuple[Composition, Parameters]]:
    """Yield compositions with one atom or one parameter changed; chains only, at most 60."""
    stages = [stage for stage in composition.stages if isinstance(stage, Atom)]
    if len(stages) < len(composition.stages):
        return
    found = 0
    for place, atom in enumerate(stages):
        for other in space.atoms:
            if (other.arguments, other.returns) != (atom.arguments, atom.returns):
                continue
            changed = {name: values[0] for name, values in other.parameters.items()}
            if other.name == atom.name:
                changed = {
                    name: next((value for value in values if value != parameters[place][name]), 0)
                    for name, values in atom.parameters.items()
                }
                if not changed:
                    continue
            yield (
                Composition((*stages[:place], other, *stages[place + 1 :])),
                (*parameters[:place], changed, *parameters[place + 1 :]),
            )
            found += 1
            if found == _MOST_RIVALS:
                return


def _answer(run: Any, inputs: Sequence[Any]) -> Any:
    try:
        return repr(run(*inputs))
    except (ArithmeticError, LookupError, TypeError, ValueError):
        return _RAISED
