"""Agent: owns a policy and learns from trajectories. It never sees the env or the sandbox."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from codegym.policy import Policy
from codegym.trajectory import Trajectory


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What experience an agent wants for its next update.

    Attributes:
        tasks: Tasks for which the policy writes programs.
        samples: Programs written for each of them.
        temperature: Of the sampling.
        greedy: Whether one more program per task is written greedily.
        demonstrations: Further tasks whose reference solutions are played back.
    """

    tasks: int = 0
    samples: int = 1
    temperature: float = 1.0
    greedy: bool = False
    demonstrations: int = 0


class Agent(ABC):
    """A learning algorithm.

    Sub-classes stand in one file each under ``agents/`` with a config dataclass beside them and
    register with ``registry.plugin("agents", NAME)``.

    The loop it is meant for (``codegym.training.trainer`` is that loop)::

        while budget:
            trajectories = collect(agent.policy, tasks, agent.request())
            metrics = agent.update(trajectories)

    Args:
        policy: What it trains.
        config: An instance of ``config_class``.
        seed: Of whatever the agent draws itself.

    Attributes:
        name: The name it is registered under.
        config_class: The dataclass of its settings; its defaults are the preset ``small``.
        presets: Further named settings, as differences from the defaults; ``paper`` among them
            where a paper gives numbers.
        learns: Whether ``update`` changes weights at all; a floor to compare with does not.
        from_demonstrations: Whether it learns from reference solutions alone, so that a warm start
            before it would be more of the same.
        policy: What it trains.
        config: Its settings.
        updates: How many times ``update`` has run.
    """

    name: ClassVar[str]
    config_class: ClassVar[type[Any]]
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {"small": {}}
    learns: ClassVar[bool] = True
    from_demonstrations: ClassVar[bool] = False

    policy: Policy
    config: Any
    updates: int

    @abstractmethod
    def __init__(self, policy: Policy, config: Any, *, seed: int) -> None: ...

    @abstractmethod
    def request(self) -> Request:
        """Say what experience the next ``update`` wants."""

    @abstractmethod
    def update(
        self, trajectories: Sequence[Trajectory], *, progress: float = 0.0
    ) -> dict[str, float]:
        """Learn from some episodes and return metrics under the field's names.

        Args:
            trajectories: Judged episodes; those of one task stand together.
            progress: Share of the budget spent, in [0, 1], for schedules.
        """

    def keepsakes(self) -> dict[str, Any]:
        """Return what evaluations of a finished run can use beside the policy; here nothing."""
        return {}

    @abstractmethod
    def state_dict(self) -> dict[str, Any]:
        """Return all that resuming needs beside the policy's weights."""

    @abstractmethod
    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what ``state_dict`` returned."""
