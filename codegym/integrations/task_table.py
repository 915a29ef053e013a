"""Task table: the tasks of a source as rows that trainers read, and references to tasks.

A row holds a prompt and the task's id. Where a trainer hands its reward function nothing but a
label, the label is a reference: JSON that names the source, the task and the reward.
"""

import json
from collections.abc import Iterator
from functools import lru_cache
from typing import Any, Literal

import numpy as np

from codegym.envs.arguments import check_choice, check_positive, open_source
from codegym.errors import ConfigError, TaskError
from codegym.integrations.answer_grader import AnswerGrader
from codegym.sources import TaskSource
from codegym.tasks.chat_request import chat_request
from codegym.tasks.task import Task

Style = Literal["text", "chat"]
MOST_TASKS = 100_000
_KEYS = ("reward", "task_id", "tasks", "turns")


def chosen_tasks(
    tasks: str | TaskSource, count: int | None = None, seed: int | None = None
) -> Iterator[tuple[int, Task]]:
    """Yield tasks of a source with their numbers.

    Args:
        tasks: Task URI, or a source.
        count: How many; all by default.
        seed: Draws them at random, none twice; the first ones by default.

    Raises:
        ConfigError: There are fewer, or too many to write down without a ``count``.
    """
    source = open_source(tasks)
    if count is None and len(source) > MOST_TASKS:
        raise ConfigError(
            "too many tasks for a table",
            value=len(source),
            expected=f"at most {MOST_TASKS}",
            cure="say how many: count=1000",
        )
    number = len(source) if count is None else count
    check_positive("count", number)
    if number > len(source):
        raise ConfigError("too few tasks", value=len(source), expected=f"{number} or more")
    order: Any = range(number)
    if seed is not None:
        order = np.random.default_rng(seed).choice(len(source), number, replace=False)
    for index in order:
        yield int(index), source[int(index)]


def prompt_of(task: Task, style: Style) -> Any:
    """Return a task's prompt: the text itself, or a chat with the request for it."""
    if style == "text":
        return task.prompt
    return [{"role": "user", "content": chat_request(task.prompt)}]


def prompt_rows(
    tasks: str | TaskSource, style: Style, count: int | None, seed: int | None
) -> list[dict[str, Any]]:
    """Return rows with the columns ``prompt``, ``task_id`` and ``tasks``, the URI.

    Raises:
        ConfigError, UnknownNameError: An argument cannot be used.
    """
    check_choice("style", style, ("text", "chat"))
    source = open_source(tasks)
    return [
        {"prompt": prompt_of(task, style), "task_id": task.task_id, "tasks": source.uri}
        for _, task in chosen_tasks(source, count, seed)
    ]


def reference(uri: str, task_id: str, *, reward: str = "binary", turns: int = 1) -> str:
    """Return a label that names a task and how its answers are rewarded."""
    return json.dumps({"tasks": uri, "task_id": task_id, "reward": reward, "turns": turns})


def referred(
    label: object, *, tasks: str = "", reward: str = "", turns: int | None = None
) -> tuple[AnswerGrader, str]:
    """Return the grader and the task's id that a label means.

    Args:
        label: A reference, or a task's id where ``tasks`` is given.
        tasks: URI to use instead of the label's.
        reward: Reward to use instead of the label's.
        turns: Number of turns to use instead of the label's.

    Raises:
        TaskError: The label is neither.
    """
    found: Any = label
    if isinstance(label, str) and label.lstrip().startswith("{"):
        try:
            found = json.loads(label)
        except ValueError as error:
            raise _unusable(label, f"not JSON ({error})") from None
    if isinstance(found, dict):
        if unknown := sorted(set(found) - set(_KEYS)):
            raise _unusable(label, f"unknown keys {', '.join(map(str, unknown))}")
    else:
        found = {"task_id": found}
    uri, task_id = tasks or found.get("tasks"), found.get("task_id")
    if isinstance(task_id, int) and not isinstance(task_id, bool):
        task_id = str(task_id)
    if not isinstance(uri, str) or not uri or not isinstance(task_id, str) or not task_id:
        raise _unusable(label, "it names no task of a source")
    many = found.get("turns", 1) if turns is None else turns
    return grader_of(uri, reward or found.get("reward", "binary"), many), task_id


@lru_cache(maxsize=64)
def grader_of(tasks: str, reward: str, turns: int = 1) -> AnswerGrader:
    """Return the grader that this process keeps for a URI, a reward and a number of turns."""
    return AnswerGrader(tasks, reward, turns=turns)


def _unusable(label: object, why: str) -> TaskError:
    return TaskError(
        f"a label is unusable: {why}",
        field="label",
        value=label,
        expected='{"tasks": "humaneval", "task_id": "HumanEval/0", "reward": "binary"}',
        cure="write the data with the function of the integration, or name the tasks yourself",
    )
