"""TaskList: tasks that are at hand already, as a source."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Self

from codegym.errors import ConfigError
from codegym.tasks.task import Task
from codegym.tasks.task_rows import from_rows
from codegym.tasks.task_source import TaskSource


class TaskList(TaskSource):
    """A list of tasks as a source; it has no URI, and stands for itself in memory only.

    Args:
        tasks: The tasks, at least one.

    Raises:
        ConfigError: There is none, or one of them is no Task.
    """

    uri = "a list of tasks"

    def __init__(self, tasks: Sequence[Task]) -> None:
        if not tasks or not all(isinstance(task, Task) for task in tasks):
            raise ConfigError("not a list of tasks", value=tasks, expected="at least one Task")
        self._tasks = list(tasks)
        self._by_id = {task.task_id: task for task in reversed(self._tasks)}

    @classmethod
    def from_rows(cls, rows: Iterable[Mapping[str, Any]]) -> Self:
        """Return the tasks of a table, such as a ``datasets.Dataset`` of ``to_rows``.

        Raises:
            TaskError: A row is no task.
            ConfigError: There is no row.
        """
        return cls(from_rows(rows))

    def find(self, task_id: str) -> Task:
        """Return the first task of that id.

        Raises:
            TaskError: No task has that id.
        """
        found = self._by_id.get(task_id)
        return super().find(task_id) if found is None else found

    def all(self) -> list[Task]:
        """Return every task."""
        return list(self._tasks)

    def __len__(self) -> int:
        return len(self._tasks)

    def __getitem__(self, index: int) -> Task:
        """Return task ``index``.

        Raises:
            IndexError: ``index`` is out of range.
        """
        return self._tasks[index]
