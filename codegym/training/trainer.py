"""Training: the loop that takes a policy from its first weights to a report.

A run is a list of phases (a warm start, then reinforcement learning), each an agent and a budget.
What is drawn at update u of phase p is a pure function of (seed, p, u), so a run that was stopped
at any update and resumed equals the run that was not.
"""

import dataclasses
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from time import perf_counter
from typing import Any

import numpy as np

from codegym import registry
from codegym.errors import TaskError, TrainingDivergedError
from codegym.grading.judge import Judge
from codegym.learning.agent import Agent
from codegym.measuring.evaluation import evaluate, held_out, reference_loss
from codegym.measuring.run_report import KINDS
from codegym.policies.checkpoint import load_policy, load_trainer, save_policy
from codegym.policies.factory import make_policy
from codegym.policy import Policy
from codegym.rewards import make_reward
from codegym.rollout.collect import Clock
from codegym.sandbox import make_sandbox
from codegym.settings import settings_of
from codegym.sources import load_tasks
from codegym.training.config import Phase, TrainConfig, agent_config, phases_of
from codegym.training.divergence import DivergenceGuard, GuardConfig
from codegym.training.experience import Gatherer
from codegym.training.interrupts import stopping_on_signals
from codegym.training.progress import Position
from codegym.training.run_folder import RunFolder
from codegym.training.tracking import Trackers, require_trackers
from codegym.training.update_metrics import episode_metrics
from codegym.training.word_list import tokenizer_for
from codegym.trajectory import Trajectory

_SAVE_EVERY_S = 20.0
# Saving takes at most one part in so many of a run's time.
_SAVE_COST = 50.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Update:
    """What a watcher of a run is told after each update."""

    phase: str
    progress: float
    programs_per_s: float
    metrics: Mapping[str, float]


class Trainer:
    """Runs a ``TrainConfig`` in a ``RunFolder``.

    Args:
        config: What to do.
        folder: Where its files go; ``RunFolder.create`` has been called.
        watch: Called after each update.
    """

    def __init__(
        self,
        config: TrainConfig,
        folder: RunFolder,
        *,
        watch: Callable[[Update], None] | None = None,
    ) -> None:
        self.config = config
        self.folder = folder
        self.watch = watch
        self._stop = threading.Event()
        self.phases = phases_of(config)
        # Names are looked up before anything slow begins.
        for phase in self.phases:
            agent_config(registry.get("agents", phase.agent), phase)
        self.guard_config = settings_of(GuardConfig, config.guard_settings, "setting of guard")
        require_trackers(config.track)
        self.reward = make_reward(config.reward)
        self.train_tasks = load_tasks(config.tasks)
        self.eval_tasks = load_tasks(config.eval_tasks)

    def stop(self) -> None:
        """Ask the run to save itself and end after the update under way."""
        self._stop.set()

    def run(self, *, resume: bool = False, good: bool = False) -> bool:
        """Train to the end of the budget, or until ``stop``.

        Args:
            resume: Continue from the folder's checkpoint.
            good: Continue from the last good one instead, after a run has diverged.

        Returns:
            True if the run is complete, False if it was stopped and can be resumed.

        Raises:
            CheckpointError: There is nothing to resume, or it is damaged.
            ConfigError: Another process trains in the folder.
            SandboxError: The sandbox broke.
            TrainingDivergedError: The policy collapsed; the last good checkpoint is kept.
        """
        with ExitStack() as stack:
            stack.enter_context(self.folder.held())
            self._sandbox = stack.enter_context(
                make_sandbox(self.config.isolation, workers=self.config.workers or None)
            )
            stack.enter_context(stopping_on_signals(self.stop))
            judge = Judge(self._sandbox)
            self._gatherer = Gatherer(
                self.config, self._sandbox, reward=self.reward, tasks=self.train_tasks
            )
            policy, position, state = self._begin(resume, good)
            if position.phase >= len(self.phases):
                return True
            # What a stopped run logged after its checkpoint is done again, and replaced.
            self._trackers = Trackers(
                self.config.track,
                self.folder.path,
                config=self.config.to_mapping(),
                step=position.total_programs,
            )
            stack.callback(self._trackers.close)
            while position.phase < len(self.phases):
                phase = self.phases[position.phase]
                agent = self._agent(policy, position.phase)
                policy = agent.policy
                self._guard = DivergenceGuard(
                    self.guard_config, vocab_size=policy.tokenizer.vocab_size
                )
                if state is not None:
                    agent.load_state_dict(state["agent"])
                    self._guard.load_state_dict(state["guard"])
                    state = None
                else:
                    self.folder.keep_good()
                    if position.phase == len(self.phases) - 1:
                        self._measure(policy, judge, position, "before", self.config.eval_count)
                if not self._run_phase(phase, agent, judge, position):
                    return False
                self._gatherer.forget()
                keepsakes = agent.keepsakes()
                if position.phase < len(self.phases) - 1:
                    save_policy(policy, self.folder.warm_start)
                position = position.next_phase()
                if position.phase < len(self.phases):
                    self._save(policy, None, position)
            self._measure(policy, judge, position, "after", self.config.eval_count)
            self._save(policy, None, position, keepsakes=keepsakes)
        return True

    def _begin(self, resume: bool, good: bool) -> tuple[Policy, Position, dict[str, Any] | None]:
        if not resume:
            policy = make_policy(
                self.config.policy,
                tokenizer=tokenizer_for(self.train_tasks, self.config.tokenizer, self.config.words),
                seed=self.config.seed,
            )
            # So that even a run killed in its first minute can be resumed.
            self._save(policy, None, Position())
            return policy, Position(), None
        if good:
            self.folder.restore_good()
        policy = load_policy(self.folder.checkpoint)
        saved = load_trainer(self.folder.checkpoint)
        self.folder.cut(saved["log_sizes"])
        self._gatherer.load_state_dict(saved["gatherer"], policy)
        return policy, Position(**saved["position"]), saved if saved["agent"] else None

    def _agent(self, policy: Policy, phase_number: int) -> Agent:
        phase = self.phases[phase_number]
        agent_class = registry.get("agents", phase.agent)
        settings = agent_config(agent_class, phase)
        agent: Agent = agent_class(policy, settings, seed=_mix(self.config.seed, phase_number))
        return agent

    def _run_phase(self, phase: Phase, agent: Agent, judge: Judge, position: Position) -> bool:
        """Run one phase to its end; False if it was stopped before."""
        agent.policy.prepare()
        last_saved, save_s = perf_counter(), 0.0
        while position.progress(phase) < 1.0:
            if self._stop.is_set():
                self._save(agent.policy, agent, position)
                return False
            began = perf_counter()
            clock = Clock()
            progress = position.progress(phase)
            metrics = self._gatherer.metrics(progress)
            version, wanted = agent.policy.version, agent.request()
            trajectories = self._gatherer.gather(
                agent.policy,
                wanted,
                phase=position.phase,
                update=position.updates,
                progress=progress,
                clock=clock,
            )
            if wanted.demonstrations and not trajectories:
                raise TaskError(
                    "none of the reference solutions passed its tests",
                    value=self.config.tasks,
                    cure="codegym check source URI says which tasks are unfit",
                )
            learning = perf_counter()
            metrics |= agent.update(trajectories, progress=progress)
            now = perf_counter()
            metrics |= episode_metrics(trajectories, clock, now - learning, now - began, version)
            position.updates += 1
            count = int(metrics.get("programs", len(trajectories)))
            position.programs += count
            position.total_programs += count
            position.elapsed_s += now - began
            position.total_s += now - began
            self._log(phase, position, metrics)
            self._check(phase, position, metrics, trajectories)
            if position.progress(phase) >= position.next_point / (self.config.curve_points + 1):
                if position.progress(phase) < 1.0:
                    row = self._measure(
                        agent.policy, judge, position, "curve", self.config.curve_count
                    )
                    position.judge(_figure(row, agent))
                position.next_point += 1
                if 0 < self.config.patience <= position.points_since_best:
                    return True
            if perf_counter() - last_saved > max(_SAVE_EVERY_S, _SAVE_COST * save_s):
                began = perf_counter()
                self._save(agent.policy, agent, position)
                if self._guard.healthy:
                    self.folder.keep_good()
                last_saved = perf_counter()
                save_s = last_saved - began
        return True

    def _check(
        self,
        phase: Phase,
        position: Position,
        metrics: Mapping[str, float],
        trajectories: Sequence[Trajectory],
    ) -> None:
        """Stop a run whose policy has collapsed.

        Raises:
            TrainingDivergedError: It has.
        """
        if not self.config.guard:
            return
        try:
            self._guard.check(
                metrics,
                programs=sum(not one.demonstration for one in trajectories),
                stage=self._gatherer.stage,
                even=self._gatherer.even,
                where=f"update {position.updates} of {phase.name}",
            )
        except TrainingDivergedError as error:
            raise TrainingDivergedError(
                error.message,
                value=error.value,
                cure=f"the last good state is kept: codegym train --resume {self.folder.path} "
                "--good --set lr=LOWER; --no-guard goes on regardless",
            ) from None

    def _measure(
        self, policy: Policy, judge: Judge, position: Position, moment: str, count: int
    ) -> dict[str, Any]:
        """Evaluate greedily and by sampling, and append one line to the curve."""
        tasks = held_out(self.eval_tasks, count)
        policy.module.eval()
        phase = self.phases[min(position.phase, len(self.phases) - 1)]
        row: dict[str, Any] = {"moment": moment, "phase": phase.name}
        row |= {"programs": position.total_programs, "train_s": position.total_s}
        for kind in KINDS:
            report = evaluate(
                policy,
                tasks,
                judge=judge,
                deterministic=kind == "greedy",
                budget=self.config.max_new_tokens,
                grammar=self.config.grammar,
                # The same draws at every moment: gains are compared pair by pair.
                seed=self.config.seed,
                name=self.config.eval_tasks,
            )
            # Without the rows of a full evaluation nobody could pair it with another.
            row[kind] = report.to_json(full=count == self.config.eval_count)
        shown = {f"held-out/{kind}": row[kind]["pass_at"]["1"]["mean"] for kind in KINDS}
        loss = reference_loss(policy, tasks[: self.config.curve_count])
        if loss is not None:
            row["loss"] = shown["held-out/loss"] = loss
        self._trackers.log(shown, position.total_programs)
        self.folder.append("curve", row)
        return row

    def _log(self, phase: Phase, position: Position, metrics: Mapping[str, float]) -> None:
        row = {
            "phase": phase.name,
            "update": position.updates,
            "programs": position.programs,
            "train_s": round(position.elapsed_s, 3),
        }
        self.folder.append("metrics", dict(metrics) | row)
        shown = {f"{phase.name}/{name}": value for name, value in metrics.items()}
        self._trackers.log(shown, position.total_programs)
        if self.watch is not None:
            self.watch(
                Update(
                    phase=phase.name,
                    progress=position.progress(phase),
                    programs_per_s=metrics["programs_per_s"],
                    metrics=metrics,
                )
            )

    def _save(
        self,
        policy: Policy,
        agent: Agent | None,
        position: Position,
        *,
        keepsakes: Mapping[str, Any] | None = None,
    ) -> None:
        save_policy(
            policy,
            self.folder.checkpoint,
            trainer={
                "position": dataclasses.asdict(position),
                "agent": agent.state_dict() if agent else None,
                "keepsakes": dict(keepsakes or {}),
                "gatherer": self._gatherer.state_dict(),
                "guard": self._guard.state_dict() if agent else None,
                "log_sizes": self.folder.sizes(),
            },
        )


def _figure(row: Mapping[str, Any], agent: Agent) -> float:
    """Return what an evaluation is judged by: higher is better."""
    if agent.from_demonstrations and "loss" in row:
        return -float(row["loss"])
    return float(row["sampled"]["pass_at"]["1"]["mean"])


def _mix(seed: int, number: int) -> int:
    return int(np.random.SeedSequence([seed, number]).generate_state(1)[0])
