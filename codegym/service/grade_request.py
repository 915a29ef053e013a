"""Grade requests: programs and tasks in the body of ``POST /v1/grade``, and the rows of answers.

    {"programs": [{"task_id": "HumanEval/0", "program": "..."},
                  {"task_id": "mine", "answer": "Sure! ```python ..."}],
     "tasks": [{"task_id": "mine", "prompt": ..., "entry_point": ..., "tests": {...}}],
     "stream": true}

``program`` is a whole program or the continuation of the prompt, ``answer`` the text of a chat
model. ``tasks`` holds whole tasks in the form of ``Task.to_json``, which come before served ones.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from codegym.errors import CodegymError, TaskError
from codegym.grading.verdict import Verdict
from codegym.service.refusals import Refused, fault_row
from codegym.service.served_tasks import ServedTasks
from codegym.service.strict_json import field, refuse_unknown
from codegym.tasks.answers import program_from_answer
from codegym.tasks.task import Task

# An answer is parsed in the service's process.
MOST_ANSWER_BYTES = 256 << 10


@dataclass(frozen=True, slots=True, kw_only=True)
class GradeRequest:
    """The programs of a request with their tasks.

    Attributes:
        pairs: Programs and tasks, in the order of the request.
        stream: Whether verdicts are sent line by line, as they are reached.
    """

    pairs: tuple[tuple[str, Task], ...]
    stream: bool


def read_request(body: Mapping[str, Any], tasks: ServedTasks) -> GradeRequest:
    """Read the body of a request.

    Raises:
        Refused: A field is missing or of the wrong type, or there are too many programs.
        UnknownNameError: A field has an unknown name.
        TaskError: No task has that id, or a whole task is malformed.
    """
    refuse_unknown(body, ("programs", "tasks", "stream"), "a grade request")
    rows = field(body, "programs", list, ...)
    if not 1 <= len(rows) <= tasks.bounds.batch:
        raise Refused(
            "unusable number of programs",
            value=len(rows),
            expected=f"1 to {tasks.bounds.batch}",
            cure="send them in several requests",
        )
    brought = {}
    for number, row in enumerate(field(body, "tasks", list, [])):
        if not isinstance(row, dict):
            raise Refused("a task is not an object", value=f"tasks[{number}]")
        task = _placed(f"tasks[{number}]", tasks.bring, row)
        brought[task.task_id] = task
    pairs = tuple(_pair(number, row, brought, tasks) for number, row in enumerate(rows))
    return GradeRequest(pairs=pairs, stream=field(body, "stream", bool, False))


def _placed(place: str, read: Any, *arguments: Any) -> Any:
    """Name the place in the request in the error that reading it raises."""
    try:
        return read(*arguments)
    except TaskError as error:
        raise error.at(path=place) from None


def _pair(
    number: int, row: Any, brought: Mapping[str, Task], tasks: ServedTasks
) -> tuple[str, Task]:
    place = f"programs[{number}]"
    if not isinstance(row, dict):
        raise Refused("a program is not an object", value=place)
    refuse_unknown(row, ("task_id", "program", "answer"), place)
    task_id = field(row, "task_id", str, ...)
    task: Task = brought.get(task_id) or _placed(place, tasks.find, task_id)
    if ("program" in row) == ("answer" in row):
        raise Refused("give a program or an answer", value=place, expected="one of the two")
    name = "program" if "program" in row else "answer"
    text = field(row, name, str, ...)
    most = tasks.bounds.program_bytes if name == "program" else MOST_ANSWER_BYTES
    if len(text) > most:
        raise Refused(
            f"the {name} is too long",
            value=f"{place}: {len(text)} characters",
            expected=f"at most {most}",
        )
    return (text if name == "program" else program_from_answer(task, text)), task


def result_row(number: int, task: Task, found: Any) -> dict[str, Any]:
    """Return the row of a program: its verdict, or null and the fault that left it without one.

    Args:
        number: Place of the program in the request.
        task: Its task.
        found: A Verdict, or the exception that took its place.
    """
    row: dict[str, Any] = {"index": number, "task_id": task.task_id, "verdict": None}
    if isinstance(found, Verdict):
        return row | {"verdict": found.to_json()}
    if isinstance(found, CodegymError):
        return row | {"fault": fault_row(found)}
    message = f"the service broke: {type(found).__name__}"
    fault = {"type": type(found).__name__, "message": message, "text": message}
    return row | {"fault": fault | {"expected": "", "cure": "", "retry": True}}
