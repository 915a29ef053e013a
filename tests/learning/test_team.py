"""Teams: two real processes take the steps that one takes."""

import dataclasses
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import multiprocessing

from codegym import registry
from codegym.checks.symbol_world import SymbolWorld
from codegym.errors import ConfigError
from codegym.learning.team import Team
from codegym.training.team_processes import meeting

AGENTS = ("sft", "rft", "rloo", "grpo", "ppo", "actor_critic", "rltf", "coderl")
SIZE = 2
LITTLE = {"tasks": 24, "demonstrations": 16, "steps": 4, "critic_steps": 4, "minimum_fill": 8}


def learn(name: str, team: Team | None = None) -> tuple[torch.Tensor, dict[str, float]]:
    """Return the weights after three updates, and the metrics of the last."""
    world = SymbolWorld(seed=0)
    policy = world.policy()
    agent_class = registry.get("agents", name)
    config = agent_class.config_class(**agent_class.presets["small"])
    names = {field.name for field in dataclasses.fields(config)}
    config = replace(config, **{name: value for name, value in LITTLE.items() if name in names})
    agent = agent_class(policy, config, seed=1)
    if team is not None:
        agent.join(team)
    writer = world.policy()
    metrics = {}
    for update in range(3):
        # Everybody learns from the same episodes, which a policy that stays as it is has written.
        metrics = agent.update(world.experience(writer, agent.request(), update), progress=0.5)
    weights = torch.cat([weight.detach().flatten() for weight in policy.module.parameters()])
    return weights, metrics


def take_part(rank: int, folder: Path) -> None:
    torch.set_num_threads(1)
    with meeting(rank, SIZE, folder) as team:
        found = {name: learn(name, team) for name in AGENTS}
        episodes = list(range(7))
        own = team.share(episodes)
        found["items"] = (own, team.merge([number * 10 for number in own]))
        found["first"] = (team.first(f"of {rank}"), team.gather(rank))
        found["sums"] = team.sum({"a": float(rank), f"b{rank}": 2.0})
        weight = torch.nn.Parameter(torch.zeros(3))
        other = torch.nn.Parameter(torch.zeros(2))
        if rank == 1:
            weight.grad = torch.tensor([1.0, 2.0, 3.0])
        team.sum_gradients([weight, other])
        found["gradients"] = (weight.grad, other.grad)
        torch.save(found, folder / f"found-{rank}.pt")


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[dict[str, Any]]]:
    folder = tmp_path_factory.mktemp("team")
    multiprocessing.spawn(take_part, args=(folder,), nprocs=SIZE)
    yield [torch.load(folder / f"found-{rank}.pt", weights_only=False) for rank in range(SIZE)]


@pytest.mark.parametrize("name", AGENTS)
def test_two_processes_learn_what_one_learns(name: str, found: list[dict[str, Any]]) -> None:
    alone, expected = learn(name)
    first, second = (each[name] for each in found)
    # The members stay equal to the bit, metrics too.
    assert torch.equal(first[0], second[0])
    assert first[1] == pytest.approx(second[1], rel=0, abs=0, nan_ok=True)
    # Sums are taken in another order than alone; nothing else differs.
    start = torch.cat(
        [weight.detach().flatten() for weight in SymbolWorld(seed=0).policy().module.parameters()]
    )
    moved = (alone - start).norm()
    assert moved > 0.0 and (first[0] - alone).norm() < 1e-2 * moved
    assert first[1] == pytest.approx(expected, rel=1e-3, abs=1e-5, nan_ok=True)


def test_items_are_divided_and_merged_in_their_order(found: list[dict[str, Any]]) -> None:
    assert [each["items"][0] for each in found] == [[0, 2, 4, 6], [1, 3, 5]]
    assert all(each["items"][1] == [0, 10, 20, 30, 40, 50, 60] for each in found)


def test_the_leader_is_heard_by_all(found: list[dict[str, Any]]) -> None:
    assert all(each["first"] == ("of 0", [0, 1]) for each in found)


def test_values_are_summed_by_name(found: list[dict[str, Any]]) -> None:
    assert all(each["sums"] == {"a": 1.0, "b0": 2.0, "b1": 2.0} for each in found)


def test_a_gradient_that_nobody_has_stays_none(found: list[dict[str, Any]]) -> None:
    for each in found:
        summed, nobodys = each["gradients"]
        assert summed.tolist() == [1.0, 2.0, 3.0] and nobodys is None


def test_a_team_alone_changes_nothing() -> None:
    team = Team()
    assert team.leads and team.share([1, 2]) == [1, 2] and team.merge([1, 2]) == [1, 2]
    assert team.first("x") == "x" and team.gather(3) == [3] and team.sum({"a": 1.0}) == {"a": 1.0}
    assert team.seed(12) == 12


def test_a_team_without_a_process_group_is_refused() -> None:
    with pytest.raises(ConfigError, match="--processes"):
        Team(0, 2)


def test_an_agent_of_one_process_says_so() -> None:
    agent_class = registry.get("agents", "sb3_ppo")
    world = SymbolWorld(seed=0)
    agent = agent_class(world.policy(), agent_class.config_class(), seed=0)
    team = Team()
    agent.join(team)
    team.size = 2
    with pytest.raises(ConfigError, match="'sb3_ppo' learns in one process"):
        agent.join(team)


def test_shares_of_a_batch_hold_every_episode_once() -> None:
    from codegym.episode import Request
    from codegym.trajectory import Batch

    world = SymbolWorld(seed=0)
    batch = Batch.from_trajectories(
        world.experience(world.policy(), Request(tasks=5, samples=3), 0), pad_id=0
    )
    batch = batch.with_columns(
        number=np.broadcast_to(np.arange(15, dtype=np.float32)[:, None], batch.mask.shape)
    )
    seen = []
    for rank in range(4):
        team = Team()
        team.rank, team.size = rank, 4
        for piece in team.pieces(batch, 2):
            assert len(piece) <= 2
            seen += piece.columns["number"][:, 0].astype(int).tolist()
    assert sorted(seen) == list(range(15))
