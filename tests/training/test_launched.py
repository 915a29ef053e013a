"""Processes of ``torchrun`` train one policy: what one process learns, they learn.

``accelerate launch`` starts several processes by the same program.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from codegym.errors import ConfigError
from codegym.policies.hf.hf_policy import HFPolicy
from codegym.training import session
from codegym.training.launched import launch_rank, launch_size

# Three updates of GRPO from the same episodes, by as many processes as the launcher starts.
_UPDATES = """
import json, sys
import numpy as np, torch
from codegym.agents.grpo import GRPO, GRPOConfig
from codegym.learning.team import Team
from codegym.policies.hf.hf_config import HFConfig
from codegym.policies.hf.hf_policy import HFPolicy
from codegym.training.launched import launch_size, launch_team
from codegym.trajectory import Trajectory

def learn(team):
    policy = HFPolicy.open(sys.argv[1], HFConfig(max_tokens=64, lora_rank=2), seed=0)
    agent = GRPO(policy, GRPOConfig(lr=1e-2, kl_coef=0.0, minibatches=3), seed=0)
    agent.join(team)
    rng = np.random.default_rng(0)
    losses = []
    for _ in range(3):
        episodes = []
        for row in range(22):
            count = int(rng.integers(1, 9))
            actions = rng.integers(30, 120, count)
            blank = np.zeros(count, np.float32)
            episodes.append(Trajectory(
                task_id=str(row % 5), prompt=np.arange(40, 44 + row % 5), actions=actions,
                log_probs=blank - 5.5, values=blank, reward=float(rng.integers(2)), credit=blank,
                finished=True, program=""))
        losses.append(agent.update(episodes)["loss"])
    return losses

if launch_size() > 1:
    with launch_team() as team:
        losses = learn(team)
        everybody = team.gather(losses)
        assert len(everybody) == 2 and everybody[0] == everybody[1], everybody
        leads = team.leads
else:
    losses, leads = learn(Team()), True
if leads:
    print(json.dumps([launch_size(), losses]))
"""


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "base"
    HFPolicy.specimen(seed=1).save(folder)
    for name in ("codegym.json", "codegym_hf.json", "value_head.safetensors"):
        (folder / name).unlink()
    return folder


def launched(*command: str) -> str:
    """Return what two processes of ``torchrun`` on the CPU print."""
    start = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2"]
    start += ["--rdzv-backend", "c10d", "--rdzv-endpoint", "127.0.0.1:0"]
    return run(*start, "--local-addr", "127.0.0.1", *command)


def run(*command: str) -> str:
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


@pytest.mark.slow
@pytest.mark.timeout(3000)
def test_two_processes_have_the_losses_of_one(base: Path, tmp_path: Path) -> None:
    script = tmp_path / "updates.py"
    script.write_text(_UPDATES, encoding="utf-8")
    one, alone = json.loads(run(sys.executable, str(script), str(base)))
    two, together = json.loads(launched(str(script), str(base)).splitlines()[-1])
    assert (one, two) == (1, 2)
    assert len(set(alone)) == 3
    assert together == pytest.approx(alone, abs=1e-4)


def test_a_process_alone_leads(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("RANK", "WORLD_SIZE"):
        monkeypatch.delenv(name, raising=False)
    assert (launch_rank(), launch_size()) == (0, 1)
    assert not session.follow_launch(None)
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert (launch_rank(), launch_size()) == (1, 2)
    with pytest.raises(ConfigError, match="process 0 of a launcher leads"):
        session.train(updates=1, out=tmp_path / "run")
    with pytest.raises(ConfigError, match="another number of processes"):
        session.prepare(session.make_config(updates=1, processes=3))
    monkeypatch.setenv("WORLD_SIZE", "two")
    with pytest.raises(ConfigError, match="WORLD_SIZE is unusable"):
        launch_size()
