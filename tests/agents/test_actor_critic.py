"""Actor-critic: its gradient by hand, who trains the critic, and what is replayed."""

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from codegym import registry
from codegym.checks.check_agent import check_agent
from codegym.checks.symbol_world import SymbolWorld

FAST = {"lr": 1e-3, "value_lr": 1e-2, "critic_updates": 1, "tasks": 16, "samples": 8, "replay": 0,
        "minibatches": 2, "standardise": True, "negative_scale": 0.05}  # fmt: skip
PLAIN = {"lr": 1e-3, "replay": 0}


def make(policy: Any, **settings: Any) -> Any:
    cls = registry.get("agents", "actor_critic")
    return cls(policy, cls.config_class(**settings), seed=1)


def test_the_gradient_is_return_minus_value(table: Any, program: Any) -> None:
    # L = - sum_t (1 - V_t) log p / 4 + 1/2 sum_t (V_t - 1)^2 / 4, V_t = 0 in the table now.
    values = [0.5, 0.25, 0.0, 1.0]
    policy = table([[-1.0] * 4])
    metrics = make(policy, **PLAIN).update([program(1.0, length=4, values=values)])
    np.testing.assert_allclose(policy.gradient, [(np.array(values) - 1) / 4], rtol=1e-6)
    np.testing.assert_allclose(policy.value_gradient, [[-0.25] * 4])
    assert metrics["policy_loss"] == pytest.approx((0.5 + 0.75 + 1.0 + 0.0) / 4)
    assert metrics["value_loss"] == pytest.approx(0.5)


def test_credit_of_tokens_reaches_the_advantages(table: Any, program: Any) -> None:
    # Credit -1, 0, 2 is still to come as 1, 2, 2.
    policy = table([[-1.0] * 3])
    make(policy, **PLAIN).update([program(2.0, length=3, fine=[-3.0, 0.0, 0.0])])
    np.testing.assert_allclose(policy.gradient, [[-1 / 3, -2 / 3, -2 / 3]], rtol=1e-5)


def test_credit_crosses_what_the_environment_wrote(table: Any, program: Any) -> None:
    policy = table([[-1.0] * 3])
    make(policy, **PLAIN).update([program(1.0, length=3, chosen=[True, False, True])])
    np.testing.assert_allclose(policy.gradient, [[-0.5, 0.0, -0.5]])


def test_without_a_critic_the_mean_reward_is_the_baseline(table: Any, program: Any) -> None:
    policy = table([[-1.0, -1.0], [-1.0, 0.0]])
    rows = [program(1.0, row=0), program(0.0, row=1, length=1)]
    make(policy, **PLAIN, critic="none").update(rows)
    np.testing.assert_allclose(policy.gradient, [[-0.5 / 3] * 2, [0.5 / 3, 0.0]], rtol=1e-5)


def test_small_damps_and_divides_by_the_root_mean_square(table: Any, program: Any) -> None:
    policy = table([[-1.0], [-1.0]])
    rows = [program(1.0, row=0, length=1), program(-1.0, row=1, length=1)]
    make(policy, **PLAIN, standardise=True, negative_scale=0.5).update(rows)
    size = math.sqrt((1 + 0.25) / 2)
    np.testing.assert_allclose(policy.gradient, [[-1 / size / 2], [0.5 / size / 2]], rtol=1e-5)


def test_programs_are_scored_at_the_temperature_they_were_sampled_at(
    table: Any, program: Any
) -> None:
    policy = table([[-1.0, -1.0]])
    agent = make(policy, lr=1e-3, replay=8)
    for text in ("b", "c"):
        agent.update([program(1.0, temperature=0.5, old_log_probs=[-1.0, -1.0], text=text)])
    # One scoring; then the replayed program's values, and a scoring of both.
    assert policy.asked == [[0.5], [0.5], [0.5, 0.5]]


@pytest.mark.parametrize(
    ("critic", "moves"),
    [("synced", [True, True, True]), ("frozen", [True, False, False]), ("none", [False] * 3)],
)
def test_the_critic_learns_when_it_should(critic: str, moves: list[bool]) -> None:
    world = SymbolWorld(seed=0)
    agent = make(world.policy(), **FAST, critic=critic)
    seen = []
    for update in range(3):
        before = [weight.detach().clone() for weight in agent.policy.value_parameters()]
        agent.update(world.experience(agent.policy, agent.request(), update))
        after = agent.policy.value_parameters()
        seen.append(not all(map(torch.equal, before, after)))
    assert seen == moves


def test_the_critics_error_falls() -> None:
    world = SymbolWorld(seed=0, reward="rltf")
    agent = make(world.policy(), **FAST | {"critic_updates": 30})
    # The same episodes again and again, the actor standing still.
    episodes = world.experience(agent.policy, agent.request(), 0)
    errors = [agent.update(episodes)["value_loss"] for _ in range(30)]
    assert errors[-1] < 0.5 * errors[0]


def test_replay_keeps_each_program_once_and_learns_from_it_again() -> None:
    world = SymbolWorld(seed=0)
    agent = make(world.policy(), **FAST | {"replay": 512, "replayed": 16})
    metrics = agent.update(world.experience(agent.policy, agent.request(), 0))
    assert metrics["buffer"] == len({entry.key for entry in agent.buffer.entries})
    assert metrics["distinct_share"] < 1 and metrics["version_lag"] == 0.0
    written = world.experience(agent.policy, agent.request(), 1)
    metrics = agent.update(written)
    assert metrics["version_lag"] > 0
    # The same programs again are no news.
    again = [replace(program, policy_version=9) for program in written]
    assert agent.update(again)["distinct_share"] == 0.0


def test_replay_keeps_the_contract() -> None:
    cls = registry.get("agents", "actor_critic")
    check_agent(cls, cls.config_class(**FAST | {"replay": 64, "replayed": 16}))
