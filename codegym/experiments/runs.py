"""Trials of an experiment: every start and arm, seed by seed, trained once or read."""

import hashlib
import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from codegym.experiments.experiment import Arm, Experiment, Scale
from codegym.training.comparison_run import Trial, train_or_read


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """A finished run of an experiment.

    Attributes:
        trial: Label, seed and curve.
        folder: Where it lies.
    """

    trial: Trial
    folder: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Trials:
    """The runs of an experiment at a scale.

    Attributes:
        experiment: What is run.
        scale: How large.
        seeds: Of the starts and of the arms.
        out: Folder of the runs.
        programs: Budget of the arms in place of the scaled one.
    """

    experiment: Experiment
    scale: Scale
    seeds: range
    out: Path
    programs: int | None = None

    def __len__(self) -> int:
        return len(self.seeds) * len(self.experiment.runs)

    def folder(self, arm: Arm, seed: int) -> Path:
        """Return where a run lies; runs of other settings lie elsewhere, so none is overwritten."""
        name = re.sub(r"[^\w.=-]+", "-", arm.label).strip("-")
        return self.out / f"{name}-{self._digest(arm)}-{seed}"

    def run(self, watch: Callable[[str, float], None] | None = None) -> Iterator[Done | None]:
        """Train or read every run, seed by seed.

        Args:
            watch: Is told what is trained, and which share of it is done.

        Yields:
            Each run when it is done; None, and then nothing, where one was stopped.
        """
        for seed in self.seeds:
            done: dict[str, Done] = {}
            for arm in self.experiment.runs:
                settings = {**self._config(arm), "seed": seed}
                start = done[arm.start] if arm.start else None
                if start is not None:
                    settings["policy"] = str(start.folder / "checkpoint")
                folder = self.folder(arm, seed)
                curve = train_or_read(
                    folder,
                    settings,
                    start=start.trial if start else None,
                    watch=watch and partial(watch, f"{arm.label}, seed {seed}"),
                )
                if curve is None:
                    yield None
                    return
                done[arm.label] = Done(trial=Trial(arm.label, seed, curve), folder=folder)
                yield done[arm.label]

    def _config(self, arm: Arm) -> Mapping[str, Any]:
        return self.experiment.config(arm, self.scale, self.programs)

    def _digest(self, arm: Arm) -> str:
        """Return a name for an arm's settings and, since it is another policy, its start's."""
        start = self._digest(self.experiment.arm(arm.start)) if arm.start else ""
        text = json.dumps([self._config(arm), start], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:8]
