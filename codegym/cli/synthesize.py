"""``codegym synthesize``: shows the atoms, shows composed tasks, writes them to a file."""

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import click
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from codegym.atoms import TOPICS, by_topic, catalogue
from codegym.errors import ConfigError
from codegym.measuring.output import Output, with_output
from codegym.measuring.result_table import Cell, Column, ResultTable, words
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
@with_output
def command(
    tasks: str,
    seed: int | None,
    show: int,
    atoms: bool,
    count: int,
    start: int,
    out: Path | None,
    keep_duplicates: bool,
    output: Output,
) -> None:
    """Compose tasks from the 100 atomic functions.

    TASKS is a task URI whose options set the difficulty, such as
    "composites?domain=big&depth=2-3&split=test" or "atoms?topic=strings". Without --show, --atoms
    and --out, tables summarise the tasks.
    """
    source = load_tasks(_with_seed(tasks, seed))
    if not isinstance(source, ProceduralSource):
        raise ConfigError(
            "not a source of composed tasks", value=tasks, expected="atoms?... or composites?..."
        )
    if atoms:
        output.table("atoms", _atom_table())
    shown = [source[index] for index in range(start, min(start + show, len(source)))]
    for task in shown:
        _print_task(task, output)
    if shown:
        output.field(tasks=[task.to_json() for task in shown])
    if atoms or (show and out is None):
        return
    progress = Progress(
        TextColumn("composing"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=output.notes,
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
    output.field(written=written)
    for table in _count_tables(counts, written):
        output.table(f"by_{table.heads[0].name}", table)
    if out is None:
        output.table("chains", _space_table())
        return
    output.line(f"{written} tasks written to {out}")
    if filtering is not None:
        output.field(same_code=filtering.by_ast, same_behaviour=filtering.by_behaviour)
        output.line(
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


def _print_task(task: Task, output: Output) -> None:
    output.line(task.task_id, style="bold")
    output.line(task.program(task.canonical_solution or "").rstrip())
    case = next(case for case in task.tests.cases if isinstance(case, CallCase))
    given = ", ".join(map(repr, case.args))
    output.line(f"f({given}) == {case.expected!r}\n", style="green")


def _count_tables(counts: dict[str, Counter[str]], total: int) -> Iterator[ResultTable]:
    for name, counter in counts.items():
        rows = [
            (key, number, number / max(1, total))
            for key, number in sorted(counter.items(), key=lambda row: (-row[1], row[0]))
        ]
        heads = words(name), "tasks", Column("share", digits=2)
        yield ResultTable(heads, rows, title=f"tasks by {name}")


def _atom_table() -> ResultTable:
    smallest = {domain.level: name for name, domain in DOMAINS.items()}
    rows: list[tuple[str | None, ...]] = []
    for topic in TOPICS:
        for atom in by_topic(topic):
            types = f"{', '.join(atom.arguments)} -> {atom.returns}"
            rows.append((topic, atom.name, types, smallest[atom.level], atom.phrases[0]))
        rows.append((None,) * 5)
    heads = map(words, ("topic", "atom", "types", "domain", "says"))
    return ResultTable(tuple(heads), rows, title="atoms")


def _space_table() -> ResultTable:
    """Count the chains of each domain: all by depth, and the splits at depth two."""
    rows: list[Sequence[Cell]] = []
    for name in DOMAINS:
        configs = [
            SynthesisConfig(domain=name, split=split) for split in (Split.A, Split.B, Split.C)
        ]
        space = configs[0].space
        depths = (space.count(depth) for depth in (2, 3, 4))
        rows.append(
            (name, len(space.atoms), *depths, *(len(members(config, 2)) for config in configs))
        )
    return ResultTable(
        (words("domain"), "atoms", "depth 2", "depth 3", "depth 4", "A at depth 2", "B", "C"),
        rows,
        title="number of chains",
        caption=f"{len(catalogue())} atoms in total; A is for training, B and C are held out",
    )
