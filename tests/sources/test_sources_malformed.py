"""Readers of benchmarks name what is wrong with a row: file, line, field. And odd but good rows."""

import base64
import json
import pickle
import zlib
from pathlib import Path
from typing import Any

import pytest

import codegym
from codegym.errors import TaskError
from codegym.sources import load_tasks


def packed(tests: Any) -> str:
    return base64.b64encode(zlib.compress(pickle.dumps(tests))).decode()


STDIN = [{"input": "1\n", "output": "2\n", "testtype": "stdin"}]
ROWS: dict[str, dict[str, Any]] = {
    "livecodebench": {
        "question_id": "abc1", "question_content": "Do it.", "platform": "atcoder",
        "contest_date": "2024-01-01T00:00:00", "difficulty": "easy", "starter_code": "",
        "public_test_cases": json.dumps(STDIN), "private_test_cases": packed(json.dumps(STDIN)),
        "metadata": "{}",
    },
    "apps": {
        "problem_id": 1, "question": "Do it.", "solutions": '["print(1)"]', "url": "u",
        "input_output": '{"inputs": ["1"], "outputs": ["2"]}', "difficulty": "easy",
        "starter_code": "",
    },
    "codecontests": {
        "name": "1_A", "description": "Do it.", "difficulty": 7, "source": 2,
        "public_tests": {"input": ["1"], "output": ["2"]},
        "private_tests": {"input": [], "output": []},
        "generated_tests": {"input": ["3"], "output": ["4"]},
        "solutions": {"language": [2, 3], "solution": ["c", "print(1)"]},
        "time_limit": {"seconds": 2, "nanos": 0},
    },
    "evalplus": {
        "task_id": "HumanEval/0", "prompt": "def f(x):\n", "canonical_solution": "    return x\n",
        "entry_point": "f", "base_input": [[1]], "plus_input": [[2]], "atol": 0, "contract": "",
    },
}  # fmt: skip


def write(folder: Path, *rows: Any) -> Path:
    path = folder / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.mark.parametrize(
    ("reader", "change", "field"),
    [
        ("livecodebench", {"public_test_cases": "[{"}, "public_test_cases"),
        ("livecodebench", {"public_test_cases": '[{"input": "1"}]'}, "public_test_cases[0]"),
        ("livecodebench", {"public_test_cases": "[5]"}, "public_test_cases[0]"),
        ("livecodebench", {"private_test_cases": "!!!"}, "private_test_cases"),
        ("livecodebench", {"private_test_cases": packed({"a": 1})}, "private_test_cases"),
        ("livecodebench", {"private_test_cases": packed("no JSON")}, "private_test_cases"),
        ("livecodebench", {"metadata": "[]"}, "metadata"),
        ("livecodebench", {"starter_code": 5}, "starter_code"),
        ("apps", {"input_output": "[1]"}, "input_output"),
        ("apps", {"input_output": {"inputs": 5, "outputs": 5}}, "input_output.inputs"),
        ("apps", {"input_output": {"inputs": ["1"], "outputs": []}}, "input_output"),
        ("apps", {"input_output": {"inputs": ["x y"], "outputs": [1], "fn_name": "f"}},
         "input_output.inputs[0]"),
        ("apps", {"input_output": {"inputs": [[1]], "outputs": [1], "fn_name": 5}},
         "input_output.fn_name"),
        ("apps", {"starter_code": 5}, "starter_code"),
        ("codecontests", {"public_tests": [1]}, "public_tests"),
        ("codecontests", {"public_tests": {"input": ["1"], "output": []}}, "public_tests"),
        ("codecontests", {"time_limit": {"seconds": "x"}}, "seconds"),
        ("evalplus", {"atol": "x"}, "atol"),
        ("evalplus", {"assertion": 5}, "assertion"),
        ("evalplus", {"task_id": None}, "task_id"),
    ],
)  # fmt: skip
def test_a_malformed_row_is_named_by_file_line_and_field(reader, change, field, tmp_path):
    good = ROWS[reader]
    name = next(
        field_name
        for field_name in ("question_id", "problem_id", "name", "task_id")
        if field_name in good
    )
    other = good | {name: 2 if reader == "apps" else "another"} | change
    with pytest.raises(TaskError) as caught:
        load_tasks(f"{reader}:{write(tmp_path, good, other)}")
    error = caught.value
    assert (error.field, error.line, Path(error.path or "").name) == (field, 2, "rows.jsonl")


def test_a_pickle_is_never_run(tmp_path):
    trap = tmp_path / "trap"
    code = f"cos\nmkdir\n(V{trap}\ntR.".encode()
    pickle.loads(code)
    assert trap.exists()  # this is what the pickle does where it is run
    trap.rmdir()
    row = ROWS["livecodebench"] | {
        "private_test_cases": base64.b64encode(zlib.compress(code)).decode()
    }
    with pytest.raises(TaskError):
        load_tasks(f"livecodebench:{write(tmp_path, row)}")
    assert not trap.exists()


def test_integers_beyond_pythons_own_limit_are_read(tmp_path):
    digits = "9" * 9000
    row = ROWS["apps"] | {
        "input_output": f'{{"inputs": [[-{digits}]], "outputs": [{digits}], "fn_name": "f"}}'
    }
    (task,) = load_tasks(f"apps:{write(tmp_path, row)}")
    (case,) = task.tests.cases
    assert case.args == (1 - 10**9000,) and case.expected == 10**9000 - 1
    with codegym.make_sandbox() as sandbox:
        assert codegym.judge("def f(n):\n    return -n", task, sandbox=sandbox).passed


def test_taco_rows_of_one_name_are_told_apart(tmp_path):
    row = {**ROWS["apps"], "name": "Two Sum"}
    del row["problem_id"]
    assert [task.task_id for task in load_tasks(f"apps:{write(tmp_path, row, row)}")] == [
        "apps/1",
        "apps/2",
    ]


@pytest.mark.parametrize("reader", ROWS)
def test_a_file_without_rows_is_no_source(reader, tmp_path):
    with pytest.raises(TaskError, match="without tasks"):
        load_tasks(f"{reader}:{write(tmp_path)}")
    (tmp_path / "empty").mkdir()
    with pytest.raises(TaskError, match="without data files"):
        load_tasks(f"{reader}:{tmp_path / 'empty'}")


def test_a_byte_order_mark_and_crlf_are_no_part_of_the_rows(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_bytes(b"\xef\xbb\xbf" + json.dumps(ROWS["apps"]).encode() + b"\r\n\r\n")
    assert len(load_tasks(f"apps:{path}")) == 1


def test_parquet_files_are_read(tmp_path):
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    path = tmp_path / "test-00000-of-00001.parquet"
    parquet.write_table(pyarrow.Table.from_pylist([ROWS["codecontests"]]), path)
    (task,) = load_tasks(f"codecontests:{path}")
    assert task.task_id == "codecontests/1_A" and len(task.tests) == 2
    assert len(load_tasks(f"codecontests:{tmp_path}")) == 1
    path.write_bytes(b"PAR1 no")
    with pytest.raises(TaskError, match="unreadable"):
        load_tasks(f"codecontests:{path}")


@pytest.mark.parametrize(
    ("name", "reference", "other", "wrong"),
    [
        ("find_zero", "return 1.0", "return -1.0", "return 0.0"),
        ("similar_elements", "return (1, 2)", "return [2, 1, 1]", "return (1,)"),
        ("check_str", "return True", "import re\n    return re.match('a', 'a')", "return None"),
        ("other", "return (1, 2)", "return (1, 2)", "return (2, 1)"),
    ],
)
def test_evalplus_accepts_what_its_own_rules_accept(name, reference, other, wrong, tmp_path):
    row = ROWS["evalplus"] | {
        "prompt": f"def poly(x):\n    return x * x - 1\n\ndef {name}():\n",
        "canonical_solution": f"    {reference}\n",
        "entry_point": name,
        "base_input": [[]],
        "plus_input": [],
    }
    if name == "find_zero":
        row["prompt"] = "def poly(xs, x):\n    return x * x - 1\n\ndef find_zero(xs):\n"
        row["base_input"] = [[[-1, 0, 1]]]
    (task,) = load_tasks(f"evalplus:{write(tmp_path, row)}")
    head = row["prompt"]
    with codegym.make_sandbox() as sandbox:
        passed = [
            codegym.judge(f"{head}    {body}\n", task, sandbox=sandbox).passed
            for body in (reference, other, wrong)
        ]
    assert passed == [True, True, False]
