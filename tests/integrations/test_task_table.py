"""Task table: rows of prompts, and labels that name a task."""

import json

import pytest

from codegym.errors import ConfigError, TaskError, UnknownNameError
from codegym.integrations.task_table import (
    chosen_tasks,
    grader_of,
    prompt_rows,
    reference,
    referred,
)
from tests.integrations.stand_ins import TASKS, tasks_of, write_faulty_tasks


def test_rows_show_a_prompt_as_text_or_as_a_request():
    (task,) = tasks_of(1)
    (text,) = prompt_rows(TASKS, "text", 1, None)
    assert text == {"prompt": task.prompt, "task_id": task.task_id, "tasks": TASKS}
    (chat,) = prompt_rows(TASKS, "chat", 1, None)
    (message,) = chat["prompt"]
    assert message["role"] == "user" and task.prompt.strip() in message["content"]


def test_a_seed_draws_tasks_and_none_twice(tmp_path):
    drawn = [task.task_id for _, task in chosen_tasks(TASKS, 12, 3)]
    assert drawn == [task.task_id for _, task in chosen_tasks(TASKS, 12, 3)]
    assert len(set(drawn)) == 12 and drawn != [task.task_id for _, task in chosen_tasks(TASKS, 12)]
    few = write_faulty_tasks(tmp_path / "two.jsonl")
    assert [number for number, _ in chosen_tasks(few)] == [0, 1]
    assert sorted(number for number, _ in chosen_tasks(few, 2, 0)) == [0, 1]


def test_numbers_of_tasks_that_cannot_be_had():
    for tasks, count, text in (
        ("composites", None, r"too many tasks .*at most 100000\. Cure: say how many"),
        (TASKS, 10**6 + 1, "too few tasks"),
        (TASKS, 0, "count is unusable"),
    ):
        with pytest.raises(ConfigError, match=text):
            list(chosen_tasks(tasks, count))
    with pytest.raises(UnknownNameError, match="did you mean 'chat'"):
        prompt_rows(TASKS, "chats", 1, None)


def test_a_reference_names_a_task_a_reward_and_turns(tmp_path):
    uri = write_faulty_tasks(tmp_path / "with a blank.jsonl")
    grader, task_id = referred(reference(uri, "good", reward="pass_rate - 0.5", turns=3))
    assert (grader.uri, task_id, grader.episodes.turns) == (uri, "good", 3)
    assert grader.episodes.reward.high == 0.5
    assert grader is grader_of(uri, "pass_rate - 0.5", 3)
    # The caller's own settings come before the label's.
    other, task_id = referred(reference(uri, "good"), tasks=TASKS, reward="coderl", turns=2)
    assert (other.uri, other.episodes.turns, task_id) == (TASKS, 2, "good")
    assert referred("good", tasks=uri)[1] == "good"
    assert referred(json.loads(reference(uri, "good")))[1] == "good"
    assert referred(7, tasks=uri)[1] == "7"


@pytest.mark.parametrize(
    "label",
    [
        None,
        "",
        "good",
        "{",
        '{"task_id": "a"}',
        '{"tasks": 3, "task_id": "a"}',
        '{"task": "a"}',
        [],
    ],
)
def test_a_label_that_names_no_task_is_refused(label):
    with pytest.raises(TaskError, match=r"a label is unusable: .*expected .*Cure: write the data"):
        referred(label)
