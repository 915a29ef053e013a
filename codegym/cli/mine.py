"""``codegym mine``: makes tasks from the functions of real Python code."""

import time
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path

import click
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from codegym.errors import CodegymError, ConfigError
from codegym.measuring.output import Output, with_output
from codegym.measuring.result_table import ResultTable, words
from codegym.mining.contamination import BENCHMARKS, Benchmarks
from codegym.mining.funnel import Funnel
from codegym.mining.log import Log
from codegym.mining.mining_config import MiningConfig
from codegym.mining.module_tree import Module, find_modules
from codegym.mining.pipeline import Miner
from codegym.sources import load_tasks
from codegym.tasks.task import Task
from codegym.training.interrupts import Interrupted, explained, this_command


@click.command()
@click.argument("targets", nargs=-1, required=True)
@click.option(
    "--out",
    required=True,
    type=click.Path(dir_okay=False, path_type=Path),
    help="File for the tasks; FILE.fates beside it records the fate of each function.",
)
@click.option("--limit", type=click.IntRange(min=1), help="Stop after this many tasks.")
@click.option("--seed", default=0, show_default=True, help="Seed of the drawn inputs.")
@click.option(
    "--min-strength",
    type=click.FloatRange(0.0, 1.0),
    default=0.9,
    show_default=True,
    help="Least share of a function's mutants that its tests must kill.",
)
@click.option("--licence", "licences", multiple=True, help="SPDX licence of the code to mine.")
@click.option(
    "--benchmark",
    "benchmarks",
    multiple=True,
    default=BENCHMARKS,
    show_default=True,
    help="Task source whose problems are left out.",
)
@click.option(
    "--hypothesis",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    help="Inputs that Hypothesis adds for each function (extra: mining).",
)
@click.option("--resume", is_flag=True, help="Continue an earlier run to the same file.")
@click.option("--workers", type=click.IntRange(min=1), help="Number of programs run in parallel.")
@click.option("--isolation", default="auto", show_default=True, help="Kind of sandbox.")
@with_output
def command(
    targets: tuple[str, ...],
    out: Path,
    limit: int | None,
    seed: int,
    min_strength: float,
    licences: tuple[str, ...],
    benchmarks: tuple[str, ...],
    hypothesis: int,
    resume: bool,
    workers: int | None,
    isolation: str,
    output: Output,
) -> None:
    """Mine tasks from Python code.

    TARGETS are files, folders, import names of installed packages, or "stdlib". Code is only
    parsed here; it runs in the sandbox.
    """
    from codegym.sandbox import make_sandbox

    modules = _modules(targets)
    config = MiningConfig(
        seed=seed, min_strength=min_strength, licences=licences, hypothesis=hypothesis
    )
    settings = {"seed": seed, "min_strength": min_strength, "licences": list(licences)}
    settings |= {"hypothesis": hypothesis, "targets": list(targets), "benchmarks": list(benchmarks)}
    started, began = time.monotonic(), time.process_time()
    funnel = Funnel()
    with make_sandbox(isolation, workers=workers) as sandbox:
        known = Benchmarks.of(read_benchmarks(benchmarks), sandbox)
        for name, why in known.missing.items():
            output.notes.print(f"not compared with {name}: {why}", markup=False, highlight=False)
        prepared = time.monotonic() - started
        with Log(out, settings, resume) as log, _progress(output.notes) as progress:
            miner = Miner(modules, sandbox, config=config, benchmarks=known, done=log.done)
            for fate in log.done:
                funnel.add(fate)
            left, interrupted = _mine(miner, log, funnel, progress, limit)
    elapsed, own = time.monotonic() - started, time.process_time() - began
    kept_now = funnel.kept - sum(fate.stage == "kept" for fate in log.done)
    if interrupted is not None:
        saved = f"{funnel.kept} tasks in {out}, with {left} functions left"
        # After SIGHUP there may be no terminal to write to.
        with explained(saved, this_command("--resume")):
            with suppress(OSError):
                _show(funnel, modules, output)
            raise interrupted
    _show(funnel, modules, output)
    output.line(f"{funnel.kept} tasks in {out}")
    _sum_up(output, miner, known, kept_now, (elapsed, own, prepared))
    output.field(tasks=funnel.kept, new=kept_now, left=left, seconds=elapsed, file=str(out))


def _sum_up(
    output: Output,
    miner: Miner,
    known: Benchmarks,
    kept: int,
    seconds: tuple[float, float, float],
) -> None:
    """Write what was kept, how fast, and where the processor's time went."""
    elapsed, own, prepared = seconds
    inside = miner.costs.cpu_s
    output.line(
        f"{kept} of them now, in {elapsed:.0f} s "
        f"({60 * kept / max(elapsed, 1e-9):.0f} a minute; benchmarks took {prepared:.0f} s)"
    )
    compared = ", ".join(f"{name} ({number})" for name, number in known.sizes.items())
    output.remark(
        f"{miner.costs.jobs} jobs: {inside:.1f} s of processor in the sandbox, {own:.1f} s "
        f"outside: {inside / max(inside + own, 1e-9):.0%} in the sandbox; "
        f"compared with {compared or 'no benchmark'}"
    )


def _mine(
    miner: Miner, log: Log, funnel: Funnel, progress: Progress, limit: int | None
) -> tuple[int, Interrupted | None]:
    """Mine until all functions are tried, the limit is reached or a signal comes.

    Returns:
        The number of functions left, and the signal.
    """
    left = len(miner.candidates())
    bar = progress.add_task("mining", total=left, kept=funnel.kept)
    try:
        for fate, task in miner.mine():
            log.write(fate, task)
            funnel.add(fate)
            left -= 1
            progress.update(bar, advance=1, kept=funnel.kept)
            if limit is not None and funnel.kept >= limit:
                break
    except Interrupted as interrupted:
        return left, interrupted
    return left, None


def read_benchmarks(uris: Sequence[str]) -> dict[str, Sequence[Task] | str]:
    """Return the tasks of each benchmark, or why it could not be read."""
    problems: dict[str, Sequence[Task] | str] = {}
    for uri in uris:
        try:
            problems[uri] = list(load_tasks(uri))
        except CodegymError as error:
            problems[uri] = error.message
    return problems


def _modules(targets: Iterable[str]) -> list[Module]:
    found: dict[str, Module] = {}
    for target in targets:
        for module in find_modules(target):
            other = found.setdefault(module.name, module)
            if other.path != module.path:
                raise ConfigError(
                    f"two modules are called {module.name}",
                    value=str(module.path),
                    cure=f"mine {other.path} and {module.path} in separate runs",
                )
    return list(found.values())


def _progress(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("[green]{task.fields[kept]} kept"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=console,
        transient=True,
    )


def _show(funnel: Funnel, modules: Iterable[Module], output: Output) -> None:
    rows = [
        (stage, left, stopped or None, reasons) for stage, left, stopped, reasons in funnel.rows()
    ]
    heads = words("stage"), "left", "stopped", words("most common reasons")
    output.table("funnel", ResultTable(heads, rows))
    unread = Counter(module.unread for module in modules if module.unread)
    if unread:
        reasons = ", ".join(f"{reason} {number}" for reason, number in unread.most_common())
        output.line(f"{unread.total()} modules could not be read: {reasons}")
    origins = Counter(module.origin for module in modules)
    for origin, number in origins.items():
        output.line(f"{origin.name} {origin.version}, {origin.licence}: {number} modules")
