"""``codegym reproduce``: run an ablation of a paper and say whether the sign is the paper's."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from codegym.errors import MissingExtraError
from codegym.experiments.every_experiment import EXPERIMENTS, load_experiment
from codegym.experiments.experiment import SCALES, Experiment, Scale
from codegym.version import __version__

if TYPE_CHECKING:
    from codegym.experiments.runs import Done, Trials


@click.command()
@click.argument("name", required=False)
@click.option("--list", "listed", is_flag=True, help="Show the experiments and what they take.")
@click.option(
    "--scale",
    type=click.Choice(list(SCALES)),
    default="full",
    show_default=True,
    help="quick is for a look: too small for most signs to be told.",
)
@click.option(
    "--seeds", type=click.IntRange(min=1), help="How many.  [default: 3, of a quick one 1]"
)
@click.option(
    "--first-seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of the seeds."
)
@click.option(
    "--programs",
    type=click.IntRange(min=1),
    help="Budget of each arm in programs, in place of the experiment's own.",
)
@click.option("--threads", type=click.IntRange(min=1), help="Threads of torch.")
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder of the runs, of results.json, report.md and plot.png.  "
    "[default: runs/reproduce/NAME]",
)
@click.option("--json", "as_json", is_flag=True, help="Print the results, or the list, as JSON.")
def command(
    name: str | None,
    listed: bool,
    scale: str,
    seeds: int | None,
    first_seed: int,
    programs: int | None,
    threads: int | None,
    out: Path | None,
    as_json: bool,
) -> None:
    """Run an ablation of a paper and compare the sign of what comes out with the paper's.

    NAME is one of those that --list shows. Budgets are programs, not minutes, so the machine does
    not change the results. Runs that are complete are read, those that were stopped are continued,
    and one that another process is at work on is waited for: Ctrl-C and the same command go on
    where it was, and seeds can be spread over processes with --first-seed and one --out.
    """
    if listed or name is None:
        _show_list(SCALES[scale], seeds, programs, as_json=as_json)
        return
    chosen = load_experiment(name)
    try:
        import torch
    except ModuleNotFoundError as error:
        raise MissingExtraError(error.name or "torch", "agents") from error
    if threads:
        torch.set_num_threads(threads)
    chosen.check()
    results = _run(
        chosen,
        SCALES[scale],
        seeds=range(first_seed, first_seed + (seeds or SCALES[scale].seeds)),
        programs=programs,
        out=out or Path("runs/reproduce") / chosen.name,
    )
    if as_json:
        click.echo(json.dumps(results))
        return
    _show(results, out or Path("runs/reproduce") / chosen.name)


def _run(
    chosen: Experiment, scale: Scale, *, seeds: range, programs: int | None, out: Path
) -> dict[str, Any]:
    """Train or read every run, and write results.json, report.md and plot.png."""
    from codegym.experiments.experiment_report import markdown, plot
    from codegym.experiments.findings import findings
    from codegym.experiments.runs import Trials
    from codegym.measuring.machine import machine

    trials = Trials(experiment=chosen, scale=scale, seeds=seeds, programs=programs, out=out)
    done, on_seen = _train(trials)
    results = {
        "experiment": chosen.name,
        "paper": chosen.paper,
        "question": chosen.question,
        "notes": list(chosen.notes),
        "scale": scale.name,
        "seeds": list(seeds),
        "programs": programs,
        "eval_count": scale.eval_count,
        "eval_tasks": chosen.eval_tasks,
        "seen_tasks": chosen.seen_tasks,
        **findings(chosen, done, on_seen),
        "configs": {arm.label: chosen.config(arm, scale, programs) for arm in chosen.runs},
        "command": _command(chosen, scale, seeds, programs),
        "versions": {"codegym": __version__},
        "machine": machine(),
    }
    (out / "results.json").write_text(json.dumps(results, indent=1) + "\n")
    (out / "report.md").write_text(markdown(results))
    plot(results, out / "plot.png")
    return results


def _train(trials: "Trials") -> tuple[list["Done"], dict[tuple[str, int], dict[str, Any]]]:
    """Return every run, trained or read, and what it passes of the training tasks if asked."""
    from codegym.experiments.train_set_score import seen

    uri, count = trials.experiment.seen_tasks, trials.scale.eval_count
    done, on_seen = [], {}
    with _progress() as progress:
        whole = progress.add_task("runs", total=len(trials), at=f"0 of {len(trials)}")
        present = progress.add_task("", total=1.0, at="")

        def watch(label: str, share: float) -> None:
            progress.update(present, description=label, completed=share, at=f"{share:.0%}")

        for one in trials.run(watch):
            if one is None:
                click.echo("stopped; the same command goes on", err=True)
                raise click.Abort
            done.append(one)
            if uri:
                on_seen[one.trial.label, one.trial.seed] = seen(one, uri, count)
            at = f"{len(done)} of {len(trials)}"
            progress.update(whole, advance=1, at=at)
            if progress.disable:
                click.echo(f"{one.trial.label}, seed {one.trial.seed}: done, {at}", err=True)
    return done, on_seen


def _command(chosen: Experiment, scale: Scale, seeds: range, programs: int | None) -> str:
    words = ["codegym reproduce", chosen.name, f"--scale {scale.name}", f"--seeds {len(seeds)}"]
    if seeds.start:
        words.append(f"--first-seed {seeds.start}")
    if programs:
        words.append(f"--programs {programs}")
    return " ".join(words)


def _progress() -> Progress:
    console = Console(stderr=True)
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[at]}"),
        TimeElapsedColumn(),
        console=console,
        disable=not console.is_terminal,
    )


def _show(results: dict[str, Any], out: Path) -> None:
    from codegym.experiments.experiment_report import CAUTION, tables

    console = Console()
    # A table of figures is better too wide for a file or a pipe than folded.
    console.width = console.width if console.is_terminal else 160
    console.print(f"{results['paper']}. {results['question']}", highlight=False)
    for drawn in tables(results):
        console.print(drawn)
    for note in (*results["notes"], CAUTION):
        console.print(note, highlight=False)
    for what, name in (("report", "report.md"), ("results", "results.json"), ("plot", "plot.png")):
        console.print(f"{what:8} {out / name}", soft_wrap=True, highlight=False)


def _show_list(scale: Scale, seeds: int | None, programs: int | None, *, as_json: bool) -> None:
    count = seeds or scale.seeds
    rows: list[dict[str, Any]] = [
        {
            "name": one.name,
            "paper": one.paper,
            "question": one.question,
            "arms": [arm.label for arm in one.arms],
            "programs": count * one.total(scale, programs),
        }
        for one in EXPERIMENTS.values()
    ]
    if as_json:
        click.echo(json.dumps(rows))
        return
    table = Table(
        title=f"experiments, scale {scale.name}, {count} seed{'s' if count > 1 else ''}",
        caption="programs: written or shown in training, starts and all seeds included",
    )
    for head in ("name", "paper", "what is asked", "arms"):
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
