"""Readers of task files and benchmarks, the check of a source, and the commands over them."""

import base64
import gzip
import json
import os
import pickle
import sys
import types
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

import codegym
from codegym import registry
from codegym.checks.check_source import check_source, idle_programs
from codegym.cli.check import command as check_command
from codegym.cli.list import command as list_command
from codegym.cli.synthesize import command as synthesize_command
from codegym.errors import (
    ConfigError,
    ConformanceError,
    MissingExtraError,
    TaskError,
    UnknownNameError,
)
from codegym.sources import TaskSource, load_tasks
from codegym.sources._prompts import as_function, bare, docstring
from codegym.sources.jsonl import SCHEMA_PATH, write_jsonl
from codegym.sources.mbpp import infer_entry_point
from codegym.tasks.contest import call_method
from codegym.tasks.task import CallCase, Task

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


ADD = Task.from_calls(
    "def add(a, b):\n", "add", [((1, 2), 3)], task_id="add", canonical_solution="    return a + b\n"
)


# --- own task files


def three_forms() -> list[Task]:
    return [
        Task.from_calls(
            "def f(x):\n",
            "f",
            [(({1: (2.5, {3})},), float("inf")), CallCase(kwargs={"x": b"y"}, raises="KeyError")],
            task_id="one",
            metadata={"split": "train"},
        ),
        Task.from_assertions("Write g.", "g", "assert g(1) == 2\nassert g(2) == 3", task_id="two"),
        Task.from_stdio("Echo.", [("1\n", "1\n")], task_id="three", output_rule="exact"),
    ]


def test_a_task_file_is_read_as_it_was_written(tmp_path):
    path = tmp_path / "tasks.jsonl"
    assert write_jsonl(path, three_forms()) == 3
    source = load_tasks(f"jsonl:{path}")
    assert [task.to_json() for task in source] == [task.to_json() for task in three_forms()]
    assert source.find("two").entry_point == "g" and source[-1].task_id == "three"
    assert [task.task_id for task in load_tasks(f"jsonl:{path}?split=train")] == ["one"]
    assert not list(tmp_path.glob("*.part"))


def test_a_gzipped_file_is_read_too(tmp_path):
    path = tmp_path / "tasks.jsonl.gz"
    path.write_bytes(gzip.compress(f"{ADD}\n\n".encode()))
    assert load_tasks(f"jsonl:{path}")[0].to_json() == ADD.to_json()


def test_a_failed_write_leaves_the_old_file(tmp_path):
    path = tmp_path / "tasks.jsonl"
    path.write_text("old")
    unwritable = Task.from_calls("def f():\n", "f", [((), 1)], metadata={"a": {1, 2}})
    with pytest.raises(TaskError, match=r"not JSON .*field 'metadata'"):
        write_jsonl(path, [ADD, unwritable])
    assert path.read_text() == "old" and len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"prompt": 3}, r"rows\.jsonl:2: wrong type \(field 'prompt'\); got 3"),
        ({"promt": ""}, r"rows\.jsonl:2: unknown field \(field 'promt'\)"),
        ({"tests": {"form": "cal", "cases": []}}, r":2: unknown form of test \(field 'tests.form'"),
        ({"tests": {"form": "call", "cases": []}}, r":2: a task without tests"),
        ({"task_id": "add"}, r":2: a second task of this id \(field 'task_id'\); got 'add'"),
        ({"metadata": 3}, r":2: not a JSON object \(field 'metadata'\)"),
    ],
)
def test_an_error_names_file_line_and_field(tmp_path, change, message):
    path = rows_file(tmp_path, ADD.to_json(), ADD.to_json() | {"task_id": "b"} | change)
    with pytest.raises(TaskError, match=message):
        load_tasks(f"jsonl:{path}")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", r"bad\.jsonl:1: not JSON"),
        ("[1]", r"bad\.jsonl:1: not a JSON object"),
        ("[" * 100_000, r"bad\.jsonl:1: not JSON"),
    ],
)
def test_a_line_that_is_no_object_is_named(tmp_path, text, message):
    path = tmp_path / "bad.jsonl"
    path.write_text(text)
    with pytest.raises(TaskError, match=message):
        load_tasks(f"jsonl:{path}")


def test_a_missing_or_unreadable_file_is_named(tmp_path):
    with pytest.raises(TaskError, match=r"nowhere\.jsonl: no such file\. Cure: codegym synthesize"):
        load_tasks(f"jsonl:{tmp_path}/nowhere.jsonl")
    path = tmp_path / "bad.jsonl.gz"
    path.write_bytes(b"not gzip")
    with pytest.raises(TaskError, match="unreadable"):
        load_tasks(f"jsonl:{path}")
    with pytest.raises(ConfigError, match="needs a path"):
        load_tasks("jsonl")
    with pytest.raises(TaskError, match="no task left"):
        load_tasks(f"jsonl:{rows_file(tmp_path, ADD.to_json())}?split=nope")


def test_the_schema_describes_what_is_written():
    schema = json.loads(SCHEMA_PATH.read_text())
    assert set(schema["properties"]) == set(Task.__slots__)
    for task in three_forms():
        row = task.to_json()
        form = schema["$defs"][f"{row['tests']['form']}_tests"]
        assert set(schema["required"]) <= set(row) <= set(schema["properties"])
        assert set(form["required"]) <= set(row["tests"]) <= set(form["properties"])
        assert set(row["tests"]["limits"]) == set(schema["$defs"]["limits"]["properties"])
        for case in row["tests"].get("cases", ()):
            case_schema = form["properties"]["cases"]["items"]
            assert set(case_schema["required"]) <= set(case) <= set(case_schema["properties"])


# --- prompts


def test_bare_prompts_end_in_what_is_seen_and_solutions_go_on_from_there():
    task = bare(ADD)
    assert task.prompt == "def add(a, b):" and task.canonical_solution == "\n    return a + b\n"
    assert task.program(task.canonical_solution) == ADD.program(ADD.canonical_solution)
    whole = Task.from_calls("Add.\n", "f", [((), 1)], canonical_solution="def f(): return 1\n")
    assert bare(whole).canonical_solution == whole.canonical_solution


def test_docstrings_hold_any_text():
    for text in ('Say "it"', "two\nlines", 'a """ b', "back\\slash", 'end"', "plain"):
        written = docstring(text, "    ")
        assert written == written.rstrip()
        space: dict = {}
        exec(f"def f():\n{written}\n", space)
        assert " ".join(space["f"].__doc__.split()) == " ".join(text.replace('"""', "'''").split())


@pytest.mark.parametrize(
    ("starter", "wanted"),
    [
        ("def f(a, b=(1, 2)):\n\tpass", "def f(a, b=(1, 2)):"),
        (
            "class Solution:\n    def f(self, nums: List[int]) -> int:\n        ",
            "from typing import List\n\n\ndef f(nums: List[int]) -> int:",
        ),
        (
            "R = 3\ndef g(x):\n  return x\ndef f(x: dict[str, int], *y):\n  pass",
            "def f(x: dict[str, int], *y):",
        ),
        ("", "def f(*args):"),
        ("def f(a, b", "def f(*args):"),
    ],
)
def test_a_starter_becomes_a_function(starter, wanted):
    assert as_function(starter, "f") == wanted


def test_a_method_gets_a_function_that_calls_it():
    solution = "class Solution:\n    def f(self, x):\n        return x + 1"
    space: dict = {}
    exec(call_method(solution, "f"), space)
    assert space["f"](1) == 2
    assert call_method("def f(x): return x", "f") == "def f(x): return x"
    assert call_method("print(1)", "f") == "print(1)"


# --- MBPP

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


# --- APPS, TACO, CodeContests, LiveCodeBench, EvalPlus

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
    assert [(case.args, case.expected) for case in calls.tests.cases] == [((1, 2), 3), ((3, 4), 7)]
    assert run(calls)(1, 2) == 3 and calls.tests.limits.cpu_s == 4
    assert stdio.prompt == '"""Echo."""' and stdio.entry_point == ""
    assert [case.expected_stdout for case in stdio.tests.cases] == ["1\n", "2"]
    assert [task.task_id for task in load_tasks(f"apps:{path}?difficulty=INTERVIEW")] == ["apps/8"]
    assert load_tasks(f"apps:{path}?prompt=text")[1].prompt == "Echo."


def test_results_that_are_lists_themselves_stay_lists(tmp_path):
    tests = {"fn_name": "f", "inputs": [[1], [2]], "outputs": [[1], [2, 3]]}
    (task,) = load_tasks(f"apps:{rows_file(tmp_path, CALLS | {'input_output': tests})}")
    assert [case.expected for case in task.tests.cases] == [[1], [2, 3]]


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
    with pytest.raises(MissingExtraError, match=r"codegym\[datasets\]"):
        load_tasks("mbpp:hf/some/mbpp?split=train")
    asked = []
    fake = types.ModuleType("datasets")
    fake.load_dataset = lambda name, split: asked.append((name, split)) or [MBPP_ROW]
    monkeypatch.setitem(sys.modules, "datasets", fake)
    assert load_tasks("mbpp:hf/some/mbpp?split=train")[0].task_id == "mbpp/601"
    assert asked == [("some/mbpp", "train")]


# --- the check of a source, and the commands


def test_idle_programs_parse_and_do_nothing():
    texts = idle_programs(ADD)
    assert "def add(*args, **kwargs):\n    pass\n" in texts and any("return 3" in t for t in texts)
    for text in texts + idle_programs(three_forms()[2]):
        compile(text, "idle", "exec")
    assert "def f(*args, **kwargs):\n    return inf\n" not in idle_programs(three_forms()[0])


def test_check_source_counts_what_is_wrong(tmp_path):
    rows = [
        ADD.to_json(),
        ADD.to_json() | {"task_id": "again"},
        ADD.to_json() | {"task_id": "wrong", "canonical_solution": "    return a - b\n"},
    ]
    weak = Task.from_calls("def zero(x):\n", "zero", [((1,), 0), ((2,), 0)], task_id="weak")
    path = rows_file(tmp_path, *rows, weak.to_json())
    with codegym.make_sandbox() as sandbox:
        report = check_source(f"jsonl:{path}", sandbox=sandbox)
    assert report.checked == 4 and report.judged and not report.ok and report.unsolved == 1
    assert list(report.broken) == ["wrong"] and "failed" in report.broken["wrong"]
    assert report.weak["weak"] == "return 0"
    assert report.duplicates == ["again", "wrong"] and report.same_solution == ["again"]
    assert len(report.cut_prompts) == 4


def test_check_source_finds_a_leak_between_splits(tmp_path):
    rows = [
        ADD.to_json() | {"task_id": split, "metadata": {"split": split}}
        for split in ("train", "test")
    ]
    report = check_source(f"jsonl:{rows_file(tmp_path, *rows)}?split=train", judge=False)
    assert report.shared == {"test": ["train"]} and not report.ok


class Leaking(TaskSource):
    """Two splits that share their first task."""

    def __init__(self, *, split: str = "train") -> None:
        self._names = ["both", split]

    def __len__(self) -> int:
        return 2

    def __getitem__(self, index: int) -> Task:
        name = self._names[index]
        return Task.from_calls(f"def f(x):  # {name}", "f", [((1,), 1)], task_id=name)


def test_a_task_under_the_same_id_in_two_splits_is_a_leak(monkeypatch):
    monkeypatch.setitem(registry._registered["sources"], "leaking", Leaking)
    report = check_source("leaking", judge=False)  # the default split counts
    assert report.shared == {"validation": ["both"], "b": ["both"], "test": ["both"]}


def test_a_task_that_its_first_argument_passes_is_weak(tmp_path):
    same = Task.from_calls("def f(x):\n", "f", [((1,), 1), (([2],), [2])], task_id="same")
    with codegym.make_sandbox() as sandbox:
        report = check_source(f"jsonl:{rows_file(tmp_path, same.to_json())}", sandbox=sandbox)
    assert list(report.weak) == ["same"] and "args" in report.weak["same"]


@pytest.mark.parametrize(
    "uri",
    [
        "composites?domain=small&depth=1-2&split=train",
        "composites?domain=all&depth=1-4&split=test&shape=any",
        "atoms",
        "atoms?split=test",
    ],
)
def test_composed_sources_pass_their_check(uri):
    with codegym.make_sandbox() as sandbox:
        report = check_source(uri, count=24, sandbox=sandbox)
    assert report.ok and report.checked == 24 and report.judged, list(report.rows())


@needs_mbpp
def test_the_solutions_of_mbpp_pass():
    with codegym.make_sandbox() as sandbox:
        report = check_source("mbpp?split=few_shot", sandbox=sandbox)
    assert not report.broken and report.checked == 10


class Restless(TaskSource):
    """A source that breaks one promise."""

    made = 0

    def __init__(self, *, fault: str = "") -> None:
        Restless.made += 1
        self._fault, self._copy = fault, Restless.made
        self._draws = iter(range(100))

    def __len__(self) -> int:
        return 3 + (self._copy if self._fault == "growing" else 0)

    def __iter__(self) -> Iterator[Task]:
        yield from [self[0]] if self._fault == "short" else super().__iter__()

    def __getitem__(self, index: int) -> Task:
        number = index + 3 if index < 0 else index
        if self._fault == "missing" and number == 1:
            raise KeyError(number)
        if not 0 <= number < len(self) and self._fault != "endless":
            raise IndexError(index)
        prompt = f"def f(x):  # {number}"
        if self._fault == "changing":
            prompt += f" {self._copy}"
        name = "same" if self._fault == "ids" else str(number)
        metadata = {"drawn": next(self._draws)} if self._fault == "drawing" else {}
        return Task.from_calls(prompt, "f", [((1,), 1), ((2,), 2)], task_id=name, metadata=metadata)

    def find(self, task_id: str) -> Task:
        return self[0] if self._fault == "find" else super().find(task_id)


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("ids", "occurs twice"),
        ("changing", "changes between two loads"),
        ("find", "find returns another task"),
        ("endless", "an index beyond the end is answered"),
        ("growing", "the length changes"),
        ("short", "iterating does not give as many tasks"),
        ("missing", r"task 1 cannot be read \(KeyError: 1\)"),
        ("drawing", "find returns another task"),
    ],
)
def test_check_source_raises_for_a_broken_promise(monkeypatch, fault, message):
    monkeypatch.setitem(registry._registered["sources"], "restless", Restless)
    check_source("restless", judge=False)
    with pytest.raises(ConformanceError, match=message):
        check_source(f"restless?fault={fault}", judge=False)


def test_check_source_refuses_a_mixture():
    with pytest.raises(ConfigError, match="cannot be checked as a whole"):
        check_source("atoms + composites", count=5, judge=False)


def invoke(command, *arguments: str):
    return CliRunner().invoke(command, arguments, catch_exceptions=False)


def test_synthesize_writes_tasks_that_differ(tmp_path):
    path = tmp_path / "tasks.jsonl"
    uri = "composites?domain=small&depth=1-2"
    result = invoke(synthesize_command, uri, "--count", "60", "--out", str(path), "--seed", "3")
    assert "60 tasks written" in result.output and "left out:" in result.output
    source = load_tasks(f"jsonl:{path}")
    assert len(source) == 60 and source[0].task_id.split("/")[4] == "3"
    assert check_source(f"jsonl:{path}", judge=False).same_solution == []


def test_synthesize_shows_tasks_and_tables():
    shown = invoke(synthesize_command, "atoms?topic=strings", "--show", "2").output
    assert shown.count("def f(s: str)") == 2 and "f('" in shown
    tables = invoke(synthesize_command, "--count", "20").output
    assert "tasks by topic" in tables and "tasks by depth" in tables and "chains there" in tables
    atoms = invoke(synthesize_command, "--atoms").output
    assert "pair_up" in atoms and "list[int]" in atoms
    with pytest.raises(ConfigError, match="not a source of composed tasks"):
        invoke(synthesize_command, "humaneval")


def test_list_names_every_group_and_describes_one():
    assert "composites" in invoke(list_command).output
    described = invoke(list_command, "sources").output
    assert "MBPP problems" in described and "split" in described
    with pytest.raises(UnknownNameError, match="did you mean 'sources'"):
        invoke(list_command, "source")


def test_check_command_says_ok_or_ends_with_one(tmp_path):
    good = invoke(check_command, "source", "composites", "--count", "5", "--no-judge")
    assert good.exit_code == 0 and "ok" in good.output
    rows = [ADD.to_json() | {"task_id": s, "metadata": {"split": s}} for s in ("train", "test")]
    uri = f"jsonl:{rows_file(tmp_path, *rows)}?split=train"
    assert invoke(check_command, "source", uri, "--no-judge").exit_code == 1
    with pytest.raises(UnknownNameError, match="did you mean 'source'"):
        invoke(check_command, "sorce", "composites")
