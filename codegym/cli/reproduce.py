"""``codegym reproduce``: runs an ablation of a paper and compares signs with the paper."""

import json
import shlex
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from codegym.experiments.every_experiment import EXPERIMENTS, load_experiment
from codegym.experiments.experiment import SCALES, Experiment, Scale
from codegym.measuring.output import Output, with_output
from codegym.measuring.result_table import Column, ResultTable, words
from codegym.rollout.environments import DEFAULT_ENV
from codegym.settings import env_args
from codegym.training.interrupts import explained, this_command
from codegym.version import __version__

if TYPE_CHECKING:
    from codegym.experiments.runs import ExperimentRuns, FinishedRun


@click.command()
@click.argument("name", required=False)
@click.option("--list", "listed", is_flag=True, help="List the experiments and their budgets.")
@click.option(
    "--scale",
    type=click.Choice(list(SCALES)),
    default="full",
    show_default=True,
    help="quick is a small trial: it leaves most signs undecided.",
)
@click.option(
    "--seeds", type=click.IntRange(min=1), help="Number of seeds.  [default: 3; quick: 1]"
)
@click.option(
    "--first-seed", type=click.IntRange(min=0), default=0, show_default=True, help="First seed."
)
@click.option(
    "--programs",
    type=click.IntRange(min=1),
    help="Budget of each arm in programs, instead of the experiment's budget.",
)
@click.option("--env", help="Id of the environment, instead of the experiment's environment.")
@click.option(
    "--env-arg",
    "env_assignments",
    multiple=True,
    metavar="KEY=VALUE",
    help="An argument of the environment: turns=3.",
)
@click.option("--threads", type=click.IntRange(min=1), help="Number of torch's threads.")
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder for the runs, results.json, report.md and plot.png.  "
    "[default: runs/reproduce/NAME]",
)
@with_output
def command(
    name: str | None,
    listed: bool,
    scale: str,
    seeds: int | None,
    first_seed: int,
    programs: int | None,
    env: str | None,
    env_assignments: tuple[str, ...],
    threads: int | None,
    out: Path | None,
    output: Output,
) -> None:
    """Run an ablation of a paper and compare the signs of its results with the paper.

    --list shows the values of NAME. Budgets are programs, not minutes, so the speed of the machine
    does not change the results. Finished runs are read, stopped runs are continued, and a run that
    another process trains is waited for: after Ctrl-C the same command continues, and seeds can be
    spread over processes with --first-seed and the same --out.
    """
    if listed or name is None:
        _show_list(SCALES[scale], seeds, programs, output)
        return
    chosen = _with_env(load_experiment(name), env, env_args(env_assignments))
    import torch

    if threads:
        torch.set_num_threads(threads)
    chosen.check()
    results = _run(
        chosen,
        SCALES[scale],
        seeds=range(first_seed, first_seed + (seeds or SCALES[scale].seeds)),
        programs=programs,
        out=out or Path("runs/reproduce") / chosen.name,
        output=output,
    )
    _show(results, out or Path("runs/reproduce") / chosen.name, output)


def _with_env(chosen: Experiment, env: str | None, arguments: dict[str, Any]) -> Experiment:
    """Return an experiment in another environment, or with other arguments of its environment."""
    if env:
        return replace(chosen, env=env, env_args=arguments)
    return replace(chosen, env_args={**chosen.env_args, **arguments})


def _run(
    chosen: Experiment,
    scale: Scale,
    *,
    seeds: range,
    programs: int | None,
    out: Path,
    output: Output,
) -> dict[str, Any]:
    """Train or read every run, and write results.json, report.md and plot.png."""
    from codegym.experiments.experiment_report import markdown, plot
    from codegym.experiments.findings import findings
    from codegym.experiments.runs import ExperimentRuns
    from codegym.measuring.machine import machine
    from codegym.training.comparison_run import departures_by_label

    runs = ExperimentRuns(experiment=chosen, scale=scale, seeds=seeds, programs=programs, out=out)
    with explained(f"finished runs, and the checkpoint of the last one, in {out}", this_command()):
        finished, train_set_scores = _train(runs, output)
    configs = {arm.label: chosen.config(arm, scale, programs) for arm in chosen.runs}
    results = {
        "experiment": chosen.name,
        "paper": chosen.paper,
        "question": chosen.question,
        "notes": list(chosen.notes),
        "scale": scale.name,
        "seeds": list(seeds),
        "programs": programs,
        "env": chosen.env,
        "env_args": dict(chosen.env_args),
        "eval_count": scale.eval_count,
        "eval_tasks": chosen.eval_tasks,
        "train_eval_tasks": chosen.train_eval_tasks,
        **findings(chosen, finished, train_set_scores),
        "configs": configs,
        "departures": departures_by_label(configs),
        "command": _command(chosen, scale, seeds, programs),
        "versions": {"codegym": __version__},
        "machine": machine(),
    }
    (out / "results.json").write_text(json.dumps(results, indent=1) + "\n")
    (out / "report.md").write_text(markdown(results))
    plot(results, out / "plot.png")
    return results


def _train(
    runs: "ExperimentRuns", output: Output
) -> tuple[list["FinishedRun"], dict[tuple[str, int], dict[str, Any]]]:
    """Train or read every run.

    Returns:
        The runs, and (label, seed) -> the score on training tasks, if the experiment measures it.
    """
    from codegym.experiments.train_set_score import train_set_score

    uri, count = runs.experiment.train_eval_tasks, runs.scale.eval_count
    finished, scores = [], {}
    with _progress(output) as progress:
        all_runs = progress.add_task("runs", total=len(runs), text=f"0 of {len(runs)}")
        present = progress.add_task("", total=1.0, text="")

        def watch(label: str, share: float) -> None:
            progress.update(present, description=label, completed=share, text=f"{share:.0%}")

        for each in runs.train(watch):
            finished.append(each)
            label, seed = each.run.label, each.run.seed
            if uri:
                scores[label, seed] = train_set_score(each, uri, count)
            text = f"{len(finished)} of {len(runs)}"
            progress.update(all_runs, advance=1, text=text)
            if progress.disable:
                output.notes.print(f"{label}, seed {seed}: done, {text}", markup=False)
    return finished, scores


def _command(chosen: Experiment, scale: Scale, seeds: range, programs: int | None) -> str:
    words = ["codegym reproduce", chosen.name, f"--scale {scale.name}", f"--seeds {len(seeds)}"]
    if seeds.start:
        words.append(f"--first-seed {seeds.start}")
    if programs:
        words.append(f"--programs {programs}")
    if chosen.env != DEFAULT_ENV:
        words.append(f"--env {chosen.env}")
    for name, value in chosen.env_args.items():
        assignment = f"{name}={json.dumps(value)}"
        words.append(f"--env-arg {shlex.quote(assignment)}")
    return " ".join(words)


def _progress(output: Output) -> Progress:
    console = output.notes
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[text]}"),
        TimeElapsedColumn(),
        console=console,
        disable=not console.is_terminal,
    )


def _show(results: dict[str, Any], out: Path, output: Output) -> None:
    from codegym.experiments.experiment_report import CAUTION, tables
    from codegym.measuring.run_report import departure_lines

    output.document(results)
    output.line(f"{results['paper']}. {results['question']}")
    for key, table in tables(results).items():
        output.table(key, table)
    for line in (*departure_lines(results["departures"]), *results["notes"], CAUTION):
        output.line(line)
    for kind, name in (("report", "report.md"), ("results", "results.json"), ("plot", "plot.png")):
        output.remark(f"{kind:8} {out / name}")


def _show_list(scale: Scale, seeds: int | None, programs: int | None, output: Output) -> None:
    count = seeds or scale.seeds
    rows: list[dict[str, Any]] = [
        {
            "name": experiment.name,
            "paper": experiment.paper,
            "question": experiment.question,
            "arms": [arm.label for arm in experiment.arms],
            "programs": count * experiment.total(scale, programs),
        }
        for experiment in EXPERIMENTS.values()
    ]
    cells: list[tuple[Any, ...]] = []
    for row in rows:
        cells += [(*(list(row.values())[:3]), "\n".join(row["arms"]), row["programs"]), (None,) * 5]
    heads: list[Column | str] = [*map(words, ("name", "paper", "question", "arms")), "programs"]
    table = ResultTable(
        heads,
        cells,
        title=f"experiments, scale {scale.name}, {count} seed{'s' if count > 1 else ''}",
        caption="programs: written or shown in training, with the starts and all seeds",
    )
    output.table("experiments", table)
    output.document(rows)
