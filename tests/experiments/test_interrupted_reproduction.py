"""Interrupted reproduction: stopped by any signal and continued, the results are the same."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

# A seed of an experiment with a few dozen programs for each run.
SCRIPT = """
import sys
from math import inf
from pathlib import Path

import torch

from codegym.experiments.all_experiments import AllExperiments
from codegym.experiments.experiment import Scale
from codegym.experiments.seed_by_seed import Budget
from codegym.training.interrupts import Interrupted, raising_on_signals

torch.set_num_threads(1)
scale = Scale(
    name="tiny", share=0.025, imitation=0.125, seeds=(1, 1), eval_count=8, eval_samples=2
)
everything = AllExperiments(
    scale=scale, out=Path(sys.argv[1]), seeds=range(1), least=1, mechanism=False,
    names=("weak-tests",),
)
try:
    with raising_on_signals():
        everything.run(Budget(inf), done=lambda run: print("done", flush=True))
except Interrupted as interrupted:
    sys.exit(interrupted.exit_code)
"""


def begin(out: Path) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-c", SCRIPT, str(out)], stdout=subprocess.PIPE, text=True
    )


def results(out: Path) -> dict[str, Any]:
    """Return the results without what a clock measures."""
    found: dict[str, Any] = json.loads((out / "weak-tests" / "results.json").read_text())
    for arm in found["arms"].values():
        del arm["train_s"]
    return found


def test_a_reproduction_that_is_stopped_and_continued_ends_the_same(tmp_path: Path) -> None:
    whole = begin(tmp_path / "whole")
    assert whole.wait() == 0
    broken = tmp_path / "broken"
    for runs, number in enumerate((signal.SIGINT, signal.SIGTERM, signal.SIGKILL), start=1):
        process = begin(broken)
        assert process.stdout is not None
        # In the middle of the next run.
        for _ in range(runs):
            assert process.stdout.readline() == "done\n"
        time.sleep(0.5)
        process.send_signal(number)
        code = process.wait()
        assert code == (-signal.SIGKILL if number == signal.SIGKILL else 128 + number)
        process.stdout.close()
    assert not (broken / "weak-tests" / "results.json").exists()
    last = begin(broken)
    assert last.wait() == 0
    assert results(broken) == results(tmp_path / "whole")
