"""Every agent: its contract, that it learns something tiny, and its formulas by hand."""

import math
from typing import Any

import numpy as np
import pytest

from codegym import registry
from codegym.checks.check_agent import check_agent
from codegym.checks.symbol_world import SymbolWorld
from codegym.learning.agent import Agent, departures
from codegym.policy import Policy

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
            "minibatches": 2},
    "sb3_ppo": {"lr": 1e-3, "value_lr": 1e-2, "warmup_updates": 1, "tasks": 16, "samples": 8,
                "batch_size": 64},
    "rltf": {"lr": 1e-3, "warmup_steps": 1, "tasks": 16, "samples": 8, "capacity": 256,
             "minimum_fill": 128},
    "uniform": {"tasks": 16, "samples": 8},
}  # fmt: skip


def settings_of(name: str, **settings: Any) -> Any:
    cls = registry.get("agents", name)
    return cls.config_class(**{**cls.presets["small"], **FAST[name], **settings})


def world_of(name: str) -> SymbolWorld:
    return SymbolWorld(seed=0, reward=registry.get("agents", name).default_reward)


def make(name: str, policy: Policy | None = None, **settings: Any) -> Agent:
    policy = policy or SymbolWorld(seed=0).policy()
    agent: Agent = registry.get("agents", name)(policy, settings_of(name, **settings), seed=1)
    return agent


def test_every_agent_is_covered() -> None:
    assert set(FAST) == set(registry.names("agents"))


@pytest.mark.parametrize("name", FAST)
def test_contract(name: str) -> None:
    check_agent(registry.get("agents", name), settings_of(name))


@pytest.mark.parametrize("name", FAST)
def test_learns_something_tiny(name: str) -> None:
    world = world_of(name)
    agent = make(name, world.policy())
    learns = agent.learns_from != "nothing"
    before = world.pass_rate(agent.policy)
    for update in range(90 if learns else 2):
        agent.update(world.experience(agent.policy, agent.request(), update))
    assert before < 0.15
    after = world.pass_rate(agent.policy)
    assert after > 0.8 if learns else after == before


def test_uniform_writes_by_chance_whatever_it_is_given() -> None:
    # Seven tokens beside the pad id, two of them right in turn: 1/49 whatever the policy was.
    world = SymbolWorld(seed=0)
    agent = make("uniform", world.policy())
    assert world.pass_rate(agent.policy) == pytest.approx(1 / 49)
    episodes = world.experience(agent.policy, agent.request(), 0)
    for episode in episodes:
        np.testing.assert_allclose(episode.log_probs, -np.log(7.0), rtol=1e-5)
    assert len({token for episode in episodes for token in episode.actions.tolist()}) == 7


@pytest.mark.slow
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
        ("ppo", {"kl_coef": 0.1, "epochs": 2, "clip_range_vf": 0.2, "ent_coef": 0.01}),
        ("ppo", {"centre": True, "negative_scale": 1.0}),
        ("sb3_ppo", {"negative_scale": 1.0, "epochs": 2}),
        ("rloo", {"average": "program", "standardise": False}),
        ("actor_critic", {"replay": 64, "standardise": False}),
        ("sft", {"schedule": "linear", "final_lr": 0.0}),
        ("rft", {"per_task": 1}),
        ("rltf", {"baseline": "greedy", "supervised": "reference", "capacity": 2048}),
        ("rltf", {"baseline": "mean", "supervised": "none", "negative_scale": 1.0}),
    ],
)
def test_every_switch_keeps_the_contract(name: str, settings: dict[str, Any]) -> None:
    check_agent(registry.get("agents", name), settings_of(name, **settings))


def test_presets_are_settings_of_their_agents() -> None:
    for name in registry.names("agents"):
        cls = registry.get("agents", name)
        assert cls.presets["paper"] == {} and "small" in cls.presets
        for settings in cls.presets.values():
            made = cls.config_class(**settings)
            assert {key: getattr(made, key) for key in settings} == dict(settings)


def test_departures_are_the_settings_that_differ_from_the_papers() -> None:
    for name in registry.names("agents"):
        cls = registry.get("agents", name)
        assert departures(cls.config_class()) == {}
        for settings in cls.presets.values():
            paper = cls.config_class()
            assert departures(cls.config_class(**settings)) == {
                key: (value, getattr(paper, key))
                for key, value in settings.items()
                if value != getattr(paper, key)
            }
    grpo = registry.get("agents", "grpo").config_class
    assert departures(grpo(max_new_tokens=99, lr=1.0)) == {"lr": (1.0, 1e-6)}


def test_rft_imitates_what_reaches_its_threshold(table: Any, program: Any) -> None:
    rewards = (1.0, 0.5, 0.0)
    for threshold, kept in ((1.0, 1), (0.5, 2), (0.0, 3), (2.0, 0)):
        policy = table([[-1.0, -1.0]] * 3)
        agent = make("rft", policy, threshold=threshold, minibatches=1)
        metrics = agent.update([program(r, row=i, temperature=2) for i, r in enumerate(rewards)])
        assert metrics["kept"] == kept
        # - sum log p / (2 tokens a program), at temperature 1
        expected = [[-1 / (2 * kept)] * 2] * kept + [[0.0, 0.0]] * (3 - kept) if kept else 0.0
        np.testing.assert_allclose(policy.gradient, expected)
        assert policy.asked == ([[1.0] * kept] if kept else [])


def test_rft_leaves_out_what_was_cut(table: Any, program: Any) -> None:
    agent = make("rft", table([[-1.0, -1.0]]))
    assert agent.update([program(1.0, finished=False)])["kept"] == 0


def test_rft_imitates_a_task_once_however_often_it_was_solved(program: Any) -> None:
    written = [("t", "x = 1"), ("t", "x = 2"), ("t", "x  =  1"), ("t", "x = 3"), ("u", "x = 1")]
    programs = [program(1.0, task=task, text=text) for task, text in written]
    for per_task, kept in ((0, 5), (1, 2), (2, 3), (9, 4)):
        agent = make("rft", per_task=per_task)
        assert agent.update(programs)["kept"] == kept


def test_sft_by_hand(table: Any, program: Any) -> None:
    policy = table([[-1.0, -2.0, 0.0], [-1.0, -1.0, -1.0]])
    agent = make("sft", policy, batch_size=2)
    metrics = agent.update([program(row=0), program(row=1, length=3)])
    # - sum log p / 5 tokens
    np.testing.assert_allclose(policy.gradient, [[-0.2, -0.2, 0.0], [-0.2] * 3])
    assert metrics["loss"] == pytest.approx(6 / 5)


@pytest.mark.parametrize(
    ("schedule", "factor"),
    # At half of the budget: a straight line to .2 is at .6; so is a cosine, by symmetry. At a
    # quarter: .8, and .2 + .8 (1 + cos(pi / 4)) / 2.
    [("linear", 0.8), ("cosine", 0.2 + 0.8 * (1 + math.sqrt(0.5)) / 2)],
)
def test_sft_anneals_its_learning_rate(
    table: Any, program: Any, schedule: str, factor: float
) -> None:
    for progress, expected in ((0.5, 0.6), (0.25, factor)):
        agent = make("sft", table([[-1.0, -2.0]]), schedule=schedule, final_lr=0.2, warmup_steps=1)
        metrics = agent.update([program()], progress=progress)
        assert metrics["lr"] == pytest.approx(1e-3 * expected)
