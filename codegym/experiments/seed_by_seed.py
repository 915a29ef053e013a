"""Seed by seed: adds seeds to an experiment until it is decided or a budget is spent."""

import json
import shlex
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic
from typing import Any

from codegym.experiments.experiment_report import markdown, plot
from codegym.experiments.findings import decided, findings
from codegym.experiments.further_scores import further_scores
from codegym.experiments.runs import ExperimentRuns, FinishedRun
from codegym.measuring.machine import commit, machine
from codegym.measuring.sequential import LEAST_SEEDS
from codegym.rollout.environments import DEFAULT_ENV
from codegym.training.comparison_run import departures_by_label
from codegym.version import __version__

Watch = Callable[[str, float], None]


@dataclass(slots=True)
class Budget:
    """Minutes that may be spent; a run that began is finished.

    Attributes:
        minutes: The budget; infinite for none.
        began: Moment at which it began, in seconds.
    """

    minutes: float
    began: float = field(default_factory=monotonic)

    def left(self) -> bool:
        """Return whether another run may begin."""
        return monotonic() - self.began < 60.0 * self.minutes


@dataclass(slots=True, kw_only=True)
class SeedBySeed:
    """The seeds of an experiment so far.

    Attributes:
        runs: The runs of the experiment.
        seeds: Every seed that may be used, in order.
        least: Number of seeds at the first look.
        finished: Runs of the complete seeds.
        further: (label, seed) -> reports on further sets of tasks.
        complete: Number of complete seeds.
    """

    runs: ExperimentRuns
    seeds: range
    least: int
    finished: list[FinishedRun] = field(default_factory=list)
    further: dict[tuple[str, int], dict[str, Any]] = field(default_factory=dict)
    complete: int = 0

    @property
    def looks(self) -> tuple[int, ...]:
        """Return the numbers of seeds at which the data are looked at."""
        return tuple(range(self.least, len(self.seeds) + 1))

    @property
    def settled(self) -> bool:
        """Return whether no further seed is needed, or none is left."""
        if self.complete >= len(self.seeds):
            return True
        return self.complete >= self.least and decided(self.figures(calibrate=False))

    def add_seed(
        self,
        budget: Budget,
        *,
        watch: Watch | None = None,
        done: Callable[[FinishedRun], None] = lambda run: None,
    ) -> bool:
        """Train or read the next seed; False if the budget ended before.

        Args:
            budget: Ends the seed before a run that would begin too late.
            watch: Called with the name of the run and the share of its budget that is spent.
            done: Called with each run when it is finished.
        """
        number = self.complete + 1
        # The null arms are of use from three seeds on, and are trained then.
        null = number >= LEAST_SEEDS
        first = 1 if number == LEAST_SEEDS else number
        # The seeds of the first look are needed in any case.
        last = max(self.least, number)
        ahead = self.seeds[first - 1 : last]
        self.runs.train_ahead(ahead, null=last >= LEAST_SEEDS, watch=watch, go_on=budget.left)
        had = {(each.run.label, each.run.seed) for each in self.finished}
        sets, count = self.runs.experiment.further, self.runs.scale.eval_count
        new = []
        for seed in self.seeds[first - 1 : number]:
            trained = 0
            for each in self.runs.train(seed, null=null, watch=watch, go_on=budget.left):
                trained += 1
                if (each.run.label, seed) in had:
                    continue
                new.append(each)
                if sets:
                    self.further[each.run.label, seed] = further_scores(each, sets, count)
                done(each)
            if trained < len(self.runs.arms) - (not null):
                return False
        self.finished += new
        self.complete += 1
        return True

    def run(self, budget: Budget, **told: Any) -> None:
        """Add seeds until the contrasts are decided, or the seeds or the budget are spent."""
        while not self.settled:
            if not self.add_seed(budget, **told):
                return

    def figures(self, *, calibrate: bool = True) -> dict[str, Any]:
        """Return the findings of the complete seeds, at least one."""
        return findings(
            self.runs.experiment, self.finished, self.looks, self.further, calibrate=calibrate
        )

    def write(self) -> dict[str, Any]:
        """Write results.json, report.md and plot.png, and return the results as JSON values."""
        runs, chosen = self.runs, self.runs.experiment
        configs = {arm.label: runs.settings(arm, self.seeds[0]) for arm in chosen.runs}
        results = {
            "experiment": chosen.name,
            "paper": chosen.paper,
            "question": chosen.question,
            "notes": list(chosen.notes),
            "scale": runs.scale.name,
            "seeds": list(self.seeds[: self.complete]),
            "looks": list(self.looks),
            "programs": runs.programs,
            "env": chosen.env,
            "env_args": dict(chosen.env_args),
            "eval_count": runs.scale.eval_count,
            "eval_samples": runs.scale.eval_samples,
            "eval_tasks": chosen.eval_tasks,
            "further": dict(chosen.further),
            **self.figures(),
            "configs": configs,
            "departures": departures_by_label(configs),
            "command": self.command(),
            "commit": commit(),
            "versions": {"codegym": __version__},
            "machine": machine(),
        }
        runs.out.mkdir(parents=True, exist_ok=True)
        _replace(runs.out / "results.json", json.dumps(results, indent=1) + "\n")
        _replace(runs.out / "report.md", markdown(results))
        plot(results, runs.out / "plot.png")
        return results

    def command(self) -> str:
        """Return the command that makes these results again."""
        runs, chosen = self.runs, self.runs.experiment
        words = ["codegym reproduce", chosen.name, f"--scale {runs.scale.name}"]
        words.append(f"--seeds {self.least}:{len(self.seeds)}")
        if self.seeds.start:
            words.append(f"--first-seed {self.seeds.start}")
        if runs.programs:
            words.append(f"--programs {runs.programs}")
        if chosen.env != DEFAULT_ENV:
            words.append(f"--env {chosen.env}")
        for name, value in chosen.env_args.items():
            assignment = f"{name}={json.dumps(value)}"
            words.append(f"--env-arg {shlex.quote(assignment)}")
        return " ".join(words)


def _replace(path: Path, text: str) -> None:
    """Write a file in one step, so that a reader never sees half of it."""
    aside = path.with_name(f"{path.name}.new")
    aside.write_text(text)
    aside.replace(path)
