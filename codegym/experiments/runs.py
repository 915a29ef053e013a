"""Runs of an experiment: trains every start and arm, seed by seed, or reads finished runs."""

import hashlib
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from codegym.experiments.experiment import Arm, Experiment, Scale
from codegym.training.comparison_run import ComparisonRun, train_or_read
from codegym.training.trials import Trial, TrialCluster


@dataclass(frozen=True, slots=True, kw_only=True)
class FinishedRun:
    """A finished run of an experiment.

    Attributes:
        run: Label, seed and curve.
        folder: Folder of the run.
        experiment: Name of the experiment.
    """

    run: ComparisonRun
    folder: Path
    experiment: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExperimentRuns:
    """The runs of an experiment at a scale.

    Attributes:
        experiment: The experiment.
        scale: Size of the experiment.
        out: Folder of the runs.
        programs: Budget of each arm in programs; None for the scaled budget.
        cluster: Trains the runs before they are read; None trains them here, one after the other.
        pool: Folder of runs that several experiments share; None for ``out``.
    """

    experiment: Experiment
    scale: Scale
    out: Path
    programs: int | None = None
    cluster: TrialCluster | None = None
    pool: Path | None = None

    @property
    def arms(self) -> tuple[Arm, ...]:
        """Return starts, arms and the null arm, in the order in which they are trained."""
        return (*self.experiment.runs, self.experiment.null_arm)

    def folder(self, arm: Arm, seed: int) -> Path:
        """Return the folder of a run; runs with other settings have other folders."""
        if self.pool is not None:
            return self.pool / f"{arm.agent}-{self._digest(arm)}-{seed}"
        name = re.sub(r"[^\w.=-]+", "-", arm.label).strip("-")
        return self.out / f"{name}-{self._digest(arm)}-{seed}"

    def settings(self, arm: Arm, seed: int) -> dict[str, Any]:
        """Return the settings of a run, as ``TrainConfig`` takes them, with its seeds."""
        settings = self.experiment.config(arm, self.scale, self.programs)
        # The null arm is evaluated with the draws of the others, as they are among themselves.
        return settings | {"seed": seed + arm.seed_shift, "eval_seed": seed}

    def train_ahead(
        self,
        seeds: Sequence[int],
        *,
        null: bool = True,
        watch: Callable[[str, float], None] | None = None,
        go_on: Callable[[], bool] = lambda: True,
    ) -> None:
        """Train the runs of some seeds side by side, where there is a cluster.

        Args:
            seeds: The seeds.
            null: Whether the null arm is trained too.
            watch: Called with the last run's name and the share of the runs that are finished.
            go_on: Called before each run; False begins no more.

        Raises:
            ClusterError: A run lost its nodes too often.
            CodegymError: What stopped a run.
        """
        if self.cluster is not None:
            arms = self.arms if null else self.experiment.runs
            trials = [self._trial(arm, seed) for seed in seeds for arm in arms]
            self.cluster.train(trials, watch=watch, go_on=go_on)

    def _trial(self, arm: Arm, seed: int) -> Trial:
        start = self.folder(self.experiment.arm(arm.start), seed) if arm.start else None
        settings = self.settings(arm, seed)
        if start is not None:
            settings["policy"] = str(start / "checkpoint")
        folder = self.folder(arm, seed)
        return Trial(label=arm.label, seed=seed, folder=folder, settings=settings, start=start)

    def train(
        self,
        seed: int,
        *,
        null: bool = True,
        watch: Callable[[str, float], None] | None = None,
        go_on: Callable[[], bool] = lambda: True,
    ) -> Iterator[FinishedRun]:
        """Train or read every run of a seed.

        Args:
            seed: The seed.
            null: Whether the null arm is trained too.
            watch: Called with the run's name and the share of its budget that is spent.
            go_on: Called before each run; False ends the iteration.

        Yields:
            Each run when it is finished.

        Raises:
            Interrupted: A signal stopped the run under way, which can be continued.
        """
        finished: dict[str, FinishedRun] = {}
        for arm in self.arms if null else self.experiment.runs:
            if not go_on():
                return
            trial = self._trial(arm, seed)
            start = finished[arm.start] if arm.start else None
            curve = train_or_read(
                trial.folder,
                trial.settings,
                start=start.run if start else None,
                watch=watch and partial(watch, f"{arm.label}, seed {seed}"),
            )
            finished[arm.label] = FinishedRun(
                run=ComparisonRun(arm.label, seed, curve),
                folder=trial.folder,
                experiment=self.experiment.name,
            )
            yield finished[arm.label]

    def _digest(self, arm: Arm) -> str:
        """Return a digest of an arm's settings and of the settings of its start."""
        start = self._digest(self.experiment.arm(arm.start)) if arm.start else ""
        settings: Mapping[str, Any] = self.experiment.config(arm, self.scale, self.programs)
        shift = [arm.seed_shift] if arm.seed_shift else []
        text = json.dumps([settings, start, *shift], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:8]
