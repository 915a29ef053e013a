"""Evaluation: a policy on held-out tasks becomes an EvaluationReport with intervals."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from codegym.errors import ConfigError
from codegym.grading.judge import Judge
from codegym.measuring.statistics import Interval, pass_at_k, proportion
from codegym.policy import Policy
from codegym.rewards import make_reward
from codegym.rollout.collect import Sampling, collect
from codegym.rollout.demonstrations import reference_episode
from codegym.sources.task_source import TaskSource
from codegym.tasks.task import Task
from codegym.trajectory import Batch, Trajectory


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluationReport:
    """pass@k of one policy on one set of tasks, and every row behind it.

    Attributes:
        tasks: What was asked: a task URI or a description.
        n_tasks: How many tasks.
        n: Programs written per task.
        deterministic: Whether the most probable token was taken.
        temperature: Sampling temperature otherwise.
        seed: Of the sampling.
        pass_at: k -> mean over tasks with its 95 % interval.
        outcomes: How many programs ended in each outcome.
        rows: Per task: its id, how many of its ``n`` programs passed, mean pass rate of tests.
    """

    tasks: str
    n_tasks: int
    n: int
    deterministic: bool
    temperature: float
    seed: int
    pass_at: dict[int, Interval]
    outcomes: dict[str, int]
    rows: tuple[dict[str, Any], ...]

    @property
    def per_task(self) -> list[float]:
        """Return each task's share of passing programs, in the order of ``rows``."""
        return [row["passed"] / self.n for row in self.rows]

    def to_json(self, *, full: bool = True) -> dict[str, Any]:
        """Return the report as JSON values; its rows, one per task, only if ``full``."""
        row = {name: getattr(self, name) for name in self.__slots__}
        row["pass_at"] = {
            str(k): {"mean": one.mean, "low": one.low, "high": one.high}
            for k, one in self.pass_at.items()
        }
        row["rows"] = list(self.rows)
        if not full:
            del row["rows"]
        return row


def held_out(source: TaskSource, count: int) -> list[Task]:
    """Return the first ``count`` tasks of a source, or all it has."""
    return [source[index] for index in range(min(count, len(source)))]


def reference_loss(policy: Policy, tasks: Sequence[Task]) -> float | None:
    """Return the mean of ``-log p`` over the tokens of the tasks' reference solutions, in nats.

    Tasks without one, or with one too long for the policy, are left out; None if none is left.
    """
    shown = [one for task in tasks if (one := reference_episode(task, policy)) is not None]
    if not shown:
        return None
    batch = Batch.from_trajectories(shown, pad_id=policy.tokenizer.pad_id)
    with torch.no_grad():
        total = sum(float(policy.evaluate(piece).log_probs.sum()) for piece in batch.pieces(32))
    return -total / batch.n_tokens


def check_ks(ks: Sequence[int], n: int) -> None:
    """Refuse sizes of subset that ``n`` programs do not have.

    Raises:
        ConfigError: There is no k, or one is not in 1 to ``n``.
    """
    if not ks or max(ks) > n or min(ks) < 1:
        raise ConfigError(
            "pass@k needs k of at most n programs",
            value=list(ks),
            expected=f"1 <= k <= {n}",
            cure="raise n",
        )


def evaluate(
    policy: Policy,
    tasks: Sequence[Task],
    *,
    judge: Judge,
    n: int = 1,
    ks: Sequence[int] = (1,),
    deterministic: bool = False,
    temperature: float = 1.0,
    top_p: float = 1.0,
    budget: int = 64,
    grammar: bool = False,
    seed: int = 0,
    name: str = "",
) -> EvaluationReport:
    """Measure unbiased pass@k.

    Args:
        policy: Who writes.
        tasks: Held-out tasks, at least one.
        judge: Grades the programs.
        n: Programs per task; 1 is all that ``deterministic`` can use.
        ks: Sizes of subset to report, each at most ``n``.
        deterministic: Take the most probable token.
        temperature: Sampling temperature otherwise.
        top_p: Share of probability kept.
        budget: Longest program in tokens.
        grammar: Allow only tokens that keep a program valid Python.
        seed: Of the sampling and of the bootstrap.
        name: What the tasks are called in the report.

    Raises:
        ConfigError: A k above ``n``, or several identical deterministic programs.
        SandboxError: The sandbox broke.
    """
    if deterministic and n != 1:
        raise ConfigError("deterministic programs are all the same", value=n, expected="n=1")
    check_ks(ks, n)
    trajectories = collect(
        policy,
        tasks,
        judge=judge,
        reward=make_reward("pass_rate"),
        sampling=Sampling(
            n=n,
            budget=budget,
            temperature=temperature,
            top_p=top_p,
            deterministic=deterministic,
            grammar=grammar,
        ),
        rng=torch.Generator().manual_seed(seed),
    )
    return report_on(
        tasks,
        trajectories,
        n=n,
        ks=ks,
        deterministic=deterministic,
        temperature=temperature,
        seed=seed,
        name=name,
    )


def report_on(
    tasks: Sequence[Task],
    trajectories: Sequence[Trajectory],
    *,
    n: int,
    ks: Sequence[int],
    deterministic: bool = False,
    temperature: float = 1.0,
    seed: int = 0,
    name: str = "",
) -> EvaluationReport:
    """Report on programs that were judged; see ``evaluate`` for the arguments.

    Args:
        tasks: The tasks.
        trajectories: ``n`` programs per task, task by task.
        n: Programs per task.
        ks: Sizes of subset to report, each at most ``n``.
        deterministic: How the programs were written.
        temperature: At which temperature otherwise.
        seed: Of the sampling and of the bootstrap.
        name: What the tasks are called in the report.
    """
    rows: list[dict[str, Any]] = []
    outcomes: Counter[str] = Counter()
    for number, task in enumerate(tasks):
        own = trajectories[number * n : (number + 1) * n]
        verdicts = [one.verdict for one in own if one.verdict is not None]
        outcomes.update(str(verdict.outcome) for verdict in verdicts)
        rows.append(
            {
                "task_id": task.task_id,
                "passed": sum(verdict.passed for verdict in verdicts),
                "pass_rate": float(np.mean([verdict.pass_rate for verdict in verdicts])),
            }
        )
    estimates = {k: [pass_at_k(n, row["passed"], k) for row in rows] for k in ks}
    return EvaluationReport(
        tasks=name,
        n_tasks=len(tasks),
        n=n,
        deterministic=deterministic,
        temperature=temperature,
        seed=seed,
        pass_at={k: proportion(values, seed=seed) for k, values in estimates.items()},
        outcomes=dict(sorted(outcomes.items())),
        rows=tuple(rows),
    )
