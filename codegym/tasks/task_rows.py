"""Task rows: tasks as flat rows of text, for tables that want one type in each column.

``Task.to_json`` nests, and its cases hold values of any type, for which Arrow, and so
``datasets.Dataset``, finds no common column. Here every column is text, and what nests is JSON::

    dataset = datasets.Dataset.from_list(to_rows(tasks))
    tasks = from_rows(dataset)
"""

import json
from collections.abc import Iterable, Mapping
from typing import Any

from codegym.errors import TaskError
from codegym.tasks.task import Task

COLUMNS = (
    "task_id",
    "prompt",
    "entry_point",
    "canonical_solution",
    "tests",
    "hidden_tests",
    "metadata",
)
_JSON = ("tests", "hidden_tests", "metadata")


def to_row(task: Task) -> dict[str, str]:
    """Return a task as a row of texts; ``from_row`` is its inverse.

    ``tests``, ``hidden_tests`` and ``metadata`` are JSON; ``canonical_solution`` and
    ``hidden_tests`` are "" where there is none.

    Raises:
        TaskError: The task cannot be written as JSON, or as UTF-8.
    """
    fields = task.to_json()
    row = {name: fields[name] or "" for name in COLUMNS if name not in _JSON}
    for name, text in row.items():
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise TaskError(f"not UTF-8 ({error})", field=name, value=text) from None
    row |= {name: json.dumps(fields[name]) for name in _JSON if name in fields}
    return {name: row.get(name, "") for name in COLUMNS}


def from_row(row: Mapping[str, Any]) -> Task:
    """Return the task of a row; columns of other names are left aside.

    A row without the column ``hidden_tests`` has none.

    Raises:
        TaskError: A column is missing, or holds no such text.
    """
    fields: dict[str, Any] = {}
    row = {"hidden_tests": "", **row}
    for name in COLUMNS:
        if not isinstance(row.get(name), str):
            raise TaskError("missing, or not text", field=name, value=row.get(name))
        fields[name] = row[name]
    if not fields["hidden_tests"]:
        del fields["hidden_tests"]
    for name in fields.keys() & set(_JSON):
        try:
            fields[name] = json.loads(fields[name])
        except ValueError as error:
            raise TaskError(f"not JSON ({error})", field=name, value=fields[name]) from None
    fields["canonical_solution"] = fields["canonical_solution"] or None
    return Task.from_json(fields)


def to_rows(tasks: Iterable[Task]) -> list[dict[str, str]]:
    """Return tasks as rows, all with the same columns."""
    return [to_row(task) for task in tasks]


def from_rows(rows: Iterable[Mapping[str, Any]]) -> list[Task]:
    """Return the tasks of rows, such as those of a ``datasets.Dataset``.

    Raises:
        TaskError: A row is no task; the message holds its number.
    """
    tasks = []
    for number, row in enumerate(rows, start=1):
        try:
            tasks.append(from_row(row))
        except TaskError as error:
            raise error.at(path="rows", line=number) from None
    return tasks
