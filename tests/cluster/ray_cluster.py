"""Ray clusters of one machine for the slow tests: two nodes of one CPU each, in little memory."""

import contextlib
import os
import signal
import time

import psutil
import pytest

from codegym.bench.small_cluster import small_cluster

# The head notices a lost node after a few seconds instead of half a minute.
QUICK = {
    "health_check_initial_delay_ms": 1000,
    "health_check_period_ms": 500,
    "health_check_timeout_ms": 1000,
    "health_check_failure_threshold": 3,
}


@contextlib.contextmanager
def cluster(nodes=2, connect=False):
    """Start a cluster of a head and further nodes; end it, and every process of it, after that."""
    pytest.importorskip("ray", reason="Ray is not installed (extra ray)")
    before = {process.pid for process in psutil.process_iter()}
    with small_cluster(nodes, settings=QUICK) as made:
        if connect:
            import ray

            ray.init(address=made.address, log_to_driver=False, logging_level="ERROR")
        yield made
    wait_until(lambda: not ray_processes(before), "processes of Ray are left")


def ray_processes(before):
    """Return the processes of Ray that were not there before."""
    found = []
    for process in psutil.process_iter():
        if process.pid in before:
            continue
        with contextlib.suppress(psutil.Error):
            line = " ".join(process.cmdline())
            if "ray::" in line or "/ray/core/src" in line or "default_worker.py" in line:
                found.append((process.pid, line[:80]))
    return found


def wait_until(condition, message, timeout_s=60.0):
    end = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end, message
        time.sleep(0.1)


def kill_raylet(node):
    """Kill a node's raylet as a crash would; its workers see that and end."""
    (info,) = node.all_processes["raylet"]
    os.kill(info.process.pid, signal.SIGKILL)
    info.process.wait(30)


def wait_for_nodes(count):
    import ray

    wait_until(lambda: sum(node["Alive"] for node in ray.nodes()) == count, "nodes are missing")


def graders():
    """Return the process ids of all grader actors of this machine."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if "".join(process.cmdline()[:1]).startswith("ray::NodeGrader"):
                found.append(process.pid)
    return found
