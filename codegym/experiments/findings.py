"""Findings: the figures of an experiment's runs, and whether their signs agree with the paper.

Intervals are 95 %. With one seed, the tasks are resampled. With several seeds, each task is
averaged over the seeds, and then the tasks are resampled. So an interval covers the choice of tasks
only, not the choice of seeds: the figures of the single seeds show how much the seeds vary. A
contrast is paired, task by task and seed by seed.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from codegym.experiments.experiment import Contrast, Experiment
from codegym.experiments.runs import FinishedRun
from codegym.measuring.run_report import KINDS
from codegym.measuring.statistics import Interval, paired_gain, proportion, unpaired_gain
from codegym.training.comparison_run import passed

Array = NDArray[np.float64]
# Label -> (seeds, tasks): the share of each task's programs that passed.
Passed = Mapping[str, Array]

AGREES = "sign agrees with the paper"
DIFFERS = "sign differs from the paper"
CANNOT_TELL = "cannot tell (interval holds 0)"
UNASKED = "the paper gives no sign"


def findings(
    experiment: Experiment,
    finished: Sequence[FinishedRun],
    train_set_scores: Mapping[tuple[str, int], Mapping[str, Any]] | None = None,
) -> dict[str, Any]:
    """Return every figure of an experiment as JSON values.

    Args:
        experiment: The experiment.
        finished: Its runs, with the same seeds for every arm.
        train_set_scores: (label, seed) -> reports on training tasks, if those were measured.

    Returns:
        ``arms``: label -> per kind ``before``, ``after`` and ``gain`` (and ``train-set``, ``gap``),
        each an interval of the mean with the figures of the ``seeds``; ``contrasts``: per kind the
        difference, the seeds' differences and the verdict.
    """
    by_label: dict[str, list[FinishedRun]] = {arm.label: [] for arm in experiment.runs}
    for each in finished:
        by_label[each.run.label].append(each)
    arms: dict[str, Any] = {}
    for label, runs in by_label.items():
        arms[label] = {
            "programs": [int(each.run.curve[-1]["programs"]) for each in runs],
            "train_s": [float(each.run.curve[-1]["train_s"]) for each in runs],
        }
    contrasts: list[dict[str, Any]] = [
        {"name": contrast.name, **asdict(contrast)} for contrast in experiment.contrasts
    ]
    for kind in KINDS:
        before, after = (
            {
                label: np.array([passed(each.run.curve[place][kind]) for each in runs])
                for label, runs in by_label.items()
            }
            for place in (0, -1)
        )
        trained = {
            label: np.array([passed(train_set_scores[label, each.run.seed][kind]) for each in runs])
            for label, runs in by_label.items()
            if train_set_scores
        }
        for label, row in arms.items():
            row[kind] = _arm(before[label], after[label], trained.get(label))
        for contrast, row in zip(experiment.contrasts, contrasts, strict=True):
            row[kind] = _contrast(contrast, after, trained)
    return {"arms": arms, "contrasts": contrasts}


def verdict(difference: Interval, sign: Literal[-1, 0, 1]) -> str:
    """Compare a difference with the paper's sign; it has a sign if its interval excludes 0."""
    if difference.low <= 0.0 <= difference.high:
        return CANNOT_TELL
    here = 1 if difference.mean > 0 else -1
    if sign == 0:
        return f"{UNASKED}; here it is {'positive' if here > 0 else 'negative'}"
    return AGREES if here == sign else DIFFERS


def _arm(before: Array, after: Array, train_set: Array | None) -> dict[str, Any]:
    figures = {
        "before": (proportion(before.mean(axis=0)), before.mean(axis=1)),
        "after": (proportion(after.mean(axis=0)), after.mean(axis=1)),
        "gain": (
            paired_gain(before.mean(axis=0), after.mean(axis=0)),
            (after - before).mean(axis=1),
        ),
    }
    if train_set is not None:
        figures["train-set"] = proportion(train_set.mean(axis=0)), train_set.mean(axis=1)
        figures["gap"] = (
            unpaired_gain(after.mean(axis=0), train_set.mean(axis=0)),
            train_set.mean(axis=1) - after.mean(axis=1),
        )
    return {name: _figure(*figure) for name, figure in figures.items()}


def _contrast(contrast: Contrast, held_out: Passed, train_set: Passed) -> dict[str, Any]:
    rows = {"held-out": held_out, "train-set": train_set}
    if contrast.measure == "gap":
        on_train_set, on_held_out = (
            score[contrast.plus] - score[contrast.minus] for score in (train_set, held_out)
        )
        difference = unpaired_gain(on_held_out.mean(axis=0), on_train_set.mean(axis=0))
        seeds = on_train_set.mean(axis=1) - on_held_out.mean(axis=1)
    else:
        plus, minus = (rows[contrast.measure][label] for label in (contrast.plus, contrast.minus))
        difference = paired_gain(minus.mean(axis=0), plus.mean(axis=0))
        seeds = (plus - minus).mean(axis=1)
    return {**_figure(difference, seeds), "verdict": verdict(difference, contrast.sign)}


def _figure(mean: Interval, seeds: Array) -> dict[str, Any]:
    return {"mean": asdict(mean), "seeds": [float(value) for value in seeds]}
