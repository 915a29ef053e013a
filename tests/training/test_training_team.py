"""Runs of several processes: the same numbers, resumed to the bit, and no process left behind."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch

from codegym.errors import ConfigError, SandboxError, TeamError
from codegym.policies.checkpoint import load_policy
from codegym.training import session
from codegym.training.run_folder import RunFolder
from codegym.training.run_record import Update
from codegym.training.trainer import Trainer

SMALL: dict[str, dict[str, Any]] = {
    "rft": {"tasks": 6, "samples": 2},
    "actor_critic": {"tasks": 5, "samples": 2, "critic_updates": 1, "replay": 8, "replayed": 4},
    "coderl": {"tasks": 4, "samples": 2, "capacity": 8, "critic_steps": 2, "batch_size": 4},
    "grpo": {"tasks": 5, "samples": 2, "kl_coef": 0.1, "drop_even_groups": False},
    "ppo": {"tasks": 5, "samples": 2, "minibatches": 2},
    "rloo": {"tasks": 5, "samples": 2},
    "rltf": {"tasks": 5, "samples": 2, "capacity": 12, "minimum_fill": 4, "batch_size": 4},
}


def settings(agent: str = "grpo", **others: Any) -> dict[str, Any]:
    return {
        "agent": agent, "agent_settings": SMALL[agent], "reward": "rltf", "updates": 3,
        "warm_start_programs": 64, "warm_start_settings": {"demonstrations": 32, "batch_size": 8},
        "eval_count": 2, "curve_points": 0, "max_new_tokens": 32, "track": "none", "guard": False,
        "threads": 1, "processes": 2,
    } | others  # fmt: skip


def weights(folder: Path) -> torch.Tensor:
    module = load_policy(folder / "checkpoint").module
    return torch.cat([weight.detach().flatten() for weight in module.parameters()])


def losses(folder: Path, phase: str) -> list[float]:
    rows = map(json.loads, (folder / "metrics.jsonl").read_text().splitlines())
    return [row["loss"] for row in rows if row["phase"] == phase and "loss" in row]


def members() -> list[psutil.Process]:
    return [
        child
        for child in psutil.Process().children(recursive=True)
        if "codegym.training.member" in " ".join(child.cmdline())
    ]


@pytest.mark.slow
def test_a_warm_start_of_two_processes_is_that_of_one(tmp_path: Path) -> None:
    for processes in (1, 2):
        report = session.train(
            settings(processes=processes, updates=1), out=tmp_path / str(processes)
        )
        assert report.complete and report.config.processes == processes
    # Both imitate the same solutions; sums are taken in another order.
    alone, team = (losses(tmp_path / str(number), "warm start") for number in (1, 2))
    assert len(alone) >= 2
    assert team == pytest.approx(alone, rel=1e-4) and team != alone
    assert not members()


@pytest.mark.slow
@pytest.mark.parametrize("agent", SMALL)
@pytest.mark.parametrize("ahead", [0, 1])
def test_a_stopped_run_goes_on_to_the_bit(agent: str, ahead: int, tmp_path: Path) -> None:
    asked = settings(agent, ahead=ahead)
    session.train(asked, out=tmp_path / "whole")
    folder = RunFolder(tmp_path / "split")
    config = session.make_config(asked)
    folder.create(config.to_mapping())
    trainer = Trainer(config, folder, watch=lambda update: trainer.stop())
    assert not trainer.run()
    while not Trainer(config, folder, watch=lambda update: None).run(resume=True):
        pytest.fail("nobody asked the run to stop")
    assert torch.equal(weights(tmp_path / "whole"), weights(tmp_path / "split"))
    for phase in ("warm start", agent):
        pair = [losses(tmp_path / name, phase) for name in ("whole", "split")]
        assert pair[0] == pair[1]


@pytest.mark.slow
def test_a_killed_member_ends_the_run_and_nothing_saved_is_lost(tmp_path: Path) -> None:
    def kill(update: Update) -> None:
        if update.phase == "grpo":
            members()[0].kill()

    with pytest.raises(TeamError, match="--resume"):
        session.train(settings(), out=tmp_path / "run", watch=kill)
    assert not members()
    assert session.resume(tmp_path / "run").complete
    session.train(settings(), out=tmp_path / "whole")
    assert torch.equal(weights(tmp_path / "whole"), weights(tmp_path / "run"))


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL, signal.SIGINT])
def test_no_process_outlives_the_leader(number: signal.Signals, tmp_path: Path) -> None:
    config = tmp_path / "config.yaml"
    config.write_text(json.dumps(settings(updates=500)))
    command = [sys.executable, "-m", "codegym", "train", "--config", str(config), "-q"]
    leader = subprocess.Popen(
        [*command, "--out", str(tmp_path / "run")],
        start_new_session=True,
        stderr=subprocess.DEVNULL,
    )
    try:
        log = tmp_path / "run" / "metrics.jsonl"
        while not log.exists() or log.read_text().count("\n") < 3:
            assert leader.poll() is None
        of_the_run = psutil.Process(leader.pid).children(recursive=True)
        assert any("codegym.training.member" in " ".join(each.cmdline()) for each in of_the_run)
        if number == signal.SIGINT:
            # Ctrl-C reaches every process of the terminal.
            os.killpg(leader.pid, number)
        else:
            leader.send_signal(number)
        code = leader.wait(timeout=90)
        assert code == (-number if number == signal.SIGKILL else 128 + number)
        gone, alive = psutil.wait_procs(of_the_run, timeout=20)
        assert not alive and gone
    finally:
        leader.kill()
        leader.wait()


@pytest.mark.slow
def test_an_error_of_a_member_is_the_runs(tmp_path: Path, monkeypatch: Any) -> None:
    # The leader is told of the isolation that works for it alone.
    import codegym.training.trainer as trainer

    real = trainer.leading

    def elsewhere(size: int, job: dict[str, Any], **others: Any) -> Any:
        return real(size, job | {"config": job["config"] | {"isolation": "broken"}}, **others)

    monkeypatch.setattr(trainer, "leading", elsewhere)
    with pytest.raises((ConfigError, SandboxError), match="broken"):
        session.train(settings(), out=tmp_path / "run")
    assert not members()


def test_an_agent_of_one_process_is_refused_before_a_folder_is_made(tmp_path: Path) -> None:
    asked = settings() | {"agent": "sb3_ppo", "agent_settings": {}}
    with pytest.raises(ConfigError, match="learns in one process"):
        session.train(asked, out=tmp_path / "run")
    assert not (tmp_path / "run").exists()
