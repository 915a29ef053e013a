"""All experiments: runs every one of them, seed by seed, and writes the table of findings.

Each round gives a seed to each experiment, cheapest first, so that a short budget shows a little of
everything. After the seeds of the first look only undecided experiments get more. An experiment
whose answer differs from its paper's gets its second setting. Experiments share runs with equal
settings. A call that was stopped continues where it stopped: finished runs are read.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from codegym.experiments.checkpoint_gradients import checkpoint_gradients, mechanism_lines
from codegym.experiments.every_experiment import load_experiment
from codegym.experiments.experiment import Experiment, Scale
from codegym.experiments.findings import DIFFERS
from codegym.experiments.findings_table import FINDINGS, findings_table, table_text
from codegym.experiments.runs import ExperimentRuns
from codegym.experiments.seed_by_seed import Budget, SeedBySeed
from codegym.training.trials import TrialCluster

OWN = ("weak-tests", "coderl-ablation")
"""Experiments beside those of the findings."""


@dataclass(slots=True, kw_only=True)
class AllExperiments:
    """Every experiment at a scale.

    Attributes:
        scale: Size of the experiments.
        out: Folder with a folder for each, and ``runs`` with the runs of all.
        seeds: Every seed that may be used, in order.
        least: Number of seeds at the first look.
        programs: Budget of each arm in programs; None for the experiments' budgets.
        cluster: Trains the runs; None trains them here.
        mechanism: Whether gradient estimators are measured.
        names: Names of the experiments; all if empty.
        begun: Experiments that have begun, by name.
    """

    scale: Scale
    out: Path
    seeds: range
    least: int
    programs: int | None = None
    cluster: TrialCluster | None = None
    mechanism: bool = True
    names: tuple[str, ...] = ()
    begun: dict[str, SeedBySeed] = field(default_factory=dict)
    _mechanisms: dict[str, list[str]] = field(default_factory=dict)
    _results: dict[str, dict[str, Any]] = field(default_factory=dict)

    @property
    def first(self) -> list[Experiment]:
        """Return the experiments in their first setting: the findings', then others; by cost."""
        names = self.names or (*dict.fromkeys(each.experiment for each in FINDINGS), *OWN)
        chosen = [load_experiment(name) for name in names]
        return sorted(
            chosen, key=lambda each: (each.name in OWN, each.total(self.scale, self.programs))
        )

    def run(
        self, budget: Budget, *, report: Callable[[str], None] = lambda line: None, **told: Any
    ) -> list[dict[str, Any]]:
        """Run as much as the budget allows, and return the rows of the table of findings.

        Args:
            budget: The budget of this call.
            report: Called with a line after each step.
            told: Callbacks of ``SeedBySeed.add_seed``.
        """
        for experiment in self.first:
            experiment.check()
        for target in range(1, len(self.seeds) + 1):
            for experiment in self.first:
                self._advance(experiment, target, budget, report, told)
                if experiment.second and self._differs(experiment):
                    second = load_experiment(experiment.second)
                    self._advance(second, target, budget, report, told)
                if not budget.left():
                    return self.write()
            if target == 1 and self.mechanism:
                self._measure_mechanisms(budget)
        return self.write()

    def _measure_mechanisms(self, budget: Budget) -> None:
        """Measure the gradient estimators of each experiment at the first seed's checkpoints."""
        for name, progress in self.begun.items():
            if not budget.left():
                return
            if progress.runs.experiment.mechanism:
                found = checkpoint_gradients(progress.runs, self.seeds[0])
                self._mechanisms[name] = mechanism_lines(found)
                self.write()

    def _advance(
        self,
        experiment: Experiment,
        target: int,
        budget: Budget,
        report: Callable[[str], None],
        told: dict[str, Any],
    ) -> None:
        """Bring an experiment to a number of seeds, if it needs them; write after each seed."""
        progress = self.begun.get(experiment.name) or self._begin(experiment)
        while progress.complete < target and not progress.settled:
            if not progress.add_seed(budget, **told):
                return
            self._results[experiment.name] = progress.write()
            self.write()
            report(_line(self._results[experiment.name]))

    def _begin(self, experiment: Experiment) -> SeedBySeed:
        runs = ExperimentRuns(
            experiment=experiment,
            scale=self.scale,
            out=self.out / experiment.name,
            programs=self.programs,
            cluster=self.cluster,
            pool=self.out / "runs",
        )
        self.begun[experiment.name] = SeedBySeed(runs=runs, seeds=self.seeds, least=self.least)
        return self.begun[experiment.name]

    def _differs(self, experiment: Experiment) -> bool:
        contrasts = self._results.get(experiment.name, {}).get("contrasts", ())
        return any(each["sampled"]["verdict"] == DIFFERS for each in contrasts)

    def write(self) -> list[dict[str, Any]]:
        """Write findings.json and findings.md, and return the rows."""
        seconds = {each.name: each.second for each in self.first}
        rows = findings_table(self._results, seconds, self._mechanisms)
        self.out.mkdir(parents=True, exist_ok=True)
        for name, text in (
            ("findings.json", json.dumps(rows, indent=1) + "\n"),
            ("findings.md", table_text(rows)),
        ):
            aside = self.out / f"{name}.new"
            aside.write_text(text)
            aside.replace(self.out / name)
        return rows


def _line(results: dict[str, Any]) -> str:
    verdicts = ", ".join(
        f"{each['name']}: {each['sampled']['verdict']}" for each in results["contrasts"]
    )
    return f"{results['experiment']}, {len(results['seeds'])} seeds: {verdicts}"
