"""What an agent makes of its experience: temperatures, holes and rewards; part of check_agent."""

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from codegym.checks.symbol_world import SymbolWorld
from codegym.errors import CodegymError, ConformanceError
from codegym.learning.agent import Agent
from codegym.policies.gpt.gpt_policy import GPTPolicy
from codegym.policy import Evaluation
from codegym.trajectory import Batch, Trajectory

# Log-probabilities of one program from generate and from evaluate agree to this.
_TOLERANCE = 1e-3
# The steps of such a learning rate change no score; 0 is refused by some optimisers.
_STANDSTILL = 1e-12
_UPDATES = 3

_Key = tuple[bytes, bytes]


@dataclasses.dataclass(frozen=True, slots=True)
class _Scoring:
    """A call of ``Policy.evaluate``: the batch, the (B,) temperatures and (B, T) results."""

    batch: Batch
    temperatures: NDArray[np.float32]
    log_probs: NDArray[np.float32]


class _RecordingPolicy(GPTPolicy):
    """Keeps what it was asked to score."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.scorings: list[_Scoring] = []

    def evaluate(
        self, batch: Batch, *, temperature: float | NDArray[np.float32] = 1.0
    ) -> Evaluation:
        """Score episodes and keep the result."""
        scored = super().evaluate(batch, temperature=temperature)
        self.scorings.append(
            _Scoring(
                batch=batch,
                temperatures=np.broadcast_to(np.float32(temperature), (len(batch),)),
                log_probs=scored.log_probs.detach().cpu().numpy(),
            )
        )
        return scored

    def seen(
        self, programs: dict[_Key, Trajectory], *, calls: int | None = None
    ) -> Iterator[tuple[_Scoring, int, Trajectory]]:
        """Yield which of some programs were scored: the call, the row and the program.

        Args:
            programs: The programs.
            calls: Number of calls to look at, the first; all if None.
        """
        for scoring in self.scorings[:calls]:
            batch = scoring.batch
            for row in range(len(batch)):
                start, count = int(batch.prompt_lengths[row]), int(batch.lengths[row])
                tokens = batch.tokens[row].astype(np.int64)
                key = (tokens[:start].tobytes(), tokens[start : start + count].tobytes())
                if key in programs:
                    yield scoring, row, programs[key]


def with_random_rewards(programs: Sequence[Trajectory], *, seed: int) -> list[Trajectory]:
    """Return the same programs under rewards of 0 and 1 by chance; demonstrations keep theirs."""
    rng = np.random.default_rng(seed)
    rows = []
    for program in programs:
        reward = float(rng.integers(2))
        credit = np.zeros(len(program), dtype=np.float32)
        credit[-1] = reward
        changed = dataclasses.replace(program, reward=reward, credit=credit)
        rows.append(program if program.demonstration else changed)
    return rows


def check_temperature(
    agent_class: type[Agent],
    config: Any,
    world: SymbolWorld,
    temperature: float,
    *,
    patience: int,
) -> None:
    """Check that programs are as likely as when they were written, while no weight changes.

    Args:
        agent_class: The agent to check.
        config: Its settings.
        world: The tasks.
        temperature: Sampling temperature of the programs.
        patience: Most updates, for agents that fill a buffer first.

    Raises:
        ConformanceError: A program's probability changed, or the agent's ``approx_kl`` says so.
    """
    # At a standstill every scoring is one before any step. Without a learning rate to set, only the
    # first of an update is.
    still = any(field.name == "lr" for field in dataclasses.fields(config))
    if still:
        config = dataclasses.replace(config, lr=_STANDSTILL)
    policy = world.policy_of(_RecordingPolicy)
    agent = agent_class(policy, config, seed=5)
    programs: dict[_Key, Trajectory] = {}
    scored = False
    for number in range(patience):
        request = dataclasses.replace(agent.request(), temperature=temperature)
        written = world.experience(agent.policy, request, number)
        own = {_key(row): row for row in written if not row.demonstration and not row.greedy}
        programs = programs | own if still else own
        policy.scorings.clear()
        metrics = agent.update(written, progress=0.5)
        for name in ("approx_kl", "clipfrac"):
            if still and abs(metrics.get(name, 0.0)) > _TOLERANCE**2:
                raise ConformanceError(
                    f"{name} is not 0 before any step, at temperature {temperature}",
                    value=metrics[name],
                    cure="score with policy.evaluate(piece, temperature=piece.temperatures)",
                )
        for scoring, row, program in policy.seen(programs, calls=None if still else 1):
            scored = True
            if not np.isclose(scoring.temperatures[row], program.temperature):
                continue  # imitation is scored at temperature 1
            mask = scoring.batch.mask[row, : len(program)]
            gap = scoring.log_probs[row, : len(program)][mask] - program.log_probs[mask]
            if np.abs(gap).max(initial=0.0) > _TOLERANCE:
                raise ConformanceError(
                    f"before any step a program is not as likely as when it was written, at "
                    f"temperature {temperature}",
                    value=float(np.abs(gap).max()),
                    cure="keep the trajectory's temperature, masks and chosen with the program",
                )
        if scored and number + 1 >= _UPDATES:
            return


def check_what_the_environment_wrote(
    agent_class: type[Agent], config: Any, world: SymbolWorld, *, patience: int
) -> None:
    """Check that an agent learns nothing from an environment's tokens, or refuses such episodes.

    Args:
        agent_class: The agent to check.
        config: Its settings.
        world: The tasks.
        patience: Most updates, for agents that fill a buffer first.

    Raises:
        ConformanceError: Such tokens count as the policy's actions, or the agent breaks on them.
    """
    policy = world.policy_of(_RecordingPolicy)
    agent = agent_class(policy, config, seed=5)
    programs: dict[_Key, Trajectory] = {}
    scored = False
    for number in range(patience):
        written = world.experience(agent.policy, agent.request(), number, turns=2)
        programs |= {_key(row): row for row in written if row.chosen is not None}
        policy.scorings.clear()
        try:
            agent.update(written, progress=0.5)
        except CodegymError:
            return
        except Exception as error:
            raise ConformanceError(
                f"an agent breaks on what an environment wrote: {error!r}",
                cure="refuse such episodes with a ConfigError, or heed Batch.mask",
            ) from error
        if not all(bool(w.isfinite().all()) for w in agent.policy.module.parameters()):
            raise ConformanceError("a weight is not finite after an episode of two programs")
        for scoring, row, program in policy.seen(programs):
            scored = True
            mask = scoring.batch.mask[row, : len(program)]
            if program.chosen is not None and (mask != program.chosen).any():
                raise ConformanceError(
                    "what an environment wrote counts as the policy's actions",
                    value=mask.tolist(),
                    cure="keep Trajectory.chosen with the program",
                )
        if scored and number + 1 >= _UPDATES:
            return


def _key(program: Trajectory) -> _Key:
    return program.prompt.astype(np.int64).tobytes(), program.actions.astype(np.int64).tobytes()
