"""Trainer: takes a policy from its first weights to a report.

A run is a list of phases (a warm start, then reinforcement learning), each an agent and a budget.
What is drawn at update u of phase p is a pure function of (seed, p, u), so a run that was stopped
at any update and resumed equals the run that was not.
"""

import dataclasses
import threading
import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from time import perf_counter
from typing import Any

import numpy as np
import torch

from codegym import registry
from codegym.errors import TaskError, TrainingDivergedError
from codegym.grading.judge import Judge
from codegym.learning.agent import Agent
from codegym.measuring.evaluation import EvaluationReport, evaluate, held_out, reference_loss
from codegym.measuring.hidden_tests import hidden_gap
from codegym.measuring.kept_programs import chosen, kept_row
from codegym.measuring.numerics import changed, numerics, refuse_changes
from codegym.measuring.run_report import KINDS
from codegym.policies.checkpoint import load_policy, load_trainer, save_policy
from codegym.policies.factory import make_policy
from codegym.policy import Policy
from codegym.rewards import make_reward
from codegym.rollout.collect import Clock
from codegym.rollout.environments import make_env
from codegym.sandbox import Sandbox, make_sandbox
from codegym.settings import settings_of
from codegym.sources import load_tasks
from codegym.sources._zstd import compress
from codegym.tasks.task import Task
from codegym.tasks.task_source import TaskSource
from codegym.training.config import Phase, TrainConfig, agent_config, phases_of
from codegym.training.divergence import DivergenceGuard, GuardConfig
from codegym.training.experience import make_experience
from codegym.training.interrupts import stopping_on_signals
from codegym.training.progress import Progress
from codegym.training.run_folder import RunFolder
from codegym.training.tracking import Trackers, require_trackers
from codegym.training.update_metrics import update_metrics
from codegym.training.word_list import tokenizer_for
from codegym.trajectory import Trajectory

_SAVE_EVERY_S = 20.0
# Saving takes at most one part in so many of a run's time.
_SAVE_COST = 50.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Update:
    """What a watcher of a run sees after each update."""

    phase: str
    progress: float
    programs_per_s: float
    metrics: Mapping[str, float]


class Trainer:
    """Runs a ``TrainConfig`` in a ``RunFolder``.

    Args:
        config: Settings of the run.
        folder: Where its files go; ``RunFolder.create`` has been called.
        watch: Called after each update.
        before: The evaluation before training, where an earlier run has made it: a line of that
            run's curve, with the same evaluation settings and the policy that this run begins with.

    Attributes:
        stopped_by: Number of the signal that asked the run to stop; 0 for none.
        sandbox: Where programs run while the run is on; closed after it.

    Raises:
        UnknownNameError, ConfigError: A setting names nothing, or cannot be used.
    """

    def __init__(
        self,
        config: TrainConfig,
        folder: RunFolder,
        *,
        watch: Callable[[Update], None] | None = None,
        before: Mapping[str, Any] | None = None,
    ) -> None:
        self.before = before
        self.config = config
        self.folder = folder
        self.watch = watch
        self._stop = threading.Event()
        self.stopped_by = 0
        self.sandbox: Sandbox | None = None
        self._first: Policy | None = None
        self.phases = phases_of(config)
        # Names are looked up before anything slow begins.
        for phase in self.phases:
            agent_class = registry.get("agents", phase.agent)
            agent_config(agent_class, phase, max_new_tokens=config.max_new_tokens)
        self.guard_config = settings_of(GuardConfig, config.guard_settings, "setting of guard")
        require_trackers(config.track)
        if config.compress_programs:
            compress(b"")  # refuses early where no zstd is installed
        self.reward = make_reward(config.reward) if config.reward else None
        self.train_tasks = load_tasks(config.tasks) if config.tasks else None
        self.eval_tasks = load_tasks(config.eval_tasks) if config.eval_tasks else None

    def rehearse(self) -> None:
        """Make the sandbox, the policy and the environments once, before anything is written.

        Raises:
            CodegymError: A setting cannot be used on this machine, or with these tasks.
        """
        with make_sandbox(self.config.isolation, workers=1) as self.sandbox:
            self._first = self._first_policy()
            self._make_envs(self._first)

    def stop(self, signal_number: int = 0) -> None:
        """Ask the run to save itself and end after the update under way.

        Args:
            signal_number: The signal that asks, if one does.
        """
        self.stopped_by = signal_number
        self._stop.set()

    def run(self, *, resume: bool = False, good: bool = False, elsewhere: bool = False) -> bool:
        """Train to the end of the budget, or until ``stop``.

        Args:
            resume: Continue from the folder's checkpoint.
            good: Continue from the last good checkpoint instead, after a run has diverged.
            elsewhere: Continue although versions or the processor differ from the run's.

        Returns:
            True if the run is complete, False if it was stopped and can be resumed.

        Raises:
            CheckpointError: There is nothing to resume, or it is damaged.
            ConfigError: Another process trains in the folder, or versions or the processor differ
                from those that the run was begun with.
            SandboxError: The sandbox broke.
            TrainingDivergedError: The policy collapsed; the last good checkpoint is kept.
        """
        with ExitStack() as stack:
            stack.enter_context(self.folder.held())
            before = self.folder.last("numerics") if resume else {}
            # Sums depend on how many threads share them: the number is part of the run.
            stack.callback(torch.set_num_threads, torch.get_num_threads())
            torch.set_num_threads(
                self.config.threads or before.get("threads", 0) or torch.get_num_threads()
            )
            self.sandbox = stack.enter_context(
                make_sandbox(self.config.isolation, workers=self.config.workers or None)
            )
            self._check_numerics(before, elsewhere=elsewhere)
            stack.enter_context(stopping_on_signals(self.stop))
            policy, progress, state = self._begin(resume, good)
            if progress.phase >= len(self.phases):
                return True
            # What a stopped run logged after its checkpoint is done again, and replaced.
            self._trackers = Trackers(
                self.config.track,
                self.folder.path,
                config=self.config.to_mapping(),
                step=progress.total_programs,
            )
            stack.callback(self._trackers.close)
            return self._run_phases(policy, progress, state)

    def _check_numerics(self, before: Mapping[str, Any], *, elsewhere: bool) -> None:
        """Find out what the numbers depend on, and compare it with the run's last record.

        Raises:
            ConfigError: The numbers would not be those of the unbroken run.
        """
        self._numerics = numerics(self.sandbox)
        if not before:
            return
        if elsewhere:
            differing = changed(before, self._numerics)
        else:
            differing = refuse_changes(before, self._numerics, folder=self.folder.path)
        if differing:
            text = ", ".join(f"{name} {old} -> {new}" for name, (old, new) in differing.items())
            warnings.warn(f"the run goes on with other surroundings: {text}", stacklevel=3)

    def _record_numerics(self) -> None:
        """Append what the numbers depend on to the run's record, unless it is the last entry."""
        if self.folder.last("numerics") != self._numerics:
            self.folder.append("numerics", self._numerics)

    def _run_phases(self, policy: Policy, progress: Progress, state: dict[str, Any] | None) -> bool:
        """Run the phases that are left; False if the run was stopped."""
        artifacts: Mapping[str, Any] = {}
        while progress.phase < len(self.phases):
            agent = self._agent(policy, progress.phase)
            policy = agent.policy
            self._guard = DivergenceGuard(self.guard_config, vocab_size=policy.tokenizer.vocab_size)
            if state is not None:
                agent.load_state_dict(state["agent"])
                self._guard.load_state_dict(state["guard"])
                state = None
            else:
                self.folder.keep_good()
                if progress.phase == len(self.phases) - 1:
                    self._measure(policy, progress, "before", self.config.eval_count)
            if not self._run_phase(self.phases[progress.phase], agent, progress):
                return False
            self._experience.forget()
            artifacts = agent.artifacts()
            if progress.phase < len(self.phases) - 1:
                save_policy(policy, self.folder.warm_start)
            progress = progress.next_phase()
            if progress.phase < len(self.phases):
                self._save(policy, None, progress)
        self._measure(policy, progress, "after", self.config.eval_count)
        self._save(policy, None, progress, artifacts=artifacts)
        return True

    def _begin(self, resume: bool, good: bool) -> tuple[Policy, Progress, dict[str, Any] | None]:
        if resume:
            if good:
                self.folder.restore_good()
            policy = load_policy(self.folder.checkpoint)
            self._make_envs(policy)
            saved = load_trainer(self.folder.checkpoint)
            self.folder.cut(saved["log_sizes"])
            self._record_numerics()
            self._experience.load_state_dict(saved["experience"], policy)
            return policy, Progress(**saved["progress"]), saved if saved["agent"] else None
        policy = self._first or self._first_policy()
        self._first = None
        self._make_envs(policy)
        self._record_numerics()
        # So that even a run killed in its first minute can be resumed.
        self._save(policy, None, Progress())
        return policy, Progress(), None

    def _first_policy(self) -> Policy:
        tokenizer = tokenizer_for(self.train_tasks, self.config.tokenizer, self.config.words)
        return make_policy(self.config.policy, tokenizer=tokenizer, seed=self.config.seed)

    def _make_envs(self, policy: Policy) -> None:
        """Make the environment that is learnt in, and the environment of the evaluations."""
        self.env = self._make_env(policy, self.train_tasks, self.reward)
        # An environment with a reward of its own is measured by that.
        measured = make_reward("pass_rate") if self.reward else None
        self.eval_env = self._make_env(policy, self.eval_tasks, measured)
        self._experience = make_experience(self.config, self.env)

    def _make_env(self, policy: Policy, tasks: TaskSource | None, reward: Any) -> Any:
        config = self.config
        return make_env(
            config.env,
            policy,
            tasks=tasks,
            reward=reward,
            budget=config.max_new_tokens,
            judge=Judge(self.sandbox),
            num_envs=config.num_envs,
            env_args=config.env_args,
        )

    def _agent(self, policy: Policy, phase_number: int) -> Agent:
        phase = self.phases[phase_number]
        agent_class = registry.get("agents", phase.agent)
        settings = agent_config(agent_class, phase, max_new_tokens=self.config.max_new_tokens)
        agent: Agent = agent_class(policy, settings, seed=_mix(self.config.seed, phase_number))
        return agent

    def _run_phase(self, phase: Phase, agent: Agent, progress: Progress) -> bool:
        """Run one phase to its end; False if it was stopped before."""
        agent.policy.prepare()
        last_saved, save_s = perf_counter(), 0.0
        while progress.share(phase) < 1.0:
            if self._stop.is_set():
                self._save(agent.policy, agent, progress)
                return False
            trajectories, metrics = self._update(agent, progress, phase)
            self._log(phase, progress, metrics)
            self._keep(phase, progress, trajectories)
            self._check(phase, progress, metrics, trajectories)
            if progress.share(phase) >= progress.next_point / (self.config.curve_points + 1):
                if progress.share(phase) < 1.0:
                    row = self._measure(agent.policy, progress, "curve", self.config.curve_count)
                    progress.compare(_figure(row, agent))
                progress.next_point += 1
                if 0 < self.config.patience <= progress.points_since_best:
                    return True
            if perf_counter() - last_saved > max(_SAVE_EVERY_S, _SAVE_COST * save_s):
                began = perf_counter()
                self._save(agent.policy, agent, progress)
                if self._guard.healthy:
                    self.folder.keep_good()
                last_saved = perf_counter()
                save_s = last_saved - began
        return True

    def _update(
        self, agent: Agent, progress: Progress, phase: Phase
    ) -> tuple[list[Trajectory], dict[str, float]]:
        """Gather what the agent asks for, let it learn, and count the update."""
        began, clock, share = perf_counter(), Clock(), progress.share(phase)
        metrics = self._experience.metrics(share)
        version, wanted = agent.policy.version, agent.request()
        trajectories = self._experience.gather(
            agent.policy,
            wanted,
            phase=progress.phase,
            update=progress.updates,
            progress=share,
            clock=clock,
        )
        if wanted.demonstrations and not any(each.demonstration for each in trajectories):
            raise TaskError(
                "none of the reference solutions fits the environment and passed its tests",
                value=self.config.tasks,
                cure="raise max_new_tokens if they are longer; codegym check source URI says "
                "which tasks are unfit",
            )
        learning = perf_counter()
        metrics |= agent.update(trajectories, progress=share)
        now = perf_counter()
        written = [each for each in trajectories if not each.demonstration]
        gap = hidden_gap(written, self._experience.tasks.values(), sandbox=self.sandbox)
        if gap is not None:
            metrics["hidden_gap"] = gap
        metrics |= update_metrics(trajectories, clock, now - learning, now - began, version)
        programs = int(metrics.get("programs", len(trajectories)))
        progress.advance(programs=programs, seconds=now - began)
        return trajectories, metrics

    def _check(
        self,
        phase: Phase,
        progress: Progress,
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
                programs=sum(not each.demonstration for each in trajectories),
                stage=self._experience.stage,
                even=self._experience.even,
                where=f"update {progress.updates} of {phase.name}",
            )
        except TrainingDivergedError as error:
            raise TrainingDivergedError(
                error.message,
                value=error.value,
                cure=f"the last good state is kept: codegym train --resume {self.folder.path} "
                "--good --set lr=LOWER; --no-guard goes on regardless",
            ) from None

    def _measure(
        self, policy: Policy, progress: Progress, moment: str, count: int
    ) -> dict[str, Any]:
        """Evaluate greedily and by sampling, and append one line to the curve."""
        policy.module.eval()
        tasks = held_out(self.eval_env, count)
        phase = self.phases[min(progress.phase, len(self.phases) - 1)]
        row: dict[str, Any] = {"moment": moment, "phase": phase.name}
        row |= {"programs": progress.total_programs, "train_s": progress.total_s}
        if moment == "before" and self.before is not None:
            row |= {name: self.before[name] for name in (*KINDS, "loss") if name in self.before}
        else:
            for kind in KINDS:
                report = self._evaluate(policy, tasks, count, greedy=kind == "greedy")
                where: dict[str, Any] = {"moment": moment, "kind": kind, "phase": phase.name}
                where["programs_written"] = progress.total_programs
                self.folder.append_all("programs", [kept | where for kept in report.programs])
                # Without the rows of a full evaluation nobody could pair it with another.
                row[kind] = report.to_json(full=count == self.config.eval_count)
            loss = reference_loss(policy, self.eval_env, (tasks or ())[: self.config.curve_count])
            if loss is not None:
                row["loss"] = loss
        shown = {f"held-out/{kind}": row[kind]["pass_at"]["1"]["mean"] for kind in KINDS}
        shown |= {
            f"held-out/{kind}_hidden_gap": row[kind]["hidden_gap"]["mean"]
            for kind in KINDS
            if row[kind].get("hidden_gap")
        }
        if "loss" in row:
            shown["held-out/loss"] = row["loss"]
        self._trackers.log(shown, progress.total_programs)
        self.folder.append("curve", row)
        return row

    def _evaluate(
        self, policy: Policy, tasks: Sequence[Task] | None, count: int, *, greedy: bool
    ) -> EvaluationReport:
        config = self.config
        return evaluate(
            policy,
            tasks,
            env=self.eval_env,
            count=count,
            n=1 if greedy or tasks is None else config.eval_samples,
            deterministic=greedy,
            grammar=config.grammar,
            # The same draws at every moment: gains are compared pair by pair.
            seed=config.seed if config.eval_seed < 0 else config.eval_seed,
            name=config.eval_tasks or config.env,
            sandbox=self.sandbox,
        )

    def _keep(self, phase: Phase, progress: Progress, episodes: Sequence[Trajectory]) -> None:
        """Write the programs of an update that the settings ask to keep."""
        uri = self.train_tasks.uri if self.train_tasks is not None else ""
        rows = [
            kept_row(
                episode,
                sample=sample,
                seed=self.config.seed,
                tasks=uri,
                phase=phase.name,
                update=progress.updates,
            )
            for sample, episode in enumerate(chosen(episodes, self.config.keep_programs))
        ]
        if rows:
            zstd = self.config.compress_programs
            self.folder.append_all("training_programs", rows, zstd=zstd)

    def _log(self, phase: Phase, progress: Progress, metrics: Mapping[str, float]) -> None:
        row = {
            "phase": phase.name,
            "update": progress.updates,
            "programs": progress.programs,
            "train_s": round(progress.elapsed_s, 3),
        }
        self.folder.append("metrics", dict(metrics) | row)
        shown = {f"{phase.name}/{name}": value for name, value in metrics.items()}
        self._trackers.log(shown, progress.total_programs)
        if self.watch is not None:
            self.watch(
                Update(
                    phase=phase.name,
                    progress=progress.share(phase),
                    programs_per_s=metrics["programs_per_s"],
                    metrics=metrics,
                )
            )

    def _save(
        self,
        policy: Policy,
        agent: Agent | None,
        progress: Progress,
        *,
        artifacts: Mapping[str, Any] | None = None,
    ) -> None:
        save_policy(
            policy,
            self.folder.checkpoint,
            trainer={
                "progress": dataclasses.asdict(progress),
                "agent": agent.state_dict() if agent else None,
                "artifacts": dict(artifacts or {}),
                "experience": self._experience.state_dict(),
                "guard": self._guard.state_dict() if agent else None,
                "log_sizes": self.folder.sizes(),
            },
        )


def _figure(row: Mapping[str, Any], agent: Agent) -> float:
    """Return the figure of an evaluation that is compared; higher is better."""
    if agent.learns_from == "demonstrations" and "loss" in row:
        return -float(row["loss"])
    return float(row["sampled"]["pass_at"]["1"]["mean"])


def _mix(seed: int, number: int) -> int:
    return int(np.random.SeedSequence([seed, number]).generate_state(1)[0])
