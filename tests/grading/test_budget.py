"""Every case has its own limit: a hang or a crash costs one case, wherever it comes."""

from dataclasses import replace

import pytest

import codegym
from codegym import Limits, Outcome, Task
from codegym.grading.feedback import Feedback, Granularity
from codegym.rewards.rltf import RLTF
from codegym.sandbox.job import ExecutionResult, FakeSandbox, Job
from codegym.sandbox.wire import dumps

LIMITS = Limits(case_s=0.1, wall_s=2.0, cpu_s=2.0)
FORMS = ("call", "stdio", "assertion", "plain assertion")
ENDS = {
    "hangs": "while True: pass",
    "sleeps": "__import__('time').sleep(60)",
    "leaves": "__import__('os')._exit(3)",
    "is killed": "__import__('os').kill(__import__('os').getpid(), 9)",
    "crashes": "__import__('ctypes').string_at(0)",
}


@pytest.fixture(scope="module")
def sandbox():
    with codegym.make_sandbox(workers=2) as sandbox:
        yield sandbox


def task(form, n_cases=4, limits=LIMITS):
    cases = range(n_cases)
    if form == "call":
        return Task.from_calls("", "f", [((k,), k) for k in cases], limits=limits)
    if form == "stdio":
        return Task.from_stdio("", [(f"{k}\n", f"{k}\n") for k in cases], limits=limits)
    wanted = "== {}" if form == "plain assertion" else "in [{}]"  # a plain one runs as a call
    lines = "".join(f"    assert candidate({k}) {wanted.format(k)}\n" for k in cases)
    return Task.from_assertions("", "f", f"def check(candidate):\n{lines}", limits=limits)


def program(form, deed, *, when="True", head=""):
    text = f"{head}\ndef f(x):\n    if {when}:\n        {deed}\n    return x\n"
    return text + "print(f(int(input())))\n" if form == "stdio" else text


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("way", ENDS)
def test_one_bad_case_of_four_costs_a_quarter_in_every_place(sandbox, form, way):
    four = task(form)
    texts = [program(form, ENDS[way], when=f"x == {place}") for place in range(4)]
    verdicts = codegym.judge_many([(text, four) for text in texts], sandbox=sandbox)
    for place, verdict in enumerate(verdicts):
        assert [not case.passed for case in verdict.cases] == [k == place for k in range(4)]
        wanted = Outcome.TIMEOUT if way in ("hangs", "sleeps") else Outcome.RUNTIME_ERROR
        assert verdict.cases[place].outcome is wanted
        if wanted is Outcome.TIMEOUT:
            assert verdict.cases[place].error_line == 4
    reward = RLTF()
    prices = {reward(verdict, Feedback(granularity=Granularity.IGNORE)) for verdict in verdicts}
    assert len(prices) == 1


def test_one_spinning_case_of_twenty_costs_a_twentieth(sandbox):
    verdict = codegym.judge(
        program("stdio", "while True: pass", when="x == 0"),
        task("stdio", 20, Limits(wall_s=1.0, cpu_s=1.0)),
        sandbox=sandbox,
    )
    assert verdict.pass_rate == 0.95


@pytest.mark.parametrize("form", FORMS)
def test_the_whole_run_bounds_a_program_that_hangs_in_every_case(sandbox, form):
    limits = Limits(case_s=0.1, wall_s=0.35, cpu_s=0.35)
    verdict = codegym.judge(
        program(form, "while True: pass"), task(form, 12, limits), sandbox=sandbox
    )
    assert [case.outcome for case in verdict.cases] == [Outcome.TIMEOUT] * 12
    not_run = [case.error_message.startswith("not run") for case in verdict.cases]
    assert not_run == sorted(not_run) and 6 <= sum(not_run) <= 9
    assert verdict.usage.cpu_s < 1.0


@pytest.mark.parametrize("form", FORMS)
def test_a_program_that_leaves_in_every_case_has_run_in_every_case(sandbox, form):
    verdict = codegym.judge(program(form, "__import__('os')._exit(3)"), task(form), sandbox=sandbox)
    assert [case.error_type for case in verdict.cases] == ["ProcessDied"] * 4


@pytest.mark.parametrize("form", ["call", "assertion"])
@pytest.mark.parametrize("way", ["hangs", "leaves"])
def test_a_program_that_cannot_be_loaded_fails_all_cases_at_once(sandbox, form, way):
    text = program(form, "pass", head=ENDS[way])
    verdict = codegym.judge(text, task(form, 8), sandbox=sandbox)
    wanted = "TimeLimit" if way == "hangs" else "ProcessDied"
    assert [case.error_type for case in verdict.cases] == [wanted] * 8
    assert verdict.usage.cpu_s < 3 * 0.1


def test_loading_belongs_to_the_first_case_of_a_process(sandbox):
    slow = "__import__('time').sleep(0.06)"
    text = program("call", slow, when="x in (0, 2)", head=slow)
    verdict = codegym.judge(text, task("call"), sandbox=sandbox)
    assert [case.passed for case in verdict.cases] == [False, True, True, True]


def test_replies_written_early_do_not_stop_the_clock(sandbox):
    text = (
        "import os, struct\ndef f(x):\n    body = b'{\"r\":0}'\n"
        "    for fd in range(3, 64):\n        for _ in range(9):\n            try:\n"
        "                os.write(fd, struct.pack('<I', len(body)) + body)\n"
        "            except OSError:\n                break\n    while True: pass\n"
    )
    verdict = codegym.judge(text, task("call"), sandbox=sandbox)
    assert [case.passed for case in verdict.cases] == [True, False, False, False]
    assert verdict.usage.cpu_s < 1.0


def test_a_forged_fault_is_one_wrong_answer(sandbox):
    body = '{"load":["A","B","C",1]}'
    text = (
        f"import os, struct\nbody = {body!r}.encode()\ndef f(x):\n    if x != 1: return x\n"
        "    for fd in range(3, 64):\n        try:\n"
        "            os.write(fd, struct.pack('<I', len(body)) + body)\n"
        "        except OSError:\n            pass\n    os._exit(0)\n"
    )
    verdict = codegym.judge(text, task("call"), sandbox=sandbox)
    # The forged reply is the answer to the second case, and the end is that of the third.
    assert [case.passed for case in verdict.cases] == [True, False, False, True]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("deed", ["while True: pass", "return -1"])
def test_a_run_that_stops_at_the_first_failure_counts_no_later_case(sandbox, form, deed):
    limits = Limits(case_s=0.1, stop="first_failure")
    verdict = codegym.judge(
        program(form, deed, when="x == 1"), task(form, 4, limits), sandbox=sandbox
    )
    assert [case.passed for case in verdict.cases] == [True, False, False, False]
    assert len({case.outcome for case in verdict.cases[1:]}) == 1
    assert [case.error_message for case in verdict.cases[2:]] == [
        "not run: an earlier case failed"
    ] * 2


def test_a_job_goes_on_for_as_long_as_it_wants(sandbox):
    seen = []

    def goes_on(case, result):
        seen.append((case, result.output))
        return case < 1

    text = "print(input())"
    job = Job(program=text, mode="stdio", payload=dumps(["a", "b", "c"]), goes_on=goes_on)
    (result,) = sandbox.run([job])
    assert seen == [(0, b"a\n"), (1, b"b\n")] and len(result.parts) == 2


def test_an_answer_that_hangs_while_it_is_read_costs_its_case(sandbox):
    lines = "".join(f"assert list(f({k})) == [{k}]\n" for k in range(4))
    lazy = Task.from_assertions("", "f", lines, limits=LIMITS)
    text = "def f(x):\n    yield x\n    while x == 1: pass\n"
    verdict = codegym.judge(text, lazy, sandbox=sandbox)
    assert [case.passed for case in verdict.cases] == [True, False, True, True]
    assert verdict.cases[1].outcome is Outcome.TIMEOUT


def test_a_message_belongs_to_its_case_in_whichever_process(sandbox):
    lines = "".join(f"assert f({k}) == {k}, 'message {k}'\n" for k in range(4))
    plain = Task.from_assertions("", "f", lines, limits=LIMITS)
    text = (
        "def f(x):\n    if x in (0, 2): __import__('os')._exit(3)\n    return x if x < 3 else 0\n"
    )
    verdict = codegym.judge(text, plain, sandbox=sandbox)
    assert [case.error_type for case in verdict.cases] == [
        "ProcessDied",
        "",
        "ProcessDied",
        "AssertionError",
    ]
    assert verdict.cases[3].error_message == "message 3"


def test_a_case_that_needs_a_case_of_another_process_is_no_fault_of_the_test(sandbox):
    lines = "for k in [0]:\n    kept = k\n    assert f(k) in [0]\nassert kept + f(1) in [1]\n"
    linked = Task.from_assertions("", "f", lines, limits=LIMITS)
    assert codegym.judge("def f(x): return x", linked, sandbox=sandbox).passed
    text = "def f(x):\n    if x == 0: __import__('os')._exit(3)\n    return x\n"
    verdict = codegym.judge(text, linked, sandbox=sandbox)
    assert [case.passed for case in verdict.cases] == [False, False]


def test_a_checker_says_which_case_fails_first(sandbox):
    checker = "def check(stdin, output, expected): return output.split() in (['a'], ['b'])"
    limits = Limits(case_s=0.1, stop="first_failure")
    pairs = [(f"{k}\n", "a\n") for k in range(5)]
    several = Task.from_stdio("", pairs, checker=checker, limits=limits)
    text = "k = int(input())\nprint('abbbb'[k])\nif k == 4: 1 / 0\n"
    verdict = codegym.judge(text, several, sandbox=sandbox)
    assert [case.passed for case in verdict.cases] == [True, True, True, True, False]
    assert verdict.error_type == "ZeroDivisionError"
    text = "k = int(input())\nprint('abbcb'[k])\n"
    verdict = codegym.judge(text, several, sandbox=sandbox)
    assert [case.passed for case in verdict.cases] == [True, True, True, False, False]
    assert verdict.cases[4].error_message == "not run: an earlier case failed"
    assert codegym.judge("print('b')", several, sandbox=sandbox).passed
    # Where no case is left to the checker, the first failure still ends the run.
    verdict = codegym.judge("k = input()\n1 / 0 if k == '0' else 0 / x", several, sandbox=sandbox)
    assert [case.error_type for case in verdict.cases] == ["ZeroDivisionError"] * 5


@pytest.mark.parametrize("stop", ["never", "first_failure"])
@pytest.mark.parametrize("form", FORMS)
def test_cases_that_were_not_run_do_not_pass(form, stop):
    good = {
        "call": ExecutionResult(replies=(b'{"r":0}',), loaded=True),
        "stdio": ExecutionResult(output=b"0\n"),
        "assertion": ExecutionResult(replies=(b'{"until":1,"cases":[]}',)),
    }
    good["plain assertion"] = good["call"]
    part = replace(good[form], limit="" if form == "stdio" else "wall")
    sandbox = FakeSandbox(lambda job: ExecutionResult(parts=(part,)))
    limits = Limits(stop=stop)
    verdict = codegym.judge(program(form, "pass"), task(form, 4, limits), sandbox=sandbox)
    assert [case.passed for case in verdict.cases] == [True, False, False, False]
    assert verdict.outcome is Outcome.TIMEOUT


def test_limits_of_a_case():
    assert Limits(wall_s=8.0, cpu_s=4.0).of_case(3) == 1.0
    assert Limits(wall_s=8.0, cpu_s=4.0).of_case(1) == float("inf")
    assert Limits(case_s=0.5).of_case(1) == Limits(case_s=0.5).of_case(9) == 0.5
    for wrong in ({"case_s": 0}, {"case_s": True}, {"stop": "always"}):
        with pytest.raises(ValueError, match="is unusable"):
            Limits(**wrong)
