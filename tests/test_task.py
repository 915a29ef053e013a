"""Tasks: the three forms, how a text becomes a program, and the JSON round trip."""

import json

import pytest

from codegym import CallCase, Limits, Task
from codegym.errors import TaskError

PROMPT = 'def f(x):\n    """Add one."""\n'


@pytest.mark.parametrize(
    "task",
    [
        Task.from_calls(PROMPT, "f", [((1,), 2.5), (((1, 2), {3}), {1: [None, True]})]),
        Task.from_calls("Add.", "f", [CallCase(kwargs={"x": 1}, raises="ValueError")],
                        limits=Limits(cpu_s=1.5), metadata={"depth": 2}),
        Task.from_assertions(PROMPT, "f", "def check(c):\n    assert c(1) == 2\n", "import math"),
        Task.from_assertions("Add.", "f", "assert f(1) == 2\nassert f(2) == 3"),
        Task.from_stdio("Echo.", [("a\n", "a\n")], output_rule="tokens"),
    ],
)  # fmt: skip
def test_json_round_trip(task: Task) -> None:
    assert Task.from_json(json.loads(str(task))) == task


def test_a_case_per_assertion() -> None:
    code = (
        "def check(c):\n    x = 1\n    assert c(1)\n    for i in range(3):\n        assert c(i)\n"
    )
    task = Task.from_assertions(PROMPT, "f", code)
    assert [case.code for case in task.tests.cases] == [  # type: ignore[union-attr]
        "assert c(1)",
        "for i in range(3):\n        assert c(i)",
    ]
    assert task.tests.check == "check"
    assert len(Task.from_assertions("", "f", "assert f(1)\ny = 2\nassert f(y)").tests) == 2


@pytest.mark.parametrize(
    ("text", "whole"),
    [
        ("    return x + 1\n", False),
        (PROMPT + "    return 1\n", True),
        ("import math\ndef f(x):\n    return x", True),
        ("f = lambda x: x", True),
        ("f == 3", False),
        ("class f:\n    pass", True),
        ("    def f(): return 1", False),
        ("async def f(x): return x", True),
    ],
)
def test_program_joins_continuations_only(text: str, whole: bool) -> None:
    task = Task.from_calls(PROMPT, "f", [((1,), 2)])
    assert task.program(text) == (text if whole else PROMPT + text)


def test_a_plain_text_prompt_is_never_part_of_the_program() -> None:
    task = Task.from_calls("Write f that adds one.", "f", [((1,), 2)])
    assert not task.prompt_is_code
    assert task.program("    return 1") == "    return 1"


@pytest.mark.parametrize(
    ("row", "field"),
    [
        ({}, "task_id"),
        ({"task_id": 3}, "task_id"),
        ({"task_id": "a", "prompt": "", "entry_point": "f"}, "tests"),
        ({"promt": ""}, "promt"),
        ({"tests": {"form": "calls"}}, "tests.form"),
        ({"tests": {"form": "call", "cases": []}}, "tests"),
        ({"tests": {"form": "call", "cases": [{"args": [1]}]}}, "tests.cases[0].expected"),
        ({"tests": {"form": "call", "cases": [{"args": [{"q?": 1}], "expected": 1}]}},
         "tests.cases[0]"),
        ({"tests": {"form": "call", "cases": [[1]], "limits": {}}}, "tests.cases[0].args"),
        ({"tests": {"form": "stdio", "cases": [{"stdin": "a"}]}},
         "tests.cases[0].expected_stdout"),
        ({"tests": {"form": "stdio", "cases": [{"stdin": "", "expected_stdout": ""}],
                    "output_rule": "loose"}}, "output_rule"),
        ({"tests": {"form": "assertion", "test_code": "assert ("}}, "test_code"),
        ({"tests": {"form": "assertion", "test_code": "x = 1"}}, "tests"),
        ({"tests": {"form": "call", "cases": [], "limits": {"wall_s": -1}}}, "tests.limits"),
        ({"tests": {"form": "call", "cases": [], "limits": {"walls": 1}}}, "tests.limits"),
    ],
)  # fmt: skip
def test_a_malformed_row_names_file_line_and_field(row: dict[str, object], field: str) -> None:
    whole = {"task_id": "a", "prompt": "", "entry_point": "f"} | row
    if field in ("task_id", "promt") and "tests" not in row:
        whole = row
    with pytest.raises(TaskError) as caught:
        Task.from_json(whole, path="tasks.jsonl", line=7)
    assert caught.value.field == field
    assert str(caught.value).startswith("tasks.jsonl:7: ")
    assert str(caught.value).count(repr(field)) == 1


@pytest.mark.parametrize("cases", [[], [(1, 2)], [((1,),)], [("ab", 1)], ["ab"]])
def test_malformed_cases_are_refused(cases: list[object]) -> None:
    with pytest.raises(TaskError):
        Task.from_calls("p", "f", cases)  # type: ignore[arg-type]


def test_unencodable_values_are_named() -> None:
    with pytest.raises(TaskError, match="cannot cross the sandbox line"):
        Task.from_calls("p", "f", [((object(),), 1)]).to_json()


def test_limits_must_be_positive() -> None:
    with pytest.raises(ValueError, match="limit 'cpu_s' is unusable"):
        Limits(cpu_s=0)
