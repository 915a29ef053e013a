"""check_agent: does a learning algorithm keep the contract of ``codegym.agent``?"""

import copy
import dataclasses
import math
from typing import Any

import torch

from codegym.agent import Agent
from codegym.checks.symbol_world import SymbolWorld
from codegym.errors import ConformanceError


def check_agent(agent_class: type[Agent], config: Any = None, *, updates: int = 4) -> None:
    """Run an agent on a world of three tasks and check what it promises.

    Its settings are a frozen dataclass and its presets name only settings; every update returns
    finite metrics and changes weights only together with the policy's version; the same seed gives
    the same weights; a state saved and restored goes on as if nothing had happened.

    Args:
        agent_class: What to check.
        config: Its settings; the defaults if None.
        updates: How many updates each run takes.

    Raises:
        ConformanceError: A promise is broken; the message says which.
    """
    _check_settings(agent_class)
    config = agent_class.config_class() if config is None else config
    world = SymbolWorld(seed=3)
    first = agent_class(world.policy(), config, seed=5)
    for number in range(updates):
        _check_update(first, world, number)
    again = agent_class(world.policy(), config, seed=5)
    for number in range(updates):
        again.update(world.experience(again.policy, again.request(), number))
    _same(first, again, "two runs from one seed end with different weights")

    resumed = agent_class(copy.deepcopy(first.policy), config, seed=99)
    resumed.load_state_dict(copy.deepcopy(first.state_dict()))
    if resumed.updates != updates:
        raise ConformanceError(
            "the state does not hold the number of updates",
            value=resumed.updates,
            expected=str(updates),
        )
    for agent in (first, resumed):
        agent.update(world.experience(agent.policy, agent.request(), updates))
    _same(first, resumed, "a run goes on differently after its state was saved and restored")


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


def _check_update(agent: Agent, world: SymbolWorld, number: int) -> None:
    version, before = agent.policy.version, _weights(agent)
    metrics = agent.update(world.experience(agent.policy, agent.request(), number))
    if agent.updates != number + 1:
        raise ConformanceError(
            "update does not count itself", value=agent.updates, expected=str(number + 1)
        )
    for name, value in metrics.items():
        # The explained variance of a constant has no value.
        if not math.isfinite(value) and name != "explained_variance":
            raise ConformanceError(f"metric {name!r} is not finite", value=value)
    changed = any(not torch.equal(a, b) for a, b in zip(before, _weights(agent), strict=True))
    if changed and agent.policy.version == version:
        raise ConformanceError(
            "weights changed and policy.version did not",
            cure="call policy.mark_updated() after every step",
        )


def _weights(agent: Agent) -> list[torch.Tensor]:
    return [weight.detach().clone() for weight in agent.policy.module.parameters()]


def _same(left: Agent, right: Agent, complaint: str) -> None:
    pairs = zip(_weights(left), _weights(right), strict=True)
    if not all(torch.equal(a, b) for a, b in pairs):
        raise ConformanceError(complaint)
