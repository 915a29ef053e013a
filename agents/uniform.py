"""Uniform: programs drawn from the uniform distribution over tokens; learns nothing. The floor.

What an agent gains counts only above what chance finds. The policy that was given is replaced by
the uniform policy over the same vocabulary, so that evaluations of the run measure chance too.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from codegym import registry
from codegym.episode import Request
from codegym.learning.agent import Agent
from codegym.policies.uniform import UniformPolicy
from codegym.policy import Policy
from codegym.trajectory import Trajectory


@dataclass(frozen=True, slots=True, kw_only=True)
class UniformConfig:
    """Settings of the floor.

    Attributes:
        tasks: Tasks drawn for one update.
        samples: Programs written for each.
    """

    tasks: int = 64
    samples: int = 4


@registry.plugin("agents", "uniform")
class Uniform(Agent):
    """Writes by chance and learns nothing."""

    name = "uniform"
    config_class = UniformConfig
    learns_from = "nothing"

    def __init__(self, policy: Policy, config: UniformConfig, *, seed: int) -> None:
        self.policy = UniformPolicy(policy.tokenizer, max_tokens=policy.max_tokens, seed=seed)
        self.config = config
        self.updates = 0

    def request(self) -> Request:
        """Ask for several programs per task."""
        return Request(tasks=self.config.tasks, samples=self.config.samples)

    def update(
        self, trajectories: Sequence[Trajectory], *, progress: float = 0.0
    ) -> dict[str, float]:
        """Count the update."""
        self.updates += 1
        return {}

    def state_dict(self) -> dict[str, Any]:
        """Return the number of updates."""
        return {"updates": self.updates}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what ``state_dict`` returned."""
        self.updates = state["updates"]
