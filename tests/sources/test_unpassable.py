"""Tasks that nobody can pass: a warning where they are loaded, a count in check_source."""

import json
import warnings

import pytest

from codegym import Limits, Task
from codegym.checks.check_source import check_source
from codegym.sources import load_tasks
from codegym.tasks.cases import CallCase
from codegym.tasks.unpassable import UnpassableTaskWarning, reasons

CHECKER = "def check(stdin, output, expected):\n    {}\n"
UNPASSABLE = [
    (Task.from_calls("p", "f", [((1,), 2), ((1,), 3)]), "cases 0 and 1 have the same input"),
    (
        Task.from_calls("p", "f", [((1,), 2), CallCase(args=(1,), raises="KeyError")]),
        "cases 0 and 1 have the same input",
    ),
    (Task.from_stdio("p", [("1", "2"), ("1", "3")]), "cases 0 and 1 have the same input"),
    (
        Task.from_stdio("p", [("1", "2")], checker=CHECKER.format("return False")),
        "the checker never returns True",
    ),
    (
        Task.from_stdio("p", [("1", "2")], checker=CHECKER.format("pass")),
        "the checker never returns True",
    ),
    (Task.from_assertions("p", "f", "assert f(1) == 2\nassert 0"), "no program meets assert 0"),
    (Task.from_assertions("p", "f", "assert 1 == 2"), "no program meets assert 1 == 2"),
    (
        Task.from_assertions(
            "p", "f", "def check(c):\n    assert c(1) == 2\n    assert c(1) == [2]\n"
        ),
        "contradict each other",
    ),
    (
        Task.from_calls("p", "f", [((1,), 2)], limits=Limits(memory_bytes=1 << 20)),
        "the memory limit",
    ),
    (
        Task.from_stdio("p", [("", "a" * (20 << 20))], limits=Limits(memory_bytes=36 << 20)),
        "leaves a program no memory",
    ),
    (
        Task.from_calls(
            "p",
            "f",
            [((1,), 1)],
            canonical_solution="import time\ntime.sleep(11)\ndef f(x):\n    return x\n",
        ),
        "sleeps 11 s and the limit is 10 s",
    ),
]
PASSABLE = [
    Task.from_calls("p", "f", [((1,), 2), ((1,), 2), ((1.5,), 3)]),
    Task.from_stdio("p", [("1", "2"), ("1", "2\n")]),
    Task.from_stdio("p", [("1", "2"), ("1", "3")], checker=CHECKER.format("return output > '1'")),
    Task.from_assertions("p", "f", "assert f(1) == 2\nassert f(1) == 2.0\nassert f(2) != 3"),
    Task.from_assertions("p", "f", "assert abs(f(1) - 2) < 1\nassert True"),
]


@pytest.mark.parametrize(("task", "why"), UNPASSABLE, ids=range(len(UNPASSABLE)))
def test_a_task_that_nobody_can_pass_is_found_by_its_text(task, why):
    (reason,) = reasons(task)
    assert why in reason


def test_a_task_that_can_be_passed_is_not():
    assert [reasons(task) for task in PASSABLE] == [[]] * len(PASSABLE)


def test_loading_warns_and_check_source_counts(tmp_path):
    path = tmp_path / "rows.jsonl"
    names = ("fine", "torn")
    tasks = [PASSABLE[0], UNPASSABLE[0][0]]
    rows = [task.to_json() | {"task_id": name} for task, name in zip(tasks, names, strict=True)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        load_tasks(f"jsonl:{path}")
    (warned,) = [item for item in caught if item.category is UnpassableTaskWarning]
    assert "task 'torn': cases 0 and 1 have the same input" in str(warned.message)
    with pytest.warns(UnpassableTaskWarning):
        report = check_source(f"jsonl:{path}", judge=False)
    assert list(report.unpassable) == ["torn"] and not report.ok
