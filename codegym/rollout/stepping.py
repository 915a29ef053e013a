"""Stepping: any vector environment played action by action with ``Policy.act``.

Observations and actions are token ids, or texts that the policy writes in tokens. This is slow; it
serves other people's environments, and shows that the fast road of codegym's gives the same.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from gymnasium import spaces
from gymnasium.vector import VectorEnv

from codegym.episode import Request
from codegym.errors import ConfigError
from codegym.policy import Policy
from codegym.rollout.player import Player
from codegym.rollout.text_player import TextPlayer
from codegym.rollout.token_player import TokenPlayer
from codegym.tasks.task import Task
from codegym.trajectory import Trajectory

if TYPE_CHECKING:
    import torch


def step_episodes(
    env: "VectorEnv[Any, Any, Any]",
    policy: Policy,
    request: Request,
    *,
    tasks: Sequence[Task] | None = None,
    rng: "torch.Generator | None" = None,
    deterministic: bool = False,
) -> list[Trajectory]:
    """Play episodes by stepping; see ``collect``.

    Episodes are played in rounds of ``env.num_envs``. In a round, a sub-env whose episode is over
    gets actions that do not count, so that short episodes are not preferred.

    Raises:
        ConfigError: The spaces are not the policy's, or the request asks for what stepping cannot
            do: greedy programs beside the sampled ones, or demonstrations.
        InvalidActionError, SandboxError: As of ``env.step``.
    """
    if request.greedy or request.demonstrations:
        raise ConfigError(
            "an environment that is stepped gives sampled programs only",
            value=str(request),
            expected="a request without greedy programs and demonstrations",
            cure="an agent that asks for neither (ppo, grpo, rft ...), without a warm start; or an "
            "environment that is a codegym.episode.ProgramEnv",
        )
    space = env.single_action_space
    player: type[Player]
    if isinstance(space, spaces.Discrete):
        player = TokenPlayer
    elif isinstance(space, spaces.Text):
        player = TextPlayer
    else:
        raise ConfigError(
            "no policy of codegym can act in this environment",
            value=str(space),
            expected="actions that are token ids (Discrete) or texts (Text)",
        )
    wanted = request.tasks * request.samples
    chosen: list[str] | None = None
    if tasks is not None:
        chosen = [task.task_id for task in tasks for _ in range(request.samples)]
        wanted = len(chosen)
    episodes: list[Trajectory] = []
    for start in range(0, wanted, env.num_envs):
        rows = min(env.num_envs, wanted - start)
        ids = chosen and chosen[start : start + rows]
        played = player(env, policy, request, rng, deterministic).play(rows, ids)
        episodes += played
    return sorted(episodes, key=_first_seen(episodes)) if tasks is None else episodes


def _first_seen(episodes: Sequence[Trajectory]) -> Any:
    """Return a sorting key that puts the episodes of a task together, in order of appearance."""
    order: dict[str, int] = {}
    for episode in episodes:
        order.setdefault(episode.task_id, len(order))
    return lambda episode: order[episode.task_id]
