"""``codegym reproduce``: runs an ablation of a paper and compares signs with the paper."""

import json
from dataclasses import replace
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from codegym.errors import ConfigError, MissingExtraError
from codegym.experiments.every_experiment import EXPERIMENTS, load_experiment
from codegym.experiments.experiment import SCALES, Experiment, Scale
from codegym.settings import env_args

if TYPE_CHECKING:
    from codegym.experiments.seed_by_seed import SeedBySeed

_OUT = Path("runs/reproduce")


def _two_numbers(ctx: click.Context, param: click.Parameter, value: str) -> tuple[int, int] | None:
    """Read ``MIN:MAX``, or a number for both."""
    if not value:
        return None
    low, _, high = value.partition(":")
    try:
        least, most = int(low), int(high or low)
    except ValueError:
        least, most = 0, 0
    if not 1 <= least <= most:
        raise click.BadParameter(f"{value!r} is not MIN:MAX with 1 <= MIN <= MAX, such as 6:12")
    return least, most


@click.command()
@click.argument("name", required=False)
@click.option("--list", "listed", is_flag=True, help="List the experiments and their budgets.")
@click.option("--all", "everything", is_flag=True, help="Run every experiment, cheapest first.")
@click.option(
    "--mechanism",
    is_flag=True,
    help="Measure the gradient estimators of NAME instead of comparing its arms.",
)
@click.option(
    "--scale",
    type=click.Choice(list(SCALES)),
    default="full",
    show_default=True,
    help="quick is a small trial: it leaves most signs undecided.",
)
@click.option(
    "--seeds",
    callback=_two_numbers,
    default="",
    metavar="MIN:MAX",
    help="Seeds at the first look, and at most.  [default: 6:12; quick: 1:1]",
)
@click.option(
    "--first-seed", type=click.IntRange(min=0), default=0, show_default=True, help="First seed."
)
@click.option(
    "--budget-minutes",
    type=click.FloatRange(min=0, min_open=True),
    help="Begin no run after so many minutes; the same command continues.",
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
    "[default: runs/reproduce/NAME; with --all runs/reproduce]",
)
@click.option("--json", "as_json", is_flag=True, help="Print the results, or the list, as JSON.")
def command(name: str | None, listed: bool, as_json: bool, **options: Any) -> None:
    """Run an ablation of a paper and compare the signs of its results with the paper.

    --list shows the values of NAME. Seeds are added until each contrast has a sign or no effect
    (its interval lies within +-.02), or MAX is reached. Budgets of runs are programs, not minutes,
    so the speed of the machine does not change the results. Finished runs are read, stopped runs
    are continued, and a run that another process trains is waited for: after Ctrl-C the same
    command continues, and seeds can be spread over processes with --first-seed and the same --out.

    --all runs every experiment and writes the table of findings, findings.json and findings.md.
    """
    scale = SCALES[options["scale"]]
    least, most = options["seeds"] or scale.seeds
    if listed or (name is None and not options["everything"]):
        _show_list(scale, least, options["programs"], as_json=as_json)
        return
    if name is not None and options["everything"]:
        raise ConfigError("--all runs every experiment", value=name, cure="leave NAME out")
    try:
        import torch
    except ModuleNotFoundError as error:
        raise MissingExtraError(error.name or "torch", "agents") from error
    if options["threads"]:
        torch.set_num_threads(options["threads"])
    seeds = range(options["first_seed"], options["first_seed"] + most)
    if options["everything"]:
        _run_all(scale, seeds, least, options, as_json=as_json)
        return
    assert name is not None
    chosen = _with_env(load_experiment(name), options["env"], env_args(options["env_assignments"]))
    chosen.check()
    _run_one(chosen, scale, seeds, least, options, as_json=as_json)


def _with_env(chosen: Experiment, env: str | None, arguments: dict[str, Any]) -> Experiment:
    """Return an experiment in another environment, or with other arguments of its environment."""
    if env:
        return replace(chosen, env=env, env_args=arguments)
    return replace(chosen, env_args={**chosen.env_args, **arguments})


def _run_one(
    chosen: Experiment,
    scale: Scale,
    seeds: range,
    least: int,
    options: dict[str, Any],
    *,
    as_json: bool,
) -> None:
    from codegym.experiments.checkpoint_gradients import checkpoint_gradients, mechanism_lines
    from codegym.experiments.runs import ExperimentRuns
    from codegym.experiments.seed_by_seed import Budget, SeedBySeed

    out = options["out"] or _OUT / chosen.name
    runs = ExperimentRuns(experiment=chosen, scale=scale, out=out, programs=options["programs"])
    if options["mechanism"]:
        found = checkpoint_gradients(runs, seeds[0])
        if found is None:
            raise click.Abort
        click.echo(json.dumps(found) if as_json else "\n".join(mechanism_lines(found)))
        return
    progress = SeedBySeed(runs=runs, seeds=seeds, least=least)
    with _progress() as bars:
        progress.run(Budget(options["budget_minutes"] or inf), **_told(bars))
    if not progress.complete:
        click.echo(
            "stopped before the first seed was complete; the same command continues", err=True
        )
        raise click.Abort
    results = progress.write()
    if progress.stopped:
        click.echo("stopped; the same command continues", err=True)
        raise click.Abort
    if as_json:
        click.echo(json.dumps(results))
        return
    _show(results, progress)


def _run_all(
    scale: Scale, seeds: range, least: int, options: dict[str, Any], *, as_json: bool
) -> None:
    from codegym.experiments.all_experiments import AllExperiments
    from codegym.experiments.findings_table import table_text
    from codegym.experiments.seed_by_seed import Budget

    everything = AllExperiments(
        scale=scale,
        out=options["out"] or _OUT,
        seeds=seeds,
        least=least,
        programs=options["programs"],
    )
    with _progress() as bars:
        rows = everything.run(
            Budget(options["budget_minutes"] or inf),
            report=lambda line: click.echo(line, err=True),
            **_told(bars),
        )
    click.echo(json.dumps(rows) if as_json else table_text(rows))
    if any(each.stopped for each in everything.begun.values()):
        click.echo("stopped; the same command continues", err=True)
        raise click.Abort


def _told(bars: Progress) -> dict[str, Any]:
    """Return the callbacks that show runs on a terminal, or as lines elsewhere."""
    present = bars.add_task("", total=1.0, text="")

    def watch(label: str, share: float) -> None:
        bars.update(present, description=label, completed=share, text=f"{share:.0%}")

    def done(each: Any) -> None:
        if bars.disable:
            click.echo(
                f"{each.folder.parent.name}, {each.run.label}, seed {each.run.seed}: done", err=True
            )

    return {"watch": watch, "done": done}


def _progress() -> Progress:
    console = Console(stderr=True)
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[text]}"),
        TimeElapsedColumn(),
        console=console,
        disable=not console.is_terminal,
    )


def _show(results: dict[str, Any], progress: "SeedBySeed") -> None:
    from codegym.experiments.experiment_report import CAUTION, INTERVALS, calibration_lines, tables
    from codegym.measuring.run_report import departure_lines

    console = Console()
    # In a file or a pipe, a wide table is more readable than a folded table.
    console.width = console.width if console.is_terminal else 160
    console.print(f"{results['paper']}. {results['question']}", highlight=False)
    for drawn in tables(results):
        console.print(drawn)
    for line in (
        *calibration_lines(results),
        *departure_lines(results["departures"]),
        *results["notes"],
        INTERVALS,
        CAUTION,
    ):
        console.print(escape(line), highlight=False)
    if not progress.settled:
        console.print("the budget ended before every contrast was decided", highlight=False)
    for kind, name in (("report", "report.md"), ("results", "results.json"), ("plot", "plot.png")):
        console.print(f"{kind:8} {progress.runs.out / name}", soft_wrap=True, highlight=False)


def _show_list(scale: Scale, seeds: int, programs: int | None, *, as_json: bool) -> None:
    rows: list[dict[str, Any]] = [
        {
            "name": experiment.name,
            "paper": experiment.paper,
            "question": experiment.question,
            "arms": [arm.label for arm in experiment.arms],
            "programs": seeds * experiment.total(scale, programs),
        }
        for experiment in EXPERIMENTS.values()
    ]
    if as_json:
        click.echo(json.dumps(rows))
        return
    table = Table(
        title=f"experiments, scale {scale.name}, {seeds} seed{'s' if seeds > 1 else ''}",
        caption="programs: written or shown in training, with the starts, null arms and all seeds",
    )
    for head in ("name", "paper", "question", "arms"):
        table.add_column(head, overflow="fold")
    table.add_column("programs", justify="right")
    for row in rows:
        table.add_row(
            row["name"], row["paper"], row["question"], "\n".join(row["arms"]),
            f"{row['programs']:,}", end_section=True,
        )  # fmt: skip
    console = Console()
    console.width = console.width if console.is_terminal else 140
    console.print(table)
