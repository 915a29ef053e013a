"""GRPO's switches by hand: DAPO's dynamic sampling and overlong programs, Dr. GRPO's averages."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from codegym import registry
from codegym.checks.check_agent import check_agent
from codegym.checks.symbol_world import SymbolWorld
from codegym.learning.advantages import soft_overlong_punishment
from codegym.trajectory import Batch, Trajectory

FAST = {"lr": 1e-3, "warmup_updates": 1, "tasks": 4, "samples": 4, "negative_scale": 1.0}


def make(world: SymbolWorld | None = None, **settings: Any) -> Any:
    cls = registry.get("agents", "grpo")
    return cls((world or SymbolWorld()).policy(), cls.config_class(**FAST | settings), seed=1)


def program(
    reward: float, length: int = 2, *, task: str = "t", finished: bool = True
) -> Trajectory:
    floats = np.zeros(length, dtype=np.float32)
    return Trajectory(
        task_id=task, prompt=np.array([2]), actions=np.array([3] * (length - 1) + [1]),
        log_probs=floats, values=floats, reward=reward, token_rewards=floats, finished=finished,
        program="b",
    )  # fmt: skip


def test_overlong_punishment_by_hand() -> None:
    # Free up to 48 of 64 tokens, then 1/16 a token, all of it from 64 on.
    got = soft_overlong_punishment(np.array([10, 48, 52, 56, 64, 99]), longest=64, cache=16)
    assert got.tolist() == [0.0, 0.0, -0.25, -0.5, -1.0, -1.0]


def test_long_programs_are_punished_or_filtered() -> None:
    rows = [program(1.0, 60), program(1.0, 10, finished=False), program(0.0, 10)]
    plain = make(scale=False)._contrast(rows)
    assert [one.token_rewards[0] for one in plain] == pytest.approx([1 / 3, 1 / 3, -2 / 3])
    filtered = make(scale=False, overlong="filter")._contrast(rows)
    assert [len(one.actions) for one in filtered] == [60, 10] and filtered[1].reward == 0.0
    # 60 tokens lose 12/16: rewards 0.25, 1, 0 with the mean 5/12.
    punished = make(scale=False, overlong="punish")._contrast(rows)
    assert [one.token_rewards[0] for one in punished] == pytest.approx([-1 / 6, 7 / 12, -5 / 12])


def test_dynamic_sampling_waits_for_groups_with_a_contrast() -> None:
    agent = make(tasks=2, samples=2, dynamic_sampling=True)
    even = [program(1.0, task="a"), program(1.0, task="a")]
    uneven = [program(1.0, task="b"), program(0.0, task="b")]
    version = agent.policy.version
    assert agent.update(even + uneven)["waiting"] == 2
    assert agent.update(even)["waiting"] == 2 and agent.policy.version == version
    metrics = agent.update(uneven)
    assert metrics["waiting"] == 4 and "loss" in metrics and agent.policy.version > version
    assert agent.update(even)["waiting"] == 0


@pytest.mark.parametrize(
    ("average", "weights"),
    [
        ("token", [[2.0, 2.0, 0, 0], [3.0, 3.0, 3.0, 3.0]]),  # then over 6 tokens
        ("sequence", [[1.0, 1.0, 0, 0], [0.75, 0.75, 0.75, 0.75]]),  # then over 2 programs
        ("constant", [[0.5, 0.5, 0, 0], [0.75, 0.75, 0.75, 0.75]]),  # then over 2 programs
    ],
)
def test_averages_by_hand(average: str, weights: list[list[float]]) -> None:
    rows = [program(0.0, 2), program(0.0, 4)]
    batch = Batch.from_trajectories(rows, pad_id=0)
    advantages = np.where(batch.mask, np.array([[2.0], [3.0]]), 0.0).astype(np.float32)
    assert make(average=average)._weigh(advantages, batch).tolist() == weights


@pytest.mark.parametrize("preset", ["dapo", "dr_grpo", "paper"])
def test_presets_keep_the_contract(preset: str) -> None:
    cls = registry.get("agents", "grpo")
    settings = {**cls.presets[preset], "lr": 1e-3, "tasks": 8, "samples": 8}
    check_agent(cls, cls.config_class(**settings), updates=3)


def test_dapo_switches_what_the_paper_names() -> None:
    cls = registry.get("agents", "grpo")
    config = cls.config_class(**cls.presets["dapo"])
    assert (config.clip_low, config.clip_high, config.average) == (0.2, 0.28, "token")
    assert config.dynamic_sampling and config.overlong == "punish" and config.kl_coef == 0.0
    assert replace(config, overlong="filter").overlong == "filter"
