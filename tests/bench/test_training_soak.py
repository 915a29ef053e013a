"""Training soak: no fault of the sandbox becomes a reward, and what differs is noticed."""

import dataclasses
import signal
from pathlib import Path
from typing import Any

import pytest

from codegym.bench.disturber import Disturber, sandbox_processes
from codegym.bench.training_soak import (
    RSS_SLACK_BYTES,
    TrainingSoakReport,
    training_soak,
)
from codegym.sandbox import Job, make_sandbox, wire
from codegym.training import trainer as trainer_module

SETTINGS: dict[str, Any] = {
    "agent": "grpo", "ahead": 1, "workers": 2, "threads": 1, "updates": 100_000, "seed": 1,
    "warm_start_programs": 32, "warm_start_settings": {"demonstrations": 16, "batch_size": 8},
    "agent_settings": {"tasks": 4, "samples": 4}, "max_new_tokens": 32, "curve_points": 0,
    "eval_count": 2, "track": "none", "guard": False, "reward": "rltf",
}  # fmt: skip


def test_killed_workers_change_no_reward(tmp_path: Path) -> None:
    report = training_soak(
        SETTINGS, minutes=0.05, every_s=0.15, busy=0, seed=2, folder=tmp_path,
        signals=(signal.SIGKILL,),
    )  # fmt: skip
    assert report.updates and sum(report.signals.values())
    assert report.different == () and report.same_weights and report.left == 0


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("agent", ["rltf", "sft"])
def test_killed_and_stopped_workers_change_no_reward(agent: str, tmp_path: Path) -> None:
    own: dict[str, Any] = {"agent": agent}
    if agent == "sft":
        own |= {"warm_start_programs": 0, "agent_settings": {"demonstrations": 16}}
    report = training_soak(
        SETTINGS | own, minutes=1.0, every_s=2.0, busy=2, seed=3, folder=tmp_path
    )
    assert any("SIGSTOP" in name for name in report.signals)
    assert report.faults == []


def test_a_changed_reward_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    measured = trainer_module.update_metrics
    calls = 0

    def changed(*args: Any) -> dict[str, float]:
        nonlocal calls
        calls += 1
        return measured(*args) | {"reward": 7.0 if calls == 1 else 0.0}

    monkeypatch.setattr(trainer_module, "update_metrics", changed)
    monkeypatch.setattr(Disturber, "run", lambda self: None)
    report = training_soak(SETTINGS, minutes=0.001, every_s=1.0, busy=0, seed=2, folder=tmp_path)
    assert report.different == (0,)


def test_faults_are_put_into_words() -> None:
    good = TrainingSoakReport(
        updates=5, programs=80, seconds=10.0, signals={}, ends=0, different=(), same_weights=True,
        rss_bytes=((1.0, 100), (3.0, 200), (9.0, 300)), left=0,
    )  # fmt: skip
    assert good.faults == [] and good.rss_growth_bytes == 100
    grown = ((3.0, 0), (9.0, RSS_SLACK_BYTES + (1 << 20)))
    bad = dataclasses.replace(good, different=(3, 4), same_weights=False, left=2, rss_bytes=grown)
    assert bad.faults == [
        "2 updates differ, the first is 3",
        "the weights differ",
        f"the driver grew by {(RSS_SLACK_BYTES >> 20) + 1} MiB",
        "2 processes left behind",
    ]


@pytest.mark.parametrize("isolation", ["namespace", "landlock"])
def test_programs_are_no_processes_of_the_sandbox(isolation: str) -> None:
    sleeps = Job(
        program="import time\ntime.sleep(0.5)\ndef f():\n    return 1\n",
        mode="call",
        payload=wire.dumps({"function": "f", "calls": [[[], {}]]}),
    )
    with make_sandbox(isolation, workers=2) as sandbox:
        sandbox.run([sleeps] * 2)
        resting = sandbox_processes(sandbox)
        sandbox.submit(sleeps)
        assert sandbox_processes(sandbox) == resting
        sandbox.collect()
    names = ["bubblewrap", "zygote"] if isolation == "namespace" else ["zygote"]
    assert sorted(name for _, name in resting) == sorted(names * 2)
    assert sandbox_processes(None) == []
