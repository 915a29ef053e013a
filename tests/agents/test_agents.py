"""Every agent: its contract, that it learns something tiny, and its formulas by hand."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch

from codegym import registry
from codegym.checks.check_agent import check_agent
from codegym.checks.symbol_world import SymbolWorld
from codegym.episode import Request
from codegym.grading.feedback import Feedback, Granularity
from codegym.grading.verdict import CaseResult, Outcome, Verdict
from codegym.learning.agent import Agent
from codegym.trajectory import Batch, Trajectory

Episodes = Sequence[Trajectory]

# Small batches: the world is tiny.
FAST: dict[str, dict[str, Any]] = {
    "sft": {"lr": 1e-3, "demonstrations": 32, "batch_size": 16, "warmup_steps": 2},
    "rft": {"lr": 1e-3, "warmup_updates": 1, "tasks": 16, "samples": 8},
    "actor_critic": {"lr": 1e-3, "value_lr": 1e-2, "warmup_updates": 1, "critic_updates": 1,
                     "tasks": 16, "samples": 8},
    "grpo": {"lr": 1e-3, "warmup_updates": 1, "tasks": 16, "samples": 8, "minibatches": 2},
    "rloo": {"lr": 1e-3, "warmup_updates": 1, "tasks": 16, "samples": 8},
    "coderl": {"lr": 1e-3, "warmup_steps": 1, "tasks": 16, "samples": 8, "capacity": 512},
    "ppo": {"lr": 1e-3, "value_lr": 1e-2, "warmup_updates": 1, "tasks": 16, "samples": 8,
            "batch_size": 64},
    "rltf": {"lr": 1e-3, "warmup_steps": 1, "tasks": 16, "samples": 8, "capacity": 256,
             "minimum_fill": 128},
    "uniform": {"tasks": 16, "samples": 8},
}  # fmt: skip


def make(name: str, world: SymbolWorld, **settings: Any) -> Agent:
    cls = registry.get("agents", name)
    agent: Agent = cls(world.policy(), cls.config_class(**FAST[name] | settings), seed=1)
    return agent


def test_every_agent_is_covered() -> None:
    assert set(FAST) == set(registry.names("agents"))


@pytest.mark.parametrize("name", FAST)
def test_contract(name: str) -> None:
    cls = registry.get("agents", name)
    check_agent(cls, cls.config_class(**FAST[name]))


@pytest.mark.parametrize("name", FAST)
def test_learns_something_tiny(name: str) -> None:
    world = SymbolWorld(seed=0)
    agent = make(name, world)
    before = world.pass_rate(agent.policy)
    for update in range(90 if agent.learns else 2):
        agent.update(world.experience(agent.policy, agent.request(), update))
    assert before < 0.15
    after = world.pass_rate(agent.policy)
    assert after > 0.8 if agent.learns else after == before


def test_uniform_writes_by_chance_whatever_it_is_given() -> None:
    # Seven tokens beside the pad id, two of them right in turn: 1/49 whatever the policy was.
    world = SymbolWorld(seed=0)
    agent = make("uniform", world)
    assert world.pass_rate(agent.policy) == pytest.approx(1 / 49)
    episodes = world.experience(agent.policy, agent.request(), 0)
    for one in episodes:
        np.testing.assert_allclose(one.log_probs, -np.log(7.0), rtol=1e-5)
    assert len({token for one in episodes for token in one.actions.tolist()}) == 7


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("actor_critic", {"critic": "none"}),
        ("actor_critic", {"critic": "frozen"}),
        ("grpo", {"kl_coef": 0.01, "epochs": 2}),
        ("grpo", {"scale": False, "average": "constant", "drop_even_groups": False}),
        ("grpo", {"average": "sequence"}),
        ("coderl", {"capacity": 128, "critic_steps": 5, "supervised": "reference"}),
        ("coderl", {"capacity": 128, "critic": False, "supervised": "none"}),
        ("ppo", {"kl_coef": 0.1, "epochs": 2}),
        ("rft", {"per_task": 1}),
        ("rltf", {"baseline": "greedy", "supervised": "reference", "capacity": 2048}),
        ("rltf", {"baseline": "mean", "supervised": "none", "negative_scale": 1.0}),
    ],
)
def test_every_switch_keeps_the_contract(name: str, settings: dict[str, Any]) -> None:
    cls = registry.get("agents", name)
    check_agent(cls, cls.config_class(**FAST[name] | settings))


def test_presets_are_settings_of_their_agents() -> None:
    for name in registry.names("agents"):
        cls = registry.get("agents", name)
        for settings in cls.presets.values():
            made = cls.config_class(**settings)
            assert {key: getattr(made, key) for key in settings} == dict(settings)


def _failing(outcome: Outcome, passed: int, total: int, tokens: tuple[int, int],
             granularity: Granularity) -> Trajectory:  # fmt: skip
    cases = [CaseResult(outcome=Outcome.PASSED)] * passed
    cases += [CaseResult(outcome=outcome)] * (total - passed)
    five = np.zeros(5, dtype=np.float32)
    return Trajectory(
        task_id="t",
        prompt=np.array([2]),
        actions=np.array([2, 3, 4, 5, 1]),
        log_probs=five,
        values=five,
        reward=0.0,
        token_rewards=five,
        finished=True,
        program="bcde",
        verdict=Verdict.from_cases(cases),
        feedback=Feedback(granularity=granularity, tokens=tokens, n_tokens=5),
    )


def test_rltf_five_tokens_by_hand() -> None:
    # A runtime error on tokens 1 and 2 of 5, no test passed, baseline 0.025 (one of four tests):
    # whole = -0.6 - 0.025 = -0.625; alpha = 5 / 2; the fault adds -0.3 * 2.5 = -0.75.
    agent = make("rltf", SymbolWorld(), negative_scale=1.0)
    fault = _failing(Outcome.RUNTIME_ERROR, 0, 4, (1, 3), Granularity.LINE)
    got = agent.credit(fault, 0.025)  # type: ignore[attr-defined]
    np.testing.assert_allclose(got, [-0.625, -1.375, -1.375, -0.625, -0.625], rtol=1e-6)
    # The published code's alpha is 1: the fault adds -0.3.
    plain = make("rltf", SymbolWorld(), negative_scale=1.0, alpha=False)
    np.testing.assert_allclose(
        plain.credit(fault, 0.025)[:2],
        [-0.625, -0.925],
        rtol=1e-6,  # type: ignore[attr-defined]
    )


@pytest.mark.parametrize(
    ("settings", "value"),
    [
        ({}, -0.3 + 1.3 * 0.5),
        ({"adaptive": False}, -0.3),
        ({"coarse": False}, -0.3 + 1.3 * 0.5),
        ({"coarse": False, "adaptive": False}, 0.0),
    ],
)
def test_rltf_terms_can_be_switched_off(settings: dict[str, Any], value: float) -> None:
    agent = make("rltf", SymbolWorld(), **settings)
    wrong = _failing(Outcome.FAILED, 2, 4, (0, 0), Granularity.IGNORE)
    assert agent.value(wrong) == pytest.approx(value)  # type: ignore[attr-defined]


def test_rltf_equal_to_its_baseline_teaches_nothing() -> None:
    agent = make("rltf", SymbolWorld())
    wrong = _failing(Outcome.FAILED, 2, 4, (0, 0), Granularity.IGNORE)
    credit = agent.credit(wrong, agent.value(wrong))  # type: ignore[attr-defined]
    assert not credit.any()


def test_the_kl_charge_follows_its_target() -> None:
    world = SymbolWorld(seed=0)
    agent = make("ppo", world, kl_coef=0.5, kl_target=1.0, kl_horizon=1280.0)
    metrics = agent.update(world.experience(agent.policy, agent.request(), 0))
    # The policy is its own reference at first: kl = 0, error -1 is clipped to -0.2,
    # 128 programs of a horizon of 1280 make it 0.5 * (1 - 0.2 * 0.1).
    assert metrics["kl"] == pytest.approx(0.0, abs=1e-5)
    metrics = agent.update(world.experience(agent.policy, agent.request(), 1))
    assert metrics["kl_coef"] == pytest.approx(0.49)


def test_rltf_waits_for_its_buffer_and_takes_turns() -> None:
    world = SymbolWorld(seed=0)
    agent = make("rltf", world, minimum_fill=200, capacity=200, supervised="reference")
    weights = [one.detach().clone() for one in agent.policy.module.parameters()]
    metrics = agent.update(world.experience(agent.policy, agent.request(), 0))
    assert metrics["buffer"] == 128 and "loss" not in metrics
    assert all(map(torch.equal, weights, agent.policy.module.parameters()))
    metrics = agent.update(world.experience(agent.policy, agent.request(), 1))
    assert metrics["buffer"] == 200
    assert {"supervised_loss", "feedback_loss"} <= set(metrics)


def test_rltf_offline_asks_for_nothing_once_it_is_full() -> None:
    world = SymbolWorld(seed=0)
    agent = make("rltf", world, online=False, capacity=128)
    agent.update(world.experience(agent.policy, agent.request(), 0))
    assert agent.request() == Request()
    metrics = agent.update([])
    assert metrics["version_lag"] > 0 and metrics["programs"] == 128


def test_rft_learns_nothing_from_failures() -> None:
    world = SymbolWorld(seed=0)
    agent = make("rft", world)
    weights = [one.detach().clone() for one in agent.policy.module.parameters()]
    episodes = world.experience(agent.policy, agent.request(), 0)
    failing = [one for one in episodes if one.verdict is not None and not one.verdict.passed]
    assert agent.update(failing)["kept"] == 0
    assert all(map(torch.equal, weights, agent.policy.module.parameters()))


def test_rft_imitates_a_task_once_however_often_it_was_solved() -> None:
    world = SymbolWorld(seed=0)
    passing = _failing(Outcome.PASSED, 1, 1, (0, 0), Granularity.IGNORE)
    written = [("t", "x = 1"), ("t", "x = 2"), ("t", "x  =  1"), ("t", "x = 3"), ("u", "x = 1")]
    programs = [dataclasses.replace(passing, task_id=task, program=text) for task, text in written]
    for per_task, kept in ((0, 5), (1, 2), (2, 3), (9, 4)):
        agent = make("rft", world, per_task=per_task)
        assert agent.update(programs)["kept"] == kept


def test_actor_critic_gradient_is_return_minus_value() -> None:
    world = SymbolWorld(seed=0)
    agent = make("actor_critic", world, negative_scale=1.0)
    one = _failing(Outcome.PASSED, 1, 1, (0, 0), Granularity.IGNORE)
    values = np.array([0.5, 0.5, 0.25, 0.0, 1.0], dtype=np.float32)
    one = dataclasses.replace(one, reward=1.0, values=values)
    batch = Batch.from_trajectories([one], pad_id=0)
    advantages, returns = agent._credit(batch)  # type: ignore[attr-defined]
    expected = 1.0 - values
    np.testing.assert_allclose(advantages[0], expected / (expected.std() + 1e-6), rtol=1e-5)
    np.testing.assert_allclose(returns[0], 1.0)


def test_ppo_damps_negative_advantages_and_then_does_not_centre_them() -> None:
    world = SymbolWorld(seed=0)
    for scale, centres in ((0.5, False), (1.0, True)):
        agent = make("ppo", world, negative_scale=scale)
        buffer = agent._ppo.rollout_buffer
        buffer.advantages = np.array([1.0, -1.0, 0.0, 3.0], dtype=np.float32)
        agent._damp()
        assert agent._ppo.normalize_advantage is centres
        expected = np.array([1.0, -scale, 0.0, 3.0])
        # Divided by the deviation sqrt(mean of squares - square of mean) = 1.341 where damped.
        deviation = 1.0 if centres else np.sqrt((1 + 0.25 + 9) / 4 - (3.5 / 4) ** 2)
        np.testing.assert_allclose(buffer.advantages, expected / deviation, rtol=1e-4)


def test_grpo_damps_what_is_worse_than_its_group() -> None:
    moved = []
    for scale in (1.0, 0.0):
        world = SymbolWorld(seed=0)
        agent = make("grpo", world, negative_scale=scale, average="sequence", minibatches=1)
        moved.append(agent.update(world.experience(agent.policy, agent.request(), 0)))
    # At ratio 1 the loss is minus the mean advantage of the programs: 0 over whole groups.
    assert moved[0]["policy_loss"] == pytest.approx(0.0, abs=1e-5)
    assert moved[1]["policy_loss"] < -0.1
