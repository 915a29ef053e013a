"""Kept programs: rows of JSONL with what was written and how it was judged, which are verified.

A row holds ``task_id, program, passed, outcome, reward, seed, policy_version, tasks, verdict`` and
what the writer adds (the moment of an evaluation, or the update of a training). ``codegym grade
--samples`` reads such files, and ``codegym verify`` judges the programs again.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from codegym.errors import ConfigError, TaskError
from codegym.grading.judge import judge_many
from codegym.grading.verdict import Outcome, Verdict
from codegym.sandbox import Sandbox
from codegym.sources import load_tasks
from codegym.tasks.task import Task
from codegym.tasks.task_source import TaskSource
from codegym.trajectory import Trajectory


def kept_row(
    episode: Trajectory, *, sample: int, seed: int, tasks: str, **where: Any
) -> dict[str, Any]:
    """Return the row of an episode's last program.

    Args:
        episode: The episode.
        sample: Number of the program among those of its task.
        seed: Seed of the sampling.
        tasks: URI of the tasks.
        where: What else the row is to say.
    """
    verdict = episode.verdict
    return {
        "task_id": episode.task_id,
        "program": episode.program,
        "passed": episode.passed,
        "outcome": str(verdict.outcome) if verdict else "",
        "reward": float(episode.reward),
        "sample": sample,
        "seed": seed,
        "policy_version": episode.policy_version,
        "tasks": tasks,
        **where,
        "verdict": verdict.to_json() if verdict else None,
    }


def check_keep(text: str) -> None:
    """Refuse what is no choice of training programs to keep.

    Raises:
        ConfigError: It is none of ``none``, ``all``, ``failed`` and a number above 0.
    """
    if text not in ("none", "all", "failed") and not (text.isdecimal() and int(text)):
        raise ConfigError(
            "keep_programs is unusable",
            value=text,
            expected="none, all, failed, or the number of programs of each update",
        )


def chosen(episodes: Sequence[Trajectory], keep: str) -> list[Trajectory]:
    """Return the programs of an update that are kept; demonstrations never are.

    Args:
        episodes: The update's episodes.
        keep: ``none``, ``all``, ``failed``, or a number, which spreads over the update's tasks.
    """
    own = [episode for episode in episodes if not episode.demonstration]
    if keep == "none":
        return []
    if keep == "all":
        return own
    if keep == "failed":
        return [episode for episode in own if not episode.passed]
    count = min(int(keep), len(own))
    return [own[number * len(own) // count] for number in range(count)]


@dataclass(frozen=True, slots=True)
class Regraded:
    """A kept program that was judged again.

    Attributes:
        row: The kept row.
        verdict: The new verdict.
        difference: In what it differs from the kept verdict; "" if in nothing.
    """

    row: dict[str, Any]
    verdict: Verdict
    difference: str


def regrade(rows: Sequence[dict[str, Any]], *, sandbox: Sandbox, tasks: str = "") -> list[Regraded]:
    """Judge kept programs again and compare the verdicts.

    Args:
        rows: Rows with a verdict; see ``kept_row``.
        sandbox: Where they run.
        tasks: URI of the tasks, where the rows name none.

    Raises:
        TaskError: A task is not found, or a row is none of kept programs.
        SandboxError: The sandbox broke.
    """
    sources: dict[str, TaskSource] = {}
    found: dict[tuple[str, str], Task] = {}
    pairs = []
    for row in rows:
        uri = tasks or row.get("tasks", "")
        key = uri, str(row.get("task_id"))
        if key not in found:
            if uri not in sources:
                sources[uri] = _load(uri)
            found[key] = sources[uri].find(key[1])
        pairs.append((row["program"], found[key]))
    verdicts = judge_many(pairs, sandbox=sandbox)
    hidden = _hidden_again(rows, [task for _, task in pairs], sandbox)
    return [
        Regraded(
            row,
            verdict,
            difference(Verdict.from_json(row["verdict"]), verdict) or hidden.get(place, ""),
        )
        for place, (row, verdict) in enumerate(zip(rows, verdicts, strict=True))
    ]


def _hidden_again(
    rows: Sequence[dict[str, Any]], tasks: Sequence[Task], sandbox: Sandbox
) -> dict[int, str]:
    """Return place of a row -> in what its hidden tests differ; without rows that agree.

    A row holds ``passed_hidden`` where its task has hidden tests. Only programs that passed the
    visible tests were run against the hidden ones.
    """
    wanted = {
        place: (row["program"], replace(task, tests=hidden, hidden_tests=None))
        for place, (row, task) in enumerate(zip(rows, tasks, strict=True))
        if "passed_hidden" in row and row["passed"] and (hidden := task.hidden_tests) is not None
    }
    verdicts = judge_many(wanted.values(), sandbox=sandbox)
    words = {True: "passed", False: "failed"}
    return {
        place: f"hidden tests: {words[rows[place]['passed_hidden']]} became {words[verdict.passed]}"
        for place, verdict in zip(wanted, verdicts, strict=True)
        if verdict.passed is not rows[place]["passed_hidden"]
    }


def difference(kept: Verdict, again: Verdict) -> str:
    """Return in words what differs between two verdicts on a program; "" if nothing.

    Compared are the outcomes of the program and of each case, and the error and its line. Costs and
    the wording of messages, which may hold addresses, are left out.
    """
    if kept.outcome is not again.outcome:
        return f"{kept.outcome} became {again.outcome}"
    if len(kept.cases) != len(again.cases):
        return f"{len(kept.cases)} cases became {len(again.cases)}"
    for number, (old, new) in enumerate(zip(kept.cases, again.cases, strict=True), start=1):
        if old.outcome is not new.outcome:
            return f"case {number}: {old.outcome} became {new.outcome}"
    old_error = f"{kept.error_type} on line {kept.error_line}"
    new_error = f"{again.error_type} on line {again.error_line}"
    timed = kept.outcome in (Outcome.TIMEOUT, Outcome.MEMORY, Outcome.OUTPUT_LIMIT)
    # Where a program is stopped is chance.
    return "" if timed or old_error == new_error else f"{old_error} became {new_error}"


def _load(uri: str) -> TaskSource:
    if not uri:
        raise TaskError("the kept programs name no tasks", cure="--tasks URI names them")
    return load_tasks(uri)
