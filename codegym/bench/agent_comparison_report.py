"""Agent comparison report: gains with intervals, after equal minutes and equal programs.

The gain of a task is passed-after minus passed-before, with the same sampling seed. Between two
evaluations the value of a task is interpolated linearly, which gives the gain at any budget. The
interval of a single seed is a bootstrap over its tasks. The interval of the mean over seeds covers
the choice of seeds and of compositions, see ``codegym.measuring.hierarchical``.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from rich.table import Table

from codegym.measuring.hierarchical import SeedTable, estimate
from codegym.measuring.machine import machine
from codegym.measuring.run_report import KINDS
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
        at the end, at equal minutes and at equal programs; ``equal``; ``machine``.
    """
    starts = [run for run in runs if run.label == "warm start"]
    own = [run for run in runs if run.label != "warm start"]
    equal = {axis: min(run.end(axis) for run in own) for axis in AXES}
    labels = list(dict.fromkeys(run.label for run in own))
    variants = {}
    for label in labels:
        mine = [run for run in own if run.label == label]
        variants[label] = {
            "seeds": [{"seed": run.seed, **_figures([run], equal)} for run in mine],
            "mean": _figures(mine, equal),
        }
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
            if len(runs) == 1:
                gain = paired_gain(before[0], after[0])
            else:
                table = SeedTable.of_tasks(after - before, runs[0].clusters(kind))
                gain = estimate(table).interval()
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


def tables(results: Mapping[str, Any]) -> list[Table]:
    """Draw the warm starts and, for each kind, the mean and the seeds of each variant."""
    starts = Table(title="warm starts: pass@1 on held-out tasks, 95 % intervals")
    for head in ("seed", *KINDS, "demonstrations", "seconds"):
        starts.add_column(head, justify="right")
    for start in results["starts"]:
        rates = [str(Interval(**start[kind])) for kind in KINDS]
        starts.add_row(
            str(start["seed"]), *rates, f"{start['programs']:.0f}", f"{start['train_s']:.0f}"
        )
    return [starts, *(_gains(results, kind) for kind in KINDS)]


def _gains(results: Mapping[str, Any], kind: str) -> Table:
    equal = results["equal"]
    heads = (
        "before",
        "gain",
        f"gain at {equal['train_s'] / 60:.2f} min",
        f"gain at {equal['programs']:.0f} programs",
        "hidden-test gap",
        "programs",
        "seconds",
    )
    drawn = Table(title=f"{kind}: gain in pass@1 on held-out tasks, 95 % intervals")
    drawn.add_column("variant", overflow="fold")
    for head in ("seed", *heads):
        drawn.add_column(head, justify="right")
    for label, variant in results["variants"].items():
        drawn.add_section()
        drawn.add_row(label, "mean", *_cells(variant["mean"], kind))
        for row in variant["seeds"]:
            drawn.add_row("", str(row["seed"]), *_cells(row, kind))
    return drawn


def _cells(figures: Mapping[str, Any], kind: str) -> list[str]:
    cells = [f"{figures[kind]['before']:.3f}"]
    for moment in ("end", *(f"equal_{name}" for name in AXES.values())):
        gain = figures[kind][moment]["gain"]
        cells.append(f"{gain['mean']:+.3f} [{gain['low']:+.3f}, {gain['high']:+.3f}]")
    gap = figures[kind]["hidden_gap"]
    cells.append("" if gap is None else f"{gap:.3f}")
    return [*cells, f"{figures['programs']:.0f}", f"{figures['train_s']:.0f}"]


def plot(runs: Sequence[ComparisonRun], path: Path) -> None:
    """Draw pass@1 by minutes and by programs: means over seeds, bands from lowest to highest."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 7), layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.subplots(2, 2, sharey="row", sharex="col")
    own = [run for run in runs if run.label != "warm start"]
    for column, (axis, unit) in enumerate((("train_s", 60.0), ("programs", 1000.0))):
        for label in dict.fromkeys(run.label for run in own):
            mine = [run for run in own if run.label == label]
            points = np.linspace(0.0, min(run.end(axis) for run in mine), 41)
            for row, kind in enumerate(KINDS):
                each = [[run.passed(kind, axis, at).mean() for at in points] for run in mine]
                (line,) = grid[row, column].plot(points / unit, np.mean(each, axis=0), label=label)
                grid[row, column].fill_between(
                    points / unit, np.min(each, axis=0), np.max(each, axis=0),
                    color=line.get_color(), alpha=0.12, linewidth=0,
                )  # fmt: skip
    for row, kind in enumerate(KINDS):
        grid[row, 0].set_ylabel(f"held-out pass@1, {kind}")
        for axes in grid[row]:
            axes.grid(alpha=0.3)
    grid[1, 0].set_xlabel("minutes of training after the warm start")
    grid[1, 1].set_xlabel("thousand programs")
    grid[0, 0].legend(loc="best", fontsize="small")
    seeds = sorted({run.seed for run in own})
    figure.suptitle(f"mean over seeds {', '.join(map(str, seeds))}; bands: lowest to highest")
    figure.savefig(path, dpi=110)
