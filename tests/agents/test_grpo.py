"""GRPO by hand: its loss, DAPO's dynamic sampling and overlong programs, Dr. GRPO's averages."""

import math
from typing import Any

import numpy as np
import pytest

from codegym import registry
from codegym.checks.check_agent import check_agent
from codegym.checks.symbol_world import SymbolWorld
from codegym.learning.advantages import soft_overlong_punishment

PLAIN = {"lr": 1e-3, "tasks": 4, "samples": 4, "kl_coef": 0.0, "scale": False}


def make(policy: Any = None, **settings: Any) -> Any:
    cls = registry.get("agents", "grpo")
    return cls(policy or SymbolWorld().policy(), cls.config_class(**PLAIN | settings), seed=1)


def test_advantages_are_relative_to_the_group(table: Any, program: Any) -> None:
    # Task t earns 1, 0, 0: mean 1/3, sample deviation sqrt((4/9 + 1/9 + 1/9) / 2) = .57735, so
    # the advantages are 1.1547, -.57735, -.57735 less a share of 1e-4 / .57735; u is even: 0.
    rows = [program(r, row=i, task=task) for i, (r, task) in enumerate(
        [(1.0, "t"), (0.0, "t"), (0.0, "t"), (1.0, "u"), (1.0, "u")])]  # fmt: skip
    policy = table([[0.0, 0.0]] * 5)
    make(policy, scale=True).update(rows)
    # At ratio 1 a token has the gradient -A / (2 tokens * 5 programs).
    expected = np.array([1.154701, -0.57735, -0.57735, 0, 0]) / -10
    np.testing.assert_allclose(policy.gradient[:, 0], expected, rtol=1e-3)
    policy = table([[0.0, 0.0]] * 5)
    make(policy).update(rows)
    np.testing.assert_allclose(
        policy.gradient[:, 1], np.array([2 / 3, -1 / 3, -1 / 3, 0, 0]) / -10, rtol=1e-5
    )


def test_the_gradient_stops_outside_the_clip(table: Any, program: Any) -> None:
    # Ratios 1.5 and 0.5 under advantages 1/2 and -1/2, clipped to [0.8, 1.3]:
    # min(.75, .65) + min(.25, .4) + min(-.75, -.65) + min(-.25, -.4) = .65 + .25 - .75 - .4
    ratios = [math.log(1.5), math.log(0.5)]
    policy = table([ratios, ratios])
    metrics = make(policy, clip_high=0.3).update([program(1.0, row=0), program(0.0, row=1)])
    assert metrics["policy_loss"] == pytest.approx(0.25 / 4)
    # The gradient of an unclipped term is -ratio * A / 4; of a clipped one 0.
    np.testing.assert_allclose(policy.gradient, [[0, -0.0625], [0.1875, 0]], rtol=1e-5, atol=1e-9)
    assert metrics["clipfrac"] == 1.0


@pytest.mark.parametrize(
    ("average", "shares"),
    [
        ("token", (1 / 6, 1 / 6)),
        ("sequence", (1 / (2 * 2), 1 / (4 * 2))),
        ("constant", (1 / (8 * 2), 1 / (8 * 2))),  # programs may have 8 tokens
    ],
)
def test_averages_by_hand(
    table: Any, program: Any, average: str, shares: tuple[float, float]
) -> None:
    policy = table([[0.0] * 4] * 2)
    agent = make(policy, average=average, max_new_tokens=8)
    agent.update([program(1.0, row=0, length=2), program(0.0, row=1, length=4)])
    short, long = shares
    expected = [[-0.5 * short] * 2 + [0.0] * 2, [0.5 * long] * 4]
    np.testing.assert_allclose(policy.gradient, expected, rtol=1e-6)


def test_the_divergence_from_the_reference_by_hand(table: Any, program: Any) -> None:
    policy = table([[0.0, -1.0]])
    agent = make(policy, kl_coef=0.5)
    # The reference says -1 and 0: d = log p_ref - log p = -1 and 1, exp(d) - d - 1 = .368 and .718.
    agent.reference.module.log_probs.data.copy_(policy.module.log_probs.new_tensor([[-1.0, 0.0]]))
    metrics = agent.update([program(1.0, row=0, old_log_probs=[0.0, -1.0], temperature=0.5)])
    assert metrics["kl"] == pytest.approx((math.exp(-1) + math.e - 2) / 2, rel=1e-5)
    assert metrics["loss"] == pytest.approx(0.5 * metrics["kl"])
    # d/dlog p of exp(d) - d - 1 is 1 - exp(d).
    expected = [[0.5 * (1 - math.exp(-1)) / 2, 0.5 * (1 - math.e) / 2]]
    np.testing.assert_allclose(policy.gradient, expected, rtol=1e-5)
    assert agent.reference.asked == policy.asked == [[0.5]], "one temperature for both"


def test_overlong_punishment_by_hand() -> None:
    # Free up to 48 of 64 tokens, then 1/16 a token, all of it from 64 on.
    got = soft_overlong_punishment(np.array([10, 48, 52, 56, 64, 99]), longest=64, cache=16)
    assert got.tolist() == [0.0, 0.0, -0.25, -0.5, -1.0, -1.0]


@pytest.mark.parametrize(
    ("overlong", "advantages"),
    [
        ("keep", [1 / 3, 1 / 3, -2 / 3]),
        ("filter", [1 / 3, 0.0, -2 / 3]),  # the second was cut
        # 60 tokens lose 12/16: rewards 0.25, 1, 0 with the mean 5/12.
        ("punish", [-1 / 6, 7 / 12, -5 / 12]),
    ],
)
def test_long_programs_are_punished_or_filtered(
    table: Any, program: Any, overlong: str, advantages: list[float]
) -> None:
    policy = table([[0.0] * 60] * 3)
    agent = make(policy, overlong=overlong, average="constant")
    agent.update([
        program(1.0, row=0, length=60), program(1.0, row=1, length=10, finished=False),
        program(0.0, row=2, length=10),
    ])  # fmt: skip
    programs = 2 if overlong == "filter" else 3
    np.testing.assert_allclose(
        policy.gradient[:, 0], np.array(advantages) / (-64 * programs), rtol=1e-5, atol=1e-9
    )


def test_dynamic_sampling_waits_for_groups_with_a_contrast(program: Any) -> None:
    agent = make(tasks=2, samples=2, dynamic_sampling=True)
    even = [program(1.0, task="a"), program(1.0, task="a")]
    uneven = [program(1.0, task="b"), program(0.0, task="b")]
    version = agent.policy.version
    assert agent.update(even + uneven)["waiting"] == 2
    assert agent.update(even)["waiting"] == 2 and agent.policy.version == version
    metrics = agent.update(uneven)
    assert metrics["waiting"] == 4 and "loss" in metrics and agent.policy.version > version
    assert agent.update(even)["waiting"] == 0


def test_what_the_environment_wrote_takes_no_part(table: Any, program: Any) -> None:
    policy = table([[0.0] * 3] * 2)
    rows = [
        program(1.0, row=0, length=3, chosen=[True, False, True]),
        program(0.0, row=1, length=3),
    ]
    make(policy).update(rows)
    np.testing.assert_allclose(
        policy.gradient, [[-0.125, 0.0, -0.125], [1 / 12] * 3], rtol=1e-5, atol=1e-9
    )


def test_what_is_worse_than_its_group_is_damped(table: Any, program: Any) -> None:
    policy = table([[0.0, 0.0]] * 2)
    make(policy, negative_scale=0.2).update([program(1.0, row=0), program(0.0, row=1)])
    np.testing.assert_allclose(policy.gradient, [[-0.125] * 2, [0.025] * 2], rtol=1e-5)


@pytest.mark.parametrize("preset", ["dapo", "dr_grpo", "paper"])
def test_presets_keep_the_contract(preset: str) -> None:
    cls = registry.get("agents", "grpo")
    settings = {**cls.presets[preset], "lr": 1e-3, "tasks": 8, "samples": 8}
    check_agent(cls, cls.config_class(**settings), updates=3)


def test_the_papers_numbers() -> None:
    cls = registry.get("agents", "grpo")
    config = cls.config_class()
    assert (config.lr, config.kl_coef, config.samples, config.tasks) == (1e-6, 0.04, 64, 16)
    assert (config.average, config.scale, config.negative_scale) == ("sequence", True, 1.0)
    dapo = cls.config_class(**cls.presets["dapo"])
    assert (dapo.clip_low, dapo.clip_high, dapo.average) == (0.2, 0.28, "token")
    assert dapo.dynamic_sampling and dapo.overlong == "punish" and dapo.kl_coef == 0.0
    dr_grpo = cls.config_class(**cls.presets["dr_grpo"])
    assert (dr_grpo.scale, dr_grpo.average, dr_grpo.kl_coef) == (False, "constant", 0.0)
