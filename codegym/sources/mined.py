"""``mined``: tasks that ``codegym mine`` makes from real code, filtered.

    mined:/data/tasks.jsonl
    mined:/data/tasks.jsonl?split=train&seed=1
    mined:/data/tasks.jsonl?split=test&licence=MIT,BSD-3-Clause&min_strength=0.95&max_prompt=800

The file has the format of ``jsonl``; the filters read the metadata of each task. Splits cover the
whole file, before any filter: tasks that resemble each other, share code or belong to the same
module fall into the same split (``codegym.mining.families``). ``apart=function`` splits less
strictly: functions of the same code fall into the same split, all others independently.
"""

import ast
from dataclasses import replace
from pathlib import Path
from random import Random

from codegym import registry
from codegym.errors import ConfigError, TaskError
from codegym.mining.families import APART, SPLITS, assign_splits
from codegym.mining.renaming import parameter_names, with_other_names, with_plain_names
from codegym.sources._records import Record, RecordSource, one_of, read_records
from codegym.tasks.cases import take
from codegym.tasks.task import Task

_CURE = "codegym mine PATH_OR_PACKAGE --out FILE writes such a file"


@registry.plugin("sources", "mined")
class MinedSource(RecordSource):
    """Mined tasks of a file.

    Args:
        path: A ``.jsonl`` or ``.jsonl.gz`` file, or a folder of such files.
        split: ``train``, ``validation`` or ``test``; empty for all.
        seed: Seed of the splits and of renamed variants.
        apart: Unit that splits keep together: ``family`` or, less strictly, ``function``.
        licence: SPDX names to keep, separated by commas; empty for all.
        distribution: Distribution whose code is kept; empty for all.
        min_strength: Least share of mutants that a task's cases must kill.
        min_coverage: Least share of branches that the cases must take.
        max_prompt: Longest prompt in characters; 0 for any.
        max_solution: Longest canonical solution in characters; 0 for any.
        docstring: ``whole``, or ``summary`` for its first paragraph alone, which suits policies
            with a short context; ``max_prompt`` applies to the resulting prompt.
        renamed: Number of extra variants of each task, with other parameter names.
        names: ``own`` keeps parameter names; ``plain`` calls them x, y, z in every function.

    Raises:
        TaskError: The file is missing, a line of it is malformed, or no task is left.
        ConfigError: A share is not between 0 and 1, or a length is negative.
        UnknownNameError: The split is unknown; the error holds the nearest known name.
    """

    def __init__(
        self,
        path: str,
        *,
        split: str = "",
        seed: int = 0,
        apart: str = "family",
        licence: str = "",
        distribution: str = "",
        min_strength: float = 0.0,
        min_coverage: float = 0.0,
        max_prompt: int = 0,
        max_solution: int = 0,
        docstring: str = "whole",
        renamed: int = 0,
        names: str = "own",
    ) -> None:
        self._summary = one_of("docstring", docstring, ("whole", "summary")) == "summary"
        one_of("apart", apart, APART)
        plain = one_of("names", names, ("own", "plain")) == "plain"
        if split:
            one_of("split", split, SPLITS)
        for name, share in (("min_strength", min_strength), ("min_coverage", min_coverage)):
            if not 0.0 <= share <= 1.0:
                raise ConfigError(f"{name} is not a share", value=share, expected="0 to 1")
        lengths = {"max_prompt": max_prompt, "max_solution": max_solution, "renamed": renamed}
        for name, length in lengths.items():
            if length < 0:
                raise ConfigError(f"{name} is negative", value=length, expected=">= 0")
        if plain and renamed:
            raise ConfigError("names are plain or drawn, not both", value=f"renamed={renamed}")
        self._licences = {part.strip() for part in licence.split(",") if part.strip()}
        self._distribution = distribution
        self._least = {"strength": min_strength, "branch_coverage": min_coverage}
        self._longest = (max_prompt, max_solution)
        self._passing: set[str] = set()
        super().__init__(read_records(Path(path).expanduser(), cure=_CURE))
        tasks = self._tasks
        if split:
            splits = assign_splits(tasks, seed=seed, apart=apart)
            tasks = [
                replace(task, metadata={**task.metadata, "split": split})
                for task, its_split in zip(tasks, splits, strict=True)
                if its_split == split
            ]
        self._tasks = [task for task in tasks if task.task_id in self._passing]
        if not self._tasks:
            raise TaskError("no task left", path=path, cure="filter less, or mine more")
        if plain:
            self._tasks = [with_plain_names(task) for task in self._tasks]
        self._tasks += self._variants(renamed, seed)
        self._numbers = {task.task_id: number for number, task in enumerate(self._tasks)}

    def read(self, record: Record) -> Task:
        """Return the task of a line and record whether it passes the filters."""
        task = Task.from_json(record.row, path=record.path, line=record.line)
        if self._summary:
            task = replace(task, prompt=summarised(task))
        if self._passes(task):
            self._passing.add(task.task_id)
        return task

    def _variants(self, count: int, seed: int) -> list[Task]:
        pool = parameter_names(self._tasks) if count else []
        found = []
        for task in self._tasks:
            for number in range(1, count + 1):
                name = f"{task.task_id}~{number}"
                variant = with_other_names(task, pool, Random(f"{seed} {name}"))
                if variant is not None:
                    found.append(replace(variant, task_id=name))
        return found

    def _passes(self, task: Task) -> bool:
        metadata = task.metadata
        if (
            self._licences
            and take(metadata, "licence", str, "metadata.licence") not in self._licences
        ):
            return False
        origin = take(metadata, "origin", dict, "metadata.origin")
        if self._distribution not in ("", origin.get("distribution")):
            return False
        lengths = (len(task.prompt), len(task.canonical_solution or ""))
        if any(most and length > most for length, most in zip(lengths, self._longest, strict=True)):
            return False
        return all(
            float(take(metadata, name, (int, float), f"metadata.{name}")) >= least  # type: ignore[arg-type]
            for name, least in self._least.items()
        )


def summarised(task: Task) -> str:
    """Return a mined task's prompt with the docstring cut to its first paragraph, on one line."""
    try:
        tree = ast.parse(task.program(task.canonical_solution or ""))
    except (SyntaxError, ValueError):
        return task.prompt
    own = [node for node in tree.body if isinstance(node, ast.FunctionDef)]
    own = [node for node in own if node.name == task.entry_point][-1:]
    text = ast.get_docstring(own[0]) if own else None
    if text is None:
        return task.prompt
    paragraph = " ".join(text.split("\n\n")[0].split()).replace("\\", "\\\\")
    paragraph = paragraph.replace('"""', "'''") + (" " if paragraph.endswith('"') else "")
    lines = task.prompt.split("\n")[: own[0].body[0].lineno - 1]
    return "\n".join([*lines, f'    """{paragraph}"""'])
