"""check_agent: each broken promise is named, an honest agent passes."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch

from codegym.checks.check_agent import check_agent
from codegym.episode import Request
from codegym.errors import ConformanceError
from codegym.learning.agent import Agent
from codegym.trajectory import Trajectory


class Stub(Agent):
    """An agent that breaks one promise."""

    name = "stub"

    @dataclasses.dataclass(frozen=True)
    class Config:
        lr: float = 0.1

    config_class = Config
    learns = False

    def __init__(self, policy: Any, config: Any, *, seed: int) -> None:
        self.policy, self.config, self.updates = policy, config, 0

    def request(self) -> Request:
        return Request(tasks=1)

    def update(
        self, trajectories: Sequence[Trajectory], *, progress: float = 0.0
    ) -> dict[str, float]:
        self.updates += 1
        return {"loss": 0.0}

    def state_dict(self) -> dict[str, Any]:
        return {"updates": self.updates}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.updates = state["updates"]


def _nudge(agent: Stub, amount: float) -> None:
    with torch.no_grad():
        next(iter(agent.policy.module.parameters())).add_(amount)


class Uncounted(Stub):
    def update(
        self, trajectories: Sequence[Trajectory], *, progress: float = 0.0
    ) -> dict[str, float]:
        return {}


class NotANumber(Stub):
    def update(
        self, trajectories: Sequence[Trajectory], *, progress: float = 0.0
    ) -> dict[str, float]:
        return super().update(trajectories) | {"loss": float("nan")}


class Silent(Stub):
    def update(
        self, trajectories: Sequence[Trajectory], *, progress: float = 0.0
    ) -> dict[str, float]:
        _nudge(self, 1.0)
        return super().update(trajectories)


class Unseeded(Stub):
    def update(
        self, trajectories: Sequence[Trajectory], *, progress: float = 0.0
    ) -> dict[str, float]:
        _nudge(self, float(np.random.default_rng().random()))
        self.policy.mark_updated()
        return super().update(trajectories)


class Forgetful(Stub):
    momentum = 0.0

    def update(
        self, trajectories: Sequence[Trajectory], *, progress: float = 0.0
    ) -> dict[str, float]:
        self.momentum += 1.0
        _nudge(self, self.momentum)
        self.policy.mark_updated()
        return super().update(trajectories)


class Idle(Stub):
    learns = True


class Busy(Stub):
    def update(
        self, trajectories: Sequence[Trajectory], *, progress: float = 0.0
    ) -> dict[str, float]:
        _nudge(self, 1.0)
        self.policy.mark_updated()
        return super().update(trajectories)


class Unsaved(Stub):
    def state_dict(self) -> dict[str, Any]:
        return super().state_dict() | {"seen": {"a", "b"}}


class Speechless(Stub):
    def update(
        self, trajectories: Sequence[Trajectory], *, progress: float = 0.0
    ) -> dict[str, float]:
        super().update(trajectories)
        return None  # type: ignore[return-value]


class Exploded(Stub):
    def update(
        self, trajectories: Sequence[Trajectory], *, progress: float = 0.0
    ) -> dict[str, float]:
        _nudge(self, float("nan"))
        self.policy.mark_updated()
        return super().update(trajectories)


class Fickle(Stub):
    asked = 0

    def request(self) -> Request:
        self.asked += 1
        return Request(tasks=self.asked)


class Wordy(Stub):
    def update(
        self, trajectories: Sequence[Trajectory], *, progress: float = 0.0
    ) -> dict[str, float]:
        return super().update(trajectories) | {"loss": "low"}  # type: ignore[dict-item]


class Impossible(Stub):
    def request(self) -> Request:
        return Request(tasks=1, samples=0)


class Misnamed(Stub):
    presets = {"paper": {"learning_rate": 1.0}}  # noqa: RUF012


@pytest.mark.parametrize(
    ("specimen", "complaint"),
    [
        (Uncounted, "does not count itself"),
        (NotANumber, "'loss' is not finite"),
        (Silent, "version did not"),
        (Unseeded, "different weights"),
        (Forgetful, "goes on differently"),
        (Misnamed, "names no settings"),
        (Idle, "changed no weight"),
        (Busy, "does not learn changes weights"),
        (Unsaved, "cannot be saved"),
        (Fickle, "asking twice"),
        (Speechless, "no metrics"),
        (Exploded, "weight is not finite"),
        (Wordy, "'loss' is no number"),
        (Impossible, "impossible"),
    ],
)
def test_the_suite_catches_broken_agents(specimen: type[Agent], complaint: str) -> None:
    with pytest.raises(ConformanceError, match=complaint):
        check_agent(specimen)


def test_the_suite_accepts_an_honest_stub() -> None:
    check_agent(Stub)
