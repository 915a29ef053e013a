"""Environments: made by id for a policy, with the policy's tokenizer, prompts and context."""

import importlib
import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import gymnasium as gym
from gymnasium.envs.registration import EnvSpec, load_env_creator
from gymnasium.error import Error as GymnasiumError
from gymnasium.vector import VectorEnv

from codegym.errors import ConfigError, UnknownNameError
from codegym.grading.judge import Judge
from codegym.grading.verdict import Verdict
from codegym.policy import Policy
from codegym.registration import ENVIRONMENTS, import_packages
from codegym.rewards import Reward
from codegym.tasks.task import Task
from codegym.tasks.task_source import TaskSource

DEFAULT_ENV = "CodeGym/Synthesis-v0"


def make_env(
    env_id: str,
    policy: Policy,
    *,
    tasks: str | TaskSource | Sequence[Task] | None = None,
    reward: str | Reward | Callable[[Verdict], float] | None = None,
    budget: int | None = None,
    judge: Judge | None = None,
    num_envs: int = 1,
    env_args: Mapping[str, Any] | None = None,
) -> "VectorEnv[Any, Any, Any]":
    """Make a vector environment in which a policy can act.

    Args:
        env_id: A Gymnasium id, ``CodeGym/Repair-v0`` or another package's; see ``find_env``.
        policy: Who will act: its tokenizer, prompts and context become the environment's.
        tasks: Task URI, a source, or a list of tasks; the id's own tasks if None.
        reward: Reward, its expression, or a function of the verdict; the id's own if None.
        budget: Largest number of tokens of a program.
        judge: Grades the programs.
        num_envs: Number of sub-envs, for environments that are stepped.
        env_args: Further keyword arguments of the environment; they win over the others.

    Raises:
        UnknownNameError: There is no such environment, or no such argument; names the nearest.
        ConfigError: The environment does not take tasks or a reward, or an argument is unusable.
    """
    spec = find_env(env_id)
    given = dict(env_args or {})
    takes = check_arguments(env_id, given)
    ours: dict[str, Any] = {
        "tasks": tasks,
        "reward": reward,
        "budget": budget,
        "judge": judge,
        "tokenizer": policy.tokenizer,
        "max_tokens": policy.max_tokens,
        "encode_prompt": policy.encode_prompt,
        "answers": policy.answers or None,
    }
    held = {name: value for name, value in ours.items() if value is not None}
    arguments = _taken(env_id, takes, held, given) | given
    try:
        env = gym.make_vec(spec, num_envs=num_envs, **_layout(spec, arguments))
    except TypeError as error:
        raise ConfigError(
            f"environment {env_id!r} cannot be made: {error}", value=sorted(given)
        ) from error
    return env


def find_env(env_id: str) -> EnvSpec:
    """Return the registration of an environment.

    Args:
        env_id: A Gymnasium id. ``package:Name-v0`` imports the package first, which registers it;
            packages with an entry point in ``codegym.envs`` are imported for an unknown id.

    Raises:
        UnknownNameError: There is no such environment; names the nearest.
        ConfigError: The package cannot be imported.
    """
    package, colon, name = env_id.rpartition(":")
    if colon:
        try:
            importlib.import_module(package)
        except ImportError as error:
            raise ConfigError(
                f"the package of an environment cannot be imported: {error}",
                value=env_id,
                expected="package:Name-v0, with a package that registers the environment",
            ) from error
    if name not in gym.registry:
        import_packages()
    try:
        return gym.spec(name)
    except GymnasiumError as error:
        known = [known for known in gym.registry if "/" in known]
        raise UnknownNameError("environment", name, known or list(ENVIRONMENTS)) from error


def check_arguments(env_id: str, names: Iterable[str] = ()) -> set[str] | None:
    """Return the arguments that an environment takes; None where it takes any.

    Args:
        env_id: See ``find_env``.
        names: Arguments that are to be given.

    Raises:
        UnknownNameError: There is no such environment or argument; names the nearest.
        ConfigError: The environment's package cannot be imported.
    """
    spec = find_env(env_id)
    entry = spec.vector_entry_point or spec.entry_point
    takes = _parameters(load_env_creator(entry) if isinstance(entry, str) else entry)
    for name in names:
        if takes is not None and name not in takes:
            raise UnknownNameError(f"argument of {env_id}", name, sorted(takes))
    return takes


def _taken(
    env_id: str, takes: set[str] | None, ours: dict[str, Any], given: Mapping[str, Any]
) -> dict[str, Any]:
    """Return those of our arguments that the environment takes.

    Raises:
        ConfigError: It takes no tasks, or no reward, where there are some.
    """
    if takes is None:
        return ours
    for name in ("tasks", "reward"):
        if name in ours and name not in takes | given.keys():
            raise ConfigError(
                f"environment {env_id!r} takes no {name}",
                value=str(ours[name]),
                expected=f"arguments {', '.join(sorted(takes)) or 'none'}",
                cure=f'leave {name} out, or {name}="" for a run; the environment brings its own',
            )
    return {name: value for name, value in ours.items() if name in takes}


def _layout(spec: EnvSpec, arguments: dict[str, Any]) -> dict[str, Any]:
    if spec.vector_entry_point is not None:
        return arguments
    return {"vectorization_mode": "sync", **arguments}


def _parameters(creator: Any) -> set[str] | None:
    """Return the keyword arguments of an environment; None where it takes any."""
    parameters = inspect.signature(creator).parameters.values()
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
        return None
    return {parameter.name for parameter in parameters}
