"""Actor-critic: who trains the critic, what programs earn, and what is replayed."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from codegym import registry
from codegym.checks.check_agent import check_agent
from codegym.checks.symbol_world import SymbolWorld
from codegym.grading.verdict import CaseResult, Outcome, Verdict
from codegym.trajectory import Trajectory

FAST = {"lr": 1e-3, "value_lr": 1e-2, "warmup_updates": 1, "critic_updates": 1, "tasks": 16,
        "samples": 8}  # fmt: skip


def make(world: SymbolWorld, **settings: Any) -> Any:
    cls = registry.get("agents", "actor_critic")
    return cls(world.policy(), cls.config_class(**FAST | settings), seed=1)


def program(passed: int, total: int, outcome: Outcome = Outcome.FAILED) -> Trajectory:
    cases = [CaseResult(outcome=Outcome.PASSED)] * passed
    cases += [CaseResult(outcome=outcome)] * (total - passed)
    two = np.zeros(2, dtype=np.float32)
    return Trajectory(
        task_id="t", prompt=np.array([2]), actions=np.array([3, 1]), log_probs=two, values=two,
        reward=0.25, token_rewards=two, finished=True, program="b",
        verdict=Verdict.from_cases(cases),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("critic", "moves"),
    [("synced", [True, True, True]), ("frozen", [True, False, False]), ("none", [False] * 3)],
)
def test_the_critic_learns_when_it_should(critic: str, moves: list[bool]) -> None:
    world = SymbolWorld(seed=0)
    agent = make(world, critic=critic)
    seen = []
    for update in range(3):
        before = [one.detach().clone() for one in agent.policy.value_parameters()]
        agent.update(world.experience(agent.policy, agent.request(), update))
        after = agent.policy.value_parameters()
        seen.append(not all(map(torch.equal, before, after)))
    assert seen == moves


def test_the_critics_error_falls() -> None:
    world = SymbolWorld(seed=0, reward="rltf")
    agent = make(world, critic_updates=30)
    # The same episodes again and again, the actor standing still.
    episodes = world.experience(agent.policy, agent.request(), 0)
    errors = [agent.update(episodes)["value_loss"] for _ in range(30)]
    assert errors[-1] < 0.5 * errors[0]


def test_sparse_and_complete_parts_by_hand() -> None:
    agent = make(SymbolWorld(), sparse_coef=0.5, complete_coef=0.5)
    rows = [program(4, 4), program(2, 4), program(0, 4), program(2, 4, Outcome.RUNTIME_ERROR),
            program(0, 4, Outcome.SYNTAX_ERROR)]  # fmt: skip
    # 0.5 * 1 + 0.5 * 1; 0.5 * (-0.3 + 1.3 / 2); 0.5 * -0.3; 0.5 * -0.6; 0.5 * -1.
    earned = [agent.reward(one) for one in rows]
    assert earned == pytest.approx([1.0, 0.175, -0.15, -0.3, -0.5])
    assert earned == sorted(earned, reverse=True)
    assert make(SymbolWorld()).reward(rows[0]) == 0.25, "the run's own reward"


def test_replay_keeps_each_program_once_and_learns_from_it_again() -> None:
    world = SymbolWorld(seed=0)
    agent = make(world, replay=512, replayed=16)
    metrics = agent.update(world.experience(agent.policy, agent.request(), 0))
    assert metrics["buffer"] == len({one.key for one in agent.buffer.entries})
    assert metrics["distinct_share"] < 1 and metrics["version_lag"] == 0.0
    written = world.experience(agent.policy, agent.request(), 1)
    metrics = agent.update(written)
    assert metrics["version_lag"] > 0
    # The same programs again are no news.
    again = [replace(one, policy_version=9) for one in written]
    assert agent.update(again)["distinct_share"] == 0.0


def test_replay_keeps_the_contract() -> None:
    cls = registry.get("agents", "actor_critic")
    check_agent(cls, cls.config_class(**FAST, replay=64, replayed=16, complete_coef=1.0))
