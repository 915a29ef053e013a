"""Resuming in a new process, with other threads around, after a signal at a random moment."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from codegym import registry
from codegym.policies.checkpoint import load_policy
from codegym.training import session
from codegym.training.run_folder import RunFolder

SMALL: dict[str, dict[str, Any]] = {
    "sft": {"demonstrations": 8, "batch_size": 8},
    "rft": {"tasks": 4, "samples": 2},
    "actor_critic": {"tasks": 4, "samples": 2, "critic_updates": 1, "replay": 8, "replayed": 4},
    "coderl": {"tasks": 4, "samples": 2, "capacity": 8, "critic_steps": 2, "batch_size": 4},
    "grpo": {"tasks": 4, "samples": 2, "kl_coef": 0.1, "drop_even_groups": False},
    "ppo": {"tasks": 4, "samples": 2, "minibatches": 2},
    "rloo": {"tasks": 4, "samples": 2},
    "rltf": {"tasks": 4, "samples": 2, "capacity": 12, "minimum_fill": 4, "batch_size": 4},
    "sb3_ppo": {"tasks": 4, "samples": 2, "batch_size": 4},
    "uniform": {"tasks": 4, "samples": 2},
}

# Trains in a new process whose torch would take another number of threads by itself. Runs use a
# single thread: two threads on a busy machine wait for each other.
DRIVER = """
import json, sys
import torch
from codegym.training import session

torch.set_num_threads(int(sys.argv[2]))
if len(sys.argv) > 3:
    report = session.train(json.loads(sys.argv[3]), out=sys.argv[1])
else:
    seen = set()
    report = session.resume(
        sys.argv[1], watch=lambda update: seen.add(torch.get_num_threads())
    )
    assert seen <= {1}, seen
print("complete" if report.complete else "stopped")
"""


def config(agent: str, **settings: Any) -> dict[str, Any]:
    return {
        "agent": agent, "warm_start_programs": 0 if agent == "sft" else 16, "reward": "rltf",
        "warm_start_settings": {} if agent == "sft" else SMALL["sft"], "updates": 12,
        "eval_count": 1, "curve_points": 0, "max_new_tokens": 32, "workers": 1, "track": "none",
        "agent_settings": SMALL[agent],
        # On eight programs again and again, coderl does diverge.
        "guard": False,
    } | settings  # fmt: skip


def start(folder: Path, threads: int, *settings: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-c", DRIVER, str(folder), str(threads), *settings]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                            env=os.environ | {"OMP_NUM_THREADS": str(threads)})  # fmt: skip


def finish(process: "subprocess.Popen[str]") -> str:
    out, errors = process.communicate(timeout=100)
    assert process.returncode == 0, errors
    return out.strip()


def same(left: Path, right: Path) -> None:
    pairs = zip(
        *(load_policy(path / "checkpoint").module.parameters() for path in (left, right)),
        strict=True,
    )
    assert all(torch.equal(*pair) for pair in pairs)
    logs = [
        [
            {key: value for key, value in row.items() if "_s" not in key and "share_" not in key}
            for row in RunFolder(path).rows("metrics")
        ]
        for path in (left, right)
    ]
    assert logs[0] == logs[1]


AGENTS = [
    pytest.param(agent, marks=[] if agent == "grpo" else pytest.mark.slow)
    for agent in registry.names("agents")
]


@pytest.mark.parametrize("agent", AGENTS)
def test_a_run_resumed_among_other_threads_gives_the_same_bits(agent: str, tmp_path: Path) -> None:
    asked = config(agent, updates=4, threads=1)
    assert session.train(asked, out=tmp_path / "whole").complete
    seen = 0

    def watch(update: session.Update) -> None:
        nonlocal seen
        seen += 1
        if seen == 4:
            trainer.stop()

    trainer = session.prepare(session.make_config(asked), tmp_path / "split", watch=watch)
    trainer.folder.create(trainer.config.to_mapping())
    assert not trainer.run()
    assert RunFolder(tmp_path / "split").read_config()["threads"] == 1
    assert finish(start(tmp_path / "split", 2)) == "complete"
    same(tmp_path / "whole", tmp_path / "split")


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    "agent",
    [pytest.param(agent, marks=pytest.mark.slow) for agent in registry.names("agents")],
)
def test_sigterm_at_a_random_moment_loses_nothing(agent: str, tmp_path: Path) -> None:
    seed = int.from_bytes(os.urandom(4), "little")
    print(f"seed {seed}")  # shown if the test fails
    chance = random.Random(seed)
    asked = config(agent, updates=40)
    first = start(tmp_path / "split", 1, json.dumps(asked))
    log = tmp_path / "split" / "metrics.jsonl"
    wanted, deadline = chance.randrange(1, 30), time.monotonic() + 60
    while time.monotonic() < deadline and first.poll() is None:
        if log.exists() and log.read_bytes().count(b"\n") >= wanted:
            break
        time.sleep(0.002)
    time.sleep(chance.random() * 0.05)
    first.send_signal(signal.SIGTERM)
    state = finish(first)
    if state == "stopped":
        assert finish(start(tmp_path / "split", 2)) == "complete"
    assert finish(start(tmp_path / "whole", 1, json.dumps(asked))) == "complete"
    same(tmp_path / "whole", tmp_path / "split")
