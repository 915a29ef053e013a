"""``composites``: tasks composed from atoms, generated on request.

    composites?domain=small&depth=1-2&split=train
    composites?domain=big&depth=3&split=test&seed=7&style=helpers

``split=train`` is Composite_A (with Atom_base if the depth starts at 1), ``b`` holds new
compositions of seen atoms, ``test`` (or ``c``) held-out pairs of atoms and longer compositions.
Task i depends on the settings, the seed and i alone. ``codegym.synthesis`` composes the tasks.
"""

import re
from random import Random

from codegym import registry
from codegym.errors import ConfigError, TaskError, UnknownNameError
from codegym.synthesis.generate import SynthesisConfig, draw_composition, draw_task
from codegym.synthesis.splits import Split
from codegym.tasks.task import Task
from codegym.tasks.task_source import TaskSource

SPLITS = {
    "train": Split.A,
    "a": Split.A,
    "b": Split.B,
    "test": Split.C,
    "c": Split.C,
    "atoms": Split.ATOMS,
}
_CANONICAL = {Split.A: "train", Split.B: "b", Split.C: "test", Split.ATOMS: "atoms"}
_TRAIN_SIZE, _HELD_OUT_SIZE = 1_000_000, 1000


class ProceduralSource(TaskSource):
    """Tasks drawn from a ``SynthesisConfig``, with a random stream for each index.

    Args:
        config: Settings of the synthesis.
        prefix: Head of every task id, which reads ``<prefix>/<seed>/<index>/<key>``.
        split: Name of the split in ids and metadata.
        seed: Seed of the tasks; another seed gives other tasks of the same compositions.
        size: Number of tasks; 0 for a million (train) or a thousand (held out).
    """

    def __init__(
        self, config: SynthesisConfig, *, prefix: str, split: str, seed: int, size: int
    ) -> None:
        if size < 0:
            raise ConfigError("a source cannot have a negative size", value=size, expected=">= 0")
        self.config, self.seed = config, seed
        self._prefix, self._split = prefix, split
        held_out = config.split in (Split.B, Split.C) or split == "test"
        self._size = size or (_HELD_OUT_SIZE if held_out else _TRAIN_SIZE)
        for depth in config.depths:
            draw_composition(config, Random(0), depth)

    def __len__(self) -> int:
        return self._size

    def __getitem__(self, index: int) -> Task:
        """Return task ``index``.

        Raises:
            IndexError: ``index`` is out of range.
        """
        number = index + self._size if index < 0 else index
        if not 0 <= number < self._size:
            raise IndexError(f"task {index} of {self._size}")
        rng = Random(f"{self.seed}/{self._split}/{number}")
        return draw_task(
            self.config,
            rng,
            name=lambda key: f"{self._prefix}/{self.seed}/{number}/{key}",
            split=self._split,
        )

    def find(self, task_id: str) -> Task:
        """Return the task of an id, without a search through all tasks.

        Raises:
            TaskError: No task of this source has that id.
        """
        pattern = rf"{re.escape(self._prefix)}/{self.seed}/(\d+)/.+"
        match = re.fullmatch(pattern, task_id)
        if match and int(match[1]) < self._size:
            task = self[int(match[1])]
            if task.task_id == task_id:
                return task
        raise TaskError(
            "no such task",
            value=task_id,
            field="task_id",
            expected=f"the id of a task in {self.uri or self._prefix}",
        )


@registry.plugin("sources", "composites")
class CompositeSource(ProceduralSource):
    """Compositions of atoms.

    Args:
        depth: Number of atoms: ``2``, ``1-2`` or ``1-3``; all depths are equally likely. Depths
            that the split cannot have are left out.
        split: ``train`` (or ``a``), ``b``, ``test`` (or ``c``), ``atoms``.
        domain: ``small``, ``big`` or ``all``.
        seed: Seed of the tasks.
        size: Number of tasks; 0 for a million (train, atoms) or a thousand (b, test).
        tests: Test cases per task.
        hidden: Hidden test cases per task, which no reward sees; 0 for none.
        choice: Beside hidden tests, how the others are chosen: ``drawn``, ``weak`` or ``strong``.
        style: Style of canonical solutions: ``inline`` or ``helpers``.
        shape: ``chain``, ``fork`` or ``any``.
        atoms: Names of allowed atoms, separated by commas; empty for all of the domain.
        types: Allowed types, separated by semicolons; empty for all of the domain.
        hold_out: Seed of the split.

    Raises:
        ConfigError: The settings contradict each other or leave no composition.
    """

    def __init__(
        self,
        *,
        depth: str = "2",
        split: str = "train",
        domain: str = "small",
        seed: int = 0,
        size: int = 0,
        tests: int = 8,
        hidden: int = 0,
        choice: str = "drawn",
        style: str = "inline",
        shape: str = "chain",
        atoms: str = "",
        types: str = "",
        hold_out: int = 0,
    ) -> None:
        if split not in SPLITS:
            raise UnknownNameError("split", split, SPLITS)
        chosen = SPLITS[split]
        low, high = parse_depth(depth)
        config = SynthesisConfig(
            domain=domain,
            min_depth=low,
            max_depth=high,
            split=chosen,
            atoms=_names(atoms, ","),
            types=_names(types, ";"),
            shape=shape,  # type: ignore[arg-type]
            style=style,  # type: ignore[arg-type]
            tests=tests,
            hidden=hidden,
            choice=choice,  # type: ignore[arg-type]
            hold_out=hold_out,
        )
        name = _CANONICAL[chosen]
        super().__init__(
            config, prefix=f"composites/{domain}/d{depth}/{name}", split=name, seed=seed, size=size
        )


def parse_depth(text: str) -> tuple[int, int]:
    """Read ``2`` or ``1-3`` as lowest and highest depth.

    Raises:
        ConfigError: The text is neither.
    """
    match = re.fullmatch(r"(\d)(?:-(\d))?", text)
    if match is None:
        raise ConfigError("unusable depth", value=text, expected="a number, or a range like '1-3'")
    return int(match[1]), int(match[2] or match[1])


def _names(text: str, separator: str) -> frozenset[str]:
    return frozenset(part.strip() for part in text.split(separator) if part.strip())
