"""Findings: what the runs of an experiment show, and whether the sign is the paper's.

Intervals are 95 %. Of one seed: over its tasks. Of several: each task is averaged over the seeds
and the tasks are resampled, so an interval says how far other tasks would move a figure; how far
other seeds would, the seeds' own figures say. A contrast is paired, task by task and seed by seed.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from codegym.experiments.experiment import Contrast, Experiment
from codegym.experiments.runs import Done
from codegym.measuring.run_report import KINDS
from codegym.measuring.statistics import Interval, paired_gain, proportion, unpaired_gain
from codegym.training.comparison_run import passed

Array = NDArray[np.float64]
# Label -> one row per seed, (seeds, tasks): how far each task was passed.
Passed = Mapping[str, Array]

AGREES = "sign agrees with the paper"
DIFFERS = "sign differs from the paper"
CANNOT_TELL = "cannot tell (interval holds 0)"
UNASKED = "the paper gives no sign"


def findings(
    experiment: Experiment,
    done: Sequence[Done],
    seen: Mapping[tuple[str, int], Mapping[str, Any]] | None = None,
) -> dict[str, Any]:
    """Return every figure of an experiment as JSON values.

    Args:
        experiment: What was run.
        done: Its runs, of every arm as many seeds.
        seen: (label, seed) -> reports on training tasks, where those were measured.

    Returns:
        ``arms``: label -> per kind ``before``, ``after`` and ``gain`` (and ``seen``, ``gap``), each
        an interval of the mean with the figures of the ``seeds``; ``contrasts``: per kind the
        difference, the seeds' differences and the verdict.
    """
    by_label: dict[str, list[Done]] = {arm.label: [] for arm in experiment.runs}
    for one in done:
        by_label[one.trial.label].append(one)
    arms: dict[str, Any] = {}
    for label, runs in by_label.items():
        arms[label] = {
            "programs": [int(run.trial.curve[-1]["programs"]) for run in runs],
            "train_s": [float(run.trial.curve[-1]["train_s"]) for run in runs],
        }
    contrasts: list[dict[str, Any]] = [
        {"name": one.name, **asdict(one)} for one in experiment.contrasts
    ]
    for kind in KINDS:
        before, after = (
            {
                label: np.array([passed(run.trial.curve[place][kind]) for run in runs])
                for label, runs in by_label.items()
            }
            for place in (0, -1)
        )
        trained = {
            label: np.array([passed(seen[label, run.trial.seed][kind]) for run in runs])
            for label, runs in by_label.items()
            if seen
        }
        for label, row in arms.items():
            row[kind] = _arm(before[label], after[label], trained.get(label))
        for contrast, row in zip(experiment.contrasts, contrasts, strict=True):
            row[kind] = _contrast(contrast, after, trained)
    return {"arms": arms, "contrasts": contrasts}


def verdict(difference: Interval, sign: Literal[-1, 0, 1]) -> str:
    """Hold a difference against the paper's sign; only what excludes 0 has a sign."""
    if difference.low <= 0.0 <= difference.high:
        return CANNOT_TELL
    here = 1 if difference.mean > 0 else -1
    if sign == 0:
        return f"{UNASKED}; here it is {'positive' if here > 0 else 'negative'}"
    return AGREES if here == sign else DIFFERS


def _arm(before: Array, after: Array, seen: Array | None) -> dict[str, Any]:
    figures = {
        "before": (proportion(before.mean(axis=0)), before.mean(axis=1)),
        "after": (proportion(after.mean(axis=0)), after.mean(axis=1)),
        "gain": (
            paired_gain(before.mean(axis=0), after.mean(axis=0)),
            (after - before).mean(axis=1),
        ),
    }
    if seen is not None:
        figures["seen"] = proportion(seen.mean(axis=0)), seen.mean(axis=1)
        figures["gap"] = (
            unpaired_gain(after.mean(axis=0), seen.mean(axis=0)),
            seen.mean(axis=1) - after.mean(axis=1),
        )
    return {name: _figure(*figure) for name, figure in figures.items()}


def _contrast(contrast: Contrast, held_out: Passed, seen: Passed) -> dict[str, Any]:
    rows = {"held-out": held_out, "seen": seen}
    if contrast.measure == "gap":
        on_seen, on_held_out = (
            rows[name][contrast.plus] - rows[name][contrast.minus] for name in ("seen", "held-out")
        )
        difference = unpaired_gain(on_held_out.mean(axis=0), on_seen.mean(axis=0))
        seeds = on_seen.mean(axis=1) - on_held_out.mean(axis=1)
    else:
        plus, minus = (rows[contrast.measure][one] for one in (contrast.plus, contrast.minus))
        difference = paired_gain(minus.mean(axis=0), plus.mean(axis=0))
        seeds = (plus - minus).mean(axis=1)
    return {**_figure(difference, seeds), "verdict": verdict(difference, contrast.sign)}


def _figure(mean: Interval, seeds: Array) -> dict[str, Any]:
    return {"mean": asdict(mean), "seeds": [float(one) for one in seeds]}
