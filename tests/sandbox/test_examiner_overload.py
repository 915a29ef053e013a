"""A test that the examiner never begins gives no results, least of all those of the test before."""

import os
import signal
from pathlib import Path

import pytest

import codegym
from codegym import Limits, Outcome, Task
from codegym.bench.soak import descendants
from codegym.errors import SandboxUnavailableError
from codegym.sandbox.launcher import Process


@pytest.fixture(params=["namespace", pytest.param("landlock", marks=pytest.mark.slow)])
def sandbox(request):
    try:
        made = codegym.make_sandbox(isolation=request.param, workers=1)
    except SandboxUnavailableError as error:
        pytest.skip(str(error))
    with made:
        yield made


def stop_examiners() -> None:
    """Hold up every examiner below this process, as a machine under load would."""
    found = [
        pid
        for pid in descendants(os.getpid())
        if '"role": "examiner"' in Path(f"/proc/{pid}/cmdline").read_text()
    ]
    assert found
    for pid in found:
        os.kill(pid, signal.SIGSTOP)


def test_an_examiner_that_does_not_begin_passes_nothing(sandbox, monkeypatch):
    """Its shared memory still holds the results of a test with more cases, all of them passed."""
    # An examiner that gets no processor is not stopped.
    monkeypatch.setattr(Process, "is_stopped", False)
    before = Task.from_assertions(
        "", "solve", "".join(f"assert solve({n}) in [{n + 1}]\n" for n in range(4))
    )
    task = Task.from_assertions("", "solve", "assert solve(1) in [2]\n", limits=Limits(wall_s=0.2))
    for number in range(2):
        right = f"# {number}\ndef solve(x):\n    return x + 1\n"
        assert codegym.judge(right, before, sandbox=sandbox).passed
        stop_examiners()
        wrong = f"# {number}\ndef solve(x):\n    return 3\n"
        assert codegym.judge(wrong, task, sandbox=sandbox).outcome is Outcome.TIMEOUT


def test_a_stopped_examiner_costs_no_program_its_verdict(sandbox):
    task = Task.from_assertions("", "solve", "assert solve(1) in [2]\n", limits=Limits(wall_s=0.2))
    assert codegym.judge("def solve(x):\n    return 2\n", task, sandbox=sandbox).passed
    stop_examiners()
    assert codegym.judge("def solve(x):\n    return 1 + 1\n", task, sandbox=sandbox).passed
    assert sandbox.restarts == 1
