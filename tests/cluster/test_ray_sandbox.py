"""The sandbox ``ray`` on a cluster of two nodes: verdicts, losses, attacks and refusals."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time

import psutil
import pytest

import codegym
from codegym import AsyncJudge, Task, judge_many
from codegym.bench.small_cluster import add_node
from codegym.checks.check_sandbox import check_sandbox
from codegym.cluster.ray_fleet import RayFleet
from codegym.errors import ConfigError, SandboxError, SandboxUnavailableError
from codegym.grading.judge import Judge
from codegym.sandbox.limits import Limits
from tests.cluster.ray_cluster import graders, kill_raylet, wait_for_nodes, wait_until
from tests.cluster.test_fleet_sandbox import CALLS, PAIRS, PROGRAMS, simple

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(300),
    # Ray leaves sockets and pipes of its processes to the collector, and warns of its future.
    pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]
pytest.importorskip("ray", reason="Ray is not installed (extra ray)")


@pytest.fixture
def sandbox(two_nodes):
    with codegym.make_sandbox("ray") as made:
        yield made


@pytest.fixture(scope="module")
def shared(two_nodes):
    with codegym.make_sandbox("ray?workers=1") as made:
        yield made


def test_it_keeps_the_contract_of_sandboxes(two_nodes):
    check_sandbox(codegym.registry.get("sandboxes", "ray"))


def test_verdicts_are_those_of_the_local_sandbox(sandbox):
    assert sandbox.nodes == 2 and sandbox.n_workers == 4
    corpus = codegym.load_tasks("humaneval")
    tasks = [corpus[number] for number in range(0, 60)]
    programs = [(task.canonical_solution, task) for task in tasks]
    programs += [("    return None\n", task) for task in tasks]
    assert judge_many([*PAIRS, *programs], sandbox=sandbox) == judge_many([*PAIRS, *programs])


def test_limits_of_time_hold(shared):
    task = Task.from_calls("", "f", [((1,), 2)], limits=Limits(wall_s=0.5))
    (verdict,) = judge_many([("def f(x):\n    while True: pass\n", task)], sandbox=shared)
    assert verdict.outcome is codegym.Outcome.TIMEOUT
    assert judge_many([(PROGRAMS[0], CALLS)], sandbox=shared)[0].passed


async def _both(judges, pairs):
    import asyncio

    return await asyncio.gather(*(judge.judge_many(pairs) for judge in judges))


def test_two_judges_share_it(shared):
    import asyncio

    pairs = [(f"{PROGRAMS[number % 2]}# {number}", CALLS) for number in range(40)]
    judges = AsyncJudge(shared), AsyncJudge(shared)
    mine, others = asyncio.run(_both(judges, pairs))
    for judge in judges:
        judge.close()
    assert mine == others == judge_many(pairs)


ATTACKS = {
    "see Ray's sockets and logs": "os.listdir('/tmp/ray')",
    "see temporary files": "os.listdir('/tmp')[0]",
    "reach the cluster's head": "socket.create_connection(ADDRESS, timeout=1)",
    "make a socket": "socket.socket(socket.AF_UNIX)",
    "read Ray's environment": "[os.environ[n] for n in os.environ if 'RAY' in n][0]",
    "import Ray": "__import__('ray')",
    "signal the node's grader": "os.kill(GRADER, 9)",
}
ATTACK = """
import os, socket
ADDRESS, GRADER = {address!r}, {pid}
def f(x):
    try:
        {attempt}
    except (OSError, KeyError, IndexError, ImportError):
        return x + 1
    return 0
"""


@pytest.mark.parametrize("action", ATTACKS)
def test_a_program_cannot(action, shared, two_nodes):
    host, port = two_nodes.address.split(":")
    actor = graders()[0]
    values = {"address": (host, int(port)), "pid": actor, "attempt": ATTACKS[action]}
    task = Task.from_calls("", "f", [((x,), x + 1) for x in range(3)])
    (verdict,) = judge_many([(ATTACK.format(**values), task)], sandbox=shared)
    assert verdict.passed, action
    assert psutil.pid_exists(actor)


def test_a_killed_grader_is_replaced_and_loses_nothing(two_nodes):
    pairs = [(f"{PROGRAMS[number % 3]}# {number}", CALLS) for number in range(300)]
    others = set(graders())
    with codegym.make_sandbox("ray") as sandbox:
        victim = min(set(graders()) - others)
        verdicts, judge, killed = {}, Judge(sandbox), False
        tickets = [judge.submit(*pair) for pair in pairs]
        while judge.under_way:
            verdicts.update(judge.collect(timeout_s=1.0))
            if not killed and len(verdicts) > 30:
                killed = True
                os.kill(victim, signal.SIGKILL)
        assert sandbox.losses == 1
        assert [verdicts[ticket] for ticket in tickets] == judge_many(pairs)
        ended = time.monotonic() + 60
        while sandbox.nodes < 2 and time.monotonic() < ended:
            sandbox.run([simple(number) for number in range(20)])
        assert sandbox.nodes == 2


def test_a_forked_process_is_refused_at_once(shared):
    child = os.fork()
    if not child:
        code = 1
        try:
            shared.submit(simple())
        except SandboxError:
            code = 0
        finally:
            os._exit(code)
    assert os.waitpid(child, 0)[1] == 0
    assert len(shared.run([simple()])) == 1


def test_nodes_with_other_software_are_refused(two_nodes, monkeypatch):
    monkeypatch.setattr("codegym.cluster.ray_fleet.same_facts", lambda: ["other", "", "", "", ""])
    with pytest.raises(SandboxUnavailableError, match="other software"):
        codegym.make_sandbox("ray?isolation=landlock")


def test_nodes_without_the_isolation_are_left_out(two_nodes, monkeypatch):
    start = RayFleet._actor
    first = []

    def actor(fleet, node_id):
        made = start(fleet, node_id)
        if not first or first[0] == node_id:
            first[:] = [node_id]
            # As on a node without bubblewrap, whose pool refuses to start.
            made = Refusing(made)
        return made

    monkeypatch.setattr(RayFleet, "_actor", actor)
    with pytest.warns(UserWarning, match="does not grade"):
        sandbox = codegym.make_sandbox("ray?isolation=landlock")
    with sandbox:
        assert sandbox.nodes == 1
        assert judge_many([(PROGRAMS[0], CALLS)], sandbox=sandbox)[0].passed


class Refusing:
    """An actor whose pool refuses to start."""

    def __init__(self, actor):
        self._actor = actor
        self.start = self

    def remote(self, isolation, workers, packages):
        import ray

        return ray.put({"refused": ["bubblewrap is not installed", "", "", "pip install"]})


def test_a_connection_of_the_user_is_used_and_left_alone(two_nodes):
    import ray

    with codegym.make_sandbox("ray") as made:
        assert judge_many([(PROGRAMS[0], CALLS)], sandbox=made)[0].passed
    assert ray.is_initialized()
    with pytest.raises(ConfigError, match="another Ray cluster"):
        codegym.make_sandbox("ray?address=127.0.0.1:9")


def test_too_many_reserved_cpus_are_refused(two_nodes):
    with pytest.raises(SandboxUnavailableError) as caught:
        codegym.make_sandbox("ray?cpus=64&start_s=3")
    assert "not schedulable" in str(caught.value) or "free" in str(caught.value)


def test_a_killed_raylet_in_mid_batch_loses_nothing(two_nodes):
    node = add_node(two_nodes)
    wait_for_nodes(3)
    pairs = [(f"{PROGRAMS[number % 3]}# {number}", CALLS) for number in range(400)]
    with codegym.make_sandbox("ray") as sandbox:
        assert sandbox.nodes == 3
        verdicts, judge, killed = {}, Judge(sandbox), False
        tickets = [judge.submit(*pair) for pair in pairs]
        while judge.under_way:
            verdicts.update(judge.collect(timeout_s=1.0))
            if not killed and len(verdicts) > 40:
                killed = True
                kill_raylet(node)
        assert sandbox.losses == 1
        assert [verdicts[ticket] for ticket in tickets] == judge_many(pairs)
    two_nodes.remove_node(node)


ALONE = """
import sys, codegym
from tests.cluster.test_fleet_sandbox import CALLS, PROGRAMS
sandbox = codegym.make_sandbox("ray?address=" + sys.argv[1])
assert codegym.judge_many([(PROGRAMS[0], CALLS)], sandbox=sandbox)[0].passed
print("ready", flush=True)
sys.stdin.read()
"""


def test_a_killed_driver_leaves_no_actors_and_no_zygotes(two_nodes):
    others = set(graders())
    driver = subprocess.Popen(
        [sys.executable, "-c", ALONE, two_nodes.address],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with driver:
        assert driver.stdout.readline().strip().endswith("ready")
        actors = sorted(set(graders()) - others)
        below = [child.pid for pid in actors for child in psutil.Process(pid).children(True)]
        assert len(actors) == 2 and len(below) >= 4
        driver.kill()
    wait_until(lambda: not set(actors) & set(graders()), "actors outlive their driver")
    wait_until(
        lambda: not any(psutil.pid_exists(pid) for pid in below), "sandboxes outlive their driver"
    )


def in_a_new_process(spec):
    """Return what making a sandbox says, and how long it took."""
    code = (
        "import sys, codegym\n"
        "try: codegym.make_sandbox(sys.argv[1])\n"
        "except codegym.CodegymError as error: print(type(error).__name__, error.message)"
    )
    began = time.monotonic()
    found = subprocess.run([sys.executable, "-c", code, spec], capture_output=True, text=True)
    return found.stdout.strip().splitlines()[-1], time.monotonic() - began


def test_a_cluster_that_is_not_there_is_an_error_in_seconds():
    for spec in ("ray?address=127.0.0.1:9", "ray://127.0.0.1:9"):
        said, took_s = in_a_new_process(spec)
        assert said == "SandboxUnavailableError no Ray cluster answers" and took_s < 30


def test_what_is_no_cluster_is_an_error_and_no_hang():
    with socket.create_server(("127.0.0.1", 0)) as server:
        held = []
        threading.Thread(
            target=lambda: held.extend(server.accept() for _ in range(2)), daemon=True
        ).start()
        said, _ = in_a_new_process(f"ray?address=127.0.0.1:{server.getsockname()[1]}")
    assert said == "SandboxUnavailableError what answers at this address is no Ray cluster"
