"""Synthesis: composes atoms into tasks.

``composition`` defines chains and forks of atoms, ``task_text`` writes them as prompt and solution,
``pairs`` finds which atoms may follow each other, ``splits`` keeps train and test apart, ``space``
draws compositions, ``validity`` rejects bad tasks, ``generate`` turns a draw into a task,
``duplicate_tasks`` recognises equal tasks, and ``curriculum`` adapts the difficulty.

Source: Chen et al., arXiv 2406.10305. The paper says that an atom's output type must match the
next atom's input type, that a composite is kept if it raises nothing, never returns None and its
outputs differ across inputs, and that the data sets Atom_base and Composite_A, B, C keep train and
test apart by construction. The wording, the depths and the rule that divides A, B and C are ours.
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
