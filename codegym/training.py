"""Training: the loop that takes a policy from its first weights to a report.

A run is a list of phases (a warm start, then reinforcement learning), each an agent and a budget.
What is drawn at update u of phase p is a pure function of (seed, p, u), so a run that was stopped
at any update and resumed equals the run that was not.
"""

import dataclasses
import signal
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from time import perf_counter
from types import FrameType
from typing import Any

import numpy as np
import torch
from torch.utils.tensorboard import SummaryWriter

from codegym import registry
from codegym.agent import Agent, Request
from codegym.checkpoint import load_policy, load_trainer, save_policy
from codegym.evaluation import EvaluationReport, evaluate, held_out
from codegym.judging import Judge
from codegym.policies.making import make_policy
from codegym.policy import Policy
from codegym.rewards import make_reward
from codegym.rollout import Clock, Demonstrations, Sampling, collect
from codegym.run_config import Phase, TrainConfig, agent_config, phases_of
from codegym.run_folder import RunFolder
from codegym.sandbox import make_sandbox
from codegym.sources.base import load_tasks
from codegym.task import Task
from codegym.trajectory import Trajectory

_Ahead = tuple[tuple[int, int, Request], Demonstrations]


@dataclass(slots=True)
class Position:
    """Where in a run one stands; all that resuming needs beside weights and optimiser."""

    phase: int = 0
    updates: int = 0
    programs: int = 0
    elapsed_s: float = 0.0
    total_programs: int = 0
    total_s: float = 0.0
    next_point: int = 1

    def progress(self, phase: Phase) -> float:
        """Return the share of the phase's budget that is spent, in [0, 1]."""
        if phase.minutes:
            return min(1.0, self.elapsed_s / (60.0 * phase.minutes))
        if phase.updates:
            return min(1.0, self.updates / phase.updates)
        return min(1.0, self.programs / phase.programs)


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
        self._ahead: _Ahead | None = None
        self.phases = phases_of(config)
        # Names are looked up before anything slow begins.
        for phase in self.phases:
            agent_config(registry.get("agents", phase.agent), phase)
        self.reward = make_reward(config.reward)
        self.train_tasks = load_tasks(config.tasks)
        self.eval_tasks = load_tasks(config.eval_tasks)

    def stop(self) -> None:
        """Ask the run to save itself and end after the update under way."""
        self._stop.set()

    def run(self, *, resume: bool = False) -> bool:
        """Train to the end of the budget, or until ``stop``.

        Args:
            resume: Continue from the folder's checkpoint.

        Returns:
            True if the run is complete, False if it was stopped and can be resumed.

        Raises:
            CheckpointError: There is nothing to resume, or it is damaged.
            SandboxError: The sandbox broke.
        """
        with ExitStack() as stack:
            self._sandbox = stack.enter_context(
                make_sandbox(self.config.isolation, workers=self.config.workers or None)
            )
            stack.enter_context(_stopping_on_signals(self.stop))
            judge = Judge(self._sandbox)
            policy, position, state = self._begin(resume)
            if position.phase >= len(self.phases):
                return True
            # What a stopped run logged after its checkpoint is done again, and replaced.
            self._board = SummaryWriter(
                str(self.folder.tensorboard), purge_step=position.total_programs
            )
            stack.callback(self._board.close)
            while position.phase < len(self.phases):
                phase = self.phases[position.phase]
                agent = self._agent(policy, position.phase)
                if state is not None:
                    agent.load_state_dict(state)
                    state = None
                elif position.phase == len(self.phases) - 1 and position.updates == 0:
                    self._measure(policy, judge, position, "before", self.config.eval_count)
                if not self._run_phase(phase, agent, judge, position):
                    return False
                if position.phase < len(self.phases) - 1:
                    save_policy(policy, self.folder.warm_start)
                position = dataclasses.replace(
                    position,
                    phase=position.phase + 1,
                    updates=0,
                    programs=0,
                    elapsed_s=0.0,
                    next_point=1,
                )
                if position.phase < len(self.phases):
                    self._save(policy, None, position)
            self._measure(policy, judge, position, "after", self.config.eval_count)
            self._save(policy, None, position)
        return True

    def _begin(self, resume: bool) -> tuple[Policy, Position, dict[str, Any] | None]:
        if not resume:
            policy = make_policy(
                self.config.policy, tokenizer=self.config.tokenizer, seed=self.config.seed
            )
            # So that even a run killed in its first minute can be resumed.
            self._save(policy, None, Position())
            return policy, Position(), None
        policy = load_policy(self.folder.checkpoint)
        saved = load_trainer(self.folder.checkpoint)
        self.folder.cut(saved["log_sizes"])
        return policy, Position(**saved["position"]), saved["agent"]

    def _agent(self, policy: Policy, phase_number: int) -> Agent:
        phase = self.phases[phase_number]
        agent_class = registry.get("agents", phase.agent)
        settings = agent_config(agent_class, phase)
        agent: Agent = agent_class(policy, settings, seed=_mix(self.config.seed, phase_number))
        return agent

    def _run_phase(self, phase: Phase, agent: Agent, judge: Judge, position: Position) -> bool:
        """Run one phase to its end; False if it was stopped before."""
        last_saved = perf_counter()
        while position.progress(phase) < 1.0:
            if self._stop.is_set():
                self._save(agent.policy, agent, position)
                return False
            began = perf_counter()
            clock = Clock()
            wanted = agent.request()
            trajectories = self._demonstrations(agent.policy, wanted, position, clock)
            trajectories = (
                self._programs(agent.policy, wanted, judge, position, clock) + trajectories
            )
            self._look_ahead(agent.policy, wanted, position)
            learning = perf_counter()
            metrics = agent.update(trajectories, progress=position.progress(phase))
            now = perf_counter()
            metrics |= _summary(trajectories, clock, now - learning, now - began)
            position.updates += 1
            count = int(metrics.get("programs", len(trajectories)))
            position.programs += count
            position.total_programs += count
            position.elapsed_s += now - began
            position.total_s += now - began
            self._log(phase, position, metrics)
            if position.progress(phase) >= position.next_point / (self.config.curve_points + 1):
                if position.progress(phase) < 1.0:
                    self._measure(agent.policy, judge, position, "curve", self.config.curve_count)
                position.next_point += 1
            if perf_counter() - last_saved > 60.0:
                self._save(agent.policy, agent, position)
                last_saved = perf_counter()
        return True

    def _programs(
        self, policy: Policy, wanted: Request, judge: Judge, position: Position, clock: Clock
    ) -> list[Trajectory]:
        rng = np.random.default_rng([self.config.seed, position.phase, position.updates])
        tasks = self._draw(rng, wanted.tasks)
        return collect(
            policy,
            tasks,
            judge=judge,
            reward=self.reward,
            sampling=Sampling(
                n=wanted.samples,
                budget=self.config.max_new_tokens,
                temperature=wanted.temperature,
                greedy=wanted.greedy,
                grammar=self.config.grammar,
            ),
            rng=torch.Generator().manual_seed(int(rng.integers(2**62))),
            clock=clock,
        )

    def _demonstrations(
        self, policy: Policy, wanted: Request, position: Position, clock: Clock
    ) -> list[Trajectory]:
        ahead, self._ahead = self._ahead, None
        if ahead is None or ahead[0] != (position.phase, position.updates, wanted):
            ahead = self._submit(policy, wanted, position.phase, position.updates)
        began = perf_counter()
        shown = ahead[1].wait(self.reward)
        clock.waiting_s += perf_counter() - began
        return shown

    def _look_ahead(self, policy: Policy, wanted: Request, position: Position) -> None:
        """Let the sandbox grade the next update's demonstrations while this one is learnt from."""
        if wanted.demonstrations:
            self._ahead = self._submit(policy, wanted, position.phase, position.updates + 1)

    def _submit(self, policy: Policy, wanted: Request, phase: int, update: int) -> _Ahead:
        rng = np.random.default_rng([self.config.seed, phase, update, 1])
        tasks = self._draw(rng, wanted.demonstrations)
        shown = Demonstrations(tasks, policy, judge=Judge(self._sandbox))
        return (phase, update, wanted), shown

    def _draw(self, rng: np.random.Generator, count: int) -> list[Task]:
        return [self.train_tasks[int(i)] for i in rng.integers(len(self.train_tasks), size=count)]

    def _measure(
        self, policy: Policy, judge: Judge, position: Position, moment: str, count: int
    ) -> None:
        """Evaluate greedily and by sampling, and append one line to the curve."""
        tasks = held_out(self.eval_tasks, count)
        policy.module.eval()
        row: dict[str, Any] = {"moment": moment, "phase": self._phase_name(position)}
        row |= {"programs": position.total_programs, "train_s": position.total_s}
        for kind, deterministic in (("greedy", True), ("sampled", False)):
            report = evaluate(
                policy,
                tasks,
                judge=judge,
                deterministic=deterministic,
                budget=self.config.max_new_tokens,
                grammar=self.config.grammar,
                # The same draws at every moment: gains are compared pair by pair.
                seed=self.config.seed,
                name=self.config.eval_tasks,
            )
            row[kind] = _short(report, full=moment != "curve")
            self._board.add_scalar(
                f"held-out/{kind}", report.pass_at[1].mean, position.total_programs
            )
        self.folder.append("curve", row)

    def _phase_name(self, position: Position) -> str:
        return self.phases[min(position.phase, len(self.phases) - 1)].name

    def _log(self, phase: Phase, position: Position, metrics: Mapping[str, float]) -> None:
        row = {
            "phase": phase.name,
            "update": position.updates,
            "programs": position.programs,
            "train_s": round(position.elapsed_s, 3),
        }
        self.folder.append("metrics", row | dict(metrics))
        for name, value in metrics.items():
            self._board.add_scalar(f"{phase.name}/{name}", value, position.total_programs)
        if self.watch is not None:
            self.watch(
                Update(
                    phase=phase.name,
                    progress=position.progress(phase),
                    programs_per_s=metrics["programs_per_s"],
                    metrics=metrics,
                )
            )

    def _save(self, policy: Policy, agent: Agent | None, position: Position) -> None:
        save_policy(
            policy,
            self.folder.checkpoint,
            trainer={
                "position": dataclasses.asdict(position),
                "agent": agent.state_dict() if agent else None,
                "log_sizes": self.folder.sizes(),
            },
        )


def _summary(
    trajectories: Sequence[Trajectory], clock: Clock, learning_s: float, total_s: float
) -> dict[str, float]:
    """Return what an update's episodes were like and where its time went."""
    if not trajectories:
        return {"programs_per_s": 0.0}
    own = [one for one in trajectories if not one.demonstration]
    outcomes = Counter(str(one.verdict.outcome) for one in own if one.verdict)
    times = {
        "programs_per_s": len(trajectories) / total_s,
        "share_sampling": clock.sampling_s / total_s,
        "share_waiting_for_grader": clock.waiting_s / total_s,
        "share_learning": learning_s / total_s,
    }
    if not own:
        return times
    return times | {
        "reward": float(np.mean([one.reward for one in own])),
        "pass_rate": outcomes["passed"] / len(own),
        "tokens": float(np.mean([len(one) for one in own])),
        "finished": float(np.mean([one.finished for one in own])),
        **{f"outcome/{name}": count / len(own) for name, count in outcomes.items()},
    }


def _short(report: EvaluationReport, *, full: bool) -> dict[str, Any]:
    row = report.to_json()
    if not full:
        del row["rows"]
    return row


def _mix(seed: int, number: int) -> int:
    return int(np.random.SeedSequence([seed, number]).generate_state(1)[0])


@contextmanager
def _stopping_on_signals(stop: Callable[[], None]) -> Iterator[None]:
    """Turn the first Ctrl-C or SIGTERM into a request to stop; a second one interrupts at once."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    signals = (signal.SIGINT, signal.SIGTERM)
    before = {one: signal.getsignal(one) for one in signals}

    def request(number: int, frame: FrameType | None) -> None:
        stop()
        signal.signal(number, before[signal.Signals(number)] or signal.SIG_DFL)

    for one in signals:
        signal.signal(one, request)
    try:
        yield
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)
