"""Task files: reading, writing, errors and the schema."""

import gzip
import json
from pathlib import Path

import pytest

from codegym.errors import ConfigError, TaskError
from codegym.sources import load_tasks
from codegym.sources._prompts import as_function, bare, docstring
from codegym.sources.jsonl import SCHEMA_PATH, write_jsonl
from codegym.tasks.contest import call_method
from codegym.tasks.task import CallCase, Task


def rows_file(folder: Path, *rows: object, name: str = "rows.jsonl") -> Path:
    path = folder / name
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


ADD = Task.from_calls(
    "def add(a, b):\n", "add", [((1, 2), 3)], task_id="add", canonical_solution="    return a + b\n"
)


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
