"""Independence: no run of a test changes the next, whatever program and test came before."""

import random

import pytest

import codegym
from codegym import Limits, Outcome, Task
from codegym.bench.leaks import LEAKS, honest_after
from codegym.errors import SandboxUnavailableError

LIMITS = Limits(wall_s=5.0, cpu_s=5.0, memory_bytes=256 << 20)


@pytest.fixture(scope="module", params=["namespace", "landlock"])
def sandbox(request):
    try:
        made = codegym.make_sandbox(isolation=request.param, workers=1)
    except SandboxUnavailableError as error:
        pytest.skip(str(error))
    with made:
        yield made


def asserted(code, setup=""):
    return Task.from_assertions("", "solve", code, setup, limits=LIMITS)


def test_a_module_changed_in_place_is_whole_for_the_next_program(sandbox):
    emptied = asserted("import keyword\nassert solve(keyword.kwlist) == 35\n")
    reads = asserted("import keyword\nassert solve() == len(keyword.kwlist) == 35\n")
    first = "def solve(k):\n    k.clear()\n    return 35\n"
    assert codegym.judge(first, emptied, sandbox=sandbox).passed
    assert codegym.judge("def solve():\n    return 35\n", reads, sandbox=sandbox).passed


def test_random_pairs_never_change_an_honest_verdict(sandbox):
    rng = random.Random(sandbox.isolation)
    for number in range(60):
        leak = rng.choice(LEAKS)
        codegym.judge(f"# {number}\n{leak.program}", leak.task(), sandbox=sandbox)
        honest, task = honest_after(rng)
        verdict = codegym.judge(f"# {number}\n{honest}", task, sandbox=sandbox)
        assert verdict.passed, (leak.name, honest, verdict)


@pytest.mark.parametrize("leak", LEAKS, ids=lambda leak: leak.name)
def test_every_honest_program_passes_after_every_leak(sandbox, leak):
    for number in range(3):
        verdict = codegym.judge(f"# {number}\n{leak.program}", leak.task(), sandbox=sandbox)
        assert verdict.outcome in leak.outcomes, verdict
        honest, task = honest_after(random.Random(number))
        assert codegym.judge(f"# {number}\n{honest}", task, sandbox=sandbox).passed
    assert sandbox.restarts == 0


THREADED = """
import threading

def check(candidate):
    wrong = []
    def work(number):
        for step in range(20):
            if candidate(number * 1000 + step) != number * 1000 + step + 1:
                wrong.append((number, step))
    threads = [threading.Thread(target=work, args=(number,)) for number in range(40)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong, wrong
"""
# Each thread's key function waits for the others': only nested calls can serve that.
BARRIER = """
import threading

def check(candidate):
    barrier, found = threading.Barrier(3, timeout=3), []
    def work(number):
        def key(value):
            barrier.wait()
            return candidate(lambda v: v, value) + number
        found.append(candidate(key, 10))
    threads = [threading.Thread(target=work, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(found) == [10, 11, 12], found
"""


def test_threads_of_a_test_take_turns(sandbox):
    task = Task.from_assertions("", "solve", THREADED, limits=LIMITS)
    for number in range(5):
        program = f"# {number}\ndef solve(x):\n    return x + 1\n"
        verdict = codegym.judge(program, task, sandbox=sandbox)
        assert verdict.passed, verdict
    task = Task.from_assertions("", "solve", BARRIER, limits=LIMITS)
    verdict = codegym.judge("def solve(f, x):\n    return f(x)\n", task, sandbox=sandbox)
    assert verdict.passed, verdict


@pytest.mark.parametrize(
    ("answer", "test"),
    [
        ("range(10**8)", "assert list(solve(1)) == [1]"),
        ("'x' * 900_000", "assert solve(1) * 10**6 == 'x'"),
        ("[0] * 90_000", "assert len(solve(1) * 10**6) == 1"),
        ("range(10**8)", "assert {x: [x] for x in solve(1)} == {}"),
        (
            "range(10**7)",
            "a = [[list(solve(1)) for _ in range(9)] for _ in range(9)]\nassert a == 1",
        ),
        pytest.param(
            "{i: i for i in range(9000)}.keys()",
            "assert [list(solve(1)) for _ in range(10**6)] == 1",
            marks=pytest.mark.slow,
        ),
        ("b'x' * 400_000", "assert solve(1) * 10**5 == b''"),
        ("10**5", "assert 1 << (solve(1) ** 2) == 2"),
    ],
)
def test_an_answer_takes_no_more_memory_than_the_task_allows(sandbox, answer, test):
    task = Task.from_assertions("", "solve", test, limits=LIMITS)
    program = f"def solve(n):\n    return {answer}\n"
    verdict = codegym.judge(program, task, sandbox=sandbox)
    assert verdict.outcome in (Outcome.MEMORY, Outcome.TIMEOUT, Outcome.FAILED), verdict
    assert not verdict.passed
    assert sandbox.restarts == 0 or verdict.outcome is Outcome.TIMEOUT
    right = asserted("assert list(solve(1)) == [1]\n")
    assert codegym.judge("def solve(n):\n    return [n]\n", right, sandbox=sandbox).passed


def test_the_memory_of_a_test_is_measured(sandbox):
    # The test measures itself: what it could take before the limit.
    test = """
import resource
def check(candidate):
    held = []
    try:
        while True:
            held.append(bytearray(1 << 20))
    except MemoryError:
        taken = len(held)
        held.clear()
    assert candidate(taken) == 0
"""
    task = Task.from_assertions("", "solve", test, limits=LIMITS)
    verdict = codegym.judge("def solve(n):\n    return n\n", task, sandbox=sandbox)
    assert 150 < int(verdict.cases[0].got) < 270, verdict


def test_a_test_killed_by_an_answer_is_a_verdict_and_no_error(sandbox):
    test = "import os\nassert solve(1) == 1 or os.abort()\nassert solve(2) == 2"
    task = Task.from_assertions("", "solve", test, limits=LIMITS)
    verdict = codegym.judge("def solve(n):\n    return 2\n", task, sandbox=sandbox)
    # A fresh process runs the second case.
    assert [case.error_type for case in verdict.cases] == ["TestDied", ""], verdict
    assert codegym.judge("def solve(n):\n    return n\n", task, sandbox=sandbox).passed
    assert sandbox.restarts == 0


def test_kept_tests_take_none_of_the_memory_of_the_next(sandbox):
    table = ", ".join(f"'{number}abcdef'" for number in range(60_000))
    for number in range(3):
        long = asserted(f"table = [{table}, {number}]\nassert solve(1) == 1\n")
        assert codegym.judge("def solve(n):\n    return n\n", long, sandbox=sandbox).passed
    small = Limits(memory_bytes=96 << 20)
    task = Task.from_assertions("", "solve", "assert len(solve(1)) == 99_000", limits=small)
    program = "def solve(n):\n    return list(range(99_000))\n"
    assert codegym.judge(program, task, sandbox=sandbox).passed


@pytest.mark.parametrize("form", ["call", "stdio", "assertion"])
@pytest.mark.parametrize("size", [1 << 20, pytest.param(16 << 20, marks=pytest.mark.slow)])
@pytest.mark.parametrize("piece", [b"[],", b"1234,", b'"",', b"{},", b"[["])
def test_a_large_frame_costs_the_driver_nothing(sandbox, form, size, piece):
    import resource

    limits = Limits(wall_s=20.0, cpu_s=20.0, output_bytes=size + (1 << 16))
    forge = (
        "import os\n"
        f"data = b'{{\"r\":[' + {piece!r} * ({size} // {len(piece)} - 8) + b'0]}}'\n"
        "for fd in range(3, 20):\n"
        "    try:\n"
        "        os.set_blocking(fd, True)\n"
        "        view = memoryview(len(data).to_bytes(4, 'little') + data)\n"
        "        while view:\n"
        "            view = view[os.write(fd, view):]\n"
        "    except OSError:\n"
        "        continue\n"
    )
    if form == "stdio":
        task = Task.from_stdio("", [("", "1\n")] * 10, limits=limits)
        program = "print(1, flush=True)\n" + forge
    elif form == "call":
        task = Task.from_calls("", "solve", [((1,), 1)], limits=limits)
        program = forge + "def solve(n):\n    return n\n"
    else:
        task = Task.from_assertions("", "solve", "assert solve(1) in [1]", limits=limits)
        program = forge + "def solve(n):\n    return n\n"
    before = resource.getrusage(resource.RUSAGE_SELF)
    verdict = codegym.judge(program, task, sandbox=sandbox)
    after = resource.getrusage(resource.RUSAGE_SELF)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    assert used < 0.25 + 0.02 * (size >> 20), (used, verdict)
    assert form == "stdio" or not verdict.passed
