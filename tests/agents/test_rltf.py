"""RLTF against numbers worked out by hand: weights, baselines, turns, versions, the preset."""

from collections import Counter
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from codegym import registry
from codegym.checks.symbol_world import SymbolWorld
from codegym.grading.feedback import Feedback, Granularity
from codegym.grading.verdict import CaseResult, Outcome, Verdict
from codegym.trajectory import Batch, Trajectory

FAST = {"lr": 1e-3, "warmup_steps": 1, "tasks": 16, "samples": 8, "capacity": 256,
        "minimum_fill": 128}  # fmt: skip


def make(world: SymbolWorld | None = None, **settings: Any) -> Any:
    world = world or SymbolWorld(seed=0)
    cls = registry.get("agents", "rltf")
    return cls(world.policy(), cls.config_class(**FAST | settings), seed=1)


def program(
    passed: int, total: int, outcome: Outcome = Outcome.FAILED, *, task: str = "t",
    greedy: bool = False, tokens: tuple[int, int] = (0, 0),
) -> Trajectory:  # fmt: skip
    cases = [CaseResult(outcome=Outcome.PASSED)] * passed
    cases += [CaseResult(outcome=outcome)] * (total - passed)
    granularity = Granularity.LINE if tokens != (0, 0) else Granularity.IGNORE
    five = np.zeros(5, dtype=np.float32)
    return Trajectory(
        task_id=task, prompt=np.array([2]), actions=np.array([2, 3, 4, 5, 1]), log_probs=five,
        values=five, reward=0.0, token_rewards=five, finished=True, program="bcde",
        verdict=Verdict.from_cases(cases), greedy=greedy,
        feedback=Feedback(granularity=granularity, tokens=tokens, n_tokens=5),
    )  # fmt: skip


def test_the_loss_of_five_tokens_by_hand() -> None:
    # w = [-0.625, -1.375, -1.375, -0.625, -0.625]: test_agents works it out. The loss is
    # - sum w log p / 5, summed over the program and divided by its tokens.
    agent = make(negative_scale=1.0)
    fault = program(0, 4, Outcome.RUNTIME_ERROR, tokens=(1, 3))
    weights = agent.credit(fault, 0.025)
    batch = Batch.from_trajectories([fault], pad_id=0).with_columns(weights=weights[None])
    log_probs = agent.policy.evaluate(batch).log_probs[0].detach().numpy()
    by_hand = -float((np.array([-0.625, -1.375, -1.375, -0.625, -0.625]) * log_probs).sum()) / 5
    assert float(agent.weighted_loss(batch, 5, None).detach()) == pytest.approx(by_hand, rel=1e-5)


@pytest.mark.parametrize(
    ("settings", "weights"),
    [
        # whole -0.6 - 0.025; fault -0.3 * 5 / 2.
        ({}, [-0.625, -1.375, -1.375, -0.625, -0.625]),
        ({"fine": 0.0}, [-0.625] * 5),
        ({"coarse": False, "adaptive": False}, [0.0, -0.75, -0.75, 0.0, 0.0]),
        ({"coarse": False, "adaptive": False, "alpha": False}, [0.0, -0.3, -0.3, 0.0, 0.0]),
        ({"coarse": False, "adaptive": False, "fine": 0.0}, [0.0] * 5),
        ({"negative_scale": 0.2}, [-0.125, -0.275, -0.275, -0.125, -0.125]),
    ],
)
def test_each_term_by_itself(settings: dict[str, Any], weights: list[float]) -> None:
    agent = make(**{"negative_scale": 1.0} | settings)
    got = agent.credit(program(0, 4, Outcome.RUNTIME_ERROR, tokens=(1, 3)), 0.025)
    np.testing.assert_allclose(got, weights, rtol=1e-5)


def test_the_best_so_far_is_the_baseline() -> None:
    agent = make(baseline="best")
    first = [program(1, 4), program(3, 4)]
    # Never seen: the mean of 0.025 and 0.675.
    assert agent._baselines(first) == pytest.approx({"t": 0.35})
    agent._refresh(first)
    # 3 of 4 is the best there was; a worse one does not lower it.
    assert agent._baselines([program(0, 4)]) == pytest.approx({"t": 0.675})
    agent._refresh([program(0, 4)])
    assert agent._baselines([program(0, 4)]) == pytest.approx({"t": 0.675})
    agent._refresh([program(4, 4)])
    assert agent._baselines([program(0, 4)]) == {"t": 1.0}


def test_the_latest_greedy_program_is_the_baseline() -> None:
    agent = make(baseline="greedy")
    assert agent.request().greedy
    rows = [program(4, 4), program(0, 4, greedy=True), program(2, 4, task="u"),
            program(4, 4, task="u", greedy=True)]  # fmt: skip
    assert agent._baselines(rows) == pytest.approx({"t": -0.3, "u": 1.0})
    agent._refresh(rows)
    assert len(agent.buffer) == 2, "greedy programs are compared with, not learnt from"


def test_supervised_and_feedback_steps_take_turns() -> None:
    world = SymbolWorld(seed=0)
    agent = make(world, steps=5, supervised="reference")
    turns: list[str] = []

    def watch(name: str) -> None:
        method = getattr(agent, name)

        def call() -> Any:
            turns.append(name)
            return method()

        setattr(agent, name, call)

    watch("_supervised_batch")
    watch("_feedback_batch")
    for update in range(2):
        agent.update(world.experience(agent.policy, agent.request(), update))
    assert turns[0::2] == ["_supervised_batch"] * 5 and turns[1::2] == ["_feedback_batch"] * 5
    assert Counter(turns) == {"_supervised_batch": 5, "_feedback_batch": 5}


def test_versions_are_stamped_and_the_lag_is_logged() -> None:
    world = SymbolWorld(seed=0)
    agent = make(world, steps=4, supervised="none", capacity=256)
    agent.update(world.experience(agent.policy, agent.request(), 0))
    assert {one.policy_version for one in agent.buffer.entries} == {0}
    metrics = agent.update(world.experience(agent.policy, agent.request(), 1))
    # Half the buffer was written by version 0, half by version 4; now there are 8 steps.
    assert {one.policy_version for one in agent.buffer.entries} == {0, 4}
    assert metrics["version_lag"] == 8 - 2


def test_the_buffer_is_first_in_first_out_and_never_above_its_capacity() -> None:
    world = SymbolWorld(seed=0)
    agent = make(world, capacity=200, minimum_fill=200)
    sizes = []
    for update in range(4):
        metrics = agent.update(world.experience(agent.policy, agent.request(), update))
        sizes.append(metrics["buffer"])
        assert ("loss" in metrics) == (update > 0), "training waits for the minimum fill"
    assert sizes == [128, 200, 200, 200]
    versions = [one.policy_version for one in agent.buffer.entries]
    assert versions == sorted(versions)


def test_offline_and_online_share_their_path() -> None:
    world = SymbolWorld(seed=0)
    online, offline = make(world, capacity=128), make(world, capacity=128, online=False)
    episodes = world.experience(online.policy, online.request(), 0)
    assert online.update(episodes) == offline.update(episodes)
    assert online.request().tasks == 16 and offline.request().tasks == 0


def test_the_papers_numbers() -> None:
    cls = registry.get("agents", "rltf")
    config = cls.config_class(**cls.presets["paper"])
    assert (config.capacity, config.minimum_fill, config.steps) == (6400, 6400, 50)
    assert (config.lr, config.weight_decay, config.warmup_steps) == (2e-6, 0.05, 500)
    assert (config.samples, config.batch_size, config.negative_scale) == (20, 32, 1.0)
    assert (config.fine, config.alpha, config.baseline) == (-0.3, True, "best")
    assert (config.coarse, config.adaptive, config.supervised) == (True, True, "reference")


def test_the_rewards_scale() -> None:
    agent = make()
    rows = [program(4, 4), program(2, 4), program(1, 4), program(0, 4),
            program(2, 4, Outcome.TIMEOUT), program(0, 4, Outcome.SYNTAX_ERROR)]  # fmt: skip
    assert [agent.value(one) for one in rows] == pytest.approx([1, 0.35, 0.025, -0.3, -0.6, -1])
    assert agent.value(replace(rows[0], greedy=True)) == 1.0


def test_without_feedback_only_supervised_steps_are_taken() -> None:
    world = SymbolWorld(seed=0)
    agent = make(world, coarse=False, adaptive=False, fine=0.0, supervised="none", minimum_fill=1)
    before = {name: value.clone() for name, value in agent.policy.module.named_parameters()}
    metrics = agent.update(world.experience(agent.policy, agent.request(), 0))
    assert "feedback_loss" not in metrics
    for name, value in agent.policy.module.named_parameters():
        assert value.equal(before[name])
