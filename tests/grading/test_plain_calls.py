"""Tests of plain assertions run as calls, with the verdicts of the examiner."""

from dataclasses import replace

import pytest

from codegym.grading.judge import judge_many
from codegym.grading.plain_calls import plain_calls
from codegym.grading.run_plan import plan_for
from codegym.tasks.task import Task

CHECK = "def check(candidate):\n"
# Changes nothing, and is not plain, so that the examiner runs the test.
EXAMINED = "\nlength = len('')\n"


def task(test, setup="", prompt="", **rest):
    return Task.from_assertions(prompt, "f", test, setup_code=setup, **rest)


@pytest.mark.parametrize(
    ("test", "setup"),
    [
        ("assert f(1) == 2", ""),
        ("assert f(1, [2, {'a': (3, None)}], key=-4.5) == {1, 2}", ""),
        ("assert f(b'x') == b'y', 'why'", ""),
        ("import math\nfrom typing import List\nTABLE = [1, 2]\nassert f(1) == 2", ""),
        ("assert f() == True", "import math, sys\nfrom collections import deque"),
        (CHECK + "    'What it checks.'\n    assert candidate(1) == 2\n    pass\n\ncheck(f)", ""),
        ("METADATA = {'author': 'x'}\n\n\n" + CHECK + "    assert candidate(1) == 2\n", ""),
    ],
)  # fmt: skip
def test_a_test_of_plain_assertions_runs_as_calls(test, setup):
    plan = plan_for(task(test, setup))
    assert plan.form == "call" and plan.n_cases == len(plan.answers) > 0


@pytest.mark.parametrize(
    ("test", "setup"),
    [
        ("assert f(1) is True", ""),
        ("assert f(1)", ""),
        ("assert not f(1)", ""),
        ("assert f(1) != 2", ""),
        ("assert 2 == f(1)", ""),
        ("assert f(1) == 2 == 2", ""),
        ("assert f(f(1)) == 2", ""),
        ("assert f(X) == 2\nX = 1", ""),
        ("assert f(*[1]) == 2", ""),
        ("assert f(**{'x': 1}) == 2", ""),
        ("assert g(1) == 2", ""),
        ("assert f(float('nan')) == 2", ""),
        ("assert abs(f(1) - 2) < 1e-6", ""),
        ("assert sorted(f(1)) == [2]", ""),
        ("assert f(1) == 2, str(f(1))", ""),
        ("for x in [1, 2]:\n    assert f(x) == 2", ""),
        ("f = abs\nassert f(1) == 1", ""),
        ("f = 3\nassert f(1) == 1", ""),
        (CHECK + "    candidate = 3\n    assert candidate(1) == 2", ""),
        ("from math import sqrt as f\nassert f(1) == 1", ""),
        ("from math import *\nassert f(1) == 1", ""),
        ("import numpy\nassert f(1) == 1", ""),
        ("x = f(1)\nassert f(1) == 1", ""),
        ("assert f(1) == 1", "x = [1].pop()"),
        ("assert f(1) == 1", "class Node:\n    x = 1"),
        ("import sys\nsys.x = 1\nassert f(1) == 1", ""),
        (CHECK.replace("candidate", "candidate, g=1") + "    assert candidate(1) == 2", ""),
        (CHECK + "    assert f(1) == 2", ""),
        (CHECK + "    assert candidate(1) == 2\ncandidate = 3", ""),
    ],
)
def test_any_other_test_is_left_to_the_examiner(test, setup):
    assert plain_calls(task(test, setup)) is None


def test_a_task_that_defines_a_class_is_left_to_the_examiner():
    reference = "class Pair:\n    pass\n\n\ndef f(x):\n    return x"
    assert plain_calls(task("assert f(1) == 1", canonical_solution=reference)) is None


LYING = "class Lying:\n    def __eq__(self, other):\n        return True\n\n\n"
PROGRAMS = (
    "def f(x):\n    return x",
    "def f(x):\n    return {1: 1.0, 2: (2,), 'a': 'b'}.get(x, x)",
    "def f(x):\n    return True if x == 1 else x",
    "def f(x):\n    return [1] if x == [] else x",
    "from fractions import Fraction\n\n\ndef f(x):\n    return Fraction(x) if x == 1 else x",
    LYING + "class Text(str, Lying):\n    pass\n\n\ndef f(x):\n    return Text('?')",
    LYING + "def f(x):\n    return Lying()",
    "def f(x):\n    raise StopIteration(x)",
    "def f(x):\n    raise AssertionError('no')",
    "def f(x):\n    raise SystemExit(0)",
    "def f(x):\n    if x == 2:\n        import os\n        os._exit(0)\n    return x",
    "def f(x):\n    yield x",
    "def f(x):\n    return f(x)",
    "def f(x):\n    x.append(1)\n    return x",
    "def f(x):\n    return [0] * 10**9",
    "def f(x)\n    return x",
    "def g(x):\n    return x",
    "raise ValueError('at import')",
    "def f():\n    return 1",
    "state = []\n\n\ndef f(x):\n    state.append(x)\n    return len(state)",
)  # fmt: skip
TESTS = (
    "assert f(1) == 1, 'one'\nassert f(2) == 2\nassert f([]) == [1]\nassert f('a') == 'a', 'text'",
    CHECK + "    assert candidate(1) == 1.0\n    assert candidate(2) == (2,)\n",
    "assert f(1) == {1}\nassert f(3) == 3",
)


@pytest.mark.parametrize("test", TESTS)
def test_calls_and_examiner_give_the_same_verdict(test):
    plain, examined = task(test), task(test + EXAMINED)
    assert plan_for(plain).form == "call" and plan_for(examined).form == "assertion"
    pairs = [(program, each) for program in PROGRAMS for each in (plain, examined)]
    verdicts = judge_many(pairs)
    assert any(verdict.passed for verdict in verdicts) is (test != TESTS[2])
    for program, called, found in zip(PROGRAMS, verdicts[::2], verdicts[1::2], strict=True):
        # What came back is shown differently where it cannot cross.
        cases = zip(called.cases, found.cases, strict=True)
        assert [replace(a, got="") for a, _ in cases] == [
            replace(case, got="") for case in found.cases
        ], program
        assert called.outcome is found.outcome and called.error_line == found.error_line, program
