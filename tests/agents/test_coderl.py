"""CodeRL: the baseline and the critic's weights by hand, offline, and the critic that is kept."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from codegym import registry
from codegym.checks.symbol_world import SymbolWorld
from codegym.episode import Request
from codegym.grading.verdict import CaseResult, Outcome, Verdict
from codegym.learning.outcome_critic import CLASSES, OutcomeCritic
from codegym.trajectory import Trajectory

FAST = {"lr": 1e-3, "warmup_steps": 1, "tasks": 16, "samples": 8, "capacity": 128,
        "critic_steps": 40, "negative_scale": 1.0}  # fmt: skip


def make(world: SymbolWorld, **settings: Any) -> Any:
    cls = registry.get("agents", "coderl")
    return cls(world.policy(), cls.config_class(**FAST | settings), seed=1)


def program(outcome: Outcome, *, task: str, greedy: bool = False) -> Trajectory:
    two = np.zeros(2, dtype=np.float32)
    return Trajectory(
        task_id=task, prompt=np.array([2]), actions=np.array([3, 1]), log_probs=two, values=two,
        reward=0.0, token_rewards=two, finished=True, program="b", greedy=greedy,
        verdict=Verdict.from_cases([CaseResult(outcome=outcome)]),
    )  # fmt: skip


def test_the_greedy_program_is_the_baseline() -> None:
    agent = make(SymbolWorld(), critic=False)
    agent._fill([
        program(Outcome.PASSED, task="a"), program(Outcome.SYNTAX_ERROR, task="a"),
        program(Outcome.FAILED, task="a", greedy=True),
        program(Outcome.RUNTIME_ERROR, task="b"), program(Outcome.PASSED, task="b", greedy=True),
    ])  # fmt: skip
    # 1 - -0.3, -1 - -0.3, -0.6 - 1.
    credits = [one.token_rewards.tolist() for one in agent.buffer.entries]
    assert credits == [pytest.approx([value] * 2) for value in (1.3, -0.7, -1.6)]
    assert [one.reward for one in agent.buffer.entries] == [1.0, -1.0, -0.6]


@pytest.mark.parametrize("critic", [True, False])
def test_tokens_are_weighed_by_the_chance_of_the_true_outcome(critic: bool) -> None:
    world = SymbolWorld(seed=0)
    agent = make(world, critic=critic)
    agent._fill(world.experience(agent.policy, agent.request(), 0))
    plain = list(agent.buffer.entries)
    metrics = agent._weigh()
    assert ("critic_accuracy" in metrics) == critic
    for before, after in zip(plain, agent.buffer.entries, strict=True):
        if not critic:
            assert np.array_equal(before.token_rewards, after.token_rewards)
            continue
        shares = agent.critic.shares([before])[0, : len(before.actions)].numpy()
        q = shares[:, CLASSES.index(before.reward)]
        np.testing.assert_allclose(after.token_rewards, before.token_rewards * q, rtol=1e-4)
        assert (shares.sum(axis=1) == pytest.approx(1.0)) and (q < 1).all()


def test_the_critic_learns_outcomes_and_is_then_frozen() -> None:
    world = SymbolWorld(seed=0)
    agent = make(world, critic_steps=150)
    metrics = agent.update(world.experience(agent.policy, agent.request(), 0))
    assert metrics["critic_accuracy"] > 0.9
    assert agent.request() == Request(), "offline: nothing more is written"
    kept = agent.keepsakes()["outcome_critic"]
    rows = list(agent.buffer.entries)[:4]
    before = agent.critic.shares(rows)
    for _ in range(3):
        agent.update([])
    assert torch.equal(agent.critic.shares(rows), before)
    restored = OutcomeCritic.from_state(kept, agent.policy)
    assert torch.equal(restored.shares(rows), before)


def test_a_program_that_is_worse_than_the_greedy_one_is_damped_on_request() -> None:
    agent = make(SymbolWorld(), critic=False, negative_scale=0.5)
    rows = [program(Outcome.FAILED, task="a"), program(Outcome.PASSED, task="a", greedy=True)]
    agent._fill(rows)
    assert agent.buffer.entries[0].token_rewards.tolist() == pytest.approx([-0.65, -0.65])
    agent._fill([replace(rows[0], greedy=True), replace(rows[1], greedy=False)])
    assert agent.buffer.entries[1].token_rewards.tolist() == pytest.approx([1.3, 1.3])


def test_a_short_run_does_not_spend_itself_on_filling_the_buffer() -> None:
    world = SymbolWorld(seed=0)
    agent = make(world, capacity=10_000)
    first = agent.update(world.experience(agent.policy, agent.request(), 0), progress=0.4)
    assert "loss" not in first and agent.request().tasks
    assert "loss" in agent.update(world.experience(agent.policy, agent.request(), 1), progress=0.5)
    assert agent.request() == Request()
    resumed = make(world, capacity=10_000)
    resumed.load_state_dict(agent.state_dict())
    assert resumed.request() == Request() and agent.keepsakes()
