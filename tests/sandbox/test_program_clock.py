"""The clock of programs: no verdict depends on what else the machine does."""

import os
import subprocess
import sys
import time
from contextlib import contextmanager

import pytest

import codegym
from codegym import Limits, Task
from codegym.sandbox.program_clock import CaseClock, ProgramClock, first_child, waits_are_known

BUSY_PER_CORE = 2
SPINS, SLEEPS = "while True: pass", "import time; time.sleep(60)"


@contextmanager
def processes(code, count, core=None):
    """Run a number of interpreters, on one core or on all."""
    pin = "" if core is None else f"import os; os.sched_setaffinity(0, {{{core}}})\n"
    command = [sys.executable, "-S", "-c", pin + code]
    running = [subprocess.Popen(command) for _ in range(count)]
    try:
        yield running
    finally:
        for process in running:
            process.kill()
            process.wait()


@pytest.mark.skipif(not waits_are_known(), reason="this kernel counts no waits")
def test_the_clock_counts_computing_and_sleeping_and_no_waiting():
    core = min(os.sched_getaffinity(0))
    with processes(SPINS, 3, core) as spinning, processes(SLEEPS, 1, core) as sleeping:
        clocks = [ProgramClock(time.monotonic()) for _ in range(4)]
        pids = [process.pid for process in (*spinning, *sleeping)]
        time.sleep(0.5)  # interpreters start meanwhile
        began = time.monotonic()
        before = [clock.read(began, [pid]) for clock, pid in zip(clocks, pids, strict=True)]
        time.sleep(1.0)
        now = time.monotonic()
        after = [clock.read(now, [pid]) for clock, pid in zip(clocks, pids, strict=True)]
    *spun, slept = (end - start for start, end in zip(before, after, strict=True))
    # Three on one core: a third of the time each, and less if others are there too.
    assert all(0 < shows < 0.6 * (now - began) for shows in spun)
    assert slept > 0.9 * (now - began)


def test_a_case_begins_when_it_is_first_seen():
    clock = CaseClock(time.monotonic(), case_s=2.0, left_s=3.0, case=0)
    limit, again_s = clock.look(time.monotonic(), 0, [])
    assert limit == "" and again_s > 0  # nothing has been forked
    own = [os.getpid()]
    began = ProgramClock(0.0).read(time.monotonic(), own)
    clock = CaseClock(0.0, case_s=began + 100, left_s=began + 150, case=0)
    now = time.monotonic()
    assert clock.look(now, 0, own)[0] == ""
    assert clock.look(now + 99, 1, own)[0] == ""  # the next case has just begun
    assert clock.look(now + 120, 1, own)[0] == ""
    assert clock.look(now + 200, 1, own)[0] == "wall"
    clock = CaseClock(0.0, case_s=began + 100, left_s=began + 1000, case=0)
    assert clock.look(now, 0, own)[0] == ""
    assert clock.look(now + 120, 0, own)[0] == "case"


def test_a_process_without_children_has_no_first_child():
    with processes(SLEEPS, 1) as (process,):
        assert first_child(process.pid) is None
    assert first_child(process.pid) is None


def drawn(case_s, shares):
    """Return programs that take a share of their case's limit, with what is right for them."""
    limits = Limits(case_s=case_s, wall_s=60.0, cpu_s=60.0)
    tasks = {
        "call": Task.from_calls("", "f", [((0,), 0), ((1,), 1)], limits=limits),
        "stdio": Task.from_stdio("", [("0", "0\n"), ("1", "1\n")], limits=limits),
        "assertion": Task.from_assertions("", "f", "assert f(0) in [0]\nassert f(1) in [1]\n",
                                          limits=limits),
    }  # fmt: skip
    ways = {
        "computes": "while time.process_time() < began + {}: pass",
        "sleeps": "time.sleep({})",
    }
    for number, share in enumerate(shares):
        for way in ways.values():
            for form, task in tasks.items():
                deed = way.format(share * case_s)
                text = (
                    f"# {number}\nimport time\ndef f(x):\n    began = time.process_time()\n"
                    f"    if x == {number % 2}:\n        {deed}\n    return x\n"
                )
                text += "print(f(int(input())))\n" if form == "stdio" else ""
                yield text, task, [k != number % 2 or share < 1 for k in range(2)]


def check(programs, workers=1):
    with codegym.make_sandbox(workers=workers) as sandbox:
        verdicts = codegym.judge_many([(text, task) for text, task, _ in programs], sandbox=sandbox)
    wrong = [
        (text, verdict)
        for (text, _, passes), verdict in zip(programs, verdicts, strict=True)
        if [case.passed for case in verdict.cases] != passes
    ]
    assert wrong == []


@pytest.mark.skipif(not waits_are_known(), reason="this kernel counts no waits")
@pytest.mark.parametrize("busy", [0, pytest.param(BUSY_PER_CORE, marks=pytest.mark.slow)])
def test_a_few_verdicts_do_not_depend_on_load(busy):
    with processes(SPINS, busy * len(os.sched_getaffinity(0))):
        check([*drawn(0.25, [0.5, 2.0])])


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.skipif(not waits_are_known(), reason="this kernel counts no waits")
@pytest.mark.parametrize("busy", [0, BUSY_PER_CORE])
def test_verdicts_do_not_depend_on_load(busy):
    near, far = [0.7, 1.4] * 15, [0.05, 3.0, 0.3]
    programs = [*drawn(1.0, near + far)]
    assert len(programs) == 198
    with processes(SPINS, busy * len(os.sched_getaffinity(0))):
        check(programs, workers=2)
