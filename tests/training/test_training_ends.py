"""How runs end: early, killed at any moment, without one good demonstration; agents of others."""

import json
import os
import signal
import subprocess
import sys
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch

import codegym
from codegym import registry
from codegym.episode import Request
from codegym.errors import TaskError
from codegym.learning.learner import Learner, Optimiser
from codegym.policies.checkpoint import load_policy
from codegym.policy import Policy
from codegym.tasks.task import Task
from codegym.training.config import TrainConfig
from codegym.training.run_folder import RunFolder
from codegym.training.trainer import Trainer
from codegym.trajectory import Batch, Trajectory


def config(**settings: Any) -> TrainConfig:
    return TrainConfig.from_mapping(
        {
            "agent": "sft",
            "updates": 8,
            "eval_count": 2,
            "curve_count": 2,
            "curve_points": 0,
            "max_new_tokens": 32,
            "workers": 1,
            "track": "none",
            "agent_settings": {"demonstrations": 8, "batch_size": 8},
        }
        | settings
    )


def run(folder: Path, asked: TrainConfig) -> RunFolder:
    made = RunFolder(folder)
    made.create(asked.to_mapping())
    assert Trainer(asked, made).run()
    return made


def test_a_run_that_a_signal_ends_says_how_to_go_on(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    checkpoint = folder / "checkpoint"
    with pytest.warns(codegym.StoppedTrainingWarning) as warned:
        stopped = codegym.train(
            config(updates=2, warm_start_programs=0, threads=1),
            out=folder,
            watch=lambda update: os.kill(os.getpid(), signal.SIGTERM),
        )
    assert not stopped.complete and stopped.stopped_by == signal.SIGTERM
    assert [str(warning.message) for warning in warned] == [stopped.message]
    assert warned[0].filename == __file__
    assert stopped.message == (
        f"stopped by SIGTERM; saved: the checkpoint in {checkpoint}; "
        f"continue with: codegym.resume({str(folder)!r})"
    )
    with warnings.catch_warnings(action="error"):
        resumed = codegym.resume(folder)
    assert resumed.complete and resumed.message == f"complete; saved: {checkpoint}"


def test_a_phase_ends_early_when_nothing_improves(tmp_path: Path) -> None:
    # A learning rate of 0 never improves: the first point is the best, the next two are no better.
    settings = {"demonstrations": 8, "batch_size": 8, "lr": 0.0, "weight_decay": 0.0}
    folder = run(tmp_path / "run", config(curve_points=7, patience=2, agent_settings=settings))
    assert [row["moment"] for row in folder.rows("curve")] == [
        "before", "curve", "curve", "curve", "after",
    ]  # fmt: skip
    assert len(list(folder.rows("metrics"))) == 3
    losses = {row["loss"] for row in folder.rows("curve") if row["moment"] == "curve"}
    assert len(losses) == 1


def test_the_held_out_loss_falls_while_learning(tmp_path: Path) -> None:
    settings = {"demonstrations": 32, "batch_size": 8, "warmup_steps": 1}
    folder = run(tmp_path / "run", config(curve_points=1, agent_settings=settings))
    losses = [row["loss"] for row in folder.rows("curve")]
    assert losses == sorted(losses, reverse=True) and len(set(losses)) == len(losses)


def test_solutions_that_are_all_too_long_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(TaskError, match=r"none of the reference .* raise max_new_tokens"):
        run(tmp_path / "run", config(max_new_tokens=1))


def test_solutions_that_all_fail_are_an_error(tmp_path: Path) -> None:
    bad = Task.from_calls("def f(x):\n", "f", [((1,), 2)], canonical_solution="    return 0\n")
    path = tmp_path / "bad.jsonl"
    path.write_text(json.dumps(bad.to_json()) + "\n")
    uri = f"jsonl:{path}"
    with pytest.raises(TaskError, match=r"none of the reference solutions .* passed its tests"):
        run(tmp_path / "run", config(tasks=uri, eval_tasks=uri))


@dataclass(frozen=True, slots=True, kw_only=True)
class PlainConfig:
    """Settings."""

    lr: float = 1e-3


class Plain(Learner):
    """REINFORCE as a user would write it."""

    name = "plain"
    config_class = PlainConfig

    def __init__(self, policy: Policy, config: PlainConfig, *, seed: int) -> None:
        optimiser = Optimiser(policy, lr=config.lr, value_lr=config.lr)
        super().__init__(policy, config, seed=seed, optimiser=optimiser)

    def request(self) -> Request:
        """Ask."""
        return Request(tasks=4, samples=2)

    def update(
        self, trajectories: Sequence[Trajectory], *, progress: float = 0.0
    ) -> dict[str, float]:
        """Learn."""
        self.updates += 1
        batch = Batch.from_trajectories(trajectories, pad_id=self.policy.tokenizer.pad_id)
        scored = self.policy.evaluate(batch)
        advantages = torch.from_numpy(batch.rewards[:, None] * batch.mask)
        loss = -(advantages * scored.log_probs).sum() / batch.n_tokens
        self.optimiser.add(loss)
        self.optimiser.step()
        return {"loss": float(loss.detach())}


def test_a_registered_agent_trains(tmp_path: Path) -> None:
    registry.plugin("agents", "plain")(Plain)
    try:
        asked = config(agent="plain", updates=2, warm_start_programs=0, reward="rltf",
                       agent_settings={"lr": "1e-4"})  # fmt: skip
        folder = run(tmp_path / "run", asked)
        assert [row["phase"] for row in folder.rows("metrics")] == ["plain"] * 2
    finally:
        del registry._registered["agents"]["plain"]


DRIVER = """
import os
import signal
import sys
import time
from pathlib import Path
import torch
import codegym.training.trainer as training
from codegym.training.config import TrainConfig
from codegym.training.run_folder import RunFolder

torch.set_num_threads(1)
# Save after every update, so that most kills fall into a save.
training._SAVE_EVERY_S = training._SAVE_COST = 0.0
folder = RunFolder(Path(sys.argv[1]))
log = folder.path / "metrics.jsonl"

def train():
    training.Trainer(TrainConfig.from_mapping(folder.read_config()), folder).run(resume=True)

def lines():
    return log.read_bytes().count(b"\\n") if log.exists() else 0

for number in range(12):
    done, began = lines(), time.monotonic()
    child = os.fork()  # what was imported need not be imported again
    if child == 0:
        train()
        os._exit(0)
    # Into the updates, at a moment that differs each time.
    while lines() <= done + 1 and time.monotonic() < began + 60:
        time.sleep(0.002)
    time.sleep(0.013 * number)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    print("killed after", lines(), "updates", flush=True)
train()
"""


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("agent", ["actor_critic", "rltf"])
def test_a_run_killed_at_any_moment_resumes_to_the_last_bit(agent: str, tmp_path: Path) -> None:
    asked = config(
        agent=agent, updates=40, warm_start_programs=16, reward="rltf", ahead=1,
        warm_start_settings={"demonstrations": 8, "batch_size": 8},
        task_sampler="curriculum?window=8", prefix_curriculum="success?window=8",
        agent_settings={"tasks": 4, "samples": 2}
        | ({"capacity": 12, "minimum_fill": 4, "batch_size": 4} if agent == "rltf" else {}),
    )  # fmt: skip
    whole = run(tmp_path / "whole", asked)
    split = RunFolder(tmp_path / "split")
    split.create(asked.to_mapping())
    trainer = Trainer(asked, split, watch=lambda update: trainer.stop())
    assert not trainer.run()
    subprocess.run([sys.executable, "-c", DRIVER, str(split.path)], check=True)
    pairs = zip(*(load_policy(folder.checkpoint).module.parameters() for folder in (whole, split)),
                strict=True)  # fmt: skip
    assert all(torch.equal(left, right) for left, right in pairs)
    assert len(list(split.rows("metrics"))) == len(list(whole.rows("metrics")))
