"""``codegym synthesize``: shows the atoms, shows composed tasks, writes them to a file."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import click
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.syntax import Syntax
from rich.table import Table

from codegym.atoms import TOPICS, by_topic, catalogue
from codegym.errors import ConfigError
from codegym.sources import load_tasks
from codegym.sources.composites import ProceduralSource
from codegym.sources.jsonl import write_jsonl
from codegym.synthesis.duplicate_tasks import DuplicateFilter
from codegym.synthesis.generate import SynthesisConfig, members
from codegym.synthesis.splits import DOMAINS, Split
from codegym.tasks.task import CallCase, Task
from codegym.tasks.task_source import TaskSource

_DEFAULT = "composites?domain=all&depth=1-3&shape=any"


@click.command()
@click.argument("tasks", default=_DEFAULT)
@click.option("--seed", type=int, help="Seed of the tasks; the same as ?seed= in the URI.")
@click.option("--show", default=0, help="Print this many tasks, each with a test.")
@click.option("--atoms", is_flag=True, help="Print the catalogue of atoms.")
@click.option("--count", default=1000, show_default=True, help="Number of tasks to draw.")
@click.option("--start", default=0, help="Index of the first task.")
@click.option(
    "--out",
    type=click.Path(dir_okay=False, writable=True, path_type=Path),
    help="Write the tasks to this file, without duplicates.",
)
@click.option("--keep-duplicates", is_flag=True, help="Keep tasks with equal code or behaviour.")
def command(
    tasks: str,
    seed: int | None,
    show: int,
    atoms: bool,
    count: int,
    start: int,
    out: Path | None,
    keep_duplicates: bool,
) -> None:
    """Compose tasks from the 100 atomic functions.

    TASKS is a task URI whose options set the difficulty, such as
    "composites?domain=big&depth=2-3&split=test" or "atoms?topic=strings". Without --show, --atoms
    and --out, tables summarise the tasks.
    """
    console = Console()
    source = load_tasks(_with_seed(tasks, seed))
    if not isinstance(source, ProceduralSource):
        raise ConfigError(
            "not a source of composed tasks", value=tasks, expected="atoms?... or composites?..."
        )
    if atoms:
        console.print(_atom_table())
    for index in range(start, min(start + show, len(source))):
        _print_task(source[index], console)
    if atoms or (show and out is None):
        return
    progress = Progress(
        TextColumn("composing"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=Console(stderr=True),
        transient=True,
    )
    counts: dict[str, Counter[str]] = {name: Counter() for name in ("topic", "type", "depth")}
    filtering = DuplicateFilter() if out is not None and not keep_duplicates else None
    with progress:
        drawn = _draw(source, start, count, filtering, counts, progress)
        if out is not None:
            written = write_jsonl(out, drawn)
        else:
            written = sum(1 for _ in drawn)
    for table in _count_tables(counts, written):
        console.print(table)
    if out is None:
        console.print(_space_table())
        return
    console.print(f"{written} tasks written to {out}")
    if filtering is not None:
        console.print(
            f"left out: {filtering.by_ast} with the code of another task, "
            f"{filtering.by_behaviour} with the behaviour of another"
        )


def _with_seed(uri: str, seed: int | None) -> str:
    if seed is None:
        return uri
    return f"{uri}{'&' if '?' in uri else '?'}seed={seed}"


def _draw(
    source: TaskSource,
    start: int,
    count: int,
    duplicates: DuplicateFilter | None,
    counts: dict[str, Counter[str]],
    progress: Progress,
) -> Iterator[Task]:
    """Yield tasks until ``count`` are kept or the source ends; count their topics and types."""
    bar = progress.add_task("", total=min(count, len(source) - start))
    kept = 0
    for index in range(start, len(source)):
        if kept >= count:
            return
        task = source[index]
        if duplicates is not None and not duplicates.admit(task):
            continue
        kept += 1
        counts["topic"].update(task.metadata["topics"])
        counts["type"].update(set(task.metadata["types"]))
        counts["depth"][str(task.metadata["depth"])] += 1
        progress.advance(bar)
        yield task


def _print_task(task: Task, console: Console) -> None:
    console.print(f"[bold]{task.task_id}[/]", highlight=False)
    program = task.program(task.canonical_solution or "")
    console.print(Syntax(program.rstrip(), "python", background_color="default"))
    case = next(case for case in task.tests.cases if isinstance(case, CallCase))
    given = ", ".join(map(repr, case.args))
    console.print(f"f({given}) == {case.expected!r}", style="green", markup=False)
    console.print()


def _count_tables(counts: dict[str, Counter[str]], total: int) -> Iterator[Table]:
    for name, counter in counts.items():
        table = Table(name, "tasks", "share", title=f"tasks by {name}", title_justify="left")
        for key, number in sorted(counter.items(), key=lambda row: (-row[1], row[0])):
            table.add_row(escape(key), str(number), f"{number / max(1, total):.0%}")
        yield table


def _atom_table() -> Table:
    table = Table("topic", "atom", "types", "domain", "says", title="atoms", title_justify="left")
    smallest = {domain.level: name for name, domain in DOMAINS.items()}
    for topic in TOPICS:
        for atom in by_topic(topic):
            types = escape(f"{', '.join(atom.arguments)} -> {atom.returns}")
            table.add_row(topic, atom.name, types, smallest[atom.level], atom.phrases[0])
        table.add_section()
    return table


def _space_table() -> Table:
    """Count the chains of each domain: all by depth, and the splits at depth two."""
    table = Table(
        *("domain", "atoms", "depth 2", "3", "4", "A at depth 2", "B", "C"),
        title="number of chains",
        title_justify="left",
    )
    for name in DOMAINS:
        configs = [
            SynthesisConfig(domain=name, split=split) for split in (Split.A, Split.B, Split.C)
        ]
        space = configs[0].space
        depths = (f"{space.count(depth):,}" for depth in (2, 3, 4))
        sets = (str(len(members(config, 2))) for config in configs)
        table.add_row(name, str(len(space.atoms)), *depths, *sets)
    table.caption = f"{len(catalogue())} atoms in total; A is for training, B and C are held out"
    return table
