"""The training loop: what it leaves behind, stopping and resuming to the last bit, bad settings."""

import json
import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner

from codegym import registry
from codegym.cli import root
from codegym.errors import CheckpointError, ConfigError, UnknownNameError
from codegym.policies.checkpoint import load_policy
from codegym.policies.gpt.gpt_policy import GPTPolicy
from codegym.sources import load_tasks
from codegym.tokenizers.lexemes import LexemeTokenizer
from codegym.training import run_record as record_module
from codegym.training import trainer as trainer_module
from codegym.training.config import TrainConfig
from codegym.training.run_folder import RunFolder
from codegym.training.run_record import Update
from codegym.training.trainer import Trainer
from codegym.training.word_list import tokenizer_for

TINY: dict[str, dict[str, Any]] = {
    "sft": {"demonstrations": 16, "batch_size": 8},
    "rft": {"tasks": 4, "samples": 2},
    "actor_critic": {"tasks": 4, "samples": 2, "critic_updates": 1},
    "coderl": {"tasks": 4, "samples": 2, "capacity": 8, "critic_steps": 2, "batch_size": 4},
    "grpo": {"tasks": 4, "samples": 2, "kl_coef": 0.1, "drop_even_groups": False},
    "ppo": {"tasks": 4, "samples": 2, "minibatches": 2},
    "rloo": {"tasks": 4, "samples": 2},
    "rltf": {"tasks": 4, "samples": 2, "capacity": 12, "minimum_fill": 4, "batch_size": 4},
    "sb3_ppo": {"tasks": 4, "samples": 2, "batch_size": 4},
    "uniform": {"tasks": 4, "samples": 2},
}


def config(agent: str, **settings: Any) -> TrainConfig:
    return TrainConfig.from_mapping(
        {
            "agent": agent,
            "warm_start_programs": 0,
            "reward": "rltf",
            "updates": 4,
            "eval_count": 2,
            "curve_points": 0,
            "max_new_tokens": 12,
            "workers": 1,
            "agent_settings": TINY[agent],
        }
        | settings
    )


def train(folder: Path, asked: TrainConfig, *, stop_after: int = 0, resume: bool = False) -> bool:
    run = RunFolder(folder)
    if not resume:
        run.create(asked.to_mapping())
    seen = 0

    def watch(update: Update) -> None:
        nonlocal seen
        seen += 1
        if seen == stop_after:
            trainer.stop()

    trainer = Trainer(asked, run, watch=watch)
    return trainer.run(resume=resume)


STOPPED = ("actor_critic", "rltf", "sb3_ppo")


def weights(folder: Path) -> list[torch.Tensor]:
    return list(load_policy(folder / "checkpoint").module.parameters())


def rows(folder: Path, name: str) -> list[dict[str, Any]]:
    """Return a log without what a clock wrote."""
    timed = ("_s", "share_")
    return [
        {key: value for key, value in row.items() if not any(mark in key for mark in timed)}
        for row in RunFolder(folder).rows(name)
    ]


# The other agents are stopped and resumed among the slow tests of test_training_resume.
@pytest.mark.parametrize(
    "agent",
    [
        pytest.param(name, marks=() if name in STOPPED else pytest.mark.slow)
        for name in registry.names("agents")
    ],
)
def test_a_stopped_and_resumed_run_equals_the_unsplit_one(agent: str, tmp_path: Path) -> None:
    asked = config(agent, warm_start_programs=16 if agent != "sft" else 0,
                   warm_start_settings=TINY["sft"] if agent != "sft" else {})  # fmt: skip
    assert train(tmp_path / "whole", asked)
    assert not train(tmp_path / "split", asked, stop_after=3)
    assert train(tmp_path / "split", asked, resume=True)
    for left, right in zip(weights(tmp_path / "whole"), weights(tmp_path / "split"), strict=True):
        assert torch.equal(left, right)
    for log in ("metrics", "curve"):
        assert rows(tmp_path / "whole", log) == rows(tmp_path / "split", log)
    assert train(tmp_path / "split", asked, resume=True), "a finished run resumes to its end"


def test_the_clock_starts_when_the_policy_is_prepared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is compiled on a machine's first run does not count into its minutes."""
    events: list[str] = []
    prepare, now = GPTPolicy.prepare, time.perf_counter
    monkeypatch.setattr(
        GPTPolicy, "prepare", lambda policy: events.append("prepared") or prepare(policy)
    )
    monkeypatch.setattr(trainer_module, "perf_counter", lambda: events.append("clock") or now())
    train(tmp_path / "run", config("rft", updates=1))
    assert events[0] == "prepared"
    assert "clock" in events


def test_another_seed_is_another_run(tmp_path: Path) -> None:
    for seed in (0, 1):
        train(tmp_path / str(seed), config("sft", updates=1, seed=seed))
    pairs = zip(weights(tmp_path / "0"), weights(tmp_path / "1"), strict=True)
    assert not all(torch.equal(left, right) for left, right in pairs)


def codegym(*arguments: str, **rest: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "codegym", *arguments], capture_output=True, text=True, **rest
    )


def test_the_command_leaves_a_report_and_a_plot(tmp_path: Path) -> None:
    out = tmp_path / "run"
    done = codegym(
        "train", "--agent", "rft", "--updates", "2", "--warm-start-programs", "16",
        "--eval-tasks", "composites?domain=big&depth=2&split=test", "--set", "tasks=4",
        "--set", "warm_start.demonstrations=16", "--eval-count", "3",
        "--curve-points", "1", "--max-new-tokens", "12", "--threads", "1", "--out", str(out),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "gain" in done.stdout
    report = json.loads((out / "report.json").read_text())
    assert report["summary"]["n_tasks"] == 3
    assert report["config"]["agent"] == "rft"
    assert (out / "learning_curve.png").read_bytes().startswith(b"\x89PNG")
    assert {row["moment"] for row in RunFolder(out).rows("curve")} == {"before", "curve", "after"}
    assert sorted(os.listdir(tmp_path)) == ["run"]
    # Further commands need no process of their own, whose imports take seconds.
    with pytest.raises(ConfigError, match="--resume"):
        root.main(
            ["train", "--agent", "rft", "--updates", "1", "--out", str(out)], standalone_mode=False
        )
    written = tmp_path / "measured.json"
    measured = CliRunner().invoke(
        root, ["eval", str(out), "--count", "3", "--greedy", "--out", str(written)]
    )
    assert measured.exit_code == 0, measured.output
    assert "pass@1" in measured.output
    # A run is measured as it measured itself: on its own held-out tasks, with its own budget.
    assert json.loads(written.read_text())["tasks"] == report["config"]["eval_tasks"]
    after = [row for row in RunFolder(out).rows("curve") if row["moment"] == "after"]
    assert json.loads(written.read_text())["outcomes"] == after[0]["greedy"]["outcomes"]


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    "number",
    [
        signal.SIGINT,
        pytest.param(signal.SIGTERM, marks=pytest.mark.slow),
        pytest.param(signal.SIGHUP, marks=pytest.mark.slow),
    ],
)
def test_a_signal_leaves_a_run_that_resumes(number: signal.Signals, tmp_path: Path) -> None:
    out = tmp_path / "run"
    settings = ["--agent", "rft", "--updates", "1000", "--set", "tasks=4", "--eval-count", "2",
                "--curve-points", "0", "--max-new-tokens", "12", "--threads", "1"]  # fmt: skip
    process = subprocess.Popen(
        [sys.executable, "-m", "codegym", "train", *settings, "--out", str(out)],
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 120
    while not list(RunFolder(out).rows("metrics")) and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(number)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 128 + number, errors
    assert errors.endswith(
        f"stopped by {number.name}; saved: the checkpoint in {out}/checkpoint; "
        f"continue with: codegym train --resume {out}\n"
    )
    assert "Traceback" not in errors and "Warning" not in errors
    done = len(list(RunFolder(out).rows("metrics")))
    assert 0 < done < 1000
    saved = TrainConfig.from_mapping(RunFolder(out).read_config())
    assert not train(out, saved, stop_after=1, resume=True)
    assert len(list(RunFolder(out).rows("metrics"))) == done + 1


TERMINAL = """
import fcntl, os, sys, termios
os.setsid()
fcntl.ioctl(0, termios.TIOCSCTTY)
os.execv(sys.executable, [sys.executable, "-m", "codegym", *sys.argv[1:]])
"""


@pytest.mark.slow
def test_a_terminal_that_is_closed_leaves_a_run_that_resumes(tmp_path: Path) -> None:
    out = tmp_path / "run"
    words = ["train", "--agent", "rft", "--updates", "1000", "--set", "tasks=4", "--eval-count",
             "2", "--curve-points", "0", "--max-new-tokens", "12", "--threads", "1", "--track",
             "none", "--out", str(out)]  # fmt: skip
    ours, theirs = os.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", TERMINAL, *words], stdin=theirs, stdout=theirs, stderr=theirs
    )
    os.close(theirs)
    deadline = time.monotonic() + 60
    while not list(RunFolder(out).rows("metrics")) and time.monotonic() < deadline:
        if select.select([ours], [], [], 0.05)[0]:
            os.read(ours, 4096)
    os.close(ours)
    assert process.wait(60) == 128 + signal.SIGHUP
    done = len(list(RunFolder(out).rows("metrics")))
    saved = TrainConfig.from_mapping(RunFolder(out).read_config())
    assert 0 < done < 1000 and not train(out, saved, stop_after=1, resume=True)
    assert len(list(RunFolder(out).rows("metrics"))) == done + 1


@pytest.mark.parametrize(
    ("settings", "error", "hint"),
    [
        ({"agnt": "rft"}, UnknownNameError, "'agent'"),
        ({"agent": "rtf"}, UnknownNameError, "'rltf'"),
        ({"policy": "gtp:tiny"}, UnknownNameError, "'gpt'"),
        ({"policy": "gpt:tini"}, UnknownNameError, "'tiny'"),
        ({"tasks": "compsites?depth=2"}, UnknownNameError, "'composites'"),
        ({"tasks": "composites?dept=2"}, UnknownNameError, "'depth'"),
        ({"reward": "binari"}, UnknownNameError, "'binary'"),
        ({"agent_settings": {"learning": 1}}, UnknownNameError, "setting of rft"),
        ({"agent_settings": {"lr": "fast"}}, ConfigError, "float"),
        ({"agent": "rltf", "agent_settings": {"baseline": "bst"}}, UnknownNameError, "'best'"),
        ({"agent_preset": "papr"}, UnknownNameError, "preset of rft"),
        ({"updates": 0}, ConfigError, "exactly one budget"),
        ({"minutes": 1.0}, ConfigError, "exactly one budget"),
        ({"seed": "x"}, ConfigError, "int"),
        ({"isolation": "namspace"}, UnknownNameError, "'namespace'"),
    ],
)
def test_bad_settings_name_the_nearest_good_one(
    settings: dict[str, Any], error: type[Exception], hint: str, tmp_path: Path
) -> None:
    base = {"agent": "rft", "updates": 1, "eval_count": 1}
    with pytest.raises(error, match=hint):
        asked = TrainConfig.from_mapping(base | settings)
        run = RunFolder(tmp_path / "run")
        trainer = Trainer(asked, run)
        run.create(asked.to_mapping())
        trainer.run()


def test_the_word_list_can_be_taken_from_the_training_tasks(tmp_path: Path) -> None:
    tasks = "composites?domain=all&depth=2&size=40"
    assert train(
        tmp_path / "run",
        config("sft", tasks=tasks, words=60, policy="gpt:tiny@128", updates=1, max_new_tokens=64),
    )
    policy = load_policy(tmp_path / "run" / "checkpoint")
    assert isinstance(policy.tokenizer, LexemeTokenizer) and policy.max_tokens == 128
    words = policy.tokenizer.words
    assert len(words) == 60 and {"\n    ", " list", " for"} <= set(words)
    assert words == tokenizer_for(load_tasks(tasks), "lexemes", 60).words
    assert tokenizer_for(load_tasks(tasks), "lexemes", 0) == LexemeTokenizer()
    with pytest.raises(ConfigError, match="no word list"):
        tokenizer_for(load_tasks(tasks), "bytes", 60)


def test_resuming_nothing_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="there is no run in this folder"):
        RunFolder(tmp_path).read_config()
    done = codegym("train", "--resume", str(tmp_path), "--agent", "rft")
    assert done.returncode == 2
    assert "takes no other setting" in done.stderr


def test_a_folder_that_is_no_run_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(ConfigError, match="not a run"):
        RunFolder(tmp_path).create({}, overwrite=True)
    assert (tmp_path / "thesis.txt").read_text() == "mine"


def test_two_processes_do_not_train_in_one_folder(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    folder.create(config("uniform").to_mapping())
    other = RunFolder(folder.path)
    with folder.held():
        with pytest.raises(ConfigError, match="another process trains"), other.held():
            raise AssertionError
        with pytest.raises(ConfigError, match="another process trains"):
            other.create({}, overwrite=True)
        with pytest.raises(ConfigError, match="another process trains"):
            train(folder.path, config("uniform"), resume=True)
    assert other.read_config()["agent"] == "uniform"
    with other.held():
        pass


def test_a_folder_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("mine")
    for path in (file, file / "run"):
        with pytest.raises(ConfigError, match="cannot be written"):
            RunFolder(path).create({}, overwrite=True)
    with pytest.raises(CheckpointError, match="there is no run"):
        train(tmp_path / "none", config("uniform"), resume=True)
    folder = RunFolder(tmp_path / "damaged")
    folder.create({"agent": "rft"})
    (folder.path / "config.yaml").write_text("agent: [")
    with pytest.raises(CheckpointError, match="unreadable"):
        folder.read_config()


def test_an_evaluation_that_was_made_before_is_not_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = config("rft", updates=1, eval_seed=7, eval_samples=2)
    first = RunFolder(tmp_path / "first")
    train(first.path, asked)
    ends = list(first.rows("curve"))
    assert ends[0]["sampled"]["n"] == 2 and ends[0]["sampled"]["seed"] == 7
    measured: list[int] = []
    plain = record_module.evaluate

    def counted(*arguments: Any, **rest: Any) -> Any:
        measured.append(rest["seed"])
        return plain(*arguments, **rest)

    monkeypatch.setattr(record_module, "evaluate", counted)
    second = RunFolder(tmp_path / "second")
    second.create(asked.to_mapping(), overwrite=False)
    assert Trainer(asked, second, before=ends[-1]).run()
    # Two evaluations after training, greedy and sampled; none before.
    assert measured == [7, 7]
    before = next(second.rows("curve"))
    assert before["moment"] == "before" and before["programs"] == 0
    assert before["sampled"] == ends[-1]["sampled"]
