"""``codegym reproduce``: runs an ablation of a paper and compares signs with the paper."""

from dataclasses import replace
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from codegym.errors import ConfigError
from codegym.experiments.every_experiment import EXPERIMENTS, load_experiment
from codegym.experiments.experiment import SCALES, Experiment, Scale
from codegym.measuring.output import Output, with_output
from codegym.measuring.result_table import Column, ResultTable, words
from codegym.settings import env_args
from codegym.training.interrupts import Interrupted, explained, this_command
from codegym.training.ray_option import ray_option, trial_cluster

if TYPE_CHECKING:
    from codegym.experiments.seed_by_seed import SeedBySeed

_OUT = Path("runs/reproduce")


def _two_numbers(
    ctx: click.Context, param: click.Parameter, value: str | None
) -> tuple[int, int] | None:
    """Read ``MIN:MAX``, or a number for both."""
    if value is None:
        return None
    low, colon, high = value.partition(":")
    try:
        least, most = int(low), int(high if colon else low)
    except ValueError:
        least, most = 0, 0
    if not 1 <= least <= most:
        raise click.BadParameter(f"{value!r} is not MIN:MAX with 1 <= MIN <= MAX, such as 6:12")
    return least, most


@click.command()
@click.argument("name", required=False)
@click.option("--list", "listed", is_flag=True, help="List the experiments and their budgets.")
@click.option(
    "--all",
    "everything",
    is_flag=True,
    help="Run every experiment: a seed of each, cheapest first, then a second seed of each.",
)
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
@ray_option
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder for the runs, results.json, report.md and plot.png.  "
    "[default: runs/reproduce/NAME; with --all runs/reproduce]",
)
@with_output
def command(name: str | None, listed: bool, output: Output, **options: Any) -> None:
    """Run an ablation of a paper and compare the signs of its results with the paper.

    --list shows the values of NAME. Seeds are added until each contrast has a sign or no effect
    (its interval lies within +-.02), or MAX is reached. Budgets of runs are programs, not minutes,
    so the speed of the machine does not change the results. Finished runs are read, stopped runs
    are continued, and a run that another process trains is waited for: after Ctrl-C the same
    command continues, and seeds can be spread over processes with --first-seed and the same --out.

    --all gives a seed to each experiment, then another, so that a short --budget-minutes shows a
    little of everything; it writes the table of findings, findings.json and findings.md, after each
    seed. Experiments share runs with equal settings.
    """
    scale = SCALES[options["scale"]]
    least, most = options["seeds"] or scale.seeds
    if listed or (name is None and not options["everything"]):
        _show_list(scale, least, options["programs"], output)
        return
    _check_all(name, options)
    import torch

    if options["threads"]:
        torch.set_num_threads(options["threads"])
    seeds = range(options["first_seed"], options["first_seed"] + most)
    with trial_cluster(options["ray"]) as options["cluster"]:
        if options["everything"]:
            _run_all(scale, seeds, least, options, output)
            return
        assert name is not None
        chosen = load_experiment(name)
        chosen = _with_env(chosen, options["env"], env_args(options["env_assignments"]))
        chosen.check()
        _run_one(chosen, scale, seeds, least, options, output)


def _check_all(name: str | None, options: dict[str, Any]) -> None:
    """Refuse what --all would leave aside.

    Raises:
        ConfigError: A name, or an option for a single experiment, beside --all.
    """
    if not options["everything"]:
        return
    given = {"NAME": name, "--mechanism": options["mechanism"], "--env": options["env"]}
    given["--env-arg"] = options["env_assignments"]
    for word, value in given.items():
        if value:
            raise ConfigError(
                "--all runs every experiment as it is", value=value, cure=f"leave {word} out"
            )


def _with_env(chosen: Experiment, env: str | None, arguments: dict[str, Any]) -> Experiment:
    """Return an experiment in another environment, or with other arguments of its environment."""
    if env:
        return replace(chosen, env=env, env_args=arguments)
    return replace(chosen, env_args={**chosen.env_args, **arguments})


def _saved(out: Path) -> str:
    return f"finished runs, and the checkpoint of the last one, in {out}"


def _run_one(
    chosen: Experiment,
    scale: Scale,
    seeds: range,
    least: int,
    options: dict[str, Any],
    output: Output,
) -> None:
    from codegym.experiments.checkpoint_gradients import checkpoint_gradients, mechanism_lines
    from codegym.experiments.runs import ExperimentRuns
    from codegym.experiments.seed_by_seed import Budget, SeedBySeed

    out = options["out"] or _OUT / chosen.name
    runs = ExperimentRuns(
        experiment=chosen,
        scale=scale,
        out=out,
        programs=options["programs"],
        cluster=options["cluster"],
    )
    with explained(_saved(out), this_command()):
        if options["mechanism"]:
            found = checkpoint_gradients(runs, seeds[0])
            output.document(found)
            for line in mechanism_lines(found):
                output.line(line)
            return
        progress = SeedBySeed(runs=runs, seeds=seeds, least=least)
        with _progress(output) as bars:
            try:
                progress.run(Budget(options["budget_minutes"] or inf), **_told(bars, output))
            except Interrupted:
                if progress.complete:
                    progress.write()
                raise
    if not progress.complete:
        output.notes.print("the budget ended before a seed was complete; the command continues")
        raise click.exceptions.Exit(1)
    _show(progress.write(), progress, output)


def _run_all(
    scale: Scale, seeds: range, least: int, options: dict[str, Any], output: Output
) -> None:
    from codegym.experiments.all_experiments import AllExperiments
    from codegym.experiments.findings_table import paragraphs, result_table
    from codegym.experiments.seed_by_seed import Budget

    out = options["out"] or _OUT
    everything = AllExperiments(
        scale=scale,
        out=out,
        seeds=seeds,
        least=least,
        programs=options["programs"],
        cluster=options["cluster"],
    )
    with explained(_saved(out), this_command()), _progress(output) as bars:
        rows = everything.run(
            Budget(options["budget_minutes"] or inf),
            report=lambda line: output.notes.print(line, markup=False, soft_wrap=True),
            **_told(bars, output),
        )
    output.document(rows)
    output.table("findings", result_table(rows))
    for line in paragraphs(rows):
        output.line(line)
    output.remark(f"findings {out / 'findings.json'}")


def _told(bars: Progress, output: Output) -> dict[str, Any]:
    """Return the callbacks that show runs on a terminal, or as lines elsewhere."""
    present = bars.add_task("", total=1.0, text="")

    def watch(label: str, share: float) -> None:
        bars.update(present, description=label, completed=share, text=f"{share:.0%}")

    def done(each: Any) -> None:
        if bars.disable:
            text = f"{each.experiment}, {each.run.label}, seed {each.run.seed}: done"
            output.notes.print(text, markup=False, soft_wrap=True)

    return {"watch": watch, "done": done}


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


def _show(results: dict[str, Any], progress: "SeedBySeed", output: Output) -> None:
    from codegym.experiments.experiment_report import CAUTION, INTERVALS, calibration_lines, tables
    from codegym.measuring.run_report import departure_lines

    output.document(results)
    output.line(f"{results['paper']}. {results['question']}")
    for key, table in tables(results).items():
        output.table(key, table)
    for line in (
        *calibration_lines(results),
        *departure_lines(results["departures"]),
        *results["notes"],
        INTERVALS,
        CAUTION,
    ):
        output.line(line)
    if not progress.settled:
        output.line("the budget ended before every contrast was decided")
    for kind, name in (("report", "report.md"), ("results", "results.json"), ("plot", "plot.png")):
        output.remark(f"{kind:8} {progress.runs.out / name}")


def _show_list(scale: Scale, seeds: int, programs: int | None, output: Output) -> None:
    from codegym.measuring.sequential import LEAST_SEEDS

    rows: list[dict[str, Any]] = [
        {
            "name": experiment.name,
            "paper": experiment.paper,
            "question": experiment.question,
            "arms": [arm.label for arm in experiment.arms],
            "programs": seeds * experiment.total(scale, programs, null=seeds >= LEAST_SEEDS),
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
        title=f"experiments, scale {scale.name}, {seeds} seed{'s' if seeds > 1 else ''}",
        caption="programs: written or shown in training, with the starts and all seeds, and from "
        "three seeds on the null arms",
    )
    output.table("experiments", table)
    output.document(rows)
