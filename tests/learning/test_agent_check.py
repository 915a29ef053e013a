"""check_agent: each broken promise is named, an honest agent passes."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch

from codegym.checks.check_agent import check_agent
from codegym.checks.symbol_world import SymbolWorld
from codegym.checks.team_share import check_shares
from codegym.episode import Request
from codegym.errors import ConfigError, ConformanceError
from codegym.learning.agent import Agent
from codegym.learning.learner import Columns, Learner, Optimiser, Tally
from codegym.learning.team import Team
from codegym.trajectory import Batch, Trajectory


class Stub(Agent):
    """An agent that breaks one promise."""

    name = "stub"

    @dataclasses.dataclass(frozen=True)
    class Config:
        lr: float = 0.1

    config_class = Config
    learns_from = "nothing"

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
    learns_from = "rewards"


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
    presets = {"small": {"learning_rate": 1.0}}  # noqa: RUF012


class NotThePapers(Stub):
    presets = {"paper": {"lr": 1.0}}  # noqa: RUF012


class Unpriced(Stub):
    default_reward = "no_such_reward"


class Undecided(Stub):
    learns_from = "everything"  # type: ignore[assignment]


class Reinforce(Learner):
    """An honest agent: the plain policy gradient."""

    name = "reinforce"

    @dataclasses.dataclass(frozen=True)
    class Config:
        lr: float = 1e-3

    config_class = Config

    def __init__(self, policy: Any, config: Any, *, seed: int) -> None:
        optimiser = Optimiser(policy, lr=config.lr, value_lr=config.lr)
        super().__init__(policy, config, seed=seed, optimiser=optimiser)

    def request(self) -> Request:
        return Request(tasks=16, samples=8)

    def update(
        self, trajectories: Sequence[Trajectory], *, progress: float = 0.0
    ) -> dict[str, float]:
        self.updates += 1
        batch = self.batch(trajectories)
        scored = self.policy.evaluate(batch, temperature=self.temperature(batch))
        columns = Columns.of(batch, scored)
        weights = torch.from_numpy(self.weights(batch))[:, None]
        self.optimiser.add(-(weights * scored.log_probs).sum() / batch.n_tokens)
        tally = Tally()
        tally.add(scored, columns)
        self.optimiser.step()
        return tally.means()

    def batch(self, trajectories: Sequence[Trajectory]) -> Batch:
        return Batch.from_trajectories(trajectories, pad_id=0)

    def temperature(self, batch: Batch) -> Any:
        return batch.temperatures

    def weights(self, batch: Batch) -> Any:
        return batch.rewards


class Deaf(Reinforce):
    """Weighs every program alike."""

    def weights(self, batch: Batch) -> Any:
        return np.ones_like(batch.rewards)


class SelfPricing(Reinforce):
    """Looks at the verdict instead of the reward."""

    def update(
        self, trajectories: Sequence[Trajectory], *, progress: float = 0.0
    ) -> dict[str, float]:
        priced = [
            dataclasses.replace(row, reward=float(row.verdict.passed))  # type: ignore[union-attr]
            for row in trajectories
        ]
        return super().update(priced)


class WorksForTwo(Reinforce):
    """Evaluates whole batches and says that processes can share them."""

    learns_in_a_team = True


class Divides(Reinforce):
    """Evaluates its share, but divides by what the share holds."""

    learns_in_a_team = True

    def update(
        self, trajectories: Sequence[Trajectory], *, progress: float = 0.0
    ) -> dict[str, float]:
        self.updates += 1
        batch = self.batch(trajectories)
        for piece in self.pieces(batch):
            scored = self.policy.evaluate(piece, temperature=piece.temperatures)
            weights = torch.from_numpy(piece.rewards)[:, None]
            self.optimiser.add(-(weights * scored.log_probs).sum() / piece.n_tokens)
        self.optimiser.step()
        return {}


class StepsAlone(Reinforce):
    """Steps with an optimiser that knows of no team."""

    learns_in_a_team = True

    def join(self, team: Team) -> None:
        self.team = team


class AnotherTemperature(Reinforce):
    """Scores at temperature 1 whatever the programs were sampled at."""

    def temperature(self, batch: Batch) -> Any:
        return 1.0


class ForgetsTemperature(Reinforce):
    """Keeps programs without their temperature, as a careless buffer would."""

    def batch(self, trajectories: Sequence[Trajectory]) -> Batch:
        return super().batch([dataclasses.replace(row, temperature=1.0) for row in trajectories])


class Stale(Reinforce):
    """Steps before it scores, at a learning rate that is not the setting ``lr``."""

    @dataclasses.dataclass(frozen=True)
    class Config:
        rate: float = 0.3

    config_class = Config

    def __init__(self, policy: Any, config: Any, *, seed: int) -> None:
        optimiser = Optimiser(policy, lr=config.rate, value_lr=config.rate)
        Learner.__init__(self, policy, config, seed=seed, optimiser=optimiser)

    def batch(self, trajectories: Sequence[Trajectory]) -> Batch:
        with torch.no_grad():
            next(iter(self.policy.module.parameters())).mul_(2.0)
        self.policy.mark_updated()
        return super().batch(trajectories)


class LearnsTheMessages(Reinforce):
    """Takes what an environment wrote for the policy's own."""

    def batch(self, trajectories: Sequence[Trajectory]) -> Batch:
        return super().batch([dataclasses.replace(row, chosen=None) for row in trajectories])


class BreaksOnMessages(Reinforce):
    """Breaks, with an error that is not codegym's."""

    def batch(self, trajectories: Sequence[Trajectory]) -> Batch:
        if any(row.chosen is not None for row in trajectories):
            raise IndexError("out of range")
        return super().batch(trajectories)


class RefusesMessages(Reinforce):
    """Says that it cannot learn from such episodes, which is honest."""

    def batch(self, trajectories: Sequence[Trajectory]) -> Batch:
        if any(row.chosen is not None for row in trajectories):
            raise ConfigError("several programs in an episode", cure="one program each")
        return super().batch(trajectories)


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
        (Busy, "learns from nothing changes weights"),
        (Unsaved, "cannot be saved"),
        (Fickle, "asking twice"),
        (Speechless, "no metrics"),
        (Exploded, "weight is not finite"),
        (Wordy, "'loss' is no number"),
        (Impossible, "impossible"),
        (NotThePapers, "differs from the defaults"),
        (Unpriced, "default_reward is no reward"),
        (Undecided, "learns_from is unknown"),
        (Deaf, "the same from random rewards"),
        (SelfPricing, "the same from random rewards"),
        (AnotherTemperature, "approx_kl is not 0 before any step"),
        (ForgetsTemperature, "approx_kl is not 0 before any step"),
        (Stale, "not as likely as when it was written"),
        (LearnsTheMessages, "counts as the policy's actions"),
        (BreaksOnMessages, "breaks on what an environment wrote"),
    ],
)
def test_the_suite_catches_broken_agents(specimen: type[Agent], complaint: str) -> None:
    with pytest.raises(ConformanceError, match=complaint):
        check_agent(specimen)


@pytest.mark.parametrize("honest", [Stub, Reinforce, RefusesMessages])
def test_the_suite_accepts_an_honest_agent(honest: type[Agent]) -> None:
    check_agent(honest)


@pytest.mark.parametrize("agent", [WorksForTwo, Divides])
def test_shares_that_do_not_add_up_are_found(agent: type[Reinforce]) -> None:
    world = SymbolWorld(seed=3)
    with pytest.raises(ConformanceError, match="its share of a minibatch"):
        check_shares(agent, agent.config_class(), world, patience=3)


def test_a_step_that_the_team_does_not_see_is_found() -> None:
    with pytest.raises(ConformanceError, match="takes no step"):
        check_shares(StepsAlone, StepsAlone.config_class(), SymbolWorld(seed=3), patience=3)
