"""A test that the examiner never begins gives no results, least of all those of the test before."""

import os
import signal
from pathlib import Path

import pytest

import codegym
from codegym import Limits, Outcome, Task
from codegym.bench.soak import descendants
from codegym.errors import SandboxUnavailableError


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


def test_an_examiner_that_does_not_begin_passes_nothing(sandbox):
    """Its shared memory still holds the results of a test with more cases, all of them passed."""
    before = Task.from_assertions(
        "", "solve", "".join(f"assert solve({n}) in [{n + 1}]\n" for n in range(4))
    )
    task = Task.from_assertions("", "solve", "assert solve(1) in [2]\n", limits=Limits(wall_s=0.2))
    for number in range(3):
        right = f"# {number}\ndef solve(x):\n    return x + 1\n"
        assert codegym.judge(right, before, sandbox=sandbox).passed
        stop_examiners()
        wrong = f"# {number}\ndef solve(x):\n    return 3\n"
        assert codegym.judge(wrong, task, sandbox=sandbox).outcome is Outcome.TIMEOUT
