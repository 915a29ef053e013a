"""Run reading: what the files of a run hold, as plain values for pages and leaderboards."""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from codegym.errors import CheckpointError, CodegymError
from codegym.grading.verdict import Outcome, Verdict
from codegym.measuring.run_report import KINDS, notes, start_note, summarise
from codegym.measuring.statistics import Interval, paired_gain, proportion
from codegym.pages.episode_view import EpisodeView, pieces_of
from codegym.rewards import Reward, make_reward
from codegym.rewards.credit import price
from codegym.sources import load_tasks
from codegym.tasks.task_source import TaskSource
from codegym.tokenizers import Tokenizer, make_tokenizer

_SHOWN = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFiles:
    """What a run wrote so far.

    Attributes:
        path: The run's folder.
        config: Its settings.
        metrics: A row for each update.
        curve: A row for each evaluation.
        departures: Agent -> setting -> (value, the paper's value); empty without a report.
        complete: Whether it is complete.
    """

    path: Path
    config: dict[str, Any]
    metrics: tuple[dict[str, Any], ...]
    curve: tuple[dict[str, Any], ...]
    departures: dict[str, dict[str, Any]]
    complete: bool

    @classmethod
    def read(cls, path: Path) -> "RunFiles":
        """Read a run's folder, which may be written meanwhile.

        Raises:
            CheckpointError: The folder holds no run.
            MissingExtraError: The run is not complete, and ``yaml`` is not installed.
        """
        report = path / "report.json"
        found: dict[str, Any] = json.loads(report.read_text()) if report.is_file() else {}
        curve = tuple(_rows(path / "curve.jsonl"))
        # The runs of a comparison end with their last evaluation and write no report.
        ended = bool(curve) and curve[-1]["moment"] == "after"
        return cls(
            path=path,
            config=found.get("config") or _config(path),
            metrics=tuple(_rows(path / "metrics.jsonl")),
            curve=curve,
            departures=found.get("departures", {}),
            complete=bool(found) or ended,
        )

    @property
    def summary(self) -> dict[str, Any] | None:
        """Gains of a complete run; None of another."""
        return summarise(self.curve) if self.complete else None

    @property
    def notes(self) -> list[str]:
        """Plain sentences about the run."""
        summary = self.summary
        if summary is not None:
            return notes(summary)
        before = next((row for row in self.curve if row["moment"] == "before"), None)
        if before is None:
            return []
        note = start_note(before["sampled"]["pass_at"]["1"]["mean"], "the start")
        return [note] if note else []


def programs_of(run: RunFiles) -> tuple[list[EpisodeView], list[EpisodeView]]:
    """Return the best and the worst sampled programs of the last evaluation, with their credit.

    Credit is what the run's reward gives to each token; it is left out where the tasks or the
    tokenizer of the run are not at hand.
    """
    rows = [
        row
        for row in _rows(run.path / "programs.jsonl")
        if row.get("kind") == "sampled" and row.get("verdict")
    ]
    if not rows:
        return [], []
    newest = [row for row in rows if row["programs_written"] == rows[-1]["programs_written"]]
    passed = [row for row in newest if row["passed"]]
    failed = [row for row in newest if not row["passed"]]
    passed.sort(key=lambda row: -len(row["program"]))
    failed.sort(key=_badness)
    pricer = _Pricer(run)
    return [pricer.view(row) for row in passed[:_SHOWN]], [
        pricer.view(row) for row in failed[:_SHOWN]
    ]


def view_in_run(path: Path, row: dict[str, Any]) -> EpisodeView:
    """Return the view of a kept program, with its credit where its file is in a run's folder.

    Args:
        path: File of kept programs.
        row: A row of it.
    """
    folders = [folder for folder in path.resolve().parents if (folder / "config.yaml").is_file()]
    if not folders or not row.get("verdict"):
        return view_of_row(row)
    return _Pricer(RunFiles.read(folders[0])).view(row)


def view_of_row(row: dict[str, Any]) -> EpisodeView:
    """Return the view of a kept program without its task: one piece, no credit."""
    return EpisodeView(
        task_id=row["task_id"],
        prompt="",
        pieces=(row["program"],),
        reward=row.get("reward"),
        verdict=Verdict.from_json(row["verdict"]) if row.get("verdict") else None,
    )


class _Pricer:
    """Gives the programs of a run their tokens and their credit."""

    def __init__(self, run: RunFiles) -> None:
        self._sources: dict[str, TaskSource] = {}
        self._tokenizer: Tokenizer | None = None
        self._reward: Reward | None = None
        folder = run.path / "checkpoint"
        name = run.config.get("tokenizer", "lexemes")
        saved = f"{name}:{folder}" if (folder / "tokenizer.json").is_file() else name
        try:
            self._tokenizer = make_tokenizer(saved)
            self._reward = make_reward(run.config.get("reward") or "binary")
        except (CodegymError, OSError):
            self._tokenizer = None

    def view(self, row: dict[str, Any]) -> EpisodeView:
        """Return the view of a kept program."""
        try:
            return self._priced(row)
        except (CodegymError, OSError, ValueError):
            return view_of_row(row)

    def _priced(self, row: dict[str, Any]) -> EpisodeView:
        if self._tokenizer is None or self._reward is None:
            return view_of_row(row)
        uri = row["tasks"]
        if uri not in self._sources:
            self._sources[uri] = load_tasks(uri)
        task = self._sources[uri].find(row["task_id"])
        whole = row["program"]
        is_continued = whole.startswith(task.prompt)
        text = whole[len(task.prompt) :] if is_continued else whole
        verdict = Verdict.from_json(row["verdict"])
        ids = [*self._tokenizer.encode(text), *([] if verdict.cut else [self._tokenizer.end_id])]
        priced = price(
            task,
            whole,
            verdict,
            self._reward,
            count=len(ids),
            spans=lambda: self._tokenizer.spans(ids) if self._tokenizer else np.empty((0, 2), int),
            start=len(whole) - len(text),
            finished=not verdict.cut,
        )
        return EpisodeView(
            task_id=task.task_id,
            prompt=task.prompt if is_continued else "",
            pieces=pieces_of(self._tokenizer, ids),
            credit=tuple(priced.credit.tolist()),
            reward=priced.reward,
            verdict=verdict,
        )


def _badness(row: dict[str, Any]) -> tuple[Any, ...]:
    """Order programs from the worst: the reward, then those that compiled, then the shortest."""
    return row["reward"], row["outcome"] == Outcome.SYNTAX_ERROR, len(row["program"])


def leaderboard(runs: Sequence[RunFiles]) -> list[dict[str, Any]]:
    """Return a row for each label and kind of program: pass@1 and gain, averaged over seeds.

    Runs with the same settings but for the seed share a label. Intervals are over tasks, each
    averaged over the seeds; rows are in the order of the gain.
    """
    groups: dict[str, list[RunFiles]] = {}
    for run in runs:
        if run.complete:
            groups.setdefault(_label(run, runs), []).append(run)
    rows = []
    for label, group in groups.items():
        for kind in KINDS:
            before, after = (
                np.mean([_shares(run, moment, kind) for run in group], axis=0)
                for moment in ("before", "after")
            )
            gain = paired_gain(before, after)
            rows.append(
                {
                    "label": label,
                    "agent": group[0].config["agent"],
                    "kind": kind,
                    "seeds": sorted(run.config["seed"] for run in group),
                    "tasks": len(after),
                    "programs": float(np.mean([run.curve[-1]["programs"] for run in group])),
                    "minutes": float(np.mean([run.curve[-1]["train_s"] for run in group])) / 60,
                    "before": _plain(proportion(before)),
                    "after": _plain(proportion(after)),
                    "gain": _plain(gain),
                    "hidden_gap": _hidden_gap(group, kind),
                }
            )
    return sorted(rows, key=lambda row: (KINDS.index(row["kind"]), -row["gain"]["mean"]))


def _shares(run: RunFiles, moment: str, kind: str) -> list[float]:
    row = next(row for row in reversed(run.curve) if row["moment"] == moment)[kind]
    return [task["passed"] / row["n"] for task in row["rows"]]


def _hidden_gap(group: Sequence[RunFiles], kind: str) -> dict[str, float] | None:
    """Return how many programs pass the tests but not the hidden ones; None without hidden tests.

    The share is of the last evaluation, over tasks with hidden tests, each averaged over the runs.
    """
    shares = []
    for run in group:
        row = next(row for row in reversed(run.curve) if row["moment"] == "after")[kind]
        shares.append(
            [
                (task["passed"] - task["hidden_passed"]) / row["n"]
                for task in row["rows"]
                if "hidden_passed" in task
            ]
        )
    if not shares[0] or any(len(each) != len(shares[0]) for each in shares):
        return None
    return _plain(proportion(np.mean(shares, axis=0)))


def _plain(interval: Interval) -> dict[str, float]:
    return {"mean": interval.mean, "low": interval.low, "high": interval.high}


def _label(run: RunFiles, runs: Sequence[RunFiles]) -> str:
    """Return the agent's name, with the settings in which runs of this agent differ."""
    own = _settings(run)
    same = [_settings(other) for other in runs if other.config["agent"] == own["agent"]]
    differing = [
        f"{name}={own[name]}" for name in own if any(other.get(name) != own[name] for other in same)
    ]
    return " ".join([own["agent"], *differing])


def _settings(run: RunFiles) -> dict[str, Any]:
    """Return the settings without the seed, which the name of a starting policy may hold too."""
    kept = {
        name: value
        for name, value in run.config.items()
        if name not in ("seed", "eval_seed", "threads", "workers")
    }
    start = re.sub(rf"-{run.config['seed']}(?=/|$)", "-SEED", str(kept.get("policy", "")))
    return kept | {"policy": start}


def _config(path: Path) -> dict[str, Any]:
    import yaml

    try:
        config = yaml.safe_load((path / "config.yaml").read_text())
    except (OSError, yaml.YAMLError):
        config = None
    if not isinstance(config, dict):
        raise CheckpointError(
            "there is no run in this folder", value=str(path), expected="config.yaml in it"
        )
    return config


def _rows(path: Path) -> list[dict[str, Any]]:
    """Return the whole lines of a log; a line that is being written is left out."""
    if not path.is_file():
        return []
    text = path.read_text()
    return [json.loads(line) for line in text[: text.rfind("\n") + 1].splitlines()]
