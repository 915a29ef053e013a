"""Readers of published benchmarks, by rows in their formats."""

import base64
import json
import os
import pickle
import sys
import types
import zlib
from pathlib import Path

import pytest

import codegym
from codegym.checks.check_source import check_source
from codegym.errors import MissingExtraError, TaskError, UnknownNameError
from codegym.grading.judge import judge_many
from codegym.sources import load_tasks
from codegym.sources.mbpp import infer_entry_point
from codegym.tasks.task import Task

DATA = os.environ.get("CODEGYM_DATA", "")
needs_mbpp = pytest.mark.skipif(
    not (Path(DATA) / "mbpp_train_validation.jsonl").is_file() if DATA else True,
    reason="CODEGYM_DATA names no folder with mbpp_train_validation.jsonl: MBPP itself is not read",
)


def rows_file(folder: Path, *rows: object, name: str = "rows.jsonl") -> Path:
    path = folder / name
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def run(task: Task):
    """Run a canonical solution in this process: the tests wrote it."""
    space: dict = {}
    exec(task.program(task.canonical_solution), space)
    return space.get(task.entry_point)


MBPP_ROW = {
    "task_id": 601,
    "text": "Write a function to add two numbers.",
    "code": "import math\r\ndef plus(a, b):\r\n  return a + b",
    "test_list": ["assert plus(1, 2) == 3", "assert set([plus(2, 2)]) == {4}"],
    "test_setup_code": "",
    "challenge_test_list": ["assert plus(-1, 1) == 0"],
}


def test_an_mbpp_problem(tmp_path):
    path = rows_file(tmp_path, MBPP_ROW, MBPP_ROW | {"task_id": 11}, MBPP_ROW | {"task_id": 5})
    (task,) = load_tasks(f"mbpp:{path}?split=train")
    assert (task.task_id, task.entry_point, len(task.tests)) == ("mbpp/601", "plus", 2)
    assert task.prompt == (
        '"""\nWrite a function to add two numbers.\n'
        'assert plus(1, 2) == 3\nassert set([plus(2, 2)]) == {4}\n"""'
    )
    assert run(task)(1, 2) == 3 and task.metadata["split"] == "train"
    assert [t.task_id for t in load_tasks(f"mbpp:{path}")] == ["mbpp/601", "mbpp/11", "mbpp/5"]
    assert len(load_tasks(f"mbpp:{path}?split=few_shot&challenge=true")[0].tests) == 3
    signature = load_tasks(f"mbpp:{path}?split=test&prompt=signature")[0]
    assert signature.prompt == ('def plus(a, b):\n    """Write a function to add two numbers."""')
    assert run(signature)(1, 2) == 3 and signature.prompt_is_code
    assert load_tasks(f"mbpp:{path}?prompt=text")[0].prompt.startswith("Write a function")


def test_the_sanitized_form(tmp_path):
    row = {
        "source_file": "x",
        "task_id": 602,
        "prompt": "Write a function.",
        "code": "def half(x):\n    return math.floor(x / 2)",
        "test_imports": ["import math"],
        "test_list": ["assert math.isclose(half(4), 2)"],
    }
    path = tmp_path / "sanitized-mbpp.json"
    path.write_text(json.dumps([row]))
    (task,) = load_tasks(f"mbpp:{path}")
    assert task.entry_point == "half" and task.tests.setup_code == "import math"
    assert load_tasks(f"mbpp:{tmp_path}")[0].to_json() == task.to_json()


def test_the_entry_point_comes_from_the_tests():
    tests = [
        "assert set(similar((3, 4), (5, 4))) == set((4,))",
        "assert similar((1,), (1,)) == (1,)",
    ]
    assert infer_entry_point(tests) == "similar"
    assert infer_entry_point(["assert f(g(1)) == f(2)"], "def g(x): ...\n") == "g"
    assert infer_entry_point(["assert max(1, 2) == 2"], "def max(a, b): ...") == "max"
    with pytest.raises(TaskError, match="no test calls"):
        infer_entry_point(["assert True"])
    with pytest.raises(TaskError, match="does not parse"):
        infer_entry_point(["assert f("])


def test_missing_mbpp_says_how_to_get_it(monkeypatch, tmp_path):
    monkeypatch.delenv("CODEGYM_DATA", raising=False)
    with pytest.raises(TaskError, match=r"CODEGYM_DATA is unset.*Cure: download mbpp\.jsonl"):
        load_tasks("mbpp")
    with pytest.raises(UnknownNameError, match="did you mean 'train'"):
        load_tasks("mbpp:/x?split=trian")
    path = rows_file(tmp_path, MBPP_ROW | {"test_list": "assert plus(1, 2) == 3"})
    with pytest.raises(TaskError, match=r"rows\.jsonl:1: wrong type \(field 'test_list'\)"):
        load_tasks(f"mbpp:{path}")


@needs_mbpp
def test_mbpp_itself_has_its_published_splits():
    sizes = {
        split: len(load_tasks(f"mbpp?split={split}"))
        for split in ("few_shot", "validation", "train")
    }
    assert sizes == {"few_shot": 10, "validation": 90, "train": 374}


CALLS = {
    "id": 7,
    "question": "Return the two sums.",
    "input_output": json.dumps({"fn_name": "f", "inputs": [[1, 2], [3, 4]], "outputs": [[3], [7]]}),
    "solutions": json.dumps(["class Solution:\n    def f(self, a, b):\n        return a + b\n"]),
    "starter_code": "class Solution:\n    def f(self, a: int, b: int) -> int:\n        ",
    "difficulty": "introductory",
}
STDIO = {
    "id": 8,
    "question": "Echo.",
    "input_output": {"inputs": ["1\n", "2\n"], "outputs": ["1\n", ["2"]]},
    "solutions": ["print(input())"],
    "difficulty": "interview",
}


def test_apps_problems_in_both_forms(tmp_path):
    path = rows_file(tmp_path, CALLS, STDIO, {"id": 9, "question": "?", "input_output": ""})
    source = load_tasks(f"apps:{path}?case_s=2")
    calls, stdio = source
    assert source.skipped == 1 and source.find("apps/8").to_json() == stdio.to_json()
    assert calls.prompt == 'def f(a: int, b: int) -> int:\n    """Return the two sums."""'
    assert [(case.args, case.expected) for case in calls.tests.cases] == [
        ((1, 2), [3]),
        ((3, 4), [7]),
    ]
    assert run(calls)(1, 2) == 3 and calls.tests.limits.cpu_s == 4
    assert stdio.prompt == '"""Echo."""' and stdio.entry_point == ""
    assert [case.expected_stdout for case in stdio.tests.cases] == ["1\n", "2"]
    assert [task.task_id for task in load_tasks(f"apps:{path}?difficulty=INTERVIEW")] == ["apps/8"]
    assert load_tasks(f"apps:{path}?prompt=text")[1].prompt == "Echo."


def test_a_result_of_apps_in_a_list_may_be_the_list_or_its_item(tmp_path):
    tests = {"fn_name": "f", "inputs": [[1], [2]], "outputs": [[1], [2, 3]]}
    (task,) = load_tasks(f"apps:{rows_file(tmp_path, CALLS | {'input_output': tests})}")
    first = "def f(x):\n    return {} if x == 1 else [2, 3]"
    answers = ("[1]", "1", "(1,)", "[1, 2]", "[[2]]")
    programs = [first.format(answer) for answer in answers]
    programs += [f"def f(x):\n    return x if x == 1 else {text}" for text in ("2", "3")]
    verdicts = judge_many([(program, task) for program in programs])
    passed = [verdict.passed for verdict in verdicts]
    assert passed == [True, True, True, False, False, True, False]


def test_the_published_apps_folder(tmp_path):
    folder = tmp_path / "train" / "0003"
    folder.mkdir(parents=True)
    for name, text in (
        ("question.txt", CALLS["question"]),
        ("input_output.json", CALLS["input_output"]),
        ("solutions.json", CALLS["solutions"]),
        ("starter_code.py", CALLS["starter_code"]),
        ("metadata.json", '{"difficulty": "interview", "url": "u"}'),
    ):
        (folder / name).write_text(text)
    (task,) = load_tasks(f"apps:{tmp_path}?split=train")
    assert task.task_id == "apps/3" and task.metadata["difficulty"] == "interview"
    assert run(task)(1, 2) == 3


def test_a_malformed_apps_row_is_named(tmp_path):
    tests = {"inputs": ["1"], "outputs": []}
    with pytest.raises(TaskError, match=r"rows\.jsonl:1: inputs and outputs differ in number"):
        load_tasks(f"apps:{rows_file(tmp_path, STDIO | {'input_output': tests})}")
    with pytest.raises(TaskError, match=r":1: not JSON .*\(field 'input_output'\)"):
        load_tasks(f"apps:{rows_file(tmp_path, STDIO | {'input_output': '{'})}")
    with pytest.raises(TaskError, match="Cure: get APPS from"):
        load_tasks(f"apps:{tmp_path}/nowhere")


def test_a_codecontests_problem(tmp_path):
    row = {
        "name": "1_A. Echo",
        "description": "Echo.",
        "public_tests": {"input": ["1\n"], "output": ["1\n"]},
        "private_tests": {"input": ["2\n"], "output": ["2\n"]},
        "generated_tests": {"input": [], "output": []},
        "solutions": {"language": [2, 3], "solution": ["int main(){}", "print(input())"]},
        "time_limit": {"seconds": 1, "nanos": 500_000_000},
        "difficulty": 7,
    }
    path = rows_file(tmp_path, row)
    (task,) = load_tasks(f"codecontests:{path}")
    assert task.task_id == "codecontests/1_A. Echo" and len(task.tests) == 2
    assert task.canonical_solution == "print(input())"
    assert task.tests.limits.cpu_s == 2 * 3 * 1.5
    assert len(load_tasks(f"codecontests:{path}?tests=public")[0].tests) == 1
    with pytest.raises(UnknownNameError, match="did you mean 'public'"):
        load_tasks(f"codecontests:{path}?tests=publik")


def livecodebench_row(private: object) -> dict:
    return {
        "question_id": "abc",
        "question_content": "Add.",
        "contest_date": "2024-09-01T00:00:00",
        "difficulty": "easy",
        "starter_code": "class Solution:\n    def plus(self, a: int, b: int) -> int:\n        ",
        "public_test_cases": json.dumps(
            [{"input": "1\n2", "output": "3", "testtype": "functional"}]
        ),
        "private_test_cases": private,
        "metadata": '{"func_name": "plus"}',
    }


def packed(value: object) -> str:
    return base64.b64encode(zlib.compress(pickle.dumps(value))).decode()


def test_a_livecodebench_problem(tmp_path):
    hidden = json.dumps([{"input": "[1]\n[2]", "output": "[1, 2]", "testtype": "functional"}])
    path = rows_file(tmp_path, livecodebench_row(packed(hidden)))
    (task,) = load_tasks(f"livecodebench:{path}")
    assert [(c.args, c.expected) for c in task.tests.cases] == [((1, 2), 3), (([1], [2]), [1, 2])]
    assert task.entry_point == "plus" and task.prompt.startswith("def plus(a: int, b: int) -> int:")
    assert len(load_tasks(f"livecodebench:{path}?private=false")[0].tests) == 1
    with pytest.raises(TaskError, match="no task left"):
        load_tasks(f"livecodebench:{path}?since=2025-01-01")


class Bomb:
    def __reduce__(self):
        return (os._exit, (13,))


def test_a_livecodebench_pickle_is_never_run(tmp_path):
    path = rows_file(tmp_path, livecodebench_row(packed(Bomb())))
    with pytest.raises(TaskError, match=r"rows\.jsonl:1: not the pickle of a single text"):
        load_tasks(f"livecodebench:{path}")
    with pytest.raises(TaskError, match="unreadable tests"):
        load_tasks(f"livecodebench:{rows_file(tmp_path, livecodebench_row('?'))}")


EVALPLUS = {
    "task_id": "HumanEval/0",
    "prompt": 'def half(x: float) -> float:\n    """Halve."""\n',
    "entry_point": "half",
    "canonical_solution": "    return x / 2\n",
    "base_input": [[1.0], [2.0]],
    "plus_input": [[0.1]],
    "contract": "    assert x >= 0\n",
    "atol": 0,
}


def test_evalplus_grades_by_the_reference(tmp_path):
    path = rows_file(tmp_path, EVALPLUS)
    (task,) = load_tasks(f"evalplus:{path}")
    assert len(task.tests) == 3 and task.prompt == EVALPLUS["prompt"].rstrip()
    space: dict = {}
    exec(task.tests.test_code, space)
    space["check"](run(task))
    space["check"](lambda x: x / 2 + 1e-9)
    with pytest.raises(AssertionError):
        space["check"](lambda x: x / 2 + 1e-3)
    assert len(load_tasks(f"evalplus:{path}?tests=base")[0].tests) == 2


def test_the_ready_form_of_mbpp_plus(tmp_path):
    row = {
        "task_id": 2,
        "prompt": "Write a function.",
        "code": "def plus(a, b):\n    return a + b",
        "test_list": ["assert plus(1, 2) == 3"],
        "test_imports": [],
        "test": "for a in range(3):\n    assert plus(a, 1) == a + 1",
    }
    (task,) = load_tasks(f"evalplus:{rows_file(tmp_path, row)}")
    assert task.entry_point == "plus" and task.prompt.endswith('assert plus(1, 2) == 3\n"""')
    assert "range(3)" in task.tests.test_code


def test_solutions_of_every_form_pass_in_the_sandbox_and_idle_programs_do_not(tmp_path):
    contest = {
        "name": "Echo",
        "description": "Echo.",
        "public_tests": {"input": ["1\n", "2\n"], "output": ["1\n", "2\n"]},
        "solutions": {"language": [3], "solution": ["print(input())"]},
    }
    uris = [
        f"apps:{rows_file(tmp_path, CALLS, STDIO, name='apps.jsonl')}",
        f"codecontests:{rows_file(tmp_path, contest, name='contests.jsonl')}",
        f"evalplus:{rows_file(tmp_path, EVALPLUS, name='plus.jsonl')}",
        f"mbpp:{rows_file(tmp_path, MBPP_ROW, name='mbpp.jsonl')}?prompt=signature",
    ]
    with codegym.make_sandbox() as sandbox:
        for uri in uris:
            report = check_source(uri, sandbox=sandbox)
            assert report.ok and report.unsolved == 0, (uri, list(report.rows()))


def test_hugging_face_data_sets_come_through_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(MissingExtraError, match=r"\[datasets\]"):
        load_tasks("mbpp:hf/some/mbpp?split=train")
    asked = []
    fake = types.ModuleType("datasets")
    fake.load_dataset = lambda name, split: asked.append((name, split)) or [MBPP_ROW]
    monkeypatch.setitem(sys.modules, "datasets", fake)
    assert load_tasks("mbpp:hf/some/mbpp?split=train")[0].task_id == "mbpp/601"
    assert asked == [("some/mbpp", "train")]
