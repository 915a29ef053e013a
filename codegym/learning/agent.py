"""Agent: owns a policy and learns from trajectories; departures: settings that differ from a paper.

An agent never sees the environment or the sandbox, and prices nothing: what programs are worth
stands in the trajectories.
"""

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from codegym.episode import Request
from codegym.errors import ConfigError
from codegym.policy import Policy
from codegym.trajectory import Trajectory

if TYPE_CHECKING:
    from codegym.learning.team import Team

# Settings that follow from the run; the trainer fills them in.
RUN_SETTINGS = frozenset({"max_new_tokens"})


class Agent(ABC):
    """A learning algorithm.

    Each sub-class has a file under ``agents/``, with its config dataclass, and registers with
    ``registry.plugin("agents", NAME)``. Reward and credit come from the trajectories alone, so that
    every agent learns from whichever reward the run has.

    ``codegym.training.trainer`` runs this loop::

        while budget:
            trajectories = collect(agent.policy, tasks, agent.request())
            metrics = agent.update(trajectories)

    Args:
        policy: The policy to train.
        config: An instance of ``config_class``.
        seed: Seed of what the agent draws itself.

    Attributes:
        name: The name it is registered under.
        config_class: The frozen dataclass of its settings. The defaults are the paper's.
        presets: Named settings, as differences from the defaults: ``paper`` has none, ``small``
            suits a transformer of under a million weights.
        default_reward: Reward of a run that names no other, as an expression.
        learns_in_a_team: Whether several processes can share its updates: its losses are sums over
            ``Learner.pieces``.
        learns_from: ``rewards`` of the policy's programs, ``demonstrations`` alone, so that a warm
            start before it would be more of the same, or ``nothing``: a floor to compare with.
        policy: The policy it trains.
        config: Its settings.
        updates: Number of calls of ``update`` so far.
    """

    name: ClassVar[str]
    config_class: ClassVar[type[Any]]
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {"paper": {}, "small": {}}
    default_reward: ClassVar[str] = "binary"
    learns_in_a_team: ClassVar[bool] = False
    learns_from: ClassVar[Literal["rewards", "demonstrations", "nothing"]] = "rewards"

    policy: Policy
    config: Any
    updates: int

    @abstractmethod
    def __init__(self, policy: Policy, config: Any, *, seed: int) -> None: ...

    @abstractmethod
    def request(self) -> Request:
        """Return what experience the next ``update`` wants."""

    @abstractmethod
    def update(
        self, trajectories: Sequence[Trajectory], *, progress: float = 0.0
    ) -> dict[str, float]:
        """Learn from some episodes and return metrics under the field's names.

        Args:
            trajectories: Judged episodes; those of a task are adjacent.
            progress: Share of the budget spent, in [0, 1], for schedules.
        """

    def join(self, team: "Team") -> None:
        """Learn together with other processes, which hold the same weights and run the same code.

        Raises:
            ConfigError: The agent learns in one process alone.
        """
        if team.size > 1:
            raise ConfigError(
                f"agent {self.name!r} learns in one process",
                value=f"processes={team.size}",
                expected="processes=1",
                cure="use an agent that is a codegym.learning.learner.Learner",
            )

    def artifacts(self) -> dict[str, Any]:
        """Return what evaluations of a finished run can use beside the policy; nothing here."""
        return {}

    @abstractmethod
    def state_dict(self) -> dict[str, Any]:
        """Return all that resuming needs beside the policy's weights."""

    @abstractmethod
    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what ``state_dict`` returned."""


def departures(config: Any) -> dict[str, tuple[Any, Any]]:
    """Return the settings that differ from the paper's, each as (value, the paper's value).

    Settings that follow from the run, such as the longest program, are left out.

    Args:
        config: An instance of an agent's ``config_class``.
    """
    paper = type(config)()
    pairs = {
        field.name: (getattr(config, field.name), getattr(paper, field.name))
        for field in dataclasses.fields(config)
        if field.name not in RUN_SETTINGS
    }
    return {name: (value, theirs) for name, (value, theirs) in pairs.items() if value != theirs}
