"""Validity: rules that a drawn task must keep.

Source: Chen et al., arXiv 2406.10305: no run-time error, no None, outputs that differ across
inputs. Two more rules are ours: no single output makes up more than three quarters of the cases,
and the removal of any removable atom changes some output, so that the tests cover each part of the
prompt.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from codegym.synthesis.composition import Composition, Parameters

MOST_COMMON_SHARE = 0.75


def outputs_of(
    composition: Composition, parameters: Parameters, inputs: Sequence[tuple[Any, ...]]
) -> list[Any] | None:
    """Return a composition's output on each input, or None if it breaks a rule.

    Args:
        composition: The composition.
        parameters: A dictionary for each atom.
        inputs: Arguments of each case; atoms never change them.
    """
    run = composition.bind(parameters)
    try:
        outputs = [run(*values) for values in inputs]
    except (ArithmeticError, LookupError, TypeError, ValueError):
        return None
    texts = [repr(value) for value in outputs]
    if not is_varied(texts) or "None" in texts:
        return None
    return outputs if all_atoms_matter(composition, parameters, inputs, texts) else None


def is_varied(outputs: Sequence[str]) -> bool:
    """Return whether outputs differ across inputs and no single output dominates."""
    most = max(Counter(outputs).values())
    return most < len(outputs) and most <= MOST_COMMON_SHARE * len(outputs)


def all_atoms_matter(
    composition: Composition,
    parameters: Parameters,
    inputs: Sequence[tuple[Any, ...]],
    outputs: Sequence[str],
) -> bool:
    """Return whether the cases detect the removal of each atom that returns its argument type."""
    for index, atom in enumerate(composition.atoms):
        if atom.arguments == (atom.returns,):
            run = composition.bind(parameters, without=index)
            if all(
                repr(run(*values)) == text for values, text in zip(inputs, outputs, strict=True)
            ):
                return False
    return True
