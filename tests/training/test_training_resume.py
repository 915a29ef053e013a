"""Resuming after stops at random moments, each time in a new process with other threads around."""

import json
import os
import subprocess
import sys
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

# Trains an unbroken run, and the same run with stops. Every part is a new process with another
# number of threads around it, forked after the imports, which take longest. Parts save after every
# update, so that many stops fall into a save. Runs begin with one thread: two threads on a busy
# machine wait for each other.
STOPS = """
import json, os, random, signal, sys, time
from pathlib import Path
import torch
import codegym.training.trainer as training
from codegym.training import session
from codegym.training.run_folder import RunFolder

whole, split = Path(sys.argv[1]), Path(sys.argv[2])
settings, stops, chance = json.loads(sys.argv[3]), int(sys.argv[4]), random.Random(int(sys.argv[5]))
training._SAVE_EVERY_S = training._SAVE_COST = 0.0
threads_seen = Path(sys.argv[6])

def watch(update):
    with threads_seen.open("a") as file:
        file.write(f"{torch.get_num_threads()}\\n")

def begin(path):
    # As a comparison begins its runs: the settings name no number of threads.
    folder = RunFolder(path)
    config = session.make_config(settings)
    folder.create(config.to_mapping())
    return training.Trainer(config, folder, watch=watch).run()

def process(threads, work):
    child = os.fork()
    if child == 0:
        code = 1
        try:
            torch.set_num_threads(threads)
            code = 0 if work() else 3
        finally:
            os._exit(code)
    return child

def ended(child):
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

def lines():
    log = split / "metrics.jsonl"
    return log.read_bytes().count(b"\\n") if log.exists() else 0

def resume():
    return session.resume(split, watch=watch).complete

assert ended(process(1, lambda: begin(whole))) == 0
child, threads, made = process(1, lambda: begin(split)), 1, 0
while made < stops:
    done, wanted = lines(), chance.randrange(1, 3)
    flags = os.WEXITED | os.WNOHANG | os.WNOWAIT
    while lines() < done + wanted and os.waitid(os.P_PID, child, flags) is None:
        time.sleep(0.001)
    time.sleep(chance.random() * 0.1)
    number = chance.choice((signal.SIGTERM, signal.SIGKILL))
    os.kill(child, number)
    code = ended(child)
    made += 1
    print(signal.Signals(number).name, "after", lines(), "updates with", threads,
          "threads around: exit", code, flush=True)
    assert code in (0, 3, -number), code
    threads = chance.choice([count for count in (1, 2, 3) if count != threads])
    child = process(threads, resume)
assert ended(child) == 0
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


def same(left: Path, right: Path) -> None:
    """Require two runs with the same weights and the same figures of every update."""
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


def stop_and_resume(folder: Path, asked: dict[str, Any], *, stops: int) -> None:
    """Compare an unbroken run with a run that is stopped at random moments."""
    seed = int(os.environ.get("CODEGYM_TEST_SEED") or int.from_bytes(os.urandom(4), "little"))
    print(f"CODEGYM_TEST_SEED={seed}, {asked['agent']}")  # shown if the test fails
    threads = folder / "threads"
    done = subprocess.run(
        [sys.executable, "-c", STOPS, str(folder / "whole"), str(folder / "split"),
         json.dumps(asked), str(stops), str(seed), str(threads)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    print(done.stdout)
    assert done.returncode == 0, done.stderr
    assert set(threads.read_text().split()) == {"1"}, "a part used the threads around it"
    same(folder / "whole", folder / "split")


def test_stops_at_random_moments_among_other_threads(tmp_path: Path) -> None:
    # Another agent each day would hide a fault for days; this one has most state.
    stop_and_resume(tmp_path, config("rltf", updates=6), stops=2)


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("ahead", [0, 1])
@pytest.mark.parametrize("agent", registry.names("agents"))
def test_every_agent_is_stopped_at_random_moments(agent: str, ahead: int, tmp_path: Path) -> None:
    asked = config(agent, updates=16, ahead=ahead, task_sampler="success")
    stop_and_resume(tmp_path, asked, stops=6)


RESUME = """
import sys
import torch
from codegym.training import session

seen = set()
report = session.resume(sys.argv[1], watch=lambda update: seen.add(torch.get_num_threads()))
assert report.complete and seen == {1}, seen
"""


def resumed(folder: Path, threads: int) -> None:
    """Resume in a new interpreter whose torch would take another number of threads by itself."""
    done = subprocess.run(
        [sys.executable, "-c", RESUME, str(folder)],
        env=os.environ | {"OMP_NUM_THREADS": str(threads), "MKL_NUM_THREADS": str(threads)},
        stderr=subprocess.PIPE, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("agent", registry.names("agents"))
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
    resumed(tmp_path / "split", 2)
    same(tmp_path / "whole", tmp_path / "split")
