"""RLTF against numbers worked out by hand: weights, baselines, turns, versions, the settings."""

from collections import Counter
from typing import Any

import numpy as np
import pytest
import torch

from codegym import registry
from codegym.checks.symbol_world import SymbolWorld
from codegym.episode import Request
from codegym.grading.feedback import Feedback, Granularity
from codegym.grading.verdict import Outcome
from codegym.rewards import make_reward

FAST = {"lr": 1e-3, "warmup_steps": 1, "tasks": 16, "samples": 8, "capacity": 256, "steps": 8,
        "minimum_fill": 128, "supervised": "own", "negative_scale": 0.2, "final_lr": 1.0,
        "weight_decay": 0.0}  # fmt: skip


def make(policy: Any = None, **settings: Any) -> Any:
    cls = registry.get("agents", "rltf")
    policy = policy or SymbolWorld(seed=0, reward="rltf").policy()
    return cls(policy, cls.config_class(**FAST | settings), seed=1)


# A runtime error on tokens 1 and 2 of 5, no test passed; the baseline passed one test of four.
FAULT = Feedback(granularity=Granularity.LINE, tokens=(1, 3), n_tokens=5)
BASELINE = 0.025


@pytest.mark.parametrize(
    ("reward", "weights"),
    [
        # The whole program -0.6 - 0.025; the fault -0.3 * 5 / 2.
        ("rltf", [-0.625, -1.375, -1.375, -0.625, -0.625]),
        # The published code's alpha is 1.
        ("rltf(alpha=false)", [-0.625, -0.925, -0.925, -0.625, -0.625]),
        ("rltf(fine=0)", [-0.625] * 5),
        ("rltf(coarse=false, adaptive=false)", [-0.025, -0.775, -0.775, -0.025, -0.025]),
        # A reward without a fine part, and another scale.
        ("coderl", [-0.625] * 5),
        ("2*binary", [-0.025] * 5),
    ],
)
def test_weights_by_hand(program: Any, verdict: Any, reward: str, weights: list[float]) -> None:
    priced = make_reward(reward)
    fault = verdict(0, 4, Outcome.RUNTIME_ERROR)
    row = program(priced(fault, FAULT), length=5, fine=priced.fine(fault, FAULT), verdict=fault)
    agent = make(negative_scale=1.0)
    np.testing.assert_allclose(agent.weights(row, BASELINE), weights, rtol=1e-4, atol=1e-6)
    damped = make(negative_scale=0.2)
    np.testing.assert_allclose(
        damped.weights(row, BASELINE), 0.2 * np.array(weights), rtol=1e-4, atol=1e-6
    )


def test_the_last_token_of_a_fault_has_its_fine_part(program: Any) -> None:
    row = program(-0.6, length=4, fine=[0.0, 0.0, -0.6, -0.6])
    got = make(negative_scale=1.0).weights(row, 0.4)
    np.testing.assert_allclose(got, [-1.0, -1.0, -1.6, -1.6], rtol=1e-5)


def test_what_the_environment_wrote_weighs_nothing(program: Any) -> None:
    # The second program of an episode has 3 of its 6 tokens, and a fault on the first of them.
    row = program(-0.6, length=6, chosen=[True, True, False, True, True, True])
    row.credit[3] = -0.3 / 3
    row = type(row)(**{name: getattr(row, name) for name in row.__slots__} | {
        "feedback": Feedback(granularity=Granularity.LINE, tokens=(3, 4), n_tokens=3)
    })  # fmt: skip
    got = make(negative_scale=1.0).weights(row, 0.0)
    np.testing.assert_allclose(got, [-0.6, -0.6, 0.0, -0.9, -0.6, -0.6], rtol=1e-5)


def test_the_loss_of_five_tokens_by_hand(table: Any, program: Any) -> None:
    # L = - sum_t w_t log p / 5 tokens: the gradient of a token is -w_t / 5.
    policy = table([[-1.0, -2.0, -1.0, -2.0, -1.0]])
    settings = {"negative_scale": 1.0, "supervised": "none", "steps": 1, "minimum_fill": 1}
    agent = make(policy, **settings, baseline="greedy")
    fine = [0.0, -0.75, -0.75, 0.0, 0.0]
    metrics = agent.update([
        program(-0.6, length=5, fine=fine, temperature=0.5), program(BASELINE, greedy=True),
    ])  # fmt: skip
    weights = np.array([-0.625, -1.375, -1.375, -0.625, -0.625])
    np.testing.assert_allclose(policy.gradient, [-weights / 5], rtol=1e-4)
    by_hand = -float((weights * [-1.0, -2.0, -1.0, -2.0, -1.0]).sum()) / 5
    assert metrics["feedback_loss"] == pytest.approx(by_hand, rel=1e-4)
    assert policy.asked == [[0.5]], "at the temperature it was sampled at"


def test_imitation_is_at_temperature_one(table: Any, program: Any, verdict: Any) -> None:
    policy = table([[-1.0, -2.0]])
    agent = make(policy, steps=1, minimum_fill=1)
    metrics = agent.update([program(1.0, temperature=0.5, verdict=verdict(1, 1))])
    np.testing.assert_allclose(policy.gradient, [[-0.5, -0.5]])
    assert metrics["supervised_loss"] == pytest.approx(1.5)
    assert policy.asked == [[1.0]]
    assert "approx_kl" not in metrics, "scores at two temperatures are not compared"


def test_equal_to_its_baseline_teaches_nothing(program: Any) -> None:
    assert not make().weights(program(0.35, length=5), 0.35).any()


def test_the_best_so_far_is_the_baseline(program: Any) -> None:
    agent = make(baseline="best")
    first = [program(0.025), program(0.675)]
    # New: the mean of 0.025 and 0.675.
    assert agent.baselines(first) == pytest.approx({"t": 0.35})
    agent.refresh(first)
    # 0.675 is the best there was; a worse program does not lower it.
    assert agent.baselines([program(-0.3)]) == pytest.approx({"t": 0.675})
    agent.refresh([program(-0.3)])
    assert agent.baselines([program(-0.3)]) == pytest.approx({"t": 0.675})
    agent.refresh([program(1.0)])
    assert agent.baselines([program(-0.3)]) == {"t": 1.0}


def test_the_best_may_be_below_minus_one(program: Any) -> None:
    agent = make(baseline="best")
    agent.refresh([program(-7.0)])
    assert agent.baselines([program(-9.0)]) == {"t": -7.0}


def test_the_latest_greedy_program_is_the_baseline(program: Any) -> None:
    agent = make(baseline="greedy")
    assert agent.request().greedy
    rows = [program(1.0), program(-0.3, greedy=True), program(0.35, task="u"),
            program(1.0, task="u", greedy=True)]  # fmt: skip
    assert agent.baselines(rows) == pytest.approx({"t": -0.3, "u": 1.0})
    agent.refresh(rows)
    assert len(agent.buffer) == 2, "greedy programs are compared with, not learnt from"


def test_supervised_and_feedback_steps_take_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    world = SymbolWorld(seed=0, reward="rltf")
    agent = make(world.policy(), steps=5, supervised="reference")
    turns: list[bool] = []
    draw = agent.draw

    def watch(supervised: bool) -> Any:
        turns.append(supervised)
        return draw(supervised)

    monkeypatch.setattr(agent, "draw", watch)
    for update in range(2):
        agent.update(world.experience(agent.policy, agent.request(), update))
    assert turns[0::2] == [True] * 5 and turns[1::2] == [False] * 5
    assert Counter(turns) == {True: 5, False: 5}


def test_versions_are_stamped_and_the_lag_is_logged() -> None:
    world = SymbolWorld(seed=0, reward="rltf")
    agent = make(world.policy(), steps=4, supervised="none", capacity=256)
    agent.update(world.experience(agent.policy, agent.request(), 0))
    assert {entry.policy_version for entry in agent.buffer.entries} == {0}
    metrics = agent.update(world.experience(agent.policy, agent.request(), 1))
    # Half the buffer was written by version 0, half by version 4; now there are 8 steps.
    assert {entry.policy_version for entry in agent.buffer.entries} == {0, 4}
    assert metrics["version_lag"] == 8 - 2


def test_the_buffer_is_first_in_first_out_and_never_above_its_capacity() -> None:
    world = SymbolWorld(seed=0, reward="rltf")
    agent = make(world.policy(), capacity=200, minimum_fill=200)
    sizes = []
    for update in range(4):
        metrics = agent.update(world.experience(agent.policy, agent.request(), update))
        sizes.append(metrics["buffer"])
        assert ("loss" in metrics) == (update > 0), "training waits for the minimum fill"
    assert sizes == [128, 200, 200, 200]
    versions = [entry.policy_version for entry in agent.buffer.entries]
    assert versions == sorted(versions)


def test_it_waits_for_its_buffer_and_takes_turns() -> None:
    world = SymbolWorld(seed=0, reward="rltf")
    agent = make(world.policy(), minimum_fill=200, capacity=200, supervised="reference")
    weights = [weight.detach().clone() for weight in agent.policy.module.parameters()]
    metrics = agent.update(world.experience(agent.policy, agent.request(), 0))
    assert metrics["buffer"] == 128 and "loss" not in metrics
    assert all(map(torch.equal, weights, agent.policy.module.parameters()))
    metrics = agent.update(world.experience(agent.policy, agent.request(), 1))
    assert metrics["buffer"] == 200
    assert {"supervised_loss", "feedback_loss"} <= set(metrics)


def test_offline_and_online_share_their_path() -> None:
    world = SymbolWorld(seed=0, reward="rltf")
    online = make(world.policy(), capacity=128)
    offline = make(world.policy(), capacity=128, online=False)
    episodes = world.experience(online.policy, online.request(), 0)
    assert online.update(episodes) == offline.update(episodes)
    assert online.request().tasks == 16 and offline.request() == Request()
    metrics = offline.update([])
    assert metrics["version_lag"] > 0 and metrics["programs"] == 128


def test_the_papers_numbers() -> None:
    cls = registry.get("agents", "rltf")
    config = cls.config_class()
    assert (config.capacity, config.minimum_fill, config.steps) == (6400, 6400, 50)
    assert (config.lr, config.weight_decay, config.warmup_steps) == (2e-6, 0.05, 500)
    assert (config.samples, config.batch_size, config.negative_scale) == (20, 32, 1.0)
    assert (config.baseline, config.supervised, config.final_lr) == ("best", "reference", 0.0)
    assert cls.default_reward == "rltf"


def test_without_feedback_only_supervised_steps_are_taken() -> None:
    world = SymbolWorld(seed=0, reward="rltf(coarse=false, adaptive=false, fine=0)")
    agent = make(world.policy(), supervised="none", minimum_fill=1)
    before = {name: value.clone() for name, value in agent.policy.module.named_parameters()}
    metrics = agent.update(world.experience(agent.policy, agent.request(), 0))
    assert "feedback_loss" not in metrics
    for name, value in agent.policy.module.named_parameters():
        assert value.equal(before[name])


def test_runs_with_and_without_feedback_take_as_many_steps() -> None:
    taken = {}
    for reward in ("rltf(coarse=false, adaptive=false, fine=0)", "rltf(adaptive=false, fine=0)"):
        world = SymbolWorld(seed=0, reward=reward)
        agent = make(world.policy(), supervised="reference", minimum_fill=1)
        metrics = agent.update(world.experience(agent.policy, agent.request(), 0))
        taken[reward] = agent.policy.version, "feedback_loss" in metrics
    (silent, silent_feedback), (loud, loud_feedback) = taken.values()
    assert silent == loud == FAST["steps"]
    assert loud_feedback and not silent_feedback
