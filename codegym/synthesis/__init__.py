"""Composition of atoms into tasks.

``composition`` says what a composition is, ``rendering`` writes it as prompt and solution,
``pairs`` says which atoms may follow which, ``splits`` keeps train and test apart, ``space`` draws
compositions, ``validity`` throws bad tasks out, ``generate`` makes a task of one draw,
``duplicates`` recognises two tasks as one, ``curriculum`` moves the difficulty.

Source: Chen et al., arXiv 2406.10305. Known of the paper: an atom's output type must match the
next one's input type; a composite is kept when it raises nothing, never returns None and its
outputs differ across inputs; data sets Atom_base and Composite_A, B, C with train and test apart by
construction. The wording, the depths and the rule that tells A, B and C apart are our reading.
"""

from codegym.synthesis.composition import Composition, Fork
from codegym.synthesis.curriculum import Curriculum, CurriculumConfig
from codegym.synthesis.generate import SynthesisConfig, make_task
from codegym.synthesis.splits import Split

__all__ = [
    "Composition",
    "Curriculum",
    "CurriculumConfig",
    "Fork",
    "Split",
    "SynthesisConfig",
    "make_task",
]
