"""Runs of an experiment: trains every start and arm, seed by seed, or reads finished runs."""

import hashlib
import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from codegym.experiments.experiment import Arm, Experiment, Scale
from codegym.training.comparison_run import ComparisonRun, train_or_read


@dataclass(frozen=True, slots=True, kw_only=True)
class FinishedRun:
    """A finished run of an experiment.

    Attributes:
        run: Label, seed and curve.
        folder: Folder of the run.
    """

    run: ComparisonRun
    folder: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class ExperimentRuns:
    """The runs of an experiment at a scale.

    Attributes:
        experiment: The experiment.
        scale: Size of the experiment.
        seeds: Seeds of the starts and of the arms.
        out: Folder of the runs.
        programs: Budget of each arm in programs; None for the scaled budget.
    """

    experiment: Experiment
    scale: Scale
    seeds: range
    out: Path
    programs: int | None = None

    def __len__(self) -> int:
        return len(self.seeds) * len(self.experiment.runs)

    def folder(self, arm: Arm, seed: int) -> Path:
        """Return the folder of a run; runs with other settings have other folders."""
        name = re.sub(r"[^\w.=-]+", "-", arm.label).strip("-")
        return self.out / f"{name}-{self._digest(arm)}-{seed}"

    def train(self, watch: Callable[[str, float], None] | None = None) -> Iterator[FinishedRun]:
        """Train or read every run, seed by seed.

        Args:
            watch: Called with the run's name and the share of its budget that is spent.

        Yields:
            Each run when it is finished.

        Raises:
            Interrupted: A signal stopped the run under way, which can be continued.
        """
        for seed in self.seeds:
            finished: dict[str, FinishedRun] = {}
            for arm in self.experiment.runs:
                settings = {**self._config(arm), "seed": seed}
                start = finished[arm.start] if arm.start else None
                if start is not None:
                    settings["policy"] = str(start.folder / "checkpoint")
                folder = self.folder(arm, seed)
                curve = train_or_read(
                    folder,
                    settings,
                    start=start.run if start else None,
                    watch=watch and partial(watch, f"{arm.label}, seed {seed}"),
                )
                finished[arm.label] = FinishedRun(
                    run=ComparisonRun(arm.label, seed, curve), folder=folder
                )
                yield finished[arm.label]

    def _config(self, arm: Arm) -> Mapping[str, Any]:
        return self.experiment.config(arm, self.scale, self.programs)

    def _digest(self, arm: Arm) -> str:
        """Return a digest of an arm's settings and of the settings of its start."""
        start = self._digest(self.experiment.arm(arm.start)) if arm.start else ""
        text = json.dumps([self._config(arm), start], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:8]
