"""Critic sampling: a critic chooses how the second half of a task's programs begin.

1. The policy writes half of a task's programs. They run on the task's visible tests.
2. If some programs pass these tests, the second half refines them: it begins with the tokens before
   the token at which the critic predicts a pass with the highest probability. If no program passes,
   the second half repairs the failing programs that the critic rates highest, in the same way.

There is one round. The comparison is with a policy that writes the second half without a given
beginning: the number of programs is the same, and so is the first half.
Source: CodeRL, Le et al. 2022 (2207.01780), section 3.4. The paper repairs with a second model that
reads the failing program and its error. A policy that only continues text gets a beginning instead.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from codegym.episode import ProgramEnv, Request
from codegym.errors import ConfigError, SandboxError
from codegym.grading.verdict import Outcome, Verdict
from codegym.learning.outcome_critic import CLASSES, OutcomeCritic
from codegym.measuring.evaluation import EvaluationReport, check_ks, report_on
from codegym.measuring.statistics import Interval, paired_gain, pass_at_k
from codegym.policy import Policy
from codegym.rollout.collect import Rollout
from codegym.rollout.program_writer import Decoding
from codegym.tasks.task import Task
from codegym.trajectory import Trajectory

_PASSED = CLASSES.index(Outcome.PASSED)


@dataclass(frozen=True, slots=True, kw_only=True)
class CriticReport:
    """Effect of critic sampling, at an equal number of programs.

    Attributes:
        plain: Report with a second half without given beginnings.
        guided: Report with a second half whose beginnings the critic chose.
        refined: Share of tasks whose second half begins from a program that passes visible tests.
        gains: k -> paired gain in pass@k of ``guided`` over ``plain``.
    """

    plain: EvaluationReport
    guided: EvaluationReport
    refined: float
    gains: dict[int, Interval]

    def to_json(self, *, full: bool = True) -> dict[str, Any]:
        """Return the report as JSON values; its rows, one per task, only if ``full``."""
        return {
            "plain": self.plain.to_json(full=full),
            "guided": self.guided.to_json(full=full),
            "refined": self.refined,
            "gains": {
                str(k): {"mean": gain.mean, "low": gain.low, "high": gain.high}
                for k, gain in self.gains.items()
            },
        }


def passes_visible(verdict: Verdict, visible: int) -> bool:
    """Return whether a program passes the first tests of its task; the last test stays hidden."""
    shown = verdict.cases[: min(visible, len(verdict.cases) - 1)]
    return bool(shown) and all(case.outcome is Outcome.PASSED for case in shown)


def beginnings(
    critic: OutcomeCritic, programs: Sequence[Trajectory], *, visible: int, seeds: int
) -> tuple[list[list[int]], bool]:
    """Return the tokens that further programs of a task begin with, and whether this refines.

    Args:
        critic: Predicts at which token a pass is likeliest; the tokens before it are the beginning.
        programs: The programs of the task so far.
        visible: Number of visible tests.
        seeds: Largest number of different programs to begin from.
    """
    passing = [
        program
        for program in programs
        if program.verdict and passes_visible(program.verdict, visible)
    ]
    different = {program.actions.tobytes(): program for program in passing or programs}
    candidates = list(different.values())
    shares = critic.shares(candidates)[..., _PASSED].numpy()
    peaks = [
        int(np.argmax(row[: len(program)])) for row, program in zip(shares, candidates, strict=True)
    ]
    best = np.argsort([-row[peak] for row, peak in zip(shares, peaks, strict=True)], kind="stable")
    begun = [candidates[int(i)].actions[: peaks[int(i)]].tolist() for i in best[:seeds]]
    return begun, bool(passing)


def critic_sampling(
    policy: Policy,
    critic: OutcomeCritic,
    tasks: Sequence[Task],
    *,
    env: ProgramEnv,
    n: int,
    ks: Sequence[int] = (1,),
    visible: int = 2,
    seeds: int = 2,
    temperature: float = 1.0,
    top_p: float = 1.0,
    grammar: bool = False,
    seed: int = 0,
    name: str = "",
) -> CriticReport:
    """Measure pass@k with and without a critic, with ``n`` programs per task each.

    Args:
        policy: Writes the programs.
        critic: Predicts at which token of a program a pass is likeliest.
        tasks: Held-out tasks, at least one.
        env: Environment of the tasks, with one program per episode.
        n: Programs per task, at least 2.
        ks: Sizes of subset to report, each at most ``n``.
        visible: Number of each task's tests on which the first half is tried.
        seeds: Largest number of programs of the first half that the second half begins from.
        temperature: Sampling temperature.
        top_p: Share of the probability that is kept.
        grammar: Allow only tokens that keep a program valid Python.
        seed: Seed of the sampling and of the bootstrap.
        name: Name of the tasks in the report.

    Raises:
        ConfigError: ``env``, ``n``, ``ks``, ``visible`` or ``seeds`` is unusable.
        SandboxError: The sandbox broke.
    """
    _check(env, tasks, n=n, visible=visible, seeds=seeds)
    check_ks(ks, n)
    half, rest = n // 2, n - n // 2
    writer = _Writer(env, policy, temperature, Decoding(top_p=top_p, grammar=grammar), seed)
    first = writer.write(tasks, half, stream=0)
    plain = writer.write(tasks, rest, stream=1)
    begun = [beginnings(critic, group, visible=visible, seeds=seeds) for group in first]
    given = [starts[row % len(starts)] for starts, _ in begun for row in range(rest)]
    repeated = [task for task in tasks for _ in range(rest)]
    guided = _by_task(writer.write(repeated, 1, stream=2, given=given), rest)
    how = {"n": n, "ks": ks, "temperature": temperature, "seed": seed, "name": name}
    reports = [_report(tasks, first, second, how) for second in (plain, guided)]
    return CriticReport(
        plain=reports[0],
        guided=reports[1],
        refined=float(np.mean([refines for _, refines in begun])),
        gains={k: _gain(*reports, k=k, seed=seed) for k in ks},
    )


def _check(env: object, tasks: Sequence[Task], *, n: int, visible: int, seeds: int) -> None:
    """Refuse arguments with which critic sampling means nothing.

    Raises:
        ConfigError: An argument is unusable.
    """
    if not isinstance(env, ProgramEnv) or env.turns != 1:
        raise ConfigError(
            "critic sampling needs an environment with one program per episode",
            value=type(env).__name__,
            expected="a codegym.episode.ProgramEnv with turns=1, such as CodeGym/Synthesis-v0",
        )
    if not tasks:
        raise ConfigError("critic sampling needs tasks", value=0, expected=">= 1")
    for label, value, least in (("n", n, 2), ("visible", visible, 1), ("seeds", seeds, 1)):
        if value < least:
            raise ConfigError(f"{label} is unusable", value=value, expected=f">= {least}")


@dataclass(frozen=True, slots=True)
class _Writer:
    """Writes and judges programs, with random numbers of several independent streams."""

    env: ProgramEnv
    policy: Policy
    temperature: float
    decoding: Decoding
    seed: int

    def write(
        self,
        tasks: Sequence[Task],
        samples: int,
        *,
        stream: int,
        given: Sequence[list[int]] | None = None,
    ) -> list[list[Trajectory]]:
        """Return ``samples`` judged programs of each task.

        Args:
            tasks: The tasks.
            samples: Number of programs of each task.
            stream: Number of the random stream.
            given: Tokens that each task's programs begin with.

        Raises:
            SandboxError: Some programs were not judged.
        """
        state = np.random.SeedSequence([self.seed, stream]).generate_state(1)
        rollout = Rollout(
            self.env,
            self.policy,
            tasks,
            Request(tasks=len(tasks), samples=samples, temperature=self.temperature),
            decoding=self.decoding,
            rng=torch.Generator().manual_seed(int(state[0])),
            given=given,
        )
        groups = rollout.wait_by_task()
        missing = sum(samples - len(group) for group in groups)
        if missing:
            raise SandboxError(f"{missing} programs were not judged")
        return groups


def _by_task(groups: Sequence[list[Trajectory]], size: int) -> list[list[Trajectory]]:
    """Join each ``size`` neighbouring groups."""
    return [
        [program for group in groups[start : start + size] for program in group]
        for start in range(0, len(groups), size)
    ]


def _report(
    tasks: Sequence[Task],
    first: Sequence[list[Trajectory]],
    second: Sequence[list[Trajectory]],
    how: Mapping[str, Any],
) -> EvaluationReport:
    """Report on both halves of each task's programs; ``how`` goes to ``report_on``."""
    programs = [
        program for halves in zip(first, second, strict=True) for half in halves for program in half
    ]
    return report_on([task.task_id for task in tasks], programs, **how)


def _gain(plain: EvaluationReport, guided: EvaluationReport, *, k: int, seed: int) -> Interval:
    """Return the paired gain in pass@k of ``guided`` over ``plain``."""
    before, after = (
        [pass_at_k(report.n, row["passed"], k) for row in report.rows] for report in (plain, guided)
    )
    return paired_gain(before, after, seed=seed)
