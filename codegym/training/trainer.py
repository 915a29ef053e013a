"""Trainer: takes a policy from its first weights to a report.

A run is a list of phases (a warm start, then reinforcement learning), each an agent and a budget.
What is drawn at update u of phase p is a pure function of (seed, p, u), so a run that was stopped
at any update and resumed equals the run that was not.

With ``processes`` above 1 every process runs this loop, on its share of the episodes and of each
minibatch. The leader alone writes files, evaluates, and decides what depends on clocks and signals.
"""

import dataclasses
import threading
import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from time import perf_counter
from typing import Any

import numpy as np
import torch

from codegym import registry
from codegym.cluster.cluster_address import WriterOptions, grader_spec, read_options
from codegym.cluster.entrances import ray_authors
from codegym.cluster.remote_authors import PolicyCopies, RemoteAuthors
from codegym.errors import ConfigError, TaskError, TeamError, TrainingDivergedError
from codegym.grading.judge import Judge
from codegym.learning.agent import Agent
from codegym.learning.team import Team
from codegym.measuring.hidden_tests import hidden_gap
from codegym.measuring.numerics import changed, numerics, refuse_changes, serious_changes
from codegym.policies.checkpoint import load_policy, load_trainer, save_policy
from codegym.policies.factory import make_policy
from codegym.policy import Policy
from codegym.rewards import make_reward
from codegym.rollout.collect import Clock
from codegym.rollout.environments import make_env
from codegym.sandbox import Sandbox, make_sandbox
from codegym.sandbox.choice import default_workers
from codegym.settings import settings_of
from codegym.sources import load_tasks
from codegym.sources._zstd import compress
from codegym.tasks.task_source import TaskSource
from codegym.training.config import Phase, TrainConfig, agent_config, phases_of
from codegym.training.divergence import DivergenceGuard, GuardConfig
from codegym.training.experience import make_experience
from codegym.training.interrupts import stopping_on_signals
from codegym.training.progress import Progress
from codegym.training.run_folder import RunFolder
from codegym.training.run_record import RunRecord, Update
from codegym.training.team_processes import leading
from codegym.training.tracking import require_trackers
from codegym.training.update_metrics import update_metrics
from codegym.training.word_list import tokenizer_for
from codegym.trajectory import Trajectory

_SAVE_EVERY_S = 20.0
# Saving takes at most one part in so many of a run's time.
_SAVE_COST = 50.0


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
        self._team = Team()
        self._authors: RemoteAuthors | None = None
        self._isolation = config.isolation
        if config.ray:
            address = read_options(config.ray, WriterOptions, "--ray").address
            if config.isolation == "auto":
                self._isolation = grader_spec(address)
            if config.processes > 1:
                raise ConfigError(
                    "programs are written on a cluster, or by several processes of this machine",
                    value=f"ray={config.ray!r}, processes={config.processes}",
                    expected="processes=1 with ray",
                )
        self.phases = phases_of(config)
        # Names are looked up before anything slow begins.
        for phase in self.phases:
            agent_class = registry.get("agents", phase.agent)
            agent_config(agent_class, phase, max_new_tokens=config.max_new_tokens)
            if config.processes > 1 and not agent_class.learns_in_a_team:
                raise ConfigError(
                    f"agent {phase.agent!r} learns in one process",
                    value=f"processes={config.processes}",
                    expected="processes=1",
                )
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
        with make_sandbox(self._isolation, workers=1) as self.sandbox:
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
            ClusterError: No Ray cluster answers, or it has lost all its nodes; the run can be
                resumed.
            TeamError: A process that shares the work ended; the last checkpoint is kept.
            TrainingDivergedError: The policy collapsed; the last good checkpoint is kept.
        """
        with ExitStack() as stack:
            stack.enter_context(self.folder.held())
            before = self.folder.last("numerics") if resume else {}
            self._enter(stack, self.config.threads or before.get("threads", 0))
            if self.config.ray:
                self._authors = self._remote_authors()
                stack.callback(self._authors.close)
            self._check_numerics(before, elsewhere=elsewhere)
            stack.enter_context(stopping_on_signals(self.stop))
            if resume and good:
                self.folder.restore_good()
            settings = self.config.to_mapping() | {"threads": torch.get_num_threads()}
            job = {"config": settings, "folder": str(self.folder.path), "resume": resume}
            self._team = stack.enter_context(
                leading(self.config.processes, job, folder=self.folder.path)
            )
            policy, progress, state = self._begin(resume)
            if progress.phase >= len(self.phases):
                return True
            # What a stopped run logged after its checkpoint is done again, and replaced.
            stack.callback(self._record.track(progress.total_programs).close)
            return self._run_phases(policy, progress, state)

    def follow(self, team: Team, *, resume: bool) -> None:
        """Take part in the run of a leader, to its end.

        Args:
            team: The leader's team.
            resume: Whether the leader continues from the folder's checkpoint.
        """
        with ExitStack() as stack:
            self._enter(stack, self.config.threads)
            self._team = team
            policy, progress, state = self._begin(resume)
            if progress.phase < len(self.phases):
                self._run_phases(policy, progress, state)

    def _enter(self, stack: ExitStack, threads: int) -> None:
        """Make this process ready: torch's threads and the sandbox."""
        # Sums depend on how many threads share them: the number is part of the run.
        stack.callback(torch.set_num_threads, torch.get_num_threads())
        torch.set_num_threads(threads or torch.get_num_threads())
        config = self.config
        workers = config.workers
        if config.processes > 1:
            workers = max(1, (workers or default_workers()) // config.processes)
        self.sandbox = stack.enter_context(make_sandbox(self._isolation, workers=workers or None))

    def _remote_authors(self) -> RemoteAuthors:
        """Return who writes the programs on the nodes of a cluster."""
        copies = PolicyCopies(
            save=save_policy, load=load_policy, facts=numerics, differing=serious_changes
        )
        return ray_authors(self.config.ray, threads=torch.get_num_threads(), copies=copies)

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
                if self._team.leads:
                    self.folder.keep_good()
                if progress.phase == len(self.phases) - 1:
                    self._measure(agent, progress, "before", self.config.eval_count)
            if not self._run_phase(self.phases[progress.phase], agent, progress):
                return False
            self._experience.forget()
            artifacts = agent.artifacts()
            if progress.phase < len(self.phases) - 1 and self._team.leads:
                save_policy(policy, self.folder.warm_start)
            progress = progress.next_phase()
            if progress.phase < len(self.phases):
                self._save(policy, None, progress)
        self._measure(agent, progress, "after", self.config.eval_count)
        self._save(policy, None, progress, artifacts=artifacts)
        return True

    def _begin(self, resume: bool) -> tuple[Policy, Progress, dict[str, Any] | None]:
        if resume:
            policy = load_policy(self.folder.checkpoint)
            self._make_envs(policy)
            saved = load_trainer(self.folder.checkpoint)
            self._experience.load_state_dict(saved["experience"][self._team.rank], policy)
            # Nobody still reads the checkpoint when the leader writes the next.
            self._team.gather(None)
            if self._team.leads:
                self.folder.cut(saved["log_sizes"])
                self._record_numerics()
            return policy, Progress(**saved["progress"]), saved if saved["agent"] else None
        policy = self._first or self._first_policy()
        self._first = None
        self._make_envs(policy)
        if self._team.leads:
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
        self._experience = make_experience(self.config, self.env, self._team, self._authors)
        self._record = RunRecord(
            self.config,
            self.folder,
            sandbox=self.sandbox,
            env=self.eval_env,
            tasks=self.train_tasks.uri if self.train_tasks is not None else "",
            watch=self.watch,
            before=self.before,
        )

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
        agent.join(self._team)
        return agent

    def _run_phase(self, phase: Phase, agent: Agent, progress: Progress) -> bool:
        """Run one phase to its end; False if it was stopped before."""
        agent.policy.prepare()
        last_saved, save_s = perf_counter(), 0.0
        while progress.share(phase) < 1.0:
            if self._team.first(self._stop.is_set()):
                self._save(agent.policy, agent, progress)
                return False
            trajectories, metrics = self._update(agent, progress, phase)
            if self._team.leads:
                self._record.log(phase, progress, metrics)
                self._record.keep(phase, progress, trajectories)
                self._check(phase, progress, metrics, trajectories)
            if progress.share(phase) >= progress.next_point / (self.config.curve_points + 1):
                if progress.share(phase) < 1.0:
                    progress.compare(
                        self._measure(agent, progress, "curve", self.config.curve_count)
                    )
                progress.next_point += 1
                if 0 < self.config.patience <= progress.points_since_best:
                    return True
            due = perf_counter() - last_saved > max(_SAVE_EVERY_S, _SAVE_COST * save_s)
            if self._team.first(due):
                began = perf_counter()
                self._save(agent.policy, agent, progress)
                if self._guard.healthy and self._team.leads:
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
        if wanted.tasks:
            metrics["sampling_lag_updates"] = float(self._experience.lag)
        learning = perf_counter()
        metrics |= agent.update(trajectories, progress=share)
        now = perf_counter()
        if self._team.leads:
            written = [each for each in trajectories if not each.demonstration]
            gap = hidden_gap(written, self._experience.tasks.values(), sandbox=self.sandbox)
            if gap is not None:
                metrics["hidden_gap"] = gap
        metrics |= update_metrics(trajectories, clock, now - learning, now - began, version)
        programs = int(metrics.get("programs", len(trajectories)))
        progress.advance(programs=programs, seconds=self._team.first(now - began))
        return trajectories, metrics

    def _measure(self, agent: Agent, progress: Progress, moment: str, count: int) -> float:
        """Evaluate the policy, and return the figure that is compared; higher is better."""
        figure = 0.0
        if self._team.leads:
            phase = self.phases[min(progress.phase, len(self.phases) - 1)]
            row = self._record.measure(agent.policy, phase, progress, moment, count)
            figure = _figure(row, agent)
        return self._team.first(figure)

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

    def _save(
        self,
        policy: Policy,
        agent: Agent | None,
        progress: Progress,
        *,
        artifacts: Mapping[str, Any] | None = None,
    ) -> None:
        experience = self._team.gather(self._experience.state_dict())
        if self._team.size > 1 and len(set(self._team.gather(_digest(policy)))) > 1:
            raise TeamError(
                "the processes of the run hold different weights",
                cure=f"codegym train --resume {self.folder.path} goes on from what was saved last",
            )
        if not self._team.leads:
            return
        save_policy(
            policy,
            self.folder.checkpoint,
            trainer={
                "progress": dataclasses.asdict(progress),
                "agent": agent.state_dict() if agent else None,
                "artifacts": dict(artifacts or {}),
                "experience": experience,
                "guard": self._guard.state_dict() if agent else None,
                "log_sizes": self.folder.sizes(),
            },
        )


def _digest(policy: Policy) -> str:
    """Return the sum of each weight tensor as text, in which NaN equals NaN."""
    with torch.no_grad():
        return repr([float(each.double().sum()) for each in policy.module.parameters()])


def _figure(row: Mapping[str, Any], agent: Agent) -> float:
    """Return the figure of an evaluation that is compared; higher is better."""
    if agent.learns_from == "demonstrations" and "loss" in row:
        return -float(row["loss"])
    return float(row["sampled"]["pass_at"]["1"]["mean"])


def _mix(seed: int, number: int) -> int:
    return int(np.random.SeedSequence([seed, number]).generate_state(1)[0])
