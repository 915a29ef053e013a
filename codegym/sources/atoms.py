"""``atoms``: tasks of a single atom each, Atom_base in the paper.

    atoms?topic=strings&split=train
    atoms?domain=small&split=test&size=200

Training uses every atom. ``split=test`` holds the atoms that have a parameter, with parameter
values that training on single atoms never shows.
"""

from codegym import registry
from codegym.atoms import by_topic, catalogue
from codegym.errors import UnknownNameError
from codegym.sources.composites import ProceduralSource
from codegym.synthesis.generate import SynthesisConfig
from codegym.synthesis.splits import Split, has_held_out_parameters


@registry.plugin("sources", "atoms")
class AtomSource(ProceduralSource):
    """Tasks of a single atom each.

    Args:
        topic: Name of a topic; empty for all ten.
        split: ``train`` or ``test``.
        domain: ``small``, ``big`` or ``all``.
        seed: Seed of the tasks.
        size: Number of tasks; 0 for a million (train) or a thousand (test).
        tests: Test cases per task.
        style: Style of canonical solutions: ``inline`` or ``helpers``.
        hold_out: Seed of the split.

    Raises:
        ConfigError: The settings contradict each other or leave no atom.
    """

    def __init__(
        self,
        *,
        topic: str = "",
        split: str = "train",
        domain: str = "all",
        seed: int = 0,
        size: int = 0,
        tests: int = 8,
        style: str = "inline",
        hold_out: int = 0,
    ) -> None:
        if split not in ("train", "test"):
            raise UnknownNameError("split", split, ("train", "test"))
        atoms = by_topic(topic) if topic else list(catalogue().values())
        if split == "test":
            atoms = [atom for atom in atoms if has_held_out_parameters(atom)]
        config = SynthesisConfig(
            domain=domain,
            min_depth=1,
            max_depth=1,
            split=Split.ATOMS,
            atoms=frozenset(atom.name for atom in atoms),
            style=style,  # type: ignore[arg-type]
            tests=tests,
            held_out_parameters=split == "test",
            hold_out=hold_out,
        )
        super().__init__(
            config, prefix=f"atoms/{topic or domain}/{split}", split=split, seed=seed, size=size
        )
