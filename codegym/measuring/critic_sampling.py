"""Critic sampling: half of a task's programs begin where a critic says the first half went well.

1. The policy writes half of a task's programs; they are run on the task's visible tests.
2. Refine: where some pass those, the rest begin with the tokens before the one at which the critic
   is surest of a pass, in the best of them. Repair: where none does, the same is done with the
   failing programs the critic rates highest.

One round. The comparison is with a policy that writes the other half from nothing as well: the
same number of programs, the first half the same ones.
Source: CodeRL, Le et al. 2022 (2207.01780), section 3.4. The paper repairs by a second model that
reads the failing program and its error; a policy that only continues text is given a beginning.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from codegym.episode import ProgramEnv, Request
from codegym.errors import ConfigError
from codegym.grading.verdict import Outcome, Verdict
from codegym.learning.outcome_critic import CLASSES, OutcomeCritic
from codegym.measuring.evaluation import EvaluationReport, check_ks, report_on
from codegym.measuring.statistics import Interval, paired_gain, pass_at_k
from codegym.policy import Policy
from codegym.rollout.collect import Decoding, Rollout
from codegym.tasks.task import Task
from codegym.trajectory import Trajectory

_PASSED = CLASSES.index(Outcome.PASSED)


@dataclass(frozen=True, slots=True, kw_only=True)
class CriticReport:
    """What critic sampling changes, at an equal number of programs.

    Attributes:
        plain: All programs written from nothing.
        guided: The second half begun where the critic said.
        refined: Share of tasks whose second half began from a program that passes visible tests.
        gains: k -> paired gain in pass@k of ``guided`` over ``plain``.
    """

    plain: EvaluationReport
    guided: EvaluationReport
    refined: float
    gains: dict[int, Interval]

    def to_json(self) -> dict[str, Any]:
        """Return the report as JSON values."""
        return {
            "plain": self.plain.to_json(),
            "guided": self.guided.to_json(),
            "refined": self.refined,
            "gains": {
                str(k): {"mean": one.mean, "low": one.low, "high": one.high}
                for k, one in self.gains.items()
            },
        }


def passes_visible(verdict: Verdict, visible: int) -> bool:
    """Say whether a program passes the first tests of its task; at least one is kept unseen."""
    shown = verdict.cases[: min(visible, len(verdict.cases) - 1)]
    return bool(shown) and all(case.outcome is Outcome.PASSED for case in shown)


def beginnings(
    critic: OutcomeCritic, programs: Sequence[Trajectory], *, visible: int, seeds: int
) -> tuple[list[list[int]], bool]:
    """Return the tokens that further programs of a task begin with, and whether this refines.

    Args:
        critic: Says at which token a pass is likeliest; the tokens before it are the beginning.
        programs: What was written for the task so far.
        visible: Tests that are looked at.
        seeds: How many different programs to begin from at most.
    """
    passing = [one for one in programs if one.verdict and passes_visible(one.verdict, visible)]
    different = {one.actions.tobytes(): one for one in passing or programs}
    candidates = list(different.values())
    shares = critic.shares(candidates)[..., _PASSED].numpy()
    peaks = [int(np.argmax(row[: len(one)])) for row, one in zip(shares, candidates, strict=True)]
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
    """Measure pass@k with and without a critic, at ``n`` programs per task each.

    Args:
        policy: Who writes.
        critic: Says where programs go well.
        tasks: Held-out tasks, at least one.
        env: Environment in which they are played.
        n: Programs per task, at least 2.
        ks: Sizes of subset to report, each at most ``n``.
        visible: Tests of each task that the first half is tried on.
        seeds: How many programs of the first half the second half begins from.
        temperature: Sampling temperature.
        top_p: Share of probability kept.
        grammar: Allow only tokens that keep a program valid Python.
        seed: Of the sampling and of the bootstrap.
        name: What the tasks are called in the report.

    Raises:
        ConfigError: ``n``, ``ks``, ``visible`` or ``seeds`` is out of range.
        SandboxError: The sandbox broke.
    """
    for label, value, least in (("n", n, 2), ("visible", visible, 1), ("seeds", seeds, 1)):
        if value < least:
            raise ConfigError(f"{label} is unusable", value=value, expected=f">= {least}")
    check_ks(ks, n)
    half, rest = n // 2, n - n // 2
    decoding = Decoding(top_p=top_p, grammar=grammar)

    def write(
        chosen: Sequence[Task], count: int, number: int, given: Sequence[list[int]] | None = None
    ) -> list[Trajectory]:
        state = np.random.SeedSequence([seed, number]).generate_state(1)
        rng = torch.Generator().manual_seed(int(state[0]))
        request = Request(tasks=len(chosen), samples=count, temperature=temperature)
        return Rollout(env, policy, chosen, request, decoding=decoding, rng=rng, given=given).wait()

    first = write(tasks, half, 0)
    plain = write(tasks, rest, 1)
    begun = [
        beginnings(critic, first[start : start + half], visible=visible, seeds=seeds)
        for start in range(0, len(first), half)
    ]
    given = [starts[row % len(starts)] for starts, _ in begun for row in range(rest)]
    guided = write([task for task in tasks for _ in range(rest)], 1, 2, given)
    reports = [
        report_on(
            [task.task_id for task in tasks],
            _joined(first, second, len(tasks)),
            n=n,
            ks=ks,
            temperature=temperature,
            seed=seed,
            name=name,
        )
        for second in (plain, guided)
    ]
    estimates = {
        k: [[pass_at_k(n, row["passed"], k) for row in report.rows] for report in reports]
        for k in ks
    }
    return CriticReport(
        plain=reports[0],
        guided=reports[1],
        refined=float(np.mean([refines for _, refines in begun])),
        gains={k: paired_gain(*both, seed=seed) for k, both in estimates.items()},
    )


def _joined(
    first: Sequence[Trajectory], second: Sequence[Trajectory], tasks: int
) -> list[Trajectory]:
    """Put the halves together, task by task; each holds equally many programs for every task."""
    halves = [np.array_split(np.arange(len(half)), tasks) for half in (first, second)]
    return [
        program
        for mine, more in zip(*halves, strict=True)
        for program in (*(first[i] for i in mine), *(second[i] for i in more))
    ]
