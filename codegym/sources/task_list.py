"""TaskList: tasks that are at hand already, as a source."""

from collections.abc import Sequence

from codegym.errors import ConfigError
from codegym.tasks.task import Task
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
