"""Agent aggregates: interquartile means, profiles, probability of improvement, compute per point.

The scores of an agent are pass@1 by seed and composition, at equal minutes and at equal programs of
training. A point is .01 of mean sampled pass@1 gained over the warm start.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from codegym.bench.agent_comparison_report import AXES
from codegym.measuring.aggregates import (
    interquartile_mean,
    probability_of_improvement,
    profile,
    stratified,
)
from codegym.measuring.hierarchical import SeedTable
from codegym.measuring.plotting import new_figure
from codegym.measuring.result_table import Cell, Column, ResultTable, words
from codegym.measuring.run_report import KINDS
from codegym.measuring.statistics import Interval
from codegym.training.comparison_run import ComparisonRun

_THRESHOLDS = np.linspace(0.0, 1.0, 21).tolist()
_PAIRS_RESAMPLES = 300


def aggregates(runs: Sequence[ComparisonRun]) -> dict[str, Any]:
    """Return the aggregates of the variants as JSON values.

    Args:
        runs: The warm starts, labelled ``warm start``, and the variants.

    Returns:
        ``thresholds`` of the profiles, and for ``equal_seconds`` and ``equal_programs`` per kind:
        label -> ``iqm``, ``profile``, ``improvement`` (other label -> probability), each with its
        interval, and ``per_point`` (``seconds`` and ``programs``; None without a gain).
    """
    own = [run for run in runs if run.label != "warm start"]
    by_label = {
        label: [run for run in own if run.label == label]
        for label in dict.fromkeys(run.label for run in own)
    }
    found: dict[str, Any] = {"thresholds": _THRESHOLDS}
    for axis, unit in AXES.items():
        at = min(run.end(axis) for run in own)
        found[f"equal_{unit}"] = {kind: _of_kind(by_label, kind, axis, at) for kind in KINDS}
    return found


def _of_kind(
    by_label: Mapping[str, Sequence[ComparisonRun]], kind: str, axis: str, at: float
) -> dict[str, Any]:
    scores = {label: _scores(runs, kind, axis, at) for label, runs in by_label.items()}
    return {
        label: {
            "iqm": asdict(stratified(interquartile_mean, own)),
            "profile": profile(own, _THRESHOLDS),
            "improvement": {
                other: asdict(
                    stratified(probability_of_improvement, own, theirs, resamples=_PAIRS_RESAMPLES)
                )
                for other, theirs in scores.items()
                if other != label
            },
            "per_point": _per_point(by_label[label], kind, axis, at),
        }
        for label, own in scores.items()
    }


def _scores(runs: Sequence[ComparisonRun], kind: str, axis: str, at: float) -> NDArray[np.float64]:
    """Return pass@1 by seed and composition, (runs, compositions)."""
    passed = np.array([run.passed(kind, axis, at) for run in runs])
    return SeedTable.of_tasks(passed, runs[0].clusters(kind)).values


def _per_point(
    runs: Sequence[ComparisonRun], kind: str, axis: str, at: float
) -> dict[str, float | None]:
    """Return seconds and programs for each .01 gained."""
    gains = [run.passed(kind, axis, at).mean() - run.passed(kind, axis, 0.0).mean() for run in runs]
    points = 100.0 * float(np.mean(gains))
    spent = {
        unit: float(
            np.mean([at if other == axis else at / run.end(axis) * run.end(other) for run in runs])
        )
        for other, unit in AXES.items()
    }
    return {unit: value / points if points > 0 else None for unit, value in spent.items()}


def aggregate_tables(found: Mapping[str, Any]) -> dict[str, ResultTable]:
    """Return a table for equal minutes and one for equal programs, best agents first."""
    units = AXES.values()
    return {f"equal_{unit}": _table(found[f"equal_{unit}"]["sampled"], unit) for unit in units}


def _table(found: Mapping[str, Any], unit: str) -> ResultTable:
    rows: list[Sequence[Cell]] = []
    ranked = sorted(found, key=lambda label: -found[label]["iqm"]["mean"])
    for place, label in enumerate(ranked):
        row = found[label]
        following = ranked[place + 1] if place + 1 < len(ranked) else ""
        better = Interval(**row["improvement"][following]) if following else None
        compute = [row["per_point"][name] for name in ("seconds", "programs")]
        rows.append((label, Interval(**row["iqm"]), better, *compute))
    return ResultTable(
        (
            words("variant"),
            "IQM",
            Column("P(better than the next)", key="better_than_the_next"),
            Column("seconds a point", digits=0),
            Column("programs a point", digits=0),
        ),
        rows,
        title=f"at equal {unit}: sampled pass@1 by seed and composition, 95 % intervals",
        caption="a point: .01 of mean sampled pass@1 gained over the warm start",
    )


def plot_profiles(found: Mapping[str, Any], path: Path) -> None:
    """Draw the performance profiles at equal minutes and at equal programs, as a PNG."""
    figure = new_figure(11, 4.5)
    for axes, unit in zip(figure.subplots(1, 2, sharey=True), AXES.values(), strict=True):
        for label, row in found[f"equal_{unit}"]["sampled"].items():
            axes.plot(found["thresholds"], row["profile"], label=label)
        axes.set(xlabel="pass@1", title=f"at equal {unit}")
        axes.grid(alpha=0.3)
    figure.axes[0].set_ylabel("share of seeds and compositions above")
    figure.axes[0].legend(fontsize="small")
    figure.savefig(path, dpi=110)
