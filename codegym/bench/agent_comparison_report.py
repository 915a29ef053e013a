"""Agent comparison report: gains with intervals, after equal minutes and equal programs.

The gain of a task is passed-after minus passed-before, with the same sampling seed. Between two
evaluations the value of a task is interpolated linearly, which gives the gain at any budget. The
interval of a single seed is over its tasks (``statistics.paired_gain``). The interval of the mean
over seeds covers the choice of seeds and of compositions, see ``codegym.measuring.hierarchical``.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from codegym.measuring.hierarchical import SeedTable, estimate
from codegym.measuring.machine import machine
from codegym.measuring.plotting import BAND, STYLES, new_figure, place_legend
from codegym.measuring.result_table import Cell, Column, Difference, ResultTable, words
from codegym.measuring.run_report import KINDS, start_note
from codegym.measuring.statistics import Interval, paired_gain
from codegym.training.comparison_run import ComparisonRun

AXES = {"train_s": "seconds", "programs": "programs"}

# Least mean sampled gain over seeds, per agent; least greedy and sampled pass@1 of a warm start.
BOUNDS = {"rft": 0.12, "actor_critic": 0.06, "ppo": 0.08, "rltf": 0.06, "grpo": 0.08}
START_BOUNDS = {"greedy": 0.22, "sampled": 0.15}


def describe(runs: Sequence[ComparisonRun]) -> dict[str, Any]:
    """Return every figure of the comparison as JSON values.

    Args:
        runs: The warm starts, labelled ``warm start``, and the variants.

    Returns:
        ``starts`` per seed; ``variants`` per label with ``seeds`` and ``mean``, each with the gains
        at the end, at equal minutes and at equal programs, and with the variant's ``rank``;
        ``equal``; ``machine``.
    """
    starts = [run for run in runs if run.label == "warm start"]
    own = [run for run in runs if run.label != "warm start"]
    equal = {axis: min(run.end(axis) for run in own) for axis in AXES}
    labels = list(dict.fromkeys(run.label for run in own))
    variants: dict[str, dict[str, Any]] = {}
    for label in labels:
        mine = [run for run in own if run.label == label]
        variants[label] = {
            "seeds": [{"seed": run.seed, **_figures([run], equal)} for run in mine],
            "mean": _figures(mine, equal),
        }
    for kind in KINDS:
        for label, place in _ranked(own, labels, kind).items():
            variants[label].setdefault("rank", {})[kind] = place
    return {
        "starts": [
            {"seed": run.seed, "train_s": run.end("train_s"), "programs": run.end("programs")}
            | {kind: run.curve[-1][kind]["pass_at"]["1"] for kind in KINDS}
            for run in starts
        ],
        "variants": variants,
        "equal": equal,
        "machine": machine(),
    }


def _ranked(
    runs: Sequence[ComparisonRun], labels: Sequence[str], kind: str
) -> dict[str, dict[str, Any]]:
    """Return each variant's place by its mean gain, and how far it is behind the first.

    The distance is pass@1 of the first minus that of the variant at the end, paired by seed and
    task.
    """
    after, gain = {}, {}
    for label in labels:
        mine = [run for run in runs if run.label == label]
        before = np.array([run.passed(kind, "train_s", 0.0) for run in mine])
        after[label] = np.array([run.passed(kind, "train_s", run.end("train_s")) for run in mine])
        gain[label] = float((after[label] - before).mean())
    order = sorted(labels, key=lambda label: -gain[label])
    clusters = runs[0].clusters(kind)
    return {
        label: {
            "place": place,
            "behind": asdict(_interval(after[order[0]] - after[label], clusters)),
        }
        for place, label in enumerate(order, start=1)
    }


def _interval(gains: NDArray[np.float64], clusters: Sequence[str]) -> Interval:
    """Return the interval of a mean gain, (seeds, tasks): over tasks if there is one seed."""
    if len(gains) == 1:
        return paired_gain(np.zeros_like(gains[0]), gains[0])
    return estimate(SeedTable.of_tasks(gains, clusters)).interval()


def _figures(runs: Sequence[ComparisonRun], equal: Mapping[str, float]) -> dict[str, Any]:
    """Return the gains of a variant, averaged over its runs task by task."""
    figures: dict[str, Any] = {
        axis: float(np.mean([run.end(axis) for run in runs])) for axis in AXES
    }
    moments: dict[str, tuple[str, float | None]] = {"end": ("train_s", None)}
    moments |= {f"equal_{AXES[axis]}": (axis, at) for axis, at in equal.items()}
    for kind in KINDS:
        before = np.array([run.passed(kind, "train_s", 0.0) for run in runs])
        gaps = [run.curve[-1][kind].get("hidden_gap") for run in runs]
        figures[kind] = {
            "before": float(before.mean()),
            "hidden_gap": float(np.mean([gap["mean"] for gap in gaps if gap]))
            if any(gaps)
            else None,
        }
        for moment, (axis, at) in moments.items():
            after = np.array(
                [run.passed(kind, axis, run.end(axis) if at is None else at) for run in runs]
            )
            gain = _interval(after - before, runs[0].clusters(kind))
            figures[kind][moment] = {"after": float(after.mean()), "gain": asdict(gain)}
    return figures


def verdicts(results: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Compare the results with the acceptance bounds; returns a line for each bound."""
    lines = []
    for kind, bound in START_BOUNDS.items():
        lowest = min(start[kind]["mean"] for start in results["starts"])
        lines.append(_line(f"warm start, {kind}, lowest seed", lowest, bound))
    means = {}
    for label, variant in results["variants"].items():
        gains = [row["sampled"]["end"]["gain"]["mean"] for row in variant["seeds"]]
        means[label] = float(np.mean(gains))
        bound = BOUNDS[label]
        if label == "rltf":
            bound = max(bound, means.get("actor_critic", 0.0))
        lines.append(_line(f"{label}, mean sampled gain", means[label], bound))
        if label == "actor_critic":
            lines.append(_line(f"{label}, lowest seed's sampled gain", min(gains), 0.0))
    return lines


def _line(name: str, value: float, bound: float) -> dict[str, Any]:
    met = value >= bound
    text = f"{'met   ' if met else 'MISSED'} {name}: {value:.3f}, asked {bound:.3f}"
    return {"what": name, "value": value, "bound": bound, "met": met, "text": text}


def tables(results: Mapping[str, Any]) -> dict[str, ResultTable]:
    """Return the warm starts and, for each kind, the variants in the order of their gains."""
    rows: list[Sequence[Cell]] = [
        (
            str(start["seed"]),
            *(Interval(**start[kind]) for kind in KINDS),
            float(start["programs"]),
            float(start["train_s"]),
        )
        for start in results["starts"]
    ]
    counts = Column("demonstrations", digits=0), Column("seconds", digits=0)
    title = "warm starts: pass@1 on held-out tasks, 95 % intervals"
    starts = ResultTable((words("seed"), *KINDS, *counts), rows, title=title)
    return {"starts": starts, **{kind: _gains(results, kind) for kind in KINDS}}


def notes(results: Mapping[str, Any]) -> list[str]:
    """Return a plain sentence for each warm start that was too small to learn from."""
    sentences = []
    for start in results["starts"]:
        note = start_note(start["sampled"]["mean"], f"seed {start['seed']}: the warm start")
        sentences += [note] if note else []
    return sentences


def _gains(results: Mapping[str, Any], kind: str) -> ResultTable:
    equal = results["equal"]
    rows: list[Sequence[Cell]] = []
    variants = results["variants"]
    for label in sorted(variants, key=lambda label: variants[label]["rank"][kind]["place"]):
        rank = variants[label]["rank"][kind]
        behind = Difference(Interval(**rank["behind"])) if rank["place"] > 1 else None
        rows.append((rank["place"], label, "mean", *_cells(variants[label]["mean"], kind), behind))
        for row in variants[label]["seeds"]:
            rows.append((None, "", str(row["seed"]), *_cells(row, kind), None))
        rows.append((None,) * len(rows[0]))
    return ResultTable(
        (
            "rank",
            words("variant"),
            words("seed"),
            "before",
            "gain",
            Column(f"gain at {equal['train_s'] / 60:.2f} min", key="gain_at_equal_minutes"),
            Column(f"gain at {equal['programs']:.0f} programs", key="gain_at_equal_programs"),
            "hidden-test gap",
            Column("programs", digits=0),
            Column("seconds", digits=0),
            "behind the first",
        ),
        rows[:-1],
        title=f"{kind}: gain in pass@1 on held-out tasks, 95 % intervals: of a seed over tasks, "
        "of the mean over seeds and compositions",
        caption="behind the first: paired by seed and task; where the interval holds 0 the order "
        "of the two may be chance",
    )


def _cells(figures: Mapping[str, Any], kind: str) -> list[Cell]:
    moments = ("end", *(f"equal_{name}" for name in AXES.values()))
    gains = (Difference(Interval(**figures[kind][moment]["gain"])) for moment in moments)
    ends = float(figures["programs"]), float(figures["train_s"])
    return [float(figures[kind]["before"]), *gains, figures[kind]["hidden_gap"], *ends]


def plot(runs: Sequence[ComparisonRun], path: Path) -> None:
    """Draw pass@1 by minutes and by programs: means over seeds, bands from lowest to highest."""
    figure = new_figure(11, 7)
    grid = figure.subplots(2, 2, sharey="row", sharex="col")
    own = [run for run in runs if run.label != "warm start"]
    for column, (axis, unit) in enumerate((("train_s", 60.0), ("programs", 1000.0))):
        for number, label in enumerate(dict.fromkeys(run.label for run in own)):
            mine = [run for run in own if run.label == label]
            points = np.linspace(0.0, min(run.end(axis) for run in mine), 41)
            style = STYLES[number % len(STYLES)]
            for row, kind in enumerate(KINDS):
                each = [[run.passed(kind, axis, at).mean() for at in points] for run in mine]
                grid[row, column].plot(
                    points / unit, np.mean(each, axis=0), label=label, markevery=8, **style
                )
                grid[row, column].fill_between(
                    points / unit, np.min(each, axis=0), np.max(each, axis=0),
                    color=style["color"], **BAND,
                )  # fmt: skip
    for row, kind in enumerate(KINDS):
        grid[row, 0].set_ylabel(f"held-out pass@1, {kind}")
        for axes in grid[row]:
            axes.grid(alpha=0.3)
            # A curve at 0 would lie on the frame.
            axes.set_ylim(bottom=-0.02)
    grid[1, 0].set_xlabel("minutes of training after the warm start")
    grid[1, 1].set_xlabel("thousand programs")
    place_legend(figure, grid[0, 0])
    seeds = sorted({run.seed for run in own})
    figure.suptitle(f"mean over seeds {', '.join(map(str, seeds))}; bands: lowest to highest")
    figure.savefig(path, dpi=110)
