"""Findings: the figures of an experiment's runs, and whether their signs agree with the paper.

Every interval covers the choice of seeds and of compositions, see
``codegym.measuring.hierarchical``. Contrasts are paired, task by task and seed by seed, and decided
by ``codegym.measuring.sequential``: the contrasts of a kind of pass@1 are a table. The null arm
shows how often the procedure would find a sign in chance alone.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any, Literal

import numpy as np

from codegym.experiments.experiment import Contrast, Experiment
from codegym.experiments.runs import FinishedRun
from codegym.measuring.calibration import COMPARISONS, LARGEST_RATE, NullModel, false_sign_rate
from codegym.measuring.hierarchical import Estimate, SeedTable, estimate
from codegym.measuring.run_report import KINDS
from codegym.measuring.sequential import LEAST_SEEDS, Decision, Difference, decide
from codegym.training.comparison_run import passed

# Label of an arm -> its table; "held-out" or the name of a further set -> those.
Tables = Mapping[str, Mapping[str, SeedTable]]
# (label, seed) -> name of a further set -> for each kind a report as JSON.
Further = Mapping[tuple[str, int], Mapping[str, Mapping[str, Any]]]

AGREES = "agrees"
DIFFERS = "differs"
NO_EFFECT = "no effect"
UNDECIDED = "undecided"
UNASKED = "the paper gives no sign"
FLOOR = 0.05
"""Least pass@1 of the better arm for ``no effect``."""


def findings(
    experiment: Experiment,
    finished: Sequence[FinishedRun],
    looks: Sequence[int],
    further: Further | None = None,
    *,
    calibrate: bool = True,
) -> dict[str, Any]:
    """Return every figure of an experiment as JSON values.

    Args:
        experiment: The experiment.
        finished: Its runs, with the same seeds for every arm; the null arm may be missing.
        looks: Planned numbers of seeds at which the data are looked at.
        further: Reports on further sets of tasks, if the experiment has any.
        calibrate: Whether the false signs that the null arm implies are simulated.

    Returns:
        ``arms``: label -> per kind ``before``, ``after``, ``gain``, each further set and ``gap``,
        each an interval of the mean with the figures of the ``seeds``, and ``hidden`` and
        ``hidden-gap`` where the held-out tasks have hidden tests;
        ``contrasts``: per kind the difference, the seeds' differences and the verdict;
        ``calibration``: per kind the false signs that the null arm implies.
    """
    by_label: dict[str, list[FinishedRun]] = {arm.label: [] for arm in experiment.runs}
    for each in sorted(finished, key=lambda each: each.run.seed):
        by_label.setdefault(each.run.label, []).append(each)
    arms: dict[str, Any] = {
        label: {
            "programs": [int(each.run.curve[-1]["programs"]) for each in runs],
            "train_s": [float(each.run.curve[-1]["train_s"]) for each in runs],
        }
        for label, runs in by_label.items()
    }
    contrasts: list[dict[str, Any]] = [
        {"name": contrast.name, **asdict(contrast)} for contrast in experiment.contrasts
    ]
    calibration = {}
    for kind in KINDS:
        tables = _tables(by_label, kind, further or {})
        for label in by_label:
            arms[label][kind] = _arm(tables, label)
        differences = [_difference(contrast, tables) for contrast in experiment.contrasts]
        decisions = decide(differences, looks)
        for contrast, difference, decision, row in zip(
            experiment.contrasts, differences, decisions, contrasts, strict=True
        ):
            row[kind] = _contrast(contrast, difference, decision)
            if row[kind]["verdict"] == NO_EFFECT and _at_the_floor(contrast, tables):
                row[kind]["verdict"] = UNDECIDED
        if not calibrate:
            continue
        calibration[kind] = _calibration(experiment, tables["held-out"], looks)
    return {"arms": arms, "contrasts": contrasts, "calibration": calibration}


def decided(results: Mapping[str, Any], kind: str = "sampled") -> bool:
    """Return whether every contrast of a kind has a sign or no effect."""
    return all(contrast[kind]["verdict"] != UNDECIDED for contrast in results["contrasts"])


def verdict(decision: Decision, sign: Literal[-1, 0, 1]) -> str:
    """Compare a decision with the paper's sign."""
    if decision.verdict != "sign":
        return decision.verdict
    here = 1 if decision.estimate.mean > 0 else -1
    if sign == 0:
        return f"{UNASKED}; here it is {'positive' if here > 0 else 'negative'}"
    return AGREES if here == sign else DIFFERS


def _tables(
    by_label: Mapping[str, Sequence[FinishedRun]], kind: str, further: Further
) -> dict[str, dict[str, SeedTable]]:
    tables: dict[str, dict[str, SeedTable]] = {"before": {}, "held-out": {}}
    for label, runs in by_label.items():
        tables["before"][label] = _table([each.run.curve[0][kind] for each in runs])
        ends = [each.run.curve[-1][kind] for each in runs]
        tables["held-out"][label] = after = _table(ends)
        if all("hidden_passed" in row for row in ends[0]["rows"]):
            solved = _table(ends, "hidden_passed")
            tables.setdefault("hidden", {})[label] = solved
            tables.setdefault("hidden-gap", {})[label] = after - solved
        reports = [further[label, each.run.seed] for each in runs if further]
        for name in reports[0] if reports else ():
            rows = [report[name][kind] for report in reports]
            tables.setdefault(name, {})[label] = _table(rows)
    return tables


def _table(reports: Sequence[Mapping[str, Any]], count: str = "passed") -> SeedTable:
    clusters = [row.get("cluster", str(place)) for place, row in enumerate(reports[0]["rows"])]
    return SeedTable.of_tasks(np.array([passed(report, count) for report in reports]), clusters)


def _arm(tables: Tables, label: str) -> dict[str, Any]:
    before, after = tables["before"][label], tables["held-out"][label]
    share = (0.0, 1.0)
    figures = {
        "before": _figure(estimate(before, bounds=share), before.by_seed),
        "after": _figure(estimate(after, bounds=share), after.by_seed),
        "gain": _figure(estimate(after - before), (after - before).by_seed),
    }
    for name, rows in tables.items():
        if name not in ("before", "held-out"):
            figures[name] = _figure(estimate(rows[label], bounds=share), rows[label].by_seed)
    if "train-set" in tables:
        shown = tables["train-set"][label]
        gap = estimate(shown, after, bounds=(-1.0, 1.0))
        figures["gap"] = _figure(gap, shown.by_seed - after.by_seed)
    return figures


def _difference(contrast: Contrast, tables: Tables) -> Difference:
    def paired(name: str) -> SeedTable:
        return tables[name][contrast.plus] - tables[name][contrast.minus]

    if contrast.measure == "gap":
        return Difference(plus=paired("train-set"), minus=(paired("held-out"),))
    return Difference(plus=paired(contrast.measure))


def _at_the_floor(contrast: Contrast, tables: Tables) -> bool:
    """Return whether neither arm passes enough for an effect of .02 to be possible or seen.

    Policies that pass nothing differ by nothing, which says nothing of the question.
    """
    rates = [tables["held-out"][label].by_seed.mean() for label in (contrast.plus, contrast.minus)]
    return float(max(rates)) < FLOOR


def _contrast(contrast: Contrast, difference: Difference, decision: Decision) -> dict[str, Any]:
    interval = decision.estimate.interval(decision.level)
    by_seed = difference.plus.by_seed
    for table in difference.minus:
        by_seed = by_seed - table.by_seed
    return {
        "mean": asdict(interval),
        "seeds": [float(value) for value in by_seed],
        "verdict": verdict(decision, contrast.sign),
        "decided_at": decision.seeds,
        "level": decision.level,
        "p_value": decision.estimate.p_value,
    }


def _calibration(
    experiment: Experiment, held_out: Mapping[str, SeedTable], looks: Sequence[int]
) -> dict[str, Any] | None:
    """Return the false signs that the null arm implies; None with fewer than three seeds."""
    null = experiment.null_arm
    label = experiment.null or experiment.arms[0].label
    if null.label not in held_out:
        return None
    difference = held_out[null.label] - held_out[label]
    if len(difference.values) < LEAST_SEEDS:
        return None
    model = NullModel.fit(difference)
    rate = false_sign_rate(model, looks)
    return {
        "arm": label,
        "differences": [float(value) for value in difference.by_seed],
        "seed_sd": model.seed_sd,
        "cluster_sd": model.cluster_sd,
        "false_sign_rate": rate,
        "comparisons": COMPARISONS,
        "holds": rate <= LARGEST_RATE,
    }


def _figure(found: Estimate, by_seed: Any) -> dict[str, Any]:
    return {"mean": asdict(found.interval()), "seeds": [float(value) for value in by_seed]}
