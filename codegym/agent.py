"""Agent: owns a policy and learns from trajectories. It never sees the env or the sandbox."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar

from codegym.policy import Policy
from codegym.trajectory import Trajectory


class Agent(ABC):
    """A learning algorithm.

    Sub-classes stand in one file each under ``agents/`` with a config dataclass beside them, take
    ``(policy, config, *, seed)`` and register with ``registry.plugin("agents", NAME)``.

    The loop it is meant for (``codegym.training`` is that loop)::

        while budget:
            trajectories = collect(agent.policy, tasks, sandbox, n=agent.samples_per_task)
            metrics = agent.update(trajectories)

    Attributes:
        name: The name it is registered under.
        config_class: The dataclass of its settings.
        demonstrations: True if it learns from canonical solutions instead of its own programs.
        policy: What it trains.
        updates: How many times ``update`` has run.
    """

    name: ClassVar[str]
    config_class: ClassVar[type[Any]]
    demonstrations: ClassVar[bool] = False

    policy: Policy
    updates: int

    @abstractmethod
    def update(
        self, trajectories: Sequence[Trajectory], *, progress: float = 0.0
    ) -> dict[str, float]:
        """Learn from some episodes and return metrics under the field's names.

        Args:
            trajectories: Judged episodes; those of one task stand together.
            progress: Share of the budget spent, in [0, 1], for schedules.
        """

    @abstractmethod
    def state_dict(self) -> dict[str, Any]:
        """Return all that resuming needs beside the policy's weights."""

    @abstractmethod
    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what ``state_dict`` returned."""
