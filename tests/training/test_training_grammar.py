"""Training under the grammar mask: what is learnt from is scored under the masks it was written."""

import ast
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from codegym import registry
from codegym.cli.train import command
from codegym.policies.checkpoint import load_policy
from codegym.training.config import TrainConfig
from codegym.training.run_folder import RunFolder
from codegym.training.trainer import Trainer
from codegym.trajectory import Batch, Trajectory

pytest.importorskip("lark")

SMALL: dict[str, dict[str, Any]] = {
    "sft": {"demonstrations": 8, "batch_size": 8},
    "rft": {"tasks": 4, "samples": 2},
    "actor_critic": {"tasks": 4, "samples": 2, "critic_updates": 0, "replay": 16, "replayed": 4},
    "coderl": {"tasks": 4, "samples": 2, "capacity": 8, "critic_steps": 2, "batch_size": 4},
    "grpo": {"tasks": 4, "samples": 2, "kl_coef": 0.1, "drop_even_groups": False, "epochs": 2},
    "ppo": {"tasks": 4, "samples": 2, "minibatches": 2, "epochs": 2},
    "rloo": {"tasks": 4, "samples": 2},
    "rltf": {"tasks": 4, "samples": 2, "capacity": 12, "minimum_fill": 4, "batch_size": 4},
    "sb3_ppo": {"tasks": 4, "samples": 2, "batch_size": 4, "epochs": 2},
    "uniform": {"tasks": 4, "samples": 2},
}  # fmt: skip


def config(agent: str, **settings: Any) -> TrainConfig:
    return TrainConfig.from_mapping(
        {
            "agent": agent, "warm_start_programs": 0, "reward": "rltf", "updates": 3,
            "eval_count": 1, "curve_points": 0, "max_new_tokens": 16, "workers": 1,
            "track": "none", "grammar": True, "agent_settings": SMALL[agent],
        }
        | settings
    )  # fmt: skip


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Batch, torch.Tensor]]:
    """Every batch of written programs an agent gets, and its log-probs before the update."""
    found: list[tuple[Batch, torch.Tensor]] = []

    def watched(cls: type[Any]) -> None:
        update = cls.update

        def looking(self: Any, trajectories: Sequence[Trajectory], **rest: Any) -> Any:
            written = [episode for episode in trajectories if not episode.demonstration]
            for episode in written:
                ast.parse(episode.program)
                assert episode.finished
            if written:
                batch = Batch.from_trajectories(written, pad_id=self.policy.tokenizer.pad_id)
                with torch.no_grad():
                    found.append((batch, self.policy.evaluate(batch).log_probs))
            return update(self, trajectories, **rest)

        monkeypatch.setattr(cls, "update", looking)

    for name in registry.names("agents"):
        watched(registry.get("agents", name))
    return found


@pytest.mark.parametrize("agent", registry.names("agents"))
@pytest.mark.slow
def test_without_a_step_nothing_has_moved(
    agent: str, tmp_path: Path, seen: list[tuple[Batch, torch.Tensor]]
) -> None:
    still = {} if agent == "uniform" else {"lr": 1e-12}
    if agent == "sft":
        still["weight_decay"] = 0.0
    folder = RunFolder(tmp_path / "run")
    asked = config(agent, agent_settings=SMALL[agent] | still)
    folder.create(asked.to_mapping())
    assert Trainer(asked, folder).run()
    # coderl writes no more once its buffer is full.
    assert len(seen) == {"sft": 0, "coderl": 1}.get(agent, 3)
    for batch, scored in seen:
        assert batch.masks is not None
        np.testing.assert_allclose(scored.numpy(), batch.log_probs, atol=1e-4)
    logged = list(folder.rows("metrics"))
    # By chance nothing passes that rft could learn from.
    if agent not in ("sft", "rft", "uniform"):
        assert any("approx_kl" in row for row in logged)
    for row in logged:
        assert abs(row.get("approx_kl", 0.0)) < 1e-5
        assert row.get("clipfrac", 0.0) == 0.0


def test_programs_written_ahead_keep_their_masks_over_a_stop(tmp_path: Path) -> None:
    asked = config("grpo", ahead=1, updates=4)
    whole, split = RunFolder(tmp_path / "whole"), RunFolder(tmp_path / "split")
    for folder in (whole, split):
        folder.create(asked.to_mapping())
    assert Trainer(asked, whole).run()
    trainer = Trainer(asked, split, watch=lambda update: trainer.stop())
    assert not trainer.run()
    assert Trainer(asked, split).run(resume=True)
    pairs = zip(*(load_policy(folder.checkpoint).module.parameters() for folder in (whole, split)),
                strict=True)  # fmt: skip
    assert all(torch.equal(left, right) for left, right in pairs)


def test_the_floor_writes_python_by_chance(
    tmp_path: Path, seen: list[tuple[Batch, torch.Tensor]]
) -> None:
    out = tmp_path / "run"
    done = CliRunner().invoke(command, [
        "--agent", "uniform", "--policy", "uniform", "--grammar", "--updates", "1",
        "--set", "tasks=8", "--set", "samples=2", "--eval-count", "1", "--curve-points", "0",
        "--max-new-tokens", "24", "--workers", "1", "--track", "none", "--out", str(out),
    ])  # fmt: skip
    if done.exception is not None:
        raise done.exception
    ((batch, scored),) = seen
    assert len(batch) == 16
    np.testing.assert_allclose(scored.numpy(), batch.log_probs, atol=1e-4)
    (row,) = RunFolder(out).rows("metrics")
    assert row.get("outcome/syntax_error", 0.0) == 0.0
