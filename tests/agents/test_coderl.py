"""CodeRL: the baseline and the critic's weights by hand, offline, and the critic that is kept."""

from typing import Any

import numpy as np
import pytest
import torch

from codegym import registry
from codegym.checks.symbol_world import SymbolWorld
from codegym.episode import Request
from codegym.grading.verdict import Outcome
from codegym.learning.outcome_critic import CLASSES, OutcomeCritic, outcome_class

FAST = {"lr": 1e-3, "warmup_steps": 1, "tasks": 16, "samples": 8, "capacity": 128,
        "critic_steps": 40, "supervised": "own", "batch_size": 128,
        "weight_decay": 0.0}  # fmt: skip


def make(policy: Any = None, **settings: Any) -> Any:
    cls = registry.get("agents", "coderl")
    policy = policy or SymbolWorld(seed=0).policy()
    return cls(policy, cls.config_class(**FAST | settings), seed=1)


def test_the_greedy_program_is_the_baseline(program: Any, verdict: Any) -> None:
    agent = make(critic=False)
    judged = verdict(0, 1)
    agent.fill([
        program(1.0, task="a", verdict=judged), program(-1.0, task="a", verdict=judged),
        program(-0.3, task="a", greedy=True), program(-0.6, task="b", verdict=judged),
        program(1.0, task="b", greedy=True),
        program(1.0, task="c", verdict=judged),  # without a greedy program
        program(1.0, task="b"),  # without a verdict
    ])  # fmt: skip
    # 1 - -0.3, -1 - -0.3, -0.6 - 1.
    weights = [entry.weights.tolist() for entry in agent.buffer.entries]
    assert weights == [pytest.approx([value] * 2) for value in (1.3, -0.7, -1.6)]
    assert [entry.reward for entry in agent.buffer.entries] == [1.0, -1.0, -0.6]


@pytest.mark.parametrize(
    ("outcome", "number"),
    [
        (Outcome.PASSED, 0), (Outcome.FAILED, 1), (Outcome.RUNTIME_ERROR, 2), (Outcome.TIMEOUT, 2),
        (Outcome.MEMORY, 2), (Outcome.OUTPUT_LIMIT, 2), (Outcome.SYNTAX_ERROR, 3),
        (Outcome.NO_PROGRAM, 3),
    ],
)  # fmt: skip
def test_classes_of_outcomes(outcome: Outcome, number: int) -> None:
    assert outcome_class(outcome) == number < len(CLASSES)


def test_the_class_is_the_gravest_outcomes_whatever_the_reward(program: Any, verdict: Any) -> None:
    agent = make(critic=False)
    crash = verdict(3, 4, Outcome.TIMEOUT)
    agent.fill([program(0.75, verdict=crash), program(0.0, greedy=True)])
    (entry,) = agent.buffer.entries
    assert entry.weights.tolist() == [0.75, 0.75]
    assert outcome_class(entry.outcome) == CLASSES.index(Outcome.RUNTIME_ERROR)


@pytest.mark.parametrize("critic", [True, False])
def test_tokens_are_weighted_by_the_chance_of_the_true_outcome(critic: bool) -> None:
    world = SymbolWorld(seed=0, reward="coderl")
    agent = make(world.policy(), critic=critic)
    agent.fill(world.experience(agent.policy, agent.request(), 0))
    plain = list(agent.buffer.entries)
    metrics = agent.weigh()
    assert ("critic_accuracy" in metrics) == critic
    for before, after in zip(plain, agent.buffer.entries, strict=True):
        if not critic:
            assert np.array_equal(before.weights, after.weights)
            continue
        shares = agent.critic.shares([before])[0, : len(before.actions)].numpy()
        q = shares[:, outcome_class(before.outcome)]
        np.testing.assert_allclose(after.weights, before.weights * q, rtol=1e-4)
        assert (shares.sum(axis=1) == pytest.approx(1.0)) and (q < 1).all()


def test_the_loss_by_hand(table: Any, program: Any, verdict: Any) -> None:
    # w = R - R_greedy = 1.3 and -0.7; L = - sum_t w log p / 4 tokens.
    policy = table([[-1.0, -1.0], [-1.0, -1.0]])
    agent = make(policy, critic=False, supervised="none", capacity=2, steps=1)
    judged = verdict(0, 1)
    metrics = agent.update([
        program(1.0, row=0, verdict=judged, temperature=0.5),
        program(-1.0, row=1, verdict=judged, temperature=0.5), program(-0.3, greedy=True),
    ])  # fmt: skip
    np.testing.assert_allclose(policy.gradient, [[-1.3 / 4] * 2, [0.7 / 4] * 2], rtol=1e-5)
    assert metrics["critic_weighted_loss"] == pytest.approx((2.6 - 1.4) / 4)
    assert policy.asked == [[0.5, 0.5]]


def test_the_critic_learns_outcomes_and_is_then_frozen() -> None:
    world = SymbolWorld(seed=0, reward="coderl")
    agent = make(world.policy(), critic_steps=150)
    metrics = agent.update(world.experience(agent.policy, agent.request(), 0))
    assert metrics["critic_accuracy"] > 0.9
    assert agent.request() == Request(), "offline: nothing more is written"
    kept = agent.artifacts()["outcome_critic"]
    rows = list(agent.buffer.entries)[:4]
    before = agent.critic.shares(rows)
    for _ in range(3):
        agent.update([])
    assert torch.equal(agent.critic.shares(rows), before)
    restored = OutcomeCritic.from_state(kept, agent.policy)
    assert torch.equal(restored.shares(rows), before)


def test_a_program_that_is_worse_than_the_greedy_one_is_damped_on_request(
    program: Any, verdict: Any
) -> None:
    agent = make(critic=False, negative_scale=0.5)
    judged = verdict(0, 1)
    agent.fill([program(-0.3, verdict=judged), program(1.0, greedy=True)])
    assert agent.buffer.entries[0].weights.tolist() == pytest.approx([-0.65, -0.65])
    agent.fill([program(1.0, verdict=judged), program(-0.3, greedy=True)])
    assert agent.buffer.entries[1].weights.tolist() == pytest.approx([1.3, 1.3])


def test_a_short_run_does_not_spend_itself_on_filling_the_buffer() -> None:
    world = SymbolWorld(seed=0, reward="coderl")
    agent = make(world.policy(), capacity=10_000)
    first = agent.update(world.experience(agent.policy, agent.request(), 0), progress=0.4)
    assert "loss" not in first and agent.request().tasks
    assert "loss" in agent.update(world.experience(agent.policy, agent.request(), 1), progress=0.5)
    assert agent.request() == Request()
    resumed = make(world.policy(), capacity=10_000)
    resumed.load_state_dict(agent.state_dict())
    assert resumed.request() == Request() and agent.artifacts()


def test_the_learning_rate_falls_to_its_last_share(monkeypatch: pytest.MonkeyPatch) -> None:
    world = SymbolWorld(seed=0, reward="coderl")
    agent = make(world.policy(), final_lr=0.02, capacity=16)
    scales: list[float] = []
    step = agent.optimiser.step

    def watched(*, lr_scale: float = 1.0, **rest: Any) -> float:
        scales.append(lr_scale)
        return float(step(lr_scale=lr_scale, **rest))

    monkeypatch.setattr(agent.optimiser, "step", watched)
    agent.update(world.experience(agent.policy, agent.request(), 0), progress=0.5)
    agent.update([], progress=1.0)
    assert scales[0] == pytest.approx(0.51) and scales[-1] == pytest.approx(0.02)
