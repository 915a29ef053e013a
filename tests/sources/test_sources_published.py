"""Rows as the data sets publish them: solutions pass, wrong programs do not, odd forms are read."""

import ast
import base64
import json
import pickle
import zlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import codegym
from codegym.errors import TaskError
from codegym.sandbox.limits import Limits
from codegym.sources import load_tasks
from codegym.tasks.contest import call_method, holds_method, with_imports
from codegym.tasks.task import Task


def write(folder: Path, *rows: Any) -> Path:
    path = folder / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def grade(task: Task, *programs: str) -> list[bool]:
    # A busy machine takes longer than the seconds that a data set allows.
    patient = replace(task.tests, limits=Limits(cpu_s=60.0, wall_s=120.0))
    task = replace(task, tests=patient)
    return [
        verdict.passed for verdict in codegym.judge_many([(program, task) for program in programs])
    ]


# Published solutions name List and collections without an import, as the sites import them.
LEETCODE = """\
class Solution:
    def top(self, nums: List[int], k: int) -> List[int]:
        counts = collections.Counter(nums)
        return [number for number, _ in counts.most_common(k)]"""
STARTER = "class Solution:\n    def top(self, nums: List[int], k: int) -> List[int]:\n        "


def test_an_apps_solution_gets_the_imports_of_its_site(tmp_path):
    row = {
        "id": 7, "problem_id": 2003, "question": "The k most common.", "url": "u",
        "solutions": json.dumps([LEETCODE]), "difficulty": "introductory", "starter_code": STARTER,
        "input_output": json.dumps({
            "fn_name": "top", "inputs": [[[1, 1, 2], 1], [[3, 3, 3, 4, 4, 5], 2]],
            "outputs": [[1], [3, 4]],
        }),
    }  # fmt: skip
    (task,) = load_tasks(f"apps:{write(tmp_path, row)}")
    alone = "def top(nums, k):\n    return sorted(set(nums), key=nums.count)[::-1][:k]"
    wrong = "def top(nums, k):\n    return nums[:k]"
    assert grade(task, task.canonical_solution, alone, wrong) == [True, True, False]


def test_only_imports_that_are_missing_are_added():
    assert with_imports("print(1)") == "print(1)"
    assert with_imports("import math\nprint(math.pi)") == "import math\nprint(math.pi)"
    assert with_imports("from math import *\nprint(pi)") == "from math import *\nprint(pi)"
    assert with_imports("def f(a, gcd): return gcd + a") == "def f(a, gcd): return gcd + a"
    assert with_imports("print raw_input()") == "print raw_input()"
    added = with_imports("print(gcd(4, 6), sys.argv, heappop([1]))").split("\n")[:-1]
    assert added == ["from math import gcd", "from heapq import heappop", "import sys"]


def test_a_method_of_class_solution_is_a_program_where_a_function_is_asked_for():
    task = Task.from_calls(
        "from typing import List\n\n\ndef top(nums: List[int], k: int) -> List[int]:",
        "top",
        [(([1, 1, 2], 1), [1]), (([3], 1), [3])],
    )
    method = (
        "class Solution:\n"
        "    def top(self, nums: List[int], k: int) -> List[int]:\n"
        "        return sorted(nums)[:k]\n"
    )
    assert holds_method(method, "top") and not holds_method(method, "to")
    assert not holds_method("def top(nums, k): ...", "top")
    wrong = method.replace("nums)[:k]", "nums)")
    assert grade(task, task.program(method), task.program(wrong)) == [True, False]
    assert task.program("    return []").startswith(task.prompt)
    assert call_method(method, "other") == method


def test_codecontests_as_lists_of_objects(tmp_path):
    row = {
        "name": "1_A", "description": "Echo.", "difficulty": 7, "source": 2,
        "public_tests": [{"input": "1\n", "output": "1\n"}],
        "private_tests": [], "generated_tests": [{"input": "2\n", "output": "2\n"}],
        "solutions": [{"language": 2, "solution": "int main() {}"},
                      {"language": 3, "solution": "print(input())"}],
        "time_limit": {"seconds": 1, "nanos": 500000000},
    }  # fmt: skip
    (task,) = load_tasks(f"codecontests:{write(tmp_path, row)}")
    assert len(task.tests) == 2
    assert grade(task, task.canonical_solution, "print(1)") == [True, False]


METHOD = "class Solution:\n    def count(self, xs: List[str], k: int) -> int:\n        "


def livecodebench(private: bytes) -> dict[str, Any]:
    tests = [{"input": '["a", "b"]\n1', "output": "2", "testtype": "functional"}]
    return {
        "question_id": "2727", "question_content": "Count.", "contest_date": "2024-04-22T00:00:00",
        "difficulty": "easy", "platform": "leetcode", "metadata": '{"func_name": "count"}',
        "starter_code": METHOD,
        "public_test_cases": json.dumps(tests),
        "private_test_cases": base64.b64encode(zlib.compress(private)).decode(),
    }  # fmt: skip


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_livecodebench_private_tests_of_every_protocol(tmp_path, protocol):
    tests = [{"input": "[]\n5", "output": "0", "testtype": "functional"}]
    row = livecodebench(pickle.dumps(json.dumps(tests), protocol=protocol))
    (task,) = load_tasks(f"livecodebench:{write(tmp_path, row)}")
    assert len(task.tests) == 2
    programs = [task.program(METHOD + body) for body in ("return len(xs)", "return 2")]
    assert grade(task, *programs) == [True, False]


def test_tests_that_unpack_without_end_or_are_cut_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("codegym.sources.livecodebench._MOST_BYTES", 1000)
    row = livecodebench(pickle.dumps("[" + " " * 2000 + "]"))
    with pytest.raises(TaskError, match=r"rows\.jsonl:1: unreadable tests \(more than"):
        load_tasks(f"livecodebench:{write(tmp_path, row)}")
    row = livecodebench(pickle.dumps("[]"))
    whole = base64.b64decode(row["private_test_cases"])
    row["private_test_cases"] = base64.b64encode(whole[:-6]).decode()
    with pytest.raises(TaskError, match="unreadable tests"):
        load_tasks(f"livecodebench:{write(tmp_path, row)}")


MBPP_PLUS = {
    "task_id": "Mbpp/2", "entry_point": "joined", "atol": 0,
    "prompt": '"""\nJoin two tuples.\nassert joined((3,), (5,)) == (3, 5)\n"""\n',
    "canonical_solution": "\ndef joined(a, b):\n  return a + b\n",
    "contract": '\n  assert isinstance(a, tuple), "invalid inputs" # $_CONTRACT_$\n',
    "base_input": [[[3], [5]]], "plus_input": [[[], [1, 2]]],
    "assertion": "assert joined((3,), (5,)) == (3, 5)\n",
}  # fmt: skip


def test_mbpp_plus_gives_tuples_where_its_own_assertions_do(tmp_path):
    (task,) = load_tasks(f"evalplus:{write(tmp_path, MBPP_PLUS)}")
    assert len(task.tests) == 2
    strict = "def joined(a, b):\n    return (*a, *b) if type(a) is type(b) is tuple else None"
    listing = "def joined(a, b):\n    return [*a, *b]"
    assert grade(task, task.canonical_solution, strict, listing) == [True, True, False]


def test_kinds_inside_of_containers_are_told(tmp_path):
    row = MBPP_PLUS | {
        "canonical_solution": "\ndef joined(a, b):\n  return sorted(map(repr, a)) + [repr(b)]\n",
        "base_input": [[[[1, 2], [3]], {"x": [1]}]], "plus_input": [[[[4]], {"y": [5, 6]}]],
        "assertion": "assert joined([(1, 2), (3,)], {'x': {1}}) == 5",
    }  # fmt: skip
    (task,) = load_tasks(f"evalplus:{write(tmp_path, row)}")
    space: dict[str, Any] = {}
    exec(task.tests.test_code, space)
    assert space["INPUTS"] == [[[(1, 2), (3,)], {"x": {1}}], [[(4,)], {"y": {5, 6}}]]
    assert [type(item) for item in space["INPUTS"][1]] == [list, dict]


HELPERS = """\
import numpy as np

def is_floats(x) -> bool:
    if isinstance(x, np.ndarray):
        return x.dtype == np.float64 or x.dtype == np.float32
    return isinstance(x, float)


def assertion(out, exp, atol):
    exact_match = out == exp
    if not exact_match and atol != 0:
        assert np.allclose(out, exp, rtol=1e-07, atol=atol)
    else:
        assert exact_match

"""


def test_ready_rows_assert_through_helpers_and_without_numpy(tmp_path):
    humaneval = {
        "task_id": "HumanEval/0", "entry_point": "half",
        "prompt": 'def half(x):\n    """Halve."""\n', "canonical_solution": "    return x / 2\n",
        "test": HELPERS + "def check(candidate):\n"
        "    inputs = [[1.0], [3.0]]\n    results = [0.5, 1.5]\n"
        "    for i, (inp, exp) in enumerate(zip(inputs, results)):\n"
        "        assertion(candidate(*inp), exp, 1e-06)\n",
    }  # fmt: skip
    mbpp = {
        "task_id": 3, "prompt": "Double it.", "code": "def double(x):\n    return 2 * x",
        "test_imports": "[]", "test_list": ["assert double(1) == 2"],
        "test": HELPERS + "inputs = [[1], [2]]\nresults = [2, 4]\n"
        "for i, (inp, exp) in enumerate(zip(inputs, results)):\n"
        "    assertion(double(*inp), exp, 0)\n",
    }  # fmt: skip
    tasks = load_tasks(f"evalplus:{write(tmp_path, humaneval, mbpp)}")
    close = "def half(x):\n    return x / 2 + 1e-8"
    assert grade(tasks[0], task_program(tasks[0]), close, "def half(x):\n    return x") == [
        True,
        True,
        False,
    ]
    assert grade(tasks[1], task_program(tasks[1]), "def double(x):\n    return 2") == [True, False]
    assert "numpy" not in tasks[0].tests.test_code
    ast.parse(tasks[0].tests.test_code)


def task_program(task: Task) -> str:
    return task.program(task.canonical_solution)
