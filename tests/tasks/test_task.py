"""Tasks: the three forms, how a text becomes a program, and the JSON round trip."""

import copy
import json
import pickle

import pytest

from codegym import CallCase, Limits, Task
from codegym.errors import TaskError
from codegym.tasks.suite import TestSuite

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


@pytest.mark.parametrize(
    ("cases", "field"),
    [
        (None, "cases"),
        (5, "cases"),
        ("ab", "cases"),
        ({(1,): 2}, "cases"),
        ([((1,), 2, 3)], "cases[0]"),
        ([((1,), 2), (1, 2)], "cases[1]"),
        ([((1,), ValueError("no"))], "cases[0]"),
        ([((object(),), 1)], "cases[0]"),
        ([CallCase(args=5, expected=1)], "cases[0].args"),
        ([CallCase(args="ab", expected=1)], "cases[0].args"),
        ([CallCase(kwargs=[1], expected=1)], "cases[0].kwargs"),
        ([CallCase(kwargs={1: 2}, expected=1)], "cases[0].kwargs"),
        ([CallCase(args=(1,), raises=int)], "cases[0].raises"),
        ([CallCase(args=(1,), raises="no name")], "cases[0].raises"),
        ([CallCase(args=(1,), raises="ValueError", expected=3)], "cases[0].expected"),
    ],
)
def test_a_malformed_case_is_named(cases, field):
    with pytest.raises(TaskError) as caught:
        Task.from_calls("p", "f", cases)
    assert caught.value.field == field


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"prompt": None}, "prompt"),
        ({"entry_point": None}, "entry_point"),
        ({"entry_point": "def"}, "entry_point"),
        ({"entry_point": "Solution.f"}, "entry_point"),
        ({"task_id": ""}, "task_id"),
        ({"task_id": 3}, "task_id"),
        ({"canonical_solution": 3}, "canonical_solution"),
        ({"metadata": [1]}, "metadata"),
        ({"float_tolerance": -1.0}, "float_tolerance"),
        ({"float_tolerance": float("nan")}, "float_tolerance"),
        ({"limits": {"wall_s": 1}}, "limits"),
    ],
)
def test_a_malformed_field_is_named(options, field):
    with pytest.raises(TaskError) as caught:
        Task.from_calls(**({"prompt": "p", "entry_point": "f", "cases": [((1,), 2)]} | options))
    assert caught.value.field == field


@pytest.mark.parametrize("code", [None, ["assert f(1) == 2"], "assert f(1=2", "a\0", "(" * 900])
def test_test_code_that_is_no_program_is_named(code):
    with pytest.raises(TaskError) as caught:
        Task.from_assertions("p", "f", code)
    assert caught.value.field == "test_code"


@pytest.mark.parametrize(
    ("tests", "field"),
    [
        ({"form": "call", "cases": [{"args": [1], "expected": 1, "x": 2}]}, "tests.cases[0].x"),
        ({"form": "call", "cases": [{"args": [1], "expected": 1}], "x": 2}, "tests.x"),
        ({"form": "stdio", "cases": [], "test_code": ""}, "tests.test_code"),
        ({"form": "assertion", "test_code": "assert 1", "setup_code": 5}, "tests.setup_code"),
    ],
)
def test_unknown_fields_of_tests_are_refused(tests, field):
    row = {"task_id": "a", "prompt": "p", "entry_point": "f", "tests": tests}
    with pytest.raises(TaskError) as caught:
        Task.from_json(row)
    assert caught.value.field == field


def test_a_task_owns_its_values():
    args = [[1, 2]]
    task = Task.from_calls("p", "f", [(args, 3)])
    args[0].append(9)
    assert task.tests.cases[0].args == ([1, 2],)


def test_cases_may_come_from_an_iterator():
    task = Task.from_calls("p", "f", zip([(1,), (2,)], [1, 4], strict=True))
    assert [case.expected for case in task.tests.cases] == [1, 4]


def test_tasks_can_be_hashed_copied_and_pickled():
    plain = Task(task_id="a", prompt="p", entry_point="f", tests=TestSuite.of_calls([((1,), [2])]))
    for again in (copy.deepcopy(plain), pickle.loads(pickle.dumps(plain))):
        assert again == plain and hash(again) == hash(plain)
    assert len({plain, copy.deepcopy(plain)}) == 1


def test_an_expected_exception_may_be_given_as_its_class():
    task = Task.from_calls("p", "f", [CallCase(args=(1,), raises=ValueError)])
    assert task.tests.cases[0].raises == "ValueError"
    assert Task.from_json(task.to_json()) == task
