"""make_agent and evaluate: an agent and its settings by name, a policy by name or folder."""

from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar, cast

from codegym import registry
from codegym.learning.agent import Agent
from codegym.measuring import evaluation
from codegym.policies.factory import make_policy
from codegym.policy import Policy
from codegym.training.config import Phase, agent_config, preset_of

_Rest = ParamSpec("_Rest")
_Result = TypeVar("_Result")


def make_agent(
    name: str,
    policy: Policy,
    *,
    preset: str = "auto",
    seed: int = 0,
    max_new_tokens: int = 64,
    **settings: Any,
) -> Agent:
    """Make an agent that trains a policy.

    Args:
        name: Name of the agent; ``codegym list agents`` shows them.
        policy: The policy to train.
        preset: Its named settings; ``auto`` takes ``small`` for the transformers of ``gpt`` and
            ``paper`` for every other policy.
        seed: Seed of what the agent draws itself.
        max_new_tokens: Longest program, for agents that need to know it.
        settings: Settings of the agent by name; they win over the preset.

    Raises:
        UnknownNameError: No such agent, preset or setting; names the nearest.
        ConfigError: A setting's value is of the wrong type or out of range.
        MissingExtraError: The agent needs a package that is not installed.

    Example::

        policy = codegym.make_policy("gpt:tiny")
        agent = codegym.make_agent("grpo", policy, samples=8)
        env = codegym.make_env("CodeGym/Synthesis-v0", policy)
        metrics = agent.update(codegym.collect(env, policy, agent.request()))
    """
    agent_class = registry.get("agents", name)
    chosen = preset_of(policy.name, name) if preset == "auto" else preset
    phase = Phase(name, name, chosen, settings)
    config = agent_config(agent_class, phase, max_new_tokens=max_new_tokens)
    agent: Agent = agent_class(policy, config, seed=seed)
    return agent


def opening_policies(
    function: Callable[Concatenate[Policy, _Rest], _Result],
) -> Callable[Concatenate[Policy | str | Path, _Rest], _Result]:
    """Return the function with a first argument that may be a policy's name or folder.

    Args:
        function: Takes a policy first.
    """

    @wraps(function)
    def opened(policy: Policy | str | Path, *args: _Rest.args, **kwargs: _Rest.kwargs) -> _Result:
        made = policy if isinstance(policy, Policy) else make_policy(policy)
        return function(made, *args, **kwargs)

    # The wrapper's first argument may also be given by keyword, which Concatenate cannot say.
    return cast("Callable[Concatenate[Policy | str | Path, _Rest], _Result]", opened)


evaluate = opening_policies(evaluation.evaluate)
