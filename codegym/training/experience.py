"""Gatherer: gives an agent the experience it asks for, while the sandbox grades ahead.

What is drawn for update u of phase p is a pure function of (seed, p, u), of the policy's weights
and of the sampler's state, which changes only when an update's programs have been judged.

The next update's demonstrations are always graded while this one is learnt from. With ``ahead=1``
the next update's programs too are written before this one is learnt from, and graded meanwhile:
they come from weights that are one update old, which ``sampling_lag`` says.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from time import perf_counter
from typing import Any

import numpy as np
import torch

from codegym.grading.judge import Judge
from codegym.learning.agent import Request
from codegym.policy import Policy
from codegym.rewards.reward import Reward
from codegym.rollout.collect import Clock, Programs, Sampling
from codegym.rollout.demonstrations import Demonstrations
from codegym.sandbox.job import Sandbox
from codegym.sources.task_source import TaskSource
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
    count: int
    tasks: list[Task]
    graded: Demonstrations


@dataclass(slots=True)
class _Written:
    """Programs under way."""

    moment: _Moment
    request: Request
    stage: Stage
    tasks: list[Task]
    graded: Programs


class Gatherer:
    """Draws tasks, lets a policy write, shows reference solutions.

    Args:
        config: Says how tasks are drawn and programs are written.
        sandbox: Where programs run.
        reward: Prices them.
        tasks: The training tasks.

    Attributes:
        sampler: Draws the tasks.
        prefix: The prefix curriculum, or None.
        stage: At which the programs gathered last were written; it changes when programs become
            harder or easier by plan.
    """

    def __init__(
        self, config: TrainConfig, sandbox: Sandbox, *, reward: Reward, tasks: TaskSource
    ) -> None:
        self._config, self._sandbox, self._reward = config, sandbox, reward
        self.sampler = make_sampler(config.task_sampler, tasks)
        self.prefix = make_prefix_curriculum(config.prefix_curriculum)
        self._every = UniformSampler(tasks)
        self.stage: Stage = (0, 0)
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
            clock: Is told where the time went.

        Raises:
            TaskError: A task is unusable, or lacks the reference solution it should begin with.
            SandboxError: The sandbox broke.
        """
        now, later = (phase, update), (phase, update + 1)
        began = perf_counter()
        shown = self._take_shown(policy, wanted, now)
        written = self._take_written(policy, wanted, now, progress)
        if self._config.ahead:
            self._written = self._write(policy, wanted, later, progress)
            self._shown = self._show(policy, wanted, later)
        sampled = perf_counter()
        programs = written.graded.wait(self._reward) if written else []
        demonstrations = shown.graded.wait(self._reward) if shown else []
        clock.sampling_s += sampled - began
        clock.waiting_s += perf_counter() - sampled
        if written:
            self.stage = written.stage
            self._observe(written.tasks, programs)
        if not self._config.ahead:
            self._shown = self._show(policy, wanted, later)
        return programs + demonstrations

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
                "programs": self._written.graded.state_dict(),
            }
        if self._config.ahead and self._shown is not None:
            state["shown"] = {
                "moment": self._shown.moment,
                "tasks": [task.to_json() for task in self._shown.tasks],
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
                graded=Programs.from_state(row["programs"], policy, judge=Judge(self._sandbox)),
            )
        if "shown" in state:
            tasks = [Task.from_json(task) for task in state["shown"]["tasks"]]
            self._shown = self._submit(policy, tasks, state["shown"]["moment"])

    def _take_shown(self, policy: Policy, wanted: Request, moment: _Moment) -> _Shown | None:
        shown, self._shown = self._shown, None
        if shown and (shown.moment, shown.count) == (moment, wanted.demonstrations):
            return shown
        return self._show(policy, wanted, moment)

    def _show(self, policy: Policy, wanted: Request, moment: _Moment) -> _Shown | None:
        if not wanted.demonstrations:
            return None
        rng = np.random.default_rng([self._config.seed, *moment, 1])
        # Where nothing is written, nothing could move a curriculum.
        sampler = self.sampler if wanted.tasks else self._every
        return self._submit(policy, sampler.draw(wanted.demonstrations, rng), moment)

    def _submit(self, policy: Policy, tasks: list[Task], moment: _Moment) -> _Shown:
        graded = Demonstrations(tasks, policy, judge=Judge(self._sandbox))
        return _Shown(moment, len(tasks), tasks, graded)

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
        programs = Programs(
            policy,
            tasks,
            judge=Judge(self._sandbox),
            sampling=Sampling(
                n=wanted.samples,
                budget=self._config.max_new_tokens,
                temperature=wanted.temperature,
                greedy=wanted.greedy,
                prefix=self.prefix.share(progress) if self.prefix else 0.0,
                grammar=self._config.grammar,
            ),
            rng=torch.Generator().manual_seed(int(rng.integers(2**62))),
        )
        stage = self.sampler.stage, self.prefix.stage if self.prefix else 0
        return _Written(moment, wanted, stage, tasks, programs)

    def _observe(self, tasks: Sequence[Task], programs: Sequence[Trajectory]) -> None:
        """Tell sampler and prefix curriculum which of the sampled programs passed."""
        each = len(programs) // len(tasks)
        every: list[bool] = []
        for number, task in enumerate(tasks):
            own = programs[number * each : (number + 1) * each]
            passed = [
                one.verdict is not None and one.verdict.passed for one in own if not one.greedy
            ]
            self.sampler.observe(task, passed)
            every += passed
        if self.prefix is not None:
            self.prefix.observe(every)
