"""A sandbox of several nodes, which are pools of this process; nothing here needs Ray."""

import contextlib
import os
import socket
import threading
import time

import pytest

from codegym import Task, judge_many
from codegym.checks.check_sandbox import check_sandbox
from codegym.cluster.cluster_address import (
    GraderOptions,
    TrialOptions,
    WriterOptions,
    check_speaks_grpc,
    find_address,
    read_options,
)
from codegym.cluster.fleet_sandbox import FleetSandbox
from codegym.errors import ClusterError, ConfigError, SandboxError, UnknownNameError
from codegym.grading.judge import Judge
from codegym.sandbox.job import ExecutionResult, Job
from codegym.sandbox.limits import Limits
from tests.cluster.fleets import ListFleet, LocalGrader, ScriptedGrader

CALLS = Task.from_calls("", "f", [((x,), x + 1) for x in range(4)])
ASSERTS = Task.from_assertions("", "f", "assert f(1) == 2\nlength = len('')\n")
STDIO = Task.from_stdio(
    "", [("1\n", "2\n"), ("5\n", "6\n"), ("7\n", "8\n")], limits=Limits(stop="first_failure")
)
PROGRAMS = (
    "def f(x):\n    return x + 1\n",
    "def f(x):\n    return x + 1 if x < 2 else 0\n",
    "def f(x):\n    raise ValueError(x)\n",
    "def f(x:\n",
    "import os\nos._exit(3)\n",
    "",
)
READS = (
    "print(int(input()) + 1)\n",
    "x = int(input())\nprint(x + 1 if x < 3 else 0)\n",
    "import os\nos._exit(1)\n",
)
PAIRS = [
    *((program, task) for program in PROGRAMS for task in (CALLS, ASSERTS)),
    *((program, STDIO) for program in READS),
]


def fleet(*names, **rest):
    graders = [LocalGrader(name) for name in names]
    return FleetSandbox(ListFleet(**rest), graders), graders


def simple(number=0, body="x + 1"):
    text = f"# {number}\ndef f(x):\n    return {body}\n"
    return Job(program=text, mode="call", payload=b'{"function": "f", "calls": [[[1], {}]]}')


class TwoNodes:
    """A plug-in for the conformance suite."""

    @staticmethod
    def from_spec(spec, *, workers=None, packages=()):
        return fleet("left", "right")[0]


def test_two_nodes_keep_the_contract_of_sandboxes():
    check_sandbox(TwoNodes)


def test_verdicts_are_those_of_one_machine():
    sandbox, _ = fleet("left", "right")
    with sandbox:
        assert judge_many(PAIRS, sandbox=sandbox) == judge_many(PAIRS)


def test_a_lost_node_loses_no_verdict():
    sandbox, (left, _) = fleet("left", "right")
    pairs = [(f"{PROGRAMS[number % 3]}# {number}", CALLS) for number in range(60)]
    with sandbox:
        verdicts = {}
        judge = Judge(sandbox)
        tickets = [judge.submit(*pair) for pair in pairs]
        while judge.under_way:
            verdicts.update(judge.collect(timeout_s=1.0))
            if len(verdicts) > 3:
                left.kill()
        assert sandbox.losses == 1 and sandbox.nodes == 1
    assert [verdicts[ticket] for ticket in tickets] == judge_many(pairs)


def test_a_new_node_goes_on_where_all_were_lost():
    late = ScriptedGrader("late", lambda job: ExecutionResult(output=b"late"))
    first = ScriptedGrader("first", lambda job: ExecutionResult())
    nodes = ListFleet(later=[late])
    with FleetSandbox(nodes, [first]) as sandbox:
        ticket = sandbox.submit(simple())
        wait_for(lambda: first.then)
        first.fail(ConnectionError("gone"))
        wait_for(lambda: late.then)
        late.give()
        assert sandbox.collect() == [(ticket, ExecutionResult(output=b"late"))]
    assert nodes.gone == ["first"] and first.stopped and late.stopped and nodes.closed


def wait_for(condition):
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.005)


def test_no_node_left_is_an_error_and_never_a_verdict():
    only = ScriptedGrader("only", lambda job: ExecutionResult())
    with FleetSandbox(ListFleet(), [only], patience_s=0.0) as sandbox:
        ticket = sandbox.submit(simple())
        wait_for(lambda: only.then)
        only.fail(ConnectionError("gone"))
        with pytest.raises(SandboxError, match="no node of the cluster is left") as caught:
            sandbox.collect()
        assert caught.value.ticket == ticket
        # A judge keeps the error apart from verdicts, too.
        assert judge_many([(PROGRAMS[0], CALLS)], sandbox=sandbox, missing="none") == [None]


def test_two_judges_share_it_and_a_closed_one_starts_nothing_more():
    node = ScriptedGrader("node", lambda job: ExecutionResult(output=job.program.encode()))
    with FleetSandbox(ListFleet(), [node]) as sandbox:
        first, second = sandbox.channel(), sandbox.channel()
        mine = [first.submit(simple(number)) for number in range(3)]
        other = [second.submit(simple(number)) for number in range(40, 80)]
        wait_for(lambda: node.then and len(node.waiting) == 8)
        second.close()
        node.give()
        wait_for(lambda: len(first.collect(0.0)) == 0 and node.then is None)
        assert node.waiting == [] and len(node.frames) == 1
        assert mine and other


def test_the_queue_is_bounded(monkeypatch):
    monkeypatch.setattr("codegym.cluster.fleet_sandbox.QUEUE_PER_WORKER", 4)
    node = ScriptedGrader("node", lambda job: ExecutionResult())
    sandbox = FleetSandbox(ListFleet(), [node])
    submitted = []

    def submit():
        with pytest.raises(SandboxError):
            for number in range(100):
                submitted.append(sandbox.submit(simple(number)))

    thread = threading.Thread(target=submit)
    thread.start()
    wait_for(lambda: len(submitted) >= 12)
    time.sleep(0.2)
    assert len(submitted) <= 20  # the node's window of eight, and the queue
    sandbox.close()
    thread.join(20)
    assert not thread.is_alive()


def test_closing_ends_what_is_under_way():
    node = ScriptedGrader("node", lambda job: ExecutionResult())
    sandbox = FleetSandbox(ListFleet(), [node])
    sandbox.submit(simple())
    sandbox.close()
    sandbox.close()
    with pytest.raises(SandboxError, match="closed"):
        sandbox.collect()
    with pytest.raises(SandboxError, match="closed"):
        sandbox.submit(simple())


def test_a_forked_process_is_refused_and_its_parent_goes_on():
    sandbox, _ = fleet("node")
    with sandbox:
        assert len(sandbox.run([simple()])) == 1
        child = os.fork()
        if not child:
            code = 1
            try:
                sandbox.submit(simple())
            except SandboxError as error:
                code = 0 if "forked" in str(error) else 2
            finally:
                os._exit(code)
        assert os.waitpid(child, 0)[1] == 0
        assert len(sandbox.run([simple(1)])) == 1


def test_options_are_read_and_validated():
    options = read_options("ray?address=10.0.0.1:6379&workers=3&mixed=true", GraderOptions, "ray")
    assert options == GraderOptions(address="10.0.0.1:6379", workers=3, mixed=True)
    assert read_options("ray://h:10001?cpus=0.5", GraderOptions, "ray").address == "ray://h:10001"
    assert read_options("ray:h:6379", GraderOptions, "ray").address == "h:6379"
    assert read_options("auto?actors=2&gpus=0.5", WriterOptions, "--ray").gpus == 0.5
    assert read_options("ray", TrialOptions, "--ray") == TrialOptions()
    with pytest.raises(UnknownNameError, match="workers"):
        read_options("ray?worker=3", GraderOptions, "ray")


@pytest.mark.parametrize(
    "spec",
    [
        *("ray?workers=-1", "ray?workers=many", "ray?workers", "ray?workers=1&workers=2"),
        *("ray://host", "ray://host:port", "host:0", "ray://h:1?address=h:2", "ray?start_s=0"),
        *("ray?isolation=ray", "ray?patience_s=nan", "ray?cpus=-0.5"),
    ],
)
def test_unusable_options_are_refused(spec):
    with pytest.raises(ConfigError):
        read_options(spec, GraderOptions, "ray")


def test_nothing_at_an_address_is_an_error_at_once(monkeypatch, tmp_path):
    began = time.monotonic()
    with pytest.raises(ClusterError, match="no Ray cluster answers"):
        find_address("127.0.0.1:9")
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path))
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    with pytest.raises(ClusterError, match="no Ray cluster answers"):
        find_address("auto")
    assert find_address("") == "local"
    assert time.monotonic() - began < 20


@pytest.mark.parametrize(
    ("said", "fits"),
    [
        (bytes([0, 0, 0, 4, 0, 0, 0, 0, 0]), True),
        (b"HTTP/1.1 400 Bad Request\r\n", False),
        (b"", False),
    ],
)
def test_what_answers_has_to_speak_as_ray_does(said, fits):
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"

        def answer():
            line, _ = server.accept()
            assert line.recv(3) == b"PRI"
            line.sendall(said)
            line.shutdown(socket.SHUT_WR)
            with contextlib.suppress(OSError):  # the client may have gone already
                while line.recv(100):
                    pass
            line.close()

        threading.Thread(target=answer, daemon=True).start()
        if fits:
            check_speaks_grpc(address)
        else:
            with pytest.raises(ClusterError, match="is no Ray cluster"):
                check_speaks_grpc(address)
