"""TaskSource: an indexable, seeded, splittable set of tasks; ``task_uri`` loads it by name."""

from abc import ABC, abstractmethod
from collections.abc import Iterator

from codegym.errors import TaskError
from codegym.tasks.contract import CODEGYM, Contract
from codegym.tasks.task import Task


class TaskSource(ABC):
    """A set of tasks; sub-classes implement ``__len__`` and ``__getitem__``.

    A source is a class in its own file. The constructor's keyword arguments, annotated ``int``,
    ``float``, ``bool`` or ``str``, are the keys of its URI, and its ``path`` argument, if any, is
    the URI's path. The class registers itself with ``registry.plugin("sources", NAME)``.

    Attributes:
        uri: The string that this source was loaded from.
        contract: The grading contract that the tasks follow.
    """

    uri: str = ""
    contract: Contract = CODEGYM

    @abstractmethod
    def __len__(self) -> int:
        """Return the number of tasks; a procedural source returns how many it can generate."""

    @abstractmethod
    def __getitem__(self, index: int) -> Task:
        """Return task ``index``, the same on every call.

        Raises:
            IndexError: ``index`` is not in ``range(-len(self), len(self))``.
        """

    def __iter__(self) -> Iterator[Task]:
        for index in range(len(self)):
            yield self[index]

    def find(self, task_id: str) -> Task:
        """Return the task of that id.

        By default this searches all tasks; procedural sources read the index from the id instead.

        Raises:
            TaskError: No task has that id.
        """
        for task in self:
            if task.task_id == task_id:
                return task
        raise TaskError(
            "no such task",
            value=task_id,
            field="task_id",
            expected=f"the id of a task in {self.uri or type(self).__name__}",
        )

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.uri!r}, {len(self)} tasks>"
