"""Processes of a worker: requests that wait at the zygote, and zygotes that fail."""

import os
import signal
import sys
import time

import pytest

from codegym import Task
from codegym.errors import SandboxError, SandboxUnavailableError
from codegym.grading.judge import Judge
from codegym.sandbox import Job, make_sandbox, wire
from codegym.sandbox.launcher import Process, socket_pair
from codegym.sandbox.limits import Limits
from codegym.sandbox.pool import PoolSandbox
from codegym.sandbox.worker_state import State


def job(program, limits=None):
    payload = wire.dumps({"function": "f", "calls": [[[], {}]]})
    return Job(program=program, mode="call", payload=payload, limits=limits or Limits(wall_s=2.0))


def values(result):
    return [wire.decode(wire.loads(reply)["r"]) for reply in result.replies]


@pytest.fixture(scope="module")
def pool():
    with make_sandbox(workers=2) as sandbox:
        yield sandbox


def kill_zygote(sandbox):
    os.kill(sandbox.workers[0].processes.zygote.pid, signal.SIGKILL)


def test_a_candidate_that_leaves_early_costs_the_next_program_nothing():
    # The candidate exits while its test goes on; the next program must not start the grader anew.
    leaves = (
        "import os, threading\n"
        "def f(x):\n    threading.Timer(0.004, os._exit, (0,)).start()\n    return 1\n"
    )
    busy = "assert f(1) == 1\nfor i in range(4_000_000):\n    i + 1\nassert True"
    tasks = [
        Task.from_assertions("", "f", busy),
        Task.from_calls("", "f", [((1,), 2)]),
        Task.from_assertions("", "f", "assert f(1) in [2]"),
    ]
    right = "def f(x):\n    return x + 1\n"
    with make_sandbox(workers=1) as sandbox:
        judge = Judge(sandbox)
        for task in tasks[1:]:
            judge.submit(right, task)
        while judge.collect():
            continue
        for number in range(4):
            judge.submit(f"{leaves}# {number}", tasks[0])
            tickets = [judge.submit(f"{right}# {number}", task) for task in tasks[1:]]
            verdicts = {}
            while len(verdicts) < 3:
                verdicts.update(judge.collect())
            assert all(verdicts[ticket].passed for ticket in tickets)
        assert sandbox.restarts == 0


def test_a_program_held_behind_a_slow_one_is_given_to_whoever_is_free_first(pool):
    sleeps = "import time\ntime.sleep({})\ndef f():\n    return 1\n"
    pool.run([job("def f():\n    return 0\n")] * 8)
    slow = [pool.submit(job(sleeps.format(pause))) for pause in (1.0, 0.2)]
    for _ in range(2):
        pool.submit(job("def f():\n    return 1\n"))
    order = []
    while len(order) < 4:
        order += [ticket for ticket, _ in pool.collect()]
    assert order[0] == slow[1] and order[3] == slow[0]
    assert pool.restarts == 0


def test_the_next_request_waits_at_the_zygote():
    with make_sandbox(workers=1) as sandbox:
        sandbox.run([job("def f():\n    return 0\n")])
        held = []
        worker = sandbox.workers[0]
        take = worker.take
        worker.take = lambda job, done: (
            held.append(worker.state is not State.IDLE),
            take(job, done),
        )
        pause = "import time\ntime.sleep(0.002)\n"
        results = sandbox.run([job(f"{pause}def f():\n    return {n}\n") for n in range(20)])
        assert [values(result) for result in results] == [[n] for n in range(20)]
        assert sum(held) > 10


def test_a_zygote_lost_while_a_request_waits_there_runs_both_again():
    with make_sandbox(workers=1) as sandbox:
        sandbox.run([job("def f():\n    return 0\n")])
        worker = sandbox.workers[0]
        take = worker.take

        def kill_once(job, done):
            take(job, done)
            if worker.state is State.HOLDING:
                worker.take = take
                kill_zygote(sandbox)

        worker.take = kill_once
        pause = "import time\ntime.sleep(0.01)\n"
        results = sandbox.run([job(f"{pause}def f():\n    return {n}\n") for n in range(4)])
        assert [values(result) for result in results] == [[n] for n in range(4)]
        assert sandbox.restarts == 1


def test_a_lost_zygote_is_replaced_and_the_program_retried():
    with make_sandbox(workers=1) as sandbox:
        ticket = sandbox.submit(
            job("import time\ntime.sleep(0.5)\ndef f():\n    return 5\n", limits=Limits(wall_s=5))
        )
        time.sleep(0.2)
        kill_zygote(sandbox)
        ((done, result),) = sandbox.collect()
        assert done == ticket and values(result) == [5] and sandbox.restarts == 1


def test_a_zygote_killed_while_idle_costs_nothing():
    with make_sandbox(workers=1) as sandbox:
        kill_zygote(sandbox)
        time.sleep(0.1)
        assert values(sandbox.run([job("def f():\n    return 5\n")])[0]) == [5]


def zygote_of(pid):
    """Return the zygote below a process that a launcher started: itself, or bubblewrap's child."""
    with open(f"/proc/{pid}/task/{pid}/children") as file:
        below = file.read().split()
    with open(f"/proc/{pid}/comm") as file:
        return int(below[0]) if file.read().strip() == "bwrap" else pid


@pytest.mark.parametrize("busy", [False, True])
def test_a_zygote_that_is_stopped_is_replaced_soon_and_nothing_is_lost(busy):
    # Whatever the limit: the driver sees that the zygote is stopped.
    limits = Limits(wall_s=60.0, cpu_s=60.0)
    pause = "import time\ntime.sleep(0.05)\n" if busy else ""
    with make_sandbox(workers=1) as sandbox:
        sandbox.run([job("def f():\n    return 0\n")])
        jobs = [job(f"{pause}def f():\n    return {n}\n", limits=limits) for n in range(3)]
        if busy:
            tickets = [sandbox.submit(each) for each in jobs]
            time.sleep(0.02)
        os.kill(zygote_of(sandbox.workers[0].processes.zygote.pid), signal.SIGSTOP)
        if not busy:
            tickets = [sandbox.submit(each) for each in jobs]
        found = {}
        while len(found) < 3:
            found.update(sandbox.collect())
        assert [values(found[ticket]) for ticket in tickets] == [[0], [1], [2]]
        assert all(result.limit == "" for result in found.values())
        assert sandbox.restarts == 1


class Broken:
    """Starts processes that leave at once, after saying hello or before."""

    isolation = "broken"

    def __init__(self, script):
        self.script = script
        self.started = 0

    def start(self, role, *, reseeded=False):
        self.started += 1
        line, theirs = socket_pair(role)
        return Process([sys.executable, "-c", self.script, str(theirs.fileno())], line, theirs)


HELLO = (
    "import sys, socket, json\ns = socket.socket(fileno=int(sys.argv[1]))\n"
    "s.send(json.dumps({'version': sys.version}).encode())\n"
)


def test_a_zygote_that_never_starts_is_unavailable_with_its_complaint():
    launcher = Broken("import sys; sys.exit('bwrap: setting up uid map: Permission denied')")
    with PoolSandbox(launcher, workers=1) as sandbox:
        with pytest.raises(SandboxUnavailableError, match=r"uid map.*apparmor_restrict"):
            sandbox.run([job("")])
        assert launcher.started == 2


@pytest.mark.parametrize("end", ["s.recvmsg(99, 99)\n", "s.recvmsg(99, 99)\ns.send(b'x' * 37)\n"])
def test_a_program_that_breaks_the_zygote_twice_is_an_error_never_a_verdict(end):
    launcher = Broken(HELLO + end)
    with PoolSandbox(launcher, workers=1) as sandbox:
        ticket = sandbox.submit(job(""))
        with pytest.raises(SandboxError, match="twice") as caught:
            sandbox.collect()
        assert caught.value.ticket == ticket and launcher.started == 2
        assert sandbox.collect() == []


def test_a_child_that_was_never_ready_is_the_sandboxs_fault():
    # Run 1 or 2 ended well, says the zygote; but no child ever reported for duty.
    status = "s.send(struct.pack('<IiddQB', struct.unpack('<I', data[:4])[0], 0, 0.1, 0.1, 9, 0))\n"
    script = "import struct\n" + HELLO + "data = s.recvmsg(99, 99)[0]\n" + status
    launcher = Broken(script + "s.recv(9)\n")
    with PoolSandbox(launcher, workers=1) as sandbox:
        with pytest.raises(SandboxError, match="did not start"):
            sandbox.run([job("")])
        assert launcher.started == 2


def test_another_interpreter_inside_is_refused():
    launcher = Broken(HELLO.replace("sys.version}", "'2.7'}") + "s.recvmsg(99, 99)\n")
    with PoolSandbox(launcher, workers=1) as sandbox:
        with pytest.raises(SandboxError, match=r"not the caller's.*2\.7"):
            sandbox.run([job("")])


def test_a_long_test_that_was_given_up_does_not_mix_with_the_next():
    # The long test waits at the busy examiner, which has read a part of it, and is given back.
    table = "x" * (4 << 20)
    long = Task.from_assertions("", "f", f"table = '{table}'\nassert f(1) in [2]")
    slow = Task.from_assertions("", "f", "import time\ntime.sleep(0.2)\nassert f(1) in [2]")
    right = "def f(x):\n    return x + 1\n"
    with make_sandbox(workers=1) as sandbox:
        judge = Judge(sandbox)
        for number in range(3):
            for task in (slow, long):
                judge.submit(f"{right}# {number}", task)
        verdicts = []
        while found := judge.collect():
            verdicts += [verdict for _, verdict in found]
        assert len(verdicts) == 6 and all(verdict.passed for verdict in verdicts)
        assert sandbox.restarts == 0
