"""Evaluation: a policy on held-out tasks becomes an EvaluationReport with intervals."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from gymnasium.vector import VectorEnv

from codegym.episode import ProgramEnv, Request
from codegym.errors import ConfigError, SandboxError
from codegym.grading.judge import Judge
from codegym.measuring.hidden_tests import passes_hidden
from codegym.measuring.kept_programs import kept_row
from codegym.measuring.statistics import Interval, pass_at_k, proportion
from codegym.policy import Policy
from codegym.rollout.collect import Decoding, collect
from codegym.rollout.demonstrations import unjudged_references
from codegym.rollout.environments import DEFAULT_ENV, make_env
from codegym.sandbox import Sandbox
from codegym.sources import TaskSource, load_tasks
from codegym.sources.task_list import TaskList
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
        rows: Per task: its id, its cluster (tasks with a cluster share a composition or a
            reference solution), how many of its ``n`` programs passed, mean pass rate of tests, and
            how many passed the hidden tests as well, if it has them.
        hidden_gap: Share of programs that pass the tests less the share that passes the hidden
            tests as well, over the tasks with hidden tests; None without such tasks.
        programs: Every program with its verdict, as ``kept_programs.kept_row`` describes it.
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
    hidden_gap: Interval | None = None
    programs: tuple[dict[str, Any], ...] = ()

    @property
    def per_task(self) -> list[float]:
        """Return each task's share of passing programs, in the order of ``rows``."""
        return [row["passed"] / self.n for row in self.rows]

    def to_json(self, *, full: bool = True) -> dict[str, Any]:
        """Return the report as JSON values, without the programs; the tasks only if ``full``."""
        row = {name: getattr(self, name) for name in self.__slots__ if name != "programs"}
        row["pass_at"] = {
            str(k): {"mean": interval.mean, "low": interval.low, "high": interval.high}
            for k, interval in self.pass_at.items()
        }
        row["rows"] = list(self.rows)
        row["hidden_gap"] = asdict(self.hidden_gap) if self.hidden_gap else None
        if not full:
            del row["rows"]
        return row


def cluster_of(task: Task) -> str:
    """Return what a task shares with tasks that pass and fail together with it.

    The key of its composition; without one its reference solution, and without that its id.
    """
    key = task.metadata.get("key")
    return key if isinstance(key, str) else task.canonical_solution or task.task_id


def held_out(env: "VectorEnv[Any, Any, Any]", count: int) -> list[Task] | None:
    """Return the first ``count`` tasks of an environment, or all it has.

    None where the environment does not say what its tasks are.
    """
    if not isinstance(env, ProgramEnv):
        return None
    return [env.source[index] for index in range(min(count, len(env.source)))]


def reference_loss(
    policy: Policy, env: "VectorEnv[Any, Any, Any]", tasks: Sequence[Task]
) -> float | None:
    """Return the mean of ``-log p`` over the tokens of the tasks' reference solutions, in nats.

    Tasks without a solution, or with one too long for the policy, are left out; None if none is
    left.
    """
    shown = unjudged_references(env, tasks) if isinstance(env, ProgramEnv) else []
    if not shown:
        return None
    batch = Batch.from_trajectories(shown, pad_id=policy.tokenizer.pad_id)
    with torch.no_grad():
        total = sum(float(policy.evaluate(piece).log_probs.sum()) for piece in batch.pieces(32))
    return -total / batch.n_tokens


def check_ks(ks: Sequence[int], n: int, *, deterministic: bool = False) -> None:
    """Refuse sizes of subset that ``n`` programs do not have.

    Raises:
        ConfigError: There is no k, or a k is not in 1 to ``n``, or several programs of a task are
            to be deterministic.
    """
    if deterministic and n != 1:
        raise ConfigError("deterministic programs are all the same", value=n, expected="n=1")
    if not ks or max(ks) > n or min(ks) < 1:
        raise ConfigError(
            "pass@k needs k of at most n programs",
            value=list(ks),
            expected=f"1 <= k <= {n}",
            cure="raise n",
        )


def evaluate(
    policy: Policy,
    tasks: str | TaskSource | Sequence[Task] | None,
    *,
    env: "str | VectorEnv[Any, Any, Any]" = DEFAULT_ENV,
    env_args: Mapping[str, Any] | None = None,
    count: int = 300,
    n: int = 1,
    ks: Sequence[int] = (1,),
    deterministic: bool = False,
    temperature: float = 1.0,
    top_p: float = 1.0,
    budget: int = 64,
    grammar: bool = False,
    seed: int = 0,
    name: str = "",
    sandbox: Sandbox | None = None,
) -> EvaluationReport:
    """Measure unbiased pass@k.

    Args:
        policy: Who writes; ``codegym.evaluate`` also takes what ``codegym.make_policy`` takes.
        tasks: Held-out tasks: a URI, a source, a list of tasks, or None for those of ``env``.
        env: Environment in which they are played: an id, or a vector environment.
        env_args: Further arguments of the environment that the id names.
        count: Largest number of tasks, or of episodes where an environment draws its own tasks.
        n: Programs per task; 1 is all that ``deterministic`` can use.
        ks: Sizes of subset to report, each at most ``n``.
        deterministic: Take the most probable token, whatever the ``temperature``.
        temperature: Sampling temperature.
        top_p: Share of the probability that is kept.
        budget: Longest program in tokens, where ``env`` is an id.
        grammar: Allow only tokens that keep a program valid Python.
        seed: Seed of the sampling and of the bootstrap.
        name: What the tasks are called in the report.
        sandbox: Where programs and hidden tests run; a shared one by default.

    Raises:
        ConfigError, UnknownNameError: An argument cannot be used, or names nothing.
        SandboxError: The sandbox broke.
    """
    check_ks(ks, n, deterministic=deterministic)
    source = _source(tasks)
    if isinstance(env, str):
        env = _make(env, policy, source, budget, sandbox, env_args)
    chosen = _chosen(source, env, count)
    trajectories = collect(
        env,
        policy,
        Request(tasks=len(chosen) or count, samples=n, temperature=temperature),
        tasks=chosen or None,
        decoding=Decoding(top_p=top_p, deterministic=deterministic, grammar=grammar),
        rng=torch.Generator().manual_seed(seed),
    )
    how: dict[str, Any] = {"deterministic": deterministic, "temperature": temperature}
    how["name"] = name or (source.uri if source is not None else "")
    how["clusters"] = [cluster_of(task) for task in chosen] or None
    how["hidden"] = passes_hidden(trajectories, chosen, sandbox=sandbox)
    how["tasks"] = env.source.uri if isinstance(env, ProgramEnv) else ""
    return report_on(_played(chosen, trajectories, n), trajectories, n=n, ks=ks, seed=seed, **how)


def _make(
    env_id: str,
    policy: Policy,
    source: TaskSource | None,
    budget: int,
    sandbox: Sandbox | None,
    env_args: Mapping[str, Any] | None,
) -> "VectorEnv[Any, Any, Any]":
    judge = Judge(sandbox)
    return make_env(
        env_id,
        policy,
        tasks=source,
        reward="pass_rate",
        budget=budget,
        judge=judge,
        env_args=env_args,
    )


def _chosen(source: TaskSource | None, env: "VectorEnv[Any, Any, Any]", count: int) -> list[Task]:
    """Return the tasks to play; none where the environment draws its own."""
    if isinstance(source, TaskList):
        return source.all()
    if source is not None:
        return [source[index] for index in range(min(count, len(source)))]
    return held_out(env, count) or []


def _played(chosen: Sequence[Task], trajectories: Sequence[Trajectory], n: int) -> list[str]:
    """Return the tasks' ids; every episode is a task where the environment drew its own.

    Raises:
        ConfigError: Several programs of a task were asked for, and the environment draws its own.
        SandboxError: Some programs were not judged.
    """
    if not chosen:
        if n > 1:
            raise ConfigError(
                "several programs of a task need an environment that opens chosen tasks",
                value=n,
                expected="n=1, or a codegym.episode.ProgramEnv",
            )
        return [episode.task_id for episode in trajectories]
    if len(trajectories) != n * len(chosen):
        raise SandboxError(f"{n * len(chosen) - len(trajectories)} programs were not judged")
    return [task.task_id for task in chosen]


def _source(tasks: str | TaskSource | Sequence[Task] | None) -> TaskSource | None:
    if tasks is None or isinstance(tasks, TaskSource):
        return tasks
    return load_tasks(tasks) if isinstance(tasks, str) else TaskList(tasks)


def report_on(
    task_ids: Sequence[str],
    trajectories: Sequence[Trajectory],
    *,
    n: int,
    ks: Sequence[int],
    deterministic: bool = False,
    temperature: float = 1.0,
    seed: int = 0,
    name: str = "",
    clusters: Sequence[str] | None = None,
    hidden: Sequence[bool | None] | None = None,
    tasks: str = "",
) -> EvaluationReport:
    """Report on programs that were judged; see ``evaluate`` for the arguments.

    Args:
        task_ids: The tasks, each with ``n`` programs; a task that is listed twice has ``2 n``.
        trajectories: The programs, those of a task together and in the order of ``task_ids``.
        n: Programs per task.
        ks: Sizes of subset to report, each at most ``n``.
        deterministic: How the programs were written.
        temperature: At which temperature otherwise.
        seed: Seed of the sampling and of the bootstrap.
        name: What the tasks are called in the report.
        clusters: Cluster of each task; the task's id if None.
        hidden: For each program whether it passed visible and hidden tests; None without them.
        tasks: URI of the tasks, for the kept programs; ``name`` if "".
    """
    rows: list[dict[str, Any]] = []
    estimates: dict[int, list[float]] = {k: [] for k in ks}
    outcomes: Counter[str] = Counter()
    gaps: list[float] = []
    for number, task_id in enumerate(task_ids):
        own = trajectories[number * n : (number + 1) * n]
        outcomes.update(str(each.verdict.outcome) for each in own if each.verdict is not None)
        passed = sum(each.passed for each in own)
        rates = [each.verdict.pass_rate if each.verdict else float(each.passed) for each in own]
        row = {"task_id": task_id, "passed": passed, "pass_rate": float(np.mean(rates))}
        row["cluster"] = clusters[number] if clusters else task_id
        both = [each for each in (hidden or ())[number * n : (number + 1) * n] if each is not None]
        if both:
            row["hidden_passed"] = sum(both)
            gaps.append((passed - sum(both)) / n)
        rows.append(row)
        for k in ks:
            estimates[k].append(pass_at_k(n, passed, k))
    return EvaluationReport(
        tasks=name,
        n_tasks=len(task_ids),
        n=n,
        deterministic=deterministic,
        temperature=temperature,
        seed=seed,
        pass_at={k: proportion(values, seed=seed) for k, values in estimates.items()},
        outcomes=dict(sorted(outcomes.items())),
        rows=tuple(rows),
        hidden_gap=proportion(gaps, seed=seed) if gaps else None,
        programs=_kept(trajectories, n, hidden, seed=seed, tasks=tasks or name),
    )


def _kept(
    trajectories: Sequence[Trajectory], n: int, hidden: Sequence[bool | None] | None, **how: Any
) -> tuple[dict[str, Any], ...]:
    """Return the kept rows; ``passed_hidden`` is there where a task has hidden tests."""
    rows = []
    for place, episode in enumerate(trajectories):
        both = hidden[place] if hidden else None
        extra: dict[str, Any] = {} if both is None else {"passed_hidden": both}
        rows.append(kept_row(episode, sample=place % n, **how, **extra))
    return tuple(rows)
