"""Contracts of data sets: rules of sites, exceptions, checkers, and faults of a test itself."""

import pytest

import codegym
from codegym import Task
from codegym.errors import FaultyTestError, SandboxError, TaskError
from codegym.grading.judge import repeat
from codegym.grading.verdict import Outcome

GOOD = "def f(x):\n    return x + 1\n"


def passes(program, task):
    return codegym.judge(program, task).passed


@pytest.mark.parametrize(
    ("raised", "expected", "met"),
    [
        ("KeyError('k')", LookupError, True),
        ("ZeroDivisionError()", "ArithmeticError", True),
        ("UnicodeDecodeError('utf-8', b'a', 0, 1, 'x')", "ValueError", True),
        ("FileNotFoundError()", "IOError", True),
        ("type('Own', (KeyError,), {})()", "LookupError", True),
        ("type('Own', (KeyError,), {})()", "Own", True),
        ("LookupError()", "KeyError", False),
        ("SystemExit()", "Exception", False),
        ("ValueError()", "LookupError", False),
    ],
)
def test_raises_means_what_except_means(raised, expected, met):
    task = Task.from_calls("p", "f", [codegym.tasks.cases.CallCase(args=(), raises=expected)])
    assert passes(f"def f():\n    raise {raised}\n", task) is met


def test_the_imports_of_a_site_go_before_every_program():
    bare = "print(Counter(input()).most_common(1)[0][1], gcd(4, 6))\n"
    for site, met in (("", False), ("apps", True), ("livecodebench", True)):
        task = Task.from_stdio("p", [("aab", "2 2")], site=site, canonical_solution=bare)
        assert passes(bare, task) is met
        assert Task.from_json(task.to_json()).tests.site == site
    own = "def gcd(a, b):\n    return 7\nprint(gcd(4, 6))\n"
    assert passes(own, Task.from_stdio("p", [("", "7")], site="apps"))


def test_digits_a_return_outside_functions_and_the_limit_on_output():
    long = "print(10**5000 % 10**4999 + 10**4999)"
    text = "1" + "0" * 4999
    assert not passes(long, Task.from_stdio("p", [("", text)]))
    assert passes(long, Task.from_stdio("p", [("", text)], site="python3"))
    returns = "print(1)\nif True:\n    return\nprint(2)\n"
    assert passes(returns, Task.from_stdio("p", [("", "1")], site="apps_rltf"))
    wrong = codegym.judge(returns, Task.from_stdio("p", [("", "1")]))
    assert wrong.outcome is Outcome.SYNTAX_ERROR
    small = codegym.Limits(output_bytes=1000)
    assert passes("print('a' * 5000)", Task.from_stdio("p", [("", "a" * 5000)], limits=small))
    endless = codegym.judge("while 1: print('a')", Task.from_stdio("p", [("", "a")], limits=small))
    assert endless.outcome is Outcome.OUTPUT_LIMIT


def test_an_exit_with_a_status_ends_a_program_where_the_grader_catches_it():
    program = "import sys\nprint(1)\nsys.exit(3)\n"
    for site, met in (("", False), ("apps", True), ("livecodebench", True), ("apps_rltf", False)):
        assert passes(program, Task.from_stdio("p", [("", "1")], site=site)) is met


@pytest.mark.parametrize(
    ("program", "plain", "rltf"),
    [
        ("def f(x):\n    return 5 if x else 1 / 0\n", Outcome.RUNTIME_ERROR, Outcome.RUNTIME_ERROR),
        ("def f(x):\n    return 1 / 0 if x else 5\n", Outcome.RUNTIME_ERROR, Outcome.RUNTIME_ERROR),
        ("def f(x):\n    return 5\n", Outcome.FAILED, Outcome.FAILED),
        (f"nowhere\n{GOOD}", Outcome.RUNTIME_ERROR, Outcome.SYNTAX_ERROR),
        (f"1 / 0\n{GOOD}", Outcome.RUNTIME_ERROR, Outcome.SYNTAX_ERROR),
        ("def g(x):\n    return x\n", Outcome.RUNTIME_ERROR, Outcome.SYNTAX_ERROR),
        ("def f(x):\n    return nowhere\n", Outcome.RUNTIME_ERROR, Outcome.RUNTIME_ERROR),
        ("def f(x:\n", Outcome.SYNTAX_ERROR, Outcome.SYNTAX_ERROR),
    ],
)
def test_rltfs_labels_name_the_gravest_case_and_count_loading_as_compiling(program, plain, rltf):
    for site, outcome in (("", plain), ("apps_rltf", rltf)):
        task = Task.from_calls("p", "f", [((1,), 2), ((0,), 9)], site=site)
        assert codegym.judge(program, task).outcome is outcome


CHECKER = """
def check(stdin, output, expected):
    left, right = map(int, output.split())
    return left + right == int(stdin)
"""


def sums(checker):
    return Task.from_stdio("A sum.", [("5", "1 4"), ("7", "3 4")], checker=checker)


def test_a_checker_decides_where_several_outputs_are_right():
    task = sums(CHECKER)
    right = "print(2, int(input()) - 2)"
    assert passes(right, task) and repeat(right, task, 1)[0].passed
    assert Task.from_json(task.to_json()).tests.checker == CHECKER
    for wrong in ("print(2, 2)", "print('no numbers')", "print(1, 4)"):
        assert codegym.judge(wrong, task).outcome is Outcome.FAILED
    assert codegym.judge("1 / 0", task).outcome is Outcome.RUNTIME_ERROR


@pytest.mark.parametrize("body", ["raise KeyError('x')", "pass", "return False", "return 1"])
def test_a_checker_that_fails_on_the_expected_output_gives_no_verdict(body):
    with pytest.raises(FaultyTestError, match="the checker refuses the expected output"):
        codegym.judge("print(2, 3)", sums(f"def check(stdin, output, expected):\n    {body}\n"))
    for unusable in ("def check(:", "x = 1"):
        with pytest.raises(TaskError, match="the checker"):
            sums(unusable)


@pytest.mark.parametrize(
    ("test", "setup"),
    [
        ("import nosuchmodule\nassert f(1) == 2", ""),
        ("assert f(1) == 2\nassert f(1) == nosuchname", ""),
        ("rows = [][1]\nassert f(1) == 2", ""),
        ("assert f(1) == 2", "1 / 0"),
        ("assert 1 == 2\nassert f(1) == 2", ""),
        ("assert f(object()) == 2", ""),
    ],
)
def test_a_fault_of_the_test_is_no_verdict(test, setup):
    task = Task.from_assertions("Write f.", "f", test, setup)
    for program in (GOOD, "def f(x):\n    return 0\n"):
        with pytest.raises(FaultyTestError) as caught:
            codegym.judge(program, task)
        assert isinstance(caught.value, TaskError) and isinstance(caught.value, SandboxError)


def test_a_program_cannot_make_a_fault_of_its_test():
    # The second call hands over what the first returned, which for this program cannot cross.
    deep = "def f(x):\n    for _ in range(89):\n        x = [x]\n    return x\n"
    task = Task.from_assertions(
        "Write f.", "f", "assert f([[[f(1)]]]) == [[[1]]]", canonical_solution="def f(x): return x"
    )
    assert passes("def f(x): return x", task)
    assert codegym.judge(deep, task).outcome is Outcome.FAILED
