"""Assertion tests: the candidate is a stand-in, its objects are handles, its word is not taken."""

# ruff: noqa: E501 - tables of programs read best one to a line
import time

import pytest

import codegym
from codegym import AssertionCase, Limits, Outcome, Task, TestSuite
from codegym.errors import FaultyTestError
from codegym.sandbox.inside.confine import landlock_version

LIMITS = Limits(case_s=1.0, wall_s=5.0, cpu_s=0.5)


@pytest.fixture(scope="module")
def sandbox():
    with codegym.make_sandbox(workers=1) as sandbox:
        yield sandbox


def verdict_of(sandbox, program, test, *, entry="f", prompt="words", setup="", reference=None):
    task = Task.from_assertions(
        prompt, entry, test, setup, limits=LIMITS, canonical_solution=reference
    )
    return codegym.judge(program, task, sandbox=sandbox)


PAIR = """
class Pair:
    def __init__(self, a, b):
        self.a, self.b = a, b
    def __eq__(self, other):
        return (self.a, self.b) == (other.a, other.b)
    def __hash__(self):
        return hash((self.a, self.b))
    def __lt__(self, other):
        return self.a < other.a
    def __add__(self, other):
        return Pair(self.a + other.a, self.b + other.b)
    def __repr__(self):
        return f'Pair({self.a}, {self.b})'
    def __len__(self):
        return 2
    def __iter__(self):
        return iter((self.a, self.b))
    def __getitem__(self, index):
        return (self.a, self.b)[index]
    def swap(self, *, times=1):
        return Pair(self.b, self.a) if times % 2 else self
def f(pairs):
    return max(pairs)
"""

HONEST = {
    "plain values": ("def f(x): return {x: (x, [None])}", "assert f(1) == {1: (1, [None])}"),
    "keyword arguments": ("def f(*, x): return x", "assert f(x=(1, 2)) == (1, 2)"),
    "a class that the test builds": (PAIR, "p = f([Pair(1, 2), Pair(5, 0)])\nassert p.a == 5"),
    "equality and hash": (PAIR, "assert f([Pair(1, 2)]) == Pair(1, 2)\nassert len({Pair(1, 2), Pair(1, 2)}) == 1"),
    "order, sum, text": (PAIR, "a, b = sorted([Pair(3, 1), Pair(1, 2)])\nassert str(a + b) == 'Pair(4, 3)'"),
    "size, items, iteration": (PAIR, "p = Pair(7, 8)\nassert len(p) == 2 and p[1] == 8 and list(p) == [7, 8] and 7 in p"),
    "methods and attributes": (PAIR, "p = Pair(1, 2)\np.a = 9\nassert p.swap(times=3).b == 9 and isinstance(p, Pair)"),
    "a returned function": ("def f(n):\n  return lambda x: x + n", "assert f(2)(3) == 5"),
    "a function handed over": ("def f(g, xs): return [g(x) for x in xs]", "assert f(lambda x: x * 2, [1, 2]) == [2, 4]"),
    "a built-in handed over": ("def f(g, xs): return g(xs)", "assert f(sum, [1, 2]) == 3 and f(max, [1, 2]) == 2"),
    "a function there and back": ("def f(g): return g", "def g(x): return x\nassert f(g) is g and f(f)(1) == 1"),
    "an endless generator": ("def f():\n  n = 0\n  while True:\n    yield n\n    n += 1", "g = f()\nassert [next(g) for _ in range(3)] == [0, 1, 2]\nassert next(g) == 3"),
    "sending to a generator": ("def f():\n  x = yield 1\n  yield x + 1", "g = f()\nassert next(g) == 1 and g.send(5) == 6"),
    "a lazy iterator": ("def f(xs): return map(str, xs)", "assert list(f([1, 2])) == ['1', '2'] and sorted(f([3])) == ['3']"),
    "an iterator handed over": ("def f(xs): return sum(xs)", "assert f(iter([1, 2])) == 3 and f(x for x in (4, 5)) == 9"),
    "a mutated list": ("def f(xs): xs.sort(); xs.append(0)", "a = [3, 1]\nb = a\nassert f(a) is None and b == [1, 3, 0]"),
    "inner lists keep their identity": ("def f(m): m[0][0] = 9; m.pop()", "row = [1]\nm = [row, [2]]\nf(m)\nassert row == [9] and m[0] is row and len(m) == 1"),
    "mutated dicts and sets": ("def f(d, s): d['k'] = s.pop(); s.add(5)", "d, s = {}, {1}\nf(d, s)\nassert d == {'k': 1} and s == {5}"),
    "mutation by keyword": ("def f(*, xs): xs.clear()", "a = [1]\nf(xs=a)\nassert a == []"),
    "an expected exception": ("def f(x): raise ValueError('no')", "try:\n    f(1)\n    assert False\nexcept ValueError as e:\n    assert str(e) == 'no'"),
    "its base": ("class E(KeyError): pass\ndef f(x): raise E(1)", "try:\n    f(1)\n    assert False\nexcept KeyError:\n    pass"),
    "decimals and dates": ("import decimal, datetime\ndef f(x): return decimal.Decimal(x), datetime.date(2024, 1, 2)", "from decimal import Decimal\nfrom datetime import date\nassert f('1.5') == (Decimal('1.5'), date(2024, 1, 2))"),
    "a library the test forgot": ("def f(x): return x + 1e-12", "assert math.isclose(f(1.0), 1.0)"),
    "a type": ("def f(x): return type(x)", "assert f(1) is int and issubclass(f(True), int)"),
    "a second function": ("def f(x): return x[::-1]\ndef g(x): return x[::-1]", "assert g(f('abc')) == 'abc'"),
    "a constant": ("LIMIT = 5\ndef f(x): return x < LIMIT", "assert f(4) and LIMIT == 5"),
    "names and documentation": ("def f(x):\n  'doc'\n  return x", "assert f.__name__ == 'f' and f.__doc__ == 'doc' and callable(f)"),
    "numpy-like tolerance": ("def f(x): return x / 3", "assert abs(f(1) - 0.333333) < 1e-5"),
    "a class that is the entry point": ("class f:\n  def __init__(self): self.xs = []\n  def push(self, x): self.xs.append(x)\n  def pop(self): return self.xs.pop()", "s = f()\ns.push(1)\ns.push((2,))\nassert s.pop() == (2,) and s.xs == [1]"),
    "a context manager": ("class f:\n  def __enter__(self): return 5\n  def __exit__(self, *rest): pass", "with f() as five:\n    assert five == 5"),
}  # fmt: skip


@pytest.mark.parametrize("name", HONEST)
def test_honest_programs_pass(sandbox, name):
    program, test = HONEST[name]
    verdict = verdict_of(sandbox, program, test, reference=program)
    assert verdict.passed, verdict


YES = (
    "class Yes:\n"
    + "".join(
        f"    def {name}(self, *rest): return {value}\n"
        for name, value in {
            "__eq__": "True", "__ne__": "False", "__lt__": "True", "__gt__": "True",
            "__le__": "True", "__ge__": "True", "__contains__": "True", "__bool__": "True",
            "__sub__": "0", "__rsub__": "0", "__abs__": "0", "__float__": "2.0",
            "__len__": "1", "__getitem__": "self", "__hash__": "hash(2)", "__index__": "2",
            "startswith": "True", "count": "1", "isdigit": "True", "keys": "['a']",
            "__iter__": "iter(())", "__round__": "2", "__int__": "2", "__mod__": "0",
            "__neg__": "-9",
        }.items()
    )
    + "def f(x): return Yes()\n"
)  # fmt: skip

CHEATED = {
    "equality": "assert f(1) == 2",
    "reflected equality": "assert 2 == f(1)",
    "inequality": "assert not f(1) != 2",
    "order": "assert 1 < f(1) < 3",
    "tolerance": "assert abs(f(1) - 2) < 1e-6",
    "membership": "assert 2 in f(1)",
    "member of": "assert f(1) in [2]",
    "a set": "assert {f(1)} == {2}",
    "containers": "assert [f(1)] == [2] and {1: f(1)} == {1: 2}",
    "methods of plain values": "assert f(1).startswith('x')",
    "empty iteration": "assert all(a == b for a, b in zip(f(1), [2])) and len(f(1)) == 1",
    "rounding": "assert round(f(1)) == 2",
    "absolute value": "assert abs(f(1)) - 2 < 1e-6",
    "sign": "assert -f(1) + 2 < 1e-6",
    "isclose": "assert math.isclose(f(1), 2)",
    "isinstance": "assert isinstance(f(1), int)",
    "two answers": "assert f(1) == f(2)",
}


@pytest.mark.parametrize("name", CHEATED)
def test_lying_objects_do_not_pass(sandbox, name):
    verdict = verdict_of(sandbox, YES, CHEATED[name])
    assert verdict.outcome is Outcome.FAILED, verdict


STOPPERS = {
    "StopIteration": "assert list(map(f, [1, 2])) == []",
    "AssertionError": "try:\n    f(1)\nexcept AssertionError:\n    pass\nelse:\n    assert False",
    "SystemExit": "assert f(1) == 1",
    "KeyboardInterrupt": "assert f(1) == 1",
    "GeneratorExit": "assert f(1) == 1",
    "StopAsyncIteration": "assert f(1) == 1",
}


@pytest.mark.parametrize("name", STOPPERS)
def test_exceptions_that_steer_a_test_are_not_raised_in_it(sandbox, name):
    verdict = verdict_of(sandbox, f"def f(x): raise {name}", STOPPERS[name])
    assert (verdict.outcome, verdict.error_type) == (Outcome.RUNTIME_ERROR, name)
    assert verdict.error_line == 1


THREE = "assert f(1) == 1\nassert f(2) == 2\nassert f(3) == 3"


@pytest.mark.parametrize(
    ("program", "outcomes", "error_type"),
    [
        ("def f(x): return x if x != 2 else 0", "passed failed passed", "AssertionError"),
        ("def f(x): return x if x != 2 else [][x]", "passed runtime_error passed", "IndexError"),
        ("import os\ndef f(x): return x if x < 2 else os._exit(0)", "passed runtime_error runtime_error", "ProcessDied"),
        ("def f(x):\n  while x > 1: pass\n  return x", "passed timeout timeout", "TimeLimit"),
        ("def f(x): return x if x < 3 else bytearray(10**10)", "passed passed memory", "MemoryError"),
        ("def f(x): return x if x < 3 else 'x' * 10**7", "passed passed output_limit", "OutputLimit"),
        ("def g(x): return x", "runtime_error runtime_error runtime_error", "NameError"),
        ("def f(x):\n  return x +", "syntax_error syntax_error syntax_error", "SyntaxError"),
        ("import os\nos._exit(0)", "runtime_error runtime_error runtime_error", "ProcessDied"),
        ("1 / 0", "runtime_error runtime_error runtime_error", "ZeroDivisionError"),
        ("def f(x): return len if x == 3 else x", "passed passed failed", "AssertionError"),
    ],
)  # fmt: skip
def test_every_case_has_its_own_outcome(sandbox, program, outcomes, error_type):
    verdict = verdict_of(sandbox, program, THREE)
    assert " ".join(case.outcome for case in verdict.cases) == outcomes, verdict
    assert verdict.error_type == error_type


def test_a_check_function_reports_case_by_case(sandbox):
    test = (
        "def check(candidate):\n    base = 10\n    assert candidate(1) == 1\n"
        "    for x in (2, 3):\n        assert candidate(x) == x\n    y = candidate(base)\n"
        "    assert y == 10, 'ten'\n    assert candidate(4) == 4\n"
    )
    verdict = verdict_of(sandbox, "def f(x): return x if x != 10 else 0", test)
    assert [case.passed for case in verdict.cases] == [True, True, False, True]
    assert (verdict.error_message, verdict.cases[2].got) == ("ten", "")
    assert verdict_of(sandbox, "def f(x): return x", test).passed


def test_what_came_back_is_shown(sandbox):
    verdict = verdict_of(sandbox, "def f(x): return None", THREE)
    assert verdict.cases[0].got == "None"


def test_a_test_that_swallows_everything_does_not_pass_a_dead_candidate(sandbox):
    test = "try:\n    assert f(1) == 1\nexcept BaseException:\n    pass"
    assert not verdict_of(sandbox, "import os\ndef f(x): os._exit(0)", test).passed


def test_what_a_test_cannot_hand_over_is_named(sandbox):
    with pytest.raises(FaultyTestError, match=r"cannot cross: examination\.Own"):
        verdict_of(sandbox, "def f(x): return x", "class Own: pass\nassert f(Own())")


def test_helpers_of_the_prompt_are_the_prompts(sandbox):
    prompt = "def double(x):\n    return x * 2\n\n\ndef f(x):\n    '''Halve.'''\n"
    test = "def check(candidate):\n    assert candidate(double(4)) == 4\n"
    honest = prompt + "    return x // 2\n"
    assert verdict_of(sandbox, honest, test, prompt=prompt).passed
    cheat = "def double(x):\n    return 4\ndef f(x):\n    return x\n"
    assert not verdict_of(sandbox, cheat, test, prompt=prompt).passed


def test_the_programs_fakes_do_not_judge_it(sandbox):
    fakes = (
        "class math:\n    isclose = lambda *rest: True\nisclose = len = all = lambda *rest: True\n"
        "def f(x): return 0.0\n"
    )
    for test in ("assert math.isclose(f(1), 1)", "assert isclose(f(1), 1)", "assert all([f(1)])"):
        assert verdict_of(sandbox, fakes, test).outcome is Outcome.FAILED


def test_a_name_is_the_programs_only_if_the_task_says_so(sandbox):
    helper = "def near(a, b): return True\ndef f(x): return -1"
    test = "assert near(f(1), 1)"
    refused = verdict_of(sandbox, helper, test)
    assert (refused.outcome, refused.error_type) == (Outcome.FAILED, "NameError")
    assert not verdict_of(sandbox, helper, test, reference="def f(x): return x").passed
    assert verdict_of(sandbox, helper, test, prompt="Write f and near.").passed
    assert verdict_of(sandbox, helper, test, reference=helper).passed
    test = "np = f(1)\nassert np == -1"
    assert verdict_of(sandbox, helper, test).passed


def test_an_entry_point_that_turns_out_a_class_is_not_trusted(sandbox):
    liar = (
        "class f:\n    def __init__(self, x): pass\n    def __len__(self): return 2\n"
        "    def __iter__(self): return iter(())\n"
        "    def __eq__(self, other): return True\n"
    )
    test = "got = f(3)\nassert len(got) == 2 and all(a == b for a, b in zip(got, [1, 2]))"
    for rest in ({}, {"reference": "def f(x): return [1, 2]"}):
        assert verdict_of(sandbox, liar, test, **rest).outcome is Outcome.FAILED
    assert verdict_of(sandbox, liar, test, prompt="Write a class f.").passed  # its own affair


def test_the_candidate_cannot_write_the_report(sandbox):
    program = (
        "import os, struct\n"
        "def f(x):\n    for fd in range(64):\n"
        "        for body in (b'{\"cases\":[]}', b'{\"r\":1}', b'{\"passed\":true}'):\n"
        "            try:\n                os.write(fd, struct.pack('<I', len(body)) + body)\n"
        "            except OSError:\n                pass\n    return 0\n"
    )
    verdict = verdict_of(sandbox, program, "assert f(7) == 8\nassert f(7) == 8")
    assert verdict.pass_rate == 0.0
    assert verdict_of(sandbox, "def f(x): return 8", "assert f(7) == 8").passed


@pytest.mark.parametrize(
    "deed",
    [
        "os.close(fd)",
        "os.set_blocking(fd, False)",
        "os.write(fd, bytes(9))",
        "os.write(fd, struct.pack('<I', 5 + 2 * 10**5) + b'{\"r\":' + b'[' * 10**5 + b']' * 10**5)",
        "os.write(fd, struct.pack('<I', 10) + b'{\"r\":NaN}}')",
        "os.write(fd, b'\\xff' * 64)",
        "socket.socket(fileno=os.dup(fd)).shutdown(2)",
    ],
)
def test_a_candidate_cannot_bring_the_examiner_down(sandbox, deed):
    program = (
        f"import os, socket, struct\ndef f(x):\n    for fd in range(3, 64):\n"
        f"        try:\n            {deed}\n        except OSError:\n            pass\n"
        "    return 0\n"
    )
    restarts = sandbox.restarts
    for _ in range(3):
        verdict = verdict_of(sandbox, program, THREE)
        assert not verdict.passed
    assert verdict_of(sandbox, "def f(x): return x", THREE).passed
    assert sandbox.restarts == restarts


@pytest.mark.parametrize("isolation", ["namespace", "landlock"])
def test_a_candidate_that_answers_and_leaves_does_not_take_the_examiner_along(isolation):
    program = (
        "import os, struct\ndef f(x):\n    body = b'{\"r\":1}'\n    for fd in range(3, 64):\n"
        "        try:\n            os.write(fd, struct.pack('<I', len(body)) + body)\n"
        "        except OSError:\n            pass\n    os._exit(0)\n"
    )
    test = "assert f(1) == 1\nimport time\ntime.sleep(0.1)\nassert f(2) == 1\nassert f(3) == 1"
    if isolation == "landlock" and not landlock_version():
        pytest.skip("this kernel has no Landlock")
    with codegym.make_sandbox(isolation, workers=1) as sandbox:
        verdict = verdict_of(sandbox, program, test)
        # A fresh process answers the third case as the first did.
        assert [case.passed for case in verdict.cases] == [True, False, True], verdict
        assert verdict.error_type == "ProcessDied" and sandbox.restarts == 0


def test_a_test_kept_busy_by_an_answer_times_out_and_is_replaced(sandbox):
    test = "n = 0\nfor _ in range(f(1)):\n    n += 1\nassert n"
    task = Task.from_assertions("w", "f", test, limits=Limits(wall_s=0.5, cpu_s=0.3))
    verdict = codegym.judge("def f(x): return 10**18", task, sandbox=sandbox)
    assert verdict.outcome is Outcome.TIMEOUT
    assert verdict_of(sandbox, "def f(x): return x", THREE).passed


KEEPS_BUSY = {
    "a power": ("f(1) ** f(1)", "10 ** 8"),
    "a pattern": ("__import__('re').match('(a|a)*$', f(1))", "'a' * 40 + 'b'"),
    "an endless generator": ("list(f(1))", "(None for _ in iter(int, 1))"),
    "a program that spins": ("f(1)", "[1 for _ in iter(int, 1)]"),
}


@pytest.mark.parametrize("way", KEEPS_BUSY)
def test_cases_around_one_that_does_not_end_keep_their_verdict(sandbox, way):
    expression, answer = KEEPS_BUSY[way]
    test = f"assert f(0) == 0\nassert f(0) == 5\nassert {expression} == 0\nassert f(0) == 0"
    task = Task.from_assertions("w", "f", test, limits=Limits(wall_s=1.0, cpu_s=1.0))
    program = f"def f(x):\n    return {answer} if x else 0"
    began = time.monotonic()
    verdict = codegym.judge(program, task, sandbox=sandbox)
    # The bound itself is measured elsewhere; this one tells a bound from none.
    assert time.monotonic() - began < 3.0
    ended = [Outcome.PASSED, Outcome.FAILED, Outcome.TIMEOUT, Outcome.PASSED]
    assert [case.outcome for case in verdict.cases] == ended


def test_a_test_may_work_on_after_its_candidate_left(sandbox):
    test = (
        "assert f(0) == 0\ntry:\n    f(1)\nexcept BaseException:\n    pass\n"
        "import time\ntime.sleep(0.3)\nassert True"
    )
    verdict = verdict_of(sandbox, "import os\ndef f(x): return os._exit(3) if x else 0", test)
    assert [case.error_type for case in verdict.cases] == ["ProcessDied"] * 2


def test_a_long_test_does_not_cost_the_candidate_its_time(sandbox):
    cases = "\n".join(f"assert f({k}) == {k}  # {'long ' * 20}" for k in range(600))
    suite = TestSuite(
        form="assertion",
        cases=(AssertionCase(code=""),) * 600,
        test_code=cases,
        limits=Limits(wall_s=30.0, cpu_s=5.0),
    )
    task = Task(task_id="long", prompt="f", entry_point="f", tests=suite)
    for number in range(2):
        verdict = codegym.judge(f"def f(x): return x  # {number}", task, sandbox=sandbox)
        assert verdict.passed, verdict
    wrong = codegym.judge("def f(x): return x if x < 599 else 0", task, sandbox=sandbox)
    assert [case.passed for case in wrong.cases] == [True] * 599 + [False]


def test_a_candidate_cannot_call_more_than_it_was_given(sandbox):
    program = (
        "def f(g):\n    found = []\n"
        "    for name in ('__globals__', '__code__', '__closure__', 'secret'):\n"
        "        found.append(hasattr(g, name))\n    return found + [g(1)]\n"
    )
    test = "secret = 5\ndef g(x): return x + 1\nassert f(g) == [False] * 4 + [2]"
    assert verdict_of(sandbox, program, test).passed
