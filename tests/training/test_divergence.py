"""The guard: what it stops, what it lets pass, and how a stopped run goes on from a good state."""

from pathlib import Path
from typing import Any

import pytest

from codegym.errors import ConfigError, TrainingDivergedError, UnknownNameError
from codegym.policies.checkpoint import load_trainer
from codegym.settings import settings_of
from codegym.training.config import TrainConfig
from codegym.training.divergence import DivergenceGuard, GuardConfig
from codegym.training.run_folder import RunFolder
from codegym.training.trainer import Trainer


def guard(**settings: Any) -> DivergenceGuard:
    return DivergenceGuard(GuardConfig(**settings), vocab_size=100)


def feed(watched: DivergenceGuard, rows: list[dict[str, float]], **rest: Any) -> None:
    for row in rows:
        watched.check(row, programs=256, **rest)


@pytest.mark.parametrize("name", ["loss", "grad_norm", "value_loss"])
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_number_that_is_none_stops_at_once(name: str, value: float) -> None:
    with pytest.raises(TrainingDivergedError, match=f"update 7 of rft: {name} is not finite"):
        guard().check({name: value}, programs=8, where="update 7 of rft")


def test_a_distant_policy_stops_after_some_updates_in_a_row() -> None:
    far, near = {"approx_kl": 1.5, "pass_rate": 0.2}, {"approx_kl": 0.1, "pass_rate": 0.2}
    feed(guard(), [far, far, near, far, far])
    with pytest.raises(TrainingDivergedError, match="approx_kl above 1 nats a token for 3 updates"):
        feed(guard(), [far, far, near, far, far, far])
    feed(guard(max_kl=0), [far] * 9)


def test_a_lost_pass_rate_stops() -> None:
    good, bad = {"pass_rate": 0.4}, {"pass_rate": 0.0}
    # The average of 1024 programs, 4 updates, falls below a quarter of 0.4 when three of the four
    # are bad and one good (0.1 is not below), so the fourth bad one is the first that counts.
    feed(guard(), [good] * 6 + [bad] * 5)
    with pytest.raises(TrainingDivergedError, match=r"fell from 0\.400 and stayed down"):
        feed(guard(), [good] * 6 + [bad] * 6)


def test_a_planned_drop_is_no_collapse() -> None:
    watched = guard()
    feed(watched, [{"pass_rate": 0.8}] * 8, stage=0)
    feed(watched, [{"pass_rate": 0.01}] * 20, stage=1)
    feed(guard(), [{"pass_rate": 0.8}] * 8 + [{"pass_rate": 0.01}] * 20, even=False)


def test_a_policy_that_never_passed_has_nothing_to_lose() -> None:
    feed(guard(), [{"pass_rate": 0.01, "entropy": 4.0}] * 4 + [{"pass_rate": 0.0}] * 20)


def test_entropy_that_vanishes_without_success_stops() -> None:
    stuck = {"entropy": 1e-4, "pass_rate": 0.01}
    with pytest.raises(TrainingDivergedError, match="entropy below"):
        feed(guard(), [stuck] * 3)
    # Below half of its best average of 0.6, above the quarter that the other rule asks for.
    with pytest.raises(TrainingDivergedError, match="entropy below"):
        feed(guard(), [{"entropy": 0.1, "pass_rate": 0.6}] * 4
             + [{"entropy": 1e-4, "pass_rate": 0.25}] * 3)  # fmt: skip
    # Eight tasks of twenty learnt by heart and the others out of reach is no collapse.
    feed(guard(), [{"entropy": 1e-4, "pass_rate": 0.4}] * 20)
    feed(guard(min_entropy=0), [stuck] * 20)


def test_entropy_that_explodes_stops_and_a_fresh_policy_is_let_be() -> None:
    # The uniform distribution over 100 tokens has 4.605 nats; 0.7 of that is 3.22.
    fresh = {"entropy": 4.5, "pass_rate": 0.0}
    feed(guard(), [fresh] * 20)
    with pytest.raises(TrainingDivergedError, match=r"entropy rose from 0\.300"):
        feed(guard(), [{"entropy": 0.3, "pass_rate": 0.1}] * 3 + [fresh] * 3)


def test_demonstrations_that_are_unlearnt_stop() -> None:
    rows = [{"loss": 5.0}, {"loss": 1.0}] + [{"loss": 3.5}] * 3
    watched = guard()
    with pytest.raises(TrainingDivergedError, match=r"far above its 1\.000 for 3 updates"):
        for row in rows:
            watched.check(row, programs=0)


def test_a_restored_guard_goes_on() -> None:
    first, again = guard(), guard()
    far = {"approx_kl": 2.0, "pass_rate": 0.5}
    feed(first, [far, far], stage=(1, 0))
    again.load_state_dict(first.state_dict())
    assert not again.healthy
    with pytest.raises(TrainingDivergedError):
        feed(again, [far], stage=(1, 0))


def test_settings_are_checked() -> None:
    with pytest.raises(UnknownNameError, match="'max_kl'"):
        settings_of(GuardConfig, {"max_lk": 1}, "setting of guard")
    with pytest.raises(ConfigError, match="patience"):
        GuardConfig(patience=0)


def config(**settings: Any) -> TrainConfig:
    return TrainConfig.from_mapping(
        {
            "agent": "actor_critic",
            "reward": "rltf",
            "updates": 40,
            "warm_start_programs": 16,
            "warm_start_settings": {"demonstrations": 16, "batch_size": 8},
            "eval_count": 2,
            "curve_points": 0,
            "max_new_tokens": 8,
            "workers": 1,
            # A learning rate that no policy survives.
            "agent_settings": {
                "tasks": 4,
                "samples": 4,
                "critic_updates": 0,
                "warmup_updates": 1,
                "lr": 3.0,
                "negative_scale": 1.0,
            },
        }
        | settings
    )


def test_a_run_that_diverges_keeps_its_last_good_state(tmp_path: Path) -> None:
    asked = config()
    folder = RunFolder(tmp_path / "run")
    folder.create(asked.to_mapping())
    with pytest.raises(TrainingDivergedError) as caught:
        Trainer(asked, folder).run()
    message = str(caught.value)
    assert "of actor_critic" in message and f"--resume {folder.path} --good" in message
    good = load_trainer(folder.good)
    assert good["progress"]["phase"] == 1
    done = len(list(folder.rows("metrics")))
    # A smaller learning rate goes on from there to the end.
    calmer = config(**{**asked.to_mapping(), "updates": done + 3}
                    | {"agent_settings": {**asked.agent_settings, "lr": 1e-4}})  # fmt: skip
    assert Trainer(calmer, folder).run(resume=True, good=True)
    rows = [row for row in folder.rows("metrics") if row["phase"] == "actor_critic"]
    assert [row["update"] for row in rows] == list(range(1, done + 4))


def test_the_guard_can_be_switched_off(tmp_path: Path) -> None:
    asked = config(guard=False, updates=5)
    folder = RunFolder(tmp_path / "run")
    folder.create(asked.to_mapping())
    assert Trainer(asked, folder).run()
