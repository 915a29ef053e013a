"""``mined``: tasks that ``codegym mine`` made from real code, filtered.

    mined:/data/tasks.jsonl
    mined:/data/tasks.jsonl?licence=MIT,BSD-3-Clause&split=train&min_strength=0.95

The file is one of ``jsonl``; what is filtered by stands in the metadata of each task.
"""

from pathlib import Path

from codegym import registry
from codegym.errors import ConfigError
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
        licence: SPDX names, separated by commas; empty for all.
        distribution: Only code of this distribution; empty for all.
        min_strength: Least share of mutants that a task's cases kill.
        min_coverage: Least share of branches that they take.
        max_prompt: Longest prompt in characters; 0 for any.

    Raises:
        TaskError: The file is missing, a line of it is malformed, or no task is left.
        ConfigError: A share is not between 0 and 1.
    """

    def __init__(
        self,
        path: str,
        *,
        split: str = "",
        licence: str = "",
        distribution: str = "",
        min_strength: float = 0.0,
        min_coverage: float = 0.0,
        max_prompt: int = 0,
    ) -> None:
        for name, share in (("min_strength", min_strength), ("min_coverage", min_coverage)):
            if not 0.0 <= share <= 1.0:
                raise ConfigError(f"{name} is no share", value=share, expected="0 to 1")
        self._split = split
        self._licences = {one.strip() for one in licence.split(",") if one.strip()}
        self._distribution = distribution
        self._least = {"strength": min_strength, "branch_coverage": min_coverage}
        self._max_prompt = max_prompt
        super().__init__(read_records(Path(path).expanduser(), cure=_CURE))

    def read(self, record: Record) -> Task | None:
        """Return the task of one line; None if it is filtered out."""
        task = Task.from_json(record.row, path=record.path, line=record.line)
        told = task.metadata
        if self._split not in ("", take(told, "split", str, "metadata.split")):
            return None
        if self._licences and take(told, "licence", str, "metadata.licence") not in self._licences:
            return None
        origin = take(told, "origin", dict, "metadata.origin")
        if self._distribution not in ("", origin.get("distribution")):
            return None
        if any(
            float(take(told, name, (int, float), f"metadata.{name}")) < least  # type: ignore[arg-type]
            for name, least in self._least.items()
        ):
            return None
        return task if not self._max_prompt or len(task.prompt) <= self._max_prompt else None
