"""``mined``: tasks that ``codegym mine`` made from real code, filtered.

    mined:/data/tasks.jsonl
    mined:/data/tasks.jsonl?split=train&seed=1
    mined:/data/tasks.jsonl?split=test&licence=MIT,BSD-3-Clause&min_strength=0.95&max_prompt=800

The file is one of ``jsonl``; what is filtered by stands in the metadata of each task. Splits are
made of the whole file, before anything is filtered: tasks that resemble one another, share code or
stand in one module are on the same side (``codegym.mining.families``).
"""

from dataclasses import replace
from pathlib import Path

from codegym import registry
from codegym.errors import ConfigError, TaskError, UnknownNameError
from codegym.mining.families import SPLITS, assign_splits
from codegym.sources._records import Record, RecordSource, read_records
from codegym.task import Task
from codegym.testsuite import take

_CURE = "codegym mine PATH_OR_PACKAGE --out FILE writes such a file"


@registry.plugin("sources", "mined")
class MinedSource(RecordSource):
    """Mined tasks of a file.

    Args:
        path: A ``.jsonl`` or ``.jsonl.gz`` file.
        split: ``train``, ``validation`` or ``test``; empty for all.
        seed: Of the splits: another seed sets other tasks apart.
        licence: SPDX names, separated by commas; empty for all.
        distribution: Only code of this distribution; empty for all.
        min_strength: Least share of mutants that a task's cases kill.
        min_coverage: Least share of branches that they take.
        max_prompt: Longest prompt in characters; 0 for any.
        max_solution: Longest canonical solution in characters; 0 for any.

    Raises:
        TaskError: The file is missing, a line of it is malformed, or no task is left.
        ConfigError: A share is not between 0 and 1, or a length is negative.
        UnknownNameError: There is no such split; names the nearest.
    """

    def __init__(
        self,
        path: str,
        *,
        split: str = "",
        seed: int = 0,
        licence: str = "",
        distribution: str = "",
        min_strength: float = 0.0,
        min_coverage: float = 0.0,
        max_prompt: int = 0,
        max_solution: int = 0,
    ) -> None:
        if split and split not in SPLITS:
            raise UnknownNameError("split", split, SPLITS)
        for name, share in (("min_strength", min_strength), ("min_coverage", min_coverage)):
            if not 0.0 <= share <= 1.0:
                raise ConfigError(f"{name} is no share", value=share, expected="0 to 1")
        for name, length in (("max_prompt", max_prompt), ("max_solution", max_solution)):
            if length < 0:
                raise ConfigError(f"{name} is no length", value=length, expected=">= 0, 0 for any")
        self._licences = {one.strip() for one in licence.split(",") if one.strip()}
        self._distribution = distribution
        self._least = {"strength": min_strength, "branch_coverage": min_coverage}
        self._longest = (max_prompt, max_solution)
        self._passing: set[str] = set()
        super().__init__(read_records(Path(path).expanduser(), cure=_CURE))
        tasks = self._tasks
        if split:
            splits = assign_splits(tasks, seed=seed)
            tasks = [
                replace(task, metadata={**task.metadata, "split": split})
                for task, its_split in zip(tasks, splits, strict=True)
                if its_split == split
            ]
        self._tasks = [task for task in tasks if task.task_id in self._passing]
        if not self._tasks:
            raise TaskError("no task left", path=path, cure="filter less, or mine more")
        self._numbers = {task.task_id: number for number, task in enumerate(self._tasks)}

    def read(self, record: Record) -> Task:
        """Return the task of one line, and note whether it passes the filters."""
        task = Task.from_json(record.row, path=record.path, line=record.line)
        if self._passes(task):
            self._passing.add(task.task_id)
        return task

    def _passes(self, task: Task) -> bool:
        told = task.metadata
        if self._licences and take(told, "licence", str, "metadata.licence") not in self._licences:
            return False
        origin = take(told, "origin", dict, "metadata.origin")
        if self._distribution not in ("", origin.get("distribution")):
            return False
        lengths = (len(task.prompt), len(task.canonical_solution or ""))
        if any(most and length > most for length, most in zip(lengths, self._longest, strict=True)):
            return False
        return all(
            float(take(told, name, (int, float), f"metadata.{name}")) >= least  # type: ignore[arg-type]
            for name, least in self._least.items()
        )
