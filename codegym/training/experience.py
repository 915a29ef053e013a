"""Experience: what an agent asks for, played in the environment while the grader works ahead.

What is drawn for update u of phase p is a pure function of (seed, p, u), of the policy's weights
and of the sampler's state, which changes only when an update's programs have been judged.

The next update's demonstrations are always graded while the agent learns from this one. With
``ahead=1`` the next update's programs too are written before the agent learns, and graded
meanwhile: they come from weights that are one update old, which ``sampling_lag`` says.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from time import perf_counter
from typing import Any

import numpy as np
import torch
from gymnasium.vector import VectorEnv

from codegym.episode import ProgramEnv, Request
from codegym.errors import ConfigError
from codegym.policy import Policy
from codegym.rollout.collect import Clock, Decoding, Rollout, collect
from codegym.rollout.demonstrations import Demonstrations, reference_ids
from codegym.tasks.task import Task
from codegym.training.config import TrainConfig
from codegym.training.prefix_curriculum import make_prefix_curriculum
from codegym.training.task_sampler import UniformSampler, make_sampler
from codegym.trajectory import Trajectory

Stage = tuple[int, int]  # of the sampler and of the prefix curriculum
_Moment = tuple[int, int]  # phase, update


@dataclass(slots=True)
class _Shown:
    """Demonstrations under way."""

    moment: _Moment
    demonstrations: Demonstrations


@dataclass(slots=True)
class _Written:
    """Programs under way."""

    moment: _Moment
    request: Request
    stage: Stage
    tasks: list[Task]
    rollout: Rollout


class Experience:
    """Draws tasks and lets a policy play them, for one agent after the other.

    Args:
        config: Says how tasks are drawn and programs are written.
        env: The training environment of codegym.

    Attributes:
        sampler: Draws the tasks.
        prefix: The prefix curriculum, or None.
        tasks: The tasks that the last programs were written for, by id.
        stage: Stage at which the last programs were written; it changes when programs become harder
            or easier by plan.

    Raises:
        UnknownNameError, ConfigError: The sampler or the curriculum does not exist or fit.
    """

    def __init__(self, config: TrainConfig, env: ProgramEnv) -> None:
        self._config, self._env = config, env
        self.sampler = make_sampler(config.task_sampler, env.source)
        self.prefix = make_prefix_curriculum(config.prefix_curriculum)
        self._every = UniformSampler(env.source)
        self.stage: Stage = (0, 0)
        self.tasks: dict[str, Task] = {}
        self._shown: _Shown | None = None
        self._written: _Written | None = None

    def gather(
        self,
        policy: Policy,
        wanted: Request,
        *,
        phase: int,
        update: int,
        progress: float,
        clock: Clock,
    ) -> list[Trajectory]:
        """Return what was asked for: programs of one task together, then demonstrations.

        Args:
            policy: Who writes.
            wanted: What the agent asks for.
            phase: Number of the phase.
            update: Number of the update in its phase.
            progress: Share of the phase's budget spent.
            clock: Filled with where the time went.

        Raises:
            TaskError: A task is unusable, or lacks the reference solution it should begin with.
            SandboxError: The sandbox broke.
        """
        now, later = (phase, update), (phase, update + 1)
        began = perf_counter()
        shown = self._take_shown(wanted, now)
        written = self._take_written(policy, wanted, now, progress)
        if self._config.ahead:
            self._written = self._write(policy, wanted, later, progress)
            self._shown = self._show(wanted, later)
        sampled = perf_counter()
        groups = written.rollout.wait_by_task() if written else []
        demonstrations = shown.demonstrations.wait() if shown else []
        clock.sampling_s += sampled - began
        clock.waiting_s += perf_counter() - sampled
        self.tasks = {task.task_id: task for task in written.tasks} if written else {}
        if written:
            self.stage = written.stage
            self._observe(written.tasks, groups)
        if not self._config.ahead:
            self._shown = self._show(wanted, later)
        return [episode for group in groups for episode in group] + demonstrations

    @property
    def even(self) -> bool:
        """Whether pass rates within one stage can be compared."""
        by_progress = self.prefix is not None and "progress" in self._config.prefix_curriculum
        return self.sampler.even and not by_progress

    def metrics(self, progress: float) -> dict[str, float]:
        """Return what is logged of the sampler and the prefix curriculum."""
        row = self.sampler.metrics()
        return row if self.prefix is None else row | {"prefix": self.prefix.share(progress)}

    def forget(self) -> None:
        """Drop what is under way, at the end of a phase."""
        self._shown = self._written = None

    def state_dict(self) -> dict[str, Any]:
        """Return the sampler's state, and what was written ahead."""
        state: dict[str, Any] = {"sampler": self.sampler.state_dict()}
        if self.prefix is not None:
            state["prefix"] = self.prefix.state_dict()
        if self._written is not None:
            state["written"] = {
                "moment": self._written.moment,
                "request": asdict(self._written.request),
                "stage": self._written.stage,
                "tasks": [task.to_json() for task in self._written.tasks],
                "rollout": self._written.rollout.state_dict(),
            }
        if self._config.ahead and self._shown is not None:
            state["shown"] = {
                "moment": self._shown.moment,
                "tasks": [task.to_json() for task in self._shown.demonstrations.tasks],
            }
        return state

    def load_state_dict(self, state: dict[str, Any], policy: Policy) -> None:
        """Restore what ``state_dict`` returned."""
        self.sampler.load_state_dict(state["sampler"])
        if self.prefix is not None:
            self.prefix.load_state_dict(state["prefix"])
        self.forget()
        if "written" in state:
            row = state["written"]
            self._written = _Written(
                moment=row["moment"],
                request=Request(**row["request"]),
                stage=row["stage"],
                tasks=[Task.from_json(task) for task in row["tasks"]],
                rollout=Rollout.from_state(row["rollout"], self._env, policy),
            )
        if "shown" in state:
            tasks = [Task.from_json(task) for task in state["shown"]["tasks"]]
            self._shown = _Shown(state["shown"]["moment"], Demonstrations(self._env, tasks))

    def _take_shown(self, wanted: Request, moment: _Moment) -> _Shown | None:
        shown, self._shown = self._shown, None
        if shown and shown.moment == moment:
            if len(shown.demonstrations.tasks) == wanted.demonstrations:
                return shown
        return self._show(wanted, moment)

    def _show(self, wanted: Request, moment: _Moment) -> _Shown | None:
        if not wanted.demonstrations:
            return None
        rng = np.random.default_rng([self._config.seed, *moment, 1])
        # Where nothing is written, nothing could move a curriculum.
        sampler = self.sampler if wanted.tasks else self._every
        tasks = sampler.draw(wanted.demonstrations, rng)
        return _Shown(moment, Demonstrations(self._env, tasks))

    def _take_written(
        self, policy: Policy, wanted: Request, moment: _Moment, progress: float
    ) -> _Written | None:
        written, self._written = self._written, None
        # An agent may ask for something else than it did when the programs were written.
        if written and (written.moment, written.request) == (moment, wanted):
            return written
        return self._write(policy, wanted, moment, progress)

    def _write(
        self, policy: Policy, wanted: Request, moment: _Moment, progress: float
    ) -> _Written | None:
        if not wanted.tasks:
            return None
        rng = np.random.default_rng([self._config.seed, *moment])
        tasks = self.sampler.draw(wanted.tasks, rng)
        rollout = Rollout(
            self._env,
            policy,
            tasks,
            wanted,
            decoding=Decoding(grammar=self._config.grammar),
            rng=torch.Generator().manual_seed(int(rng.integers(2**62))),
            given=self._given(tasks, progress),
        )
        stage = self.sampler.stage, self.prefix.stage if self.prefix else 0
        return _Written(moment, wanted, stage, tasks, rollout)

    def _given(self, tasks: Sequence[Task], progress: float) -> list[list[int]] | None:
        """Return the first tokens of the reference solutions, rounded down, never all of them."""
        share = self.prefix.share(progress) if self.prefix else 0.0
        if not share:
            return None
        cure = "train without a prefix curriculum"
        solutions = [reference_ids(task, self._env.tokenizer, cure=cure) for task in tasks]
        return [ids[: int(share * len(ids))] for ids in solutions]

    def _observe(self, tasks: Sequence[Task], groups: Sequence[Sequence[Trajectory]]) -> None:
        """Tell sampler and prefix curriculum which of the sampled programs passed."""
        every: list[bool] = []
        for task, group in zip(tasks, groups, strict=True):
            passed = [
                episode.verdict is not None and episode.verdict.passed
                for episode in group
                if not episode.greedy
            ]
            self.sampler.observe(task, passed)
            every += passed
        if self.prefix is not None:
            self.prefix.observe(every)


class SteppedExperience:
    """Experience in an environment of another package, which is stepped and draws its own tasks.

    Args:
        config: The run's settings.
        env: The environment.

    Raises:
        ConfigError: A setting needs an environment that opens episodes of chosen tasks.
    """

    stage: Stage = (0, 0)
    even = True

    def __init__(self, config: TrainConfig, env: "VectorEnv[Any, Any, Any]") -> None:
        for name, plain in _PLAIN.items():
            if getattr(config, name) != plain:
                raise ConfigError(
                    f"setting {name!r} needs an environment that is a codegym.episode.ProgramEnv",
                    value=getattr(config, name),
                    expected=f"{plain!r}, where the environment is stepped",
                )
        self._seed, self._env = config.seed, env
        self.tasks: dict[str, Task] = {}

    def gather(
        self,
        policy: Policy,
        wanted: Request,
        *,
        phase: int,
        update: int,
        progress: float,
        clock: Clock,
    ) -> list[Trajectory]:
        """Return what was asked for; see ``Experience.gather``."""
        seed = np.random.default_rng([self._seed, phase, update]).integers(2**62)
        rng = torch.Generator().manual_seed(int(seed))
        return collect(self._env, policy, wanted, rng=rng, clock=clock)

    def metrics(self, progress: float) -> dict[str, float]:
        """Return nothing: there is no sampler."""
        return {}

    def forget(self) -> None:
        """Drop nothing: nothing is under way between two updates."""

    def state_dict(self) -> dict[str, Any]:
        """Return nothing: what is drawn follows from the seed and the update."""
        return {}

    def load_state_dict(self, state: dict[str, Any], policy: Policy) -> None:
        """Restore nothing."""


_PLAIN = {"task_sampler": "uniform", "prefix_curriculum": "none", "ahead": 0, "grammar": False}


def make_experience(
    config: TrainConfig, env: "VectorEnv[Any, Any, Any]"
) -> Experience | SteppedExperience:
    """Return the experience of a run, by the kind of its environment."""
    if isinstance(env, ProgramEnv):
        return Experience(config, env)
    return SteppedExperience(config, env)
