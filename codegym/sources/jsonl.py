"""``jsonl``: tasks in codegym's format, a JSON object on each line.

    jsonl:/data/tasks.jsonl
    jsonl:/data/tasks.jsonl?split=test

``Task.to_json`` defines the format; ``task.schema.json`` beside this file describes it for other
tools, docs/tasks.md for people.
"""

import json
from collections.abc import Iterable
from pathlib import Path

from codegym import registry
from codegym.errors import TaskError
from codegym.sources._records import Record, RecordSource, read_records
from codegym.tasks.task import Task

SCHEMA_PATH = Path(__file__).with_name("task.schema.json")
_CURE = "codegym synthesize --out FILE writes such a file"


@registry.plugin("sources", "jsonl")
class JsonlSource(RecordSource):
    """Tasks of a file.

    Args:
        path: A ``.jsonl`` or ``.jsonl.gz`` file.
        split: Split of the tasks to keep, as their metadata name it; empty for all.

    Raises:
        TaskError: The file is missing, a line is malformed, or an id occurs twice; names file,
            line and field.
    """

    def __init__(self, path: str, *, split: str = "") -> None:
        self._split = split
        super().__init__(read_records(Path(path).expanduser(), cure=_CURE))

    def read(self, record: Record) -> Task | None:
        """Return the task of a line; None if it belongs to another split."""
        task = Task.from_json(record.row, path=record.path, line=record.line)
        return task if self._split in ("", task.metadata.get("split")) else None


def write_jsonl(path: Path, tasks: Iterable[Task]) -> int:
    """Write tasks to a file, which appears whole or not at all.

    Args:
        path: File to write; an existing file is replaced.
        tasks: The tasks.

    Returns:
        The number of tasks written.

    Raises:
        TaskError: A task cannot be written as JSON, or the file cannot be written.
    """
    partial = path.with_name(path.name + ".part")
    count = 0
    try:
        with partial.open("w", encoding="utf-8") as file:
            for task in tasks:
                file.write(json.dumps(task.to_json(), ensure_ascii=False) + "\n")
                count += 1
        partial.replace(path)
    except OSError as error:
        raise TaskError(f"cannot be written ({error})", path=str(path)) from error
    finally:
        partial.unlink(missing_ok=True)
    return count
