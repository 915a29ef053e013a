"""Driver: the process that owns a sandbox dies, forks, uses threads, or makes many sandboxes."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time

import pytest

import codegym
from codegym import Outcome, Task
from codegym.bench.soak import descendants, soak
from codegym.errors import SandboxUnavailableError
from codegym.grading.judge import Judge, judge

TASK = Task.from_calls("", "f", [((1,), 2)])
RIGHT = "def f(x):\n    return x + 1\n"
WRONG = "def f(x):\n    return x - 1\n"

# Starts a sandbox of two workers with an examiner, judges, prints its descendants, and goes on.
DRIVER = """
import os, sys, time
import codegym
from codegym import Task
from codegym.bench.soak import descendants
from codegym.grading.judge import judge, judge_many

task = Task.from_calls("", "f", [((1,), 2)])
test = Task.from_assertions("", "f", "assert f(1) in [2]")
right = "def f(x):\\n    return x + 1\\n"
sandbox = codegym.make_sandbox(isolation=sys.argv[1], workers=2)
pairs = [(right + f"# {n}", asked) for n in range(8) for asked in (task, test)]
assert all(v.passed for v in judge_many(pairs, sandbox=sandbox))
print(*descendants(os.getpid()), flush=True)
"""
FOREVER = "def f(x):\n    while True:\n        pass\n"


@pytest.fixture(params=["namespace", "landlock"])
def isolation(request):
    try:
        codegym.make_sandbox(isolation=request.param, workers=1).close()
    except SandboxUnavailableError as error:
        pytest.skip(str(error))
    return request.param


def start(isolation, then):
    process = subprocess.Popen(
        [sys.executable, "-c", DRIVER + then, isolation],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    pids = [int(word) for word in process.stdout.readline().split()]
    assert len(pids) >= 4, process.communicate()
    return process, pids


def alive(pids):
    """Return the processes that still run, without zombies."""
    found = []
    for pid in pids:
        try:
            with open(f"/proc/{pid}/stat") as file:
                state = file.read().rpartition(")")[2].split()[0]
        except (FileNotFoundError, ProcessLookupError):
            continue
        if state not in "ZX":
            found.append(pid)
    return found


def soon_dead(pids):
    end = time.monotonic() + 10
    while alive(pids) and time.monotonic() < end:
        time.sleep(0.02)
    return not alive(pids)


@pytest.mark.parametrize(
    "number",
    [
        signal.SIGKILL,
        signal.SIGTERM,
        pytest.param(signal.SIGINT, marks=pytest.mark.slow),
        pytest.param(signal.SIGHUP, marks=pytest.mark.slow),
    ],
)
def test_no_process_outlives_a_killed_driver(number, isolation):
    process, pids = start(isolation, "time.sleep(60)")
    process.send_signal(number)
    process.communicate(timeout=10)
    assert soon_dead(pids)


def test_no_process_outlives_a_driver_killed_while_programs_run(isolation):
    then = (
        "from codegym.grading.judge import Judge\n"
        "judge = Judge(sandbox)\n"
        f"for n in range(8):\n    judge.submit({FOREVER!r} + f'# {{n}}', task)\n"
        "time.sleep(0.3)\n"
        "print(*descendants(os.getpid()), flush=True)\n"
        "time.sleep(60)"
    )
    process, pids = start(isolation, then)
    pids = sorted({*pids, *map(int, process.stdout.readline().split())})
    process.kill()
    process.communicate(timeout=10)
    assert soon_dead(pids)


def test_interpreter_ends_without_close(isolation):
    process, pids = start(isolation, "")
    _, errors = process.communicate(timeout=20)
    assert process.returncode == 0 and not errors
    assert soon_dead(pids)


def test_an_unhandled_error_ends_the_driver(isolation):
    process, pids = start(isolation, "raise RuntimeError('by intent')")
    _, errors = process.communicate(timeout=20)
    assert process.returncode == 1 and "by intent" in errors
    assert soon_dead(pids)


def test_a_forked_driver_and_its_parent_both_go_on(isolation):
    # As in a SubprocVecEnv child: the child inherits the parent's sandbox object.
    then = """
def grades(sandbox):
    passed = [judge(text + f"# {os.getpid()}", task, sandbox=sandbox).passed
            for text in (right, right.replace("+", "-")) for _ in range(3)]
    assert passed == [True] * 3 + [False] * 3, passed

pid = os.fork()
if pid == 0:
    try:
        grades(sandbox)
        sandbox.close()
    except BaseException:
        import traceback
        traceback.print_exc()
        os._exit(1)
    os._exit(0)
for _ in range(5):
    grades(sandbox)
status = os.waitpid(pid, 0)[1]
grades(sandbox)
sandbox.close()
assert status == 0, status
print("both")
"""
    process, pids = start(isolation, then)
    output, errors = process.communicate(timeout=60)
    assert "both" in output, errors
    assert soon_dead(pids)


def test_the_default_sandbox_of_a_forked_child(isolation):
    then = """
pid = os.fork()
if pid == 0:
    os._exit(0 if judge(right, task).passed else 1)
assert os.waitpid(pid, 0)[1] == 0
assert judge(right, task).passed
print("well")
"""
    process, _ = start(isolation, "judge(right, task)\n" + then)
    output, errors = process.communicate(timeout=60)
    assert "well" in output, errors


def test_threads_share_a_sandbox():
    found, lock = [], threading.Lock()
    with codegym.make_sandbox(workers=2) as sandbox:

        def work(number):
            for step in range(8):
                text = (RIGHT, WRONG)[(number + step) % 2] + f"# {number} {step}"
                verdict = judge(text, TASK, sandbox=sandbox)
                with lock:
                    found.append(verdict.passed is ((number + step) % 2 == 0))

        threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
    assert found == [True] * 48


def test_many_sandboxes_leak_nothing(isolation):
    def once():
        with codegym.make_sandbox(isolation=isolation, workers=1) as sandbox:
            assert judge(RIGHT, TASK, sandbox=sandbox).passed

    once()
    fds, threads = len(os.listdir("/proc/self/fd")), threading.active_count()
    before = descendants(os.getpid())
    for _ in range(6):
        once()
    assert len(os.listdir("/proc/self/fd")) <= fds
    assert threading.active_count() <= threads
    assert set(descendants(os.getpid())) <= set(before)


def test_a_killed_worker_is_replaced(isolation):
    before = set(descendants(os.getpid()))
    with codegym.make_sandbox(isolation=isolation, workers=1) as sandbox:
        assert judge(RIGHT, TASK, sandbox=sandbox).passed
        for _ in range(3):
            for pid in set(descendants(os.getpid())) - before:
                with contextlib.suppress(ProcessLookupError):  # it died with its parent
                    os.kill(pid, signal.SIGKILL)
            assert judge(RIGHT + "# again", TASK, sandbox=sandbox).passed
            assert judge(WRONG, TASK, sandbox=sandbox).outcome is Outcome.FAILED


@pytest.mark.slow
def test_a_stopped_worker_is_replaced_in_the_end(isolation):
    before = set(descendants(os.getpid()))
    limits = codegym.Limits(wall_s=0.2)
    task = Task.from_calls("", "f", [((1,), 2)], limits=limits)
    with codegym.make_sandbox(isolation=isolation, workers=1) as sandbox:
        assert judge(RIGHT, TASK, sandbox=sandbox).passed
        for pid in set(descendants(os.getpid())) - before:
            os.kill(pid, signal.SIGSTOP)
        assert judge(RIGHT + "# later", task, sandbox=sandbox).passed


def test_closing_while_programs_run_is_quick():
    sandbox = codegym.make_sandbox(workers=2)
    grader = Judge(sandbox)
    for number in range(6):
        grader.submit(FOREVER + f"# {number}", TASK)
    time.sleep(0.2)
    before = time.monotonic()
    sandbox.close()
    sandbox.close()
    assert time.monotonic() - before < 5


@pytest.mark.slow
def test_short_soak():
    report = soak(1500, workers=2, isolation="auto", seed=1)
    assert report.faults == []
    assert report.left == 0


# Ends tests that are kept busy, and a program under way, and prints its own zombies and orphans.
PROCESS_ONE = """
import os, sys, time
import codegym
from codegym import Limits, Task
from codegym.grading.judge import Judge, judge

assert os.getpid() == 1
busy = Task.from_assertions("", "f", "assert f(1) ** f(1) == 2", limits=Limits(wall_s=0.1))
sandbox = codegym.make_sandbox(isolation=sys.argv[1], workers=1)
for number in range(6):
    verdict = judge(f"# {number}\\ndef f(x):\\n    return 10 ** 7\\n", busy, sandbox=sandbox)
    assert verdict.outcome == "timeout", verdict
endless = Task.from_calls("", "f", [((1,), 2)])
Judge(sandbox).submit("def f(x):\\n    while True:\\n        pass\\n", endless)
time.sleep(0.3)
sandbox.close()
left = []
for name in filter(str.isdigit, os.listdir("/proc")):
    with open(f"/proc/{name}/stat") as file:
        if file.read().rpartition(")")[2].split()[1] == "1":
            left.append(name)
print("left", *left)
"""


def test_no_zombie_is_left_where_the_driver_is_process_one(isolation):
    command = ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child"]
    if os.geteuid() != 0:
        command.insert(1, "--map-root-user")
    if subprocess.run([*command, "true"], capture_output=True, check=False).returncode:
        pytest.skip("this machine does not let a test make a process namespace")
    command += [sys.executable, "-c", PROCESS_ONE, isolation]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    if "SandboxUnavailableError" in done.stderr:
        pytest.skip(f"no {isolation} in a process namespace here")
    assert done.stdout.split() == ["left"], done.stderr
