"""check_agent: does a learning algorithm keep the contract of ``codegym.learning.agent``?"""

import copy
import dataclasses
import json
import math
from collections.abc import Mapping
from typing import Any

import torch

from codegym.checks.agent_experience import (
    check_temperature,
    check_what_the_environment_wrote,
    with_random_rewards,
)
from codegym.checks.symbol_world import SymbolWorld
from codegym.checks.team_share import check_shares
from codegym.episode import Request
from codegym.errors import CodegymError, ConformanceError
from codegym.learning.agent import Agent
from codegym.policies import nested_state
from codegym.rewards import make_reward

Weights = list[torch.Tensor]
# Updates that an agent may take to fill its buffer before it learns.
_PATIENCE = 60
# Updates after the first step by which true and random rewards must have made a difference.
_TELLING = 8
_TEMPERATURES = (0.6, 1.2)
_LEARNS_FROM = ("rewards", "demonstrations", "nothing")


def check_agent(agent_class: type[Agent], config: Any = None, *, updates: int = 4) -> None:
    """Run an agent on a world of three tasks and check what it promises.

    Its settings are a frozen dataclass and its presets name only settings; every update returns
    finite metrics and changes weights only together with the policy's version; an agent that
    learns changes weights sooner or later, a floor never does; the same seed gives the same
    weights; a state written to disk and read back goes on as if nothing had happened.

    An agent that learns from rewards learns something else from other rewards; before any step its
    programs are as likely as when they were written, at every temperature; and it learns nothing
    from what an environment wrote into an episode, or refuses such episodes. Where it says that it
    learns in a team, the gradients of two processes add up to the gradient of one.

    Args:
        agent_class: The agent to check.
        config: Its settings; the preset ``small`` if None.
        updates: Number of updates of each run.

    Raises:
        ConformanceError: A promise is broken; the message says which.
    """
    _check_settings(agent_class)
    if config is None:
        config = agent_class.config_class(**agent_class.presets.get("small", {}))
    world = SymbolWorld(seed=3, reward=agent_class.default_reward)
    first = agent_class(world.policy(), config, seed=5)
    at_first = _weights(first)
    for number in range(updates):
        _check_update(first, world, number)
    again = agent_class(world.policy(), config, seed=5)
    for number in range(updates):
        again.update(world.experience(again.policy, again.request(), number))
    _same(first, again, "two runs from one seed end with different weights")

    resumed = agent_class(copy.deepcopy(first.policy), config, seed=99)
    resumed.load_state_dict(_written_and_read(first))
    if resumed.updates != updates:
        raise ConformanceError(
            "the state does not hold the number of updates",
            value=resumed.updates,
            expected=str(updates),
        )
    for agent in (first, resumed):
        agent.update(world.experience(agent.policy, agent.request(), updates))
    _same(first, resumed, "a run goes on differently after its state was saved and restored")
    _check_learning(first, world, updates + 1, at_first)
    if agent_class.learns_in_a_team:
        check_shares(agent_class, config, world, patience=_PATIENCE)
    if agent_class.learns_from == "rewards":
        _check_rewards_matter(agent_class, config, world)
        for temperature in _TEMPERATURES:
            check_temperature(agent_class, config, world, temperature, patience=_PATIENCE)
        check_what_the_environment_wrote(agent_class, config, world, patience=_PATIENCE)


def _check_settings(agent_class: type[Agent]) -> None:
    config_class = agent_class.config_class
    if not dataclasses.is_dataclass(config_class):
        raise ConformanceError("config_class is no dataclass", value=config_class)
    parameters: Any = getattr(config_class, "__dataclass_params__")  # noqa: B009
    if not parameters.frozen:
        raise ConformanceError("config_class is not frozen", value=config_class)
    names = {field.name for field in dataclasses.fields(config_class)}
    for preset, settings in agent_class.presets.items():
        if unknown := set(settings) - names:
            raise ConformanceError(
                f"preset {preset!r} names no settings of the agent",
                value=sorted(unknown),
                expected=", ".join(sorted(names)),
            )
    if agent_class.presets.get("paper"):
        raise ConformanceError(
            "preset 'paper' differs from the defaults",
            value=dict(agent_class.presets["paper"]),
            expected="{}: the defaults of config_class are the paper's",
        )
    learns_from: str = agent_class.learns_from
    if learns_from not in _LEARNS_FROM:
        raise ConformanceError(
            "learns_from is unknown", value=learns_from, expected=", ".join(_LEARNS_FROM)
        )
    try:
        make_reward(agent_class.default_reward)
    except CodegymError as error:
        raise ConformanceError(f"default_reward is no reward: {error}") from None


def _check_update(agent: Agent, world: SymbolWorld, number: int) -> None:
    version, before = agent.policy.version, _weights(agent)
    wanted = _check_request(agent)
    metrics: Any = agent.update(world.experience(agent.policy, wanted, number))
    if not isinstance(metrics, Mapping):
        raise ConformanceError("update returns no metrics", value=metrics, expected="a dict")
    if agent.updates != number + 1:
        raise ConformanceError(
            "update does not count itself", value=agent.updates, expected=str(number + 1)
        )
    for name, value in metrics.items():
        if not isinstance(value, int | float):
            raise ConformanceError(f"metric {name!r} is no number", value=value)
        # The explained variance of a constant has no value.
        if not math.isfinite(value) and name != "explained_variance":
            raise ConformanceError(f"metric {name!r} is not finite", value=value)
    if not all(bool(weight.isfinite().all()) for weight in _weights(agent)):
        raise ConformanceError("a weight is not finite after an update")
    if not _equal(before, _weights(agent)) and agent.policy.version == version:
        raise ConformanceError(
            "weights changed and policy.version did not",
            cure="call policy.mark_updated() after every step",
        )


def _check_request(agent: Agent) -> Request:
    wanted: Any = agent.request()
    if not isinstance(wanted, Request):
        raise ConformanceError("request returns no Request", value=wanted)
    if agent.request() != wanted:
        raise ConformanceError(
            "asking twice changes what is asked for", value=agent.request(), expected=str(wanted)
        )
    counts = (wanted.tasks, wanted.demonstrations, wanted.samples - 1)
    if min(counts) < 0 or not wanted.temperature > 0:
        raise ConformanceError("what is asked for is impossible", value=wanted)
    return wanted


def _check_learning(agent: Agent, world: SymbolWorld, done: int, at_first: Weights) -> None:
    """Check that weights change if the agent learns; an agent that fills a buffer is given time."""
    number, learns = done, agent.learns_from != "nothing"
    while learns and _equal(at_first, _weights(agent)) and number < done + _PATIENCE:
        agent.update(world.experience(agent.policy, agent.request(), number))
        number += 1
    changed = not _equal(at_first, _weights(agent))
    if changed and not learns:
        raise ConformanceError("an agent that learns from nothing changes weights", expected="none")
    if learns and not changed:
        raise ConformanceError(
            f"an agent that learns changed no weight in {number} updates",
            cure='learns_from = "nothing" declares a floor to compare with',
        )


def _check_rewards_matter(agent_class: type[Agent], config: Any, world: SymbolWorld) -> None:
    """Check that the same programs under random rewards lead to other weights."""
    writer = world.policy()
    agent, other = (agent_class(world.policy(), config, seed=5) for _ in range(2))
    at_first, number, learnt = _weights(agent), 0, 0
    while number < _PATIENCE and learnt < _TELLING:
        programs = world.experience(writer, agent.request(), number)
        agent.update(programs, progress=0.5)
        other.update(with_random_rewards(programs, seed=number), progress=0.5)
        if not _equal(_weights(agent), _weights(other)):
            return
        number += 1
        learnt += not _equal(at_first, _weights(agent))
    raise ConformanceError(
        "an agent learns the same from random rewards as from the true ones",
        value=agent_class.learns_from,
        cure='read Trajectory.reward or credit; else learns_from = "demonstrations"',
    )


def _written_and_read(agent: Agent) -> dict[str, Any]:
    """Return the agent's state as a checkpoint would give it back."""
    try:
        tree, tensors = nested_state.flatten(agent.state_dict())
    except TypeError as error:
        raise ConformanceError(
            f"the state cannot be saved: {error}",
            expected="plain values, arrays, tensors and generators",
        ) from None
    state: dict[str, Any] = nested_state.restore(json.loads(json.dumps(tree)), tensors)
    return state


def _equal(left: Weights, right: Weights) -> bool:
    return all(torch.equal(a, b) for a, b in zip(left, right, strict=True))


def _weights(agent: Agent) -> Weights:
    return [weight.detach().clone() for weight in agent.policy.module.parameters()]


def _same(left: Agent, right: Agent, complaint: str) -> None:
    if not _equal(_weights(left), _weights(right)):
        raise ConformanceError(complaint)
