"""Task rows: tasks of every form become rows of text, and come back."""

import json
from dataclasses import replace
from itertools import islice

import pytest

from codegym import Task
from codegym.errors import TaskError
from codegym.sources import load_tasks
from codegym.sources.task_list import TaskList
from codegym.tasks.task_rows import COLUMNS, from_row, from_rows, to_row, to_rows

TASKS = [
    Task.from_calls("def f(x):\n", "f", [((1,), 2), ((None,), {"a": (1, 2)}), (({3},), b"\0")]),
    Task.from_calls("f", "f", [(("é", 2**70), 1.5)], task_id="b", canonical_solution="f = 1"),
    Task.from_stdio("Add.", [("1 2\n", "3\n")], task_id="c", metadata={"depth": 3, "tags": []}),
    Task.from_assertions("f", "f", "assert f(1) == 2", task_id="d", metadata={"depth": "x"}),
    replace(
        Task.from_calls("f", "f", [((1,), 2)], task_id="e"),
        hidden_tests=Task.from_calls("f", "f", [((5,), 6)]).tests,
    ),
]


def test_tasks_become_rows_of_text_and_come_back():
    rows = to_rows(TASKS)
    assert all(list(row) == list(rows[0]) and set(row) == set(COLUMNS) for row in rows)
    assert all(isinstance(value, str) for row in rows for value in row.values())
    assert from_rows(json.loads(json.dumps(rows))) == TASKS
    assert from_row(to_row(TASKS[0]) | {"another": 3}) == TASKS[0]
    # Rows of earlier versions have no column of hidden tests.
    assert from_row({k: v for k, v in rows[0].items() if k != "hidden_tests"}) == TASKS[0]


@pytest.mark.parametrize("uri", ["humaneval", "composites"])
def test_sources_come_back(uri):
    tasks = list(islice(load_tasks(uri), 20))
    source = TaskList.from_rows(to_rows(tasks))
    assert list(source) == tasks
    assert source.find(tasks[7].task_id) is source[7]
    with pytest.raises(TaskError, match="no such task"):
        source.find("nothing")


def test_a_dataset_holds_them():
    datasets = pytest.importorskip("datasets")
    dataset = datasets.Dataset.from_list(to_rows(TASKS))
    assert set(dataset.features) == set(COLUMNS)
    assert from_rows(dataset) == TASKS
    assert from_rows(dataset.filter(lambda row: row["task_id"] == "c")) == [TASKS[2]]


@pytest.mark.parametrize(
    ("name", "value"), [("tests", "{"), ("tests", None), ("prompt", 3), ("metadata", "[1]")]
)
def test_a_row_that_is_no_task_is_named(name, value):
    rows = [to_row(TASKS[0]), to_row(TASKS[1]) | {name: value}]
    with pytest.raises(TaskError, match=name) as caught:
        from_rows(rows)
    assert "2" in str(caught.value)
    with pytest.raises(TaskError, match="UTF-8"):
        to_row(Task.from_calls("\ud800", "f", [((1,), 2)]))
