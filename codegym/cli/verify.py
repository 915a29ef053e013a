"""``codegym verify``: judges the programs that a run kept again."""

from pathlib import Path
from typing import Any

import click
from rich.progress import track

from codegym.errors import ConfigError
from codegym.measuring.kept_programs import Regraded, regrade
from codegym.measuring.output import Output, with_output
from codegym.measuring.result_table import ResultTable, words
from codegym.sandbox import make_sandbox
from codegym.sources._records import read_records

_PIECE = 512
_SHOWN = 20


@click.command()
@click.argument("path", type=click.Path(path_type=Path))
@click.option("--tasks", default="", help="URI of the tasks, instead of the one that was kept.")
@click.option("--limit", type=click.IntRange(min=1), help="Judge this many, spread over the file.")
@click.option("--isolation", default="auto", show_default=True, help="Kind of sandbox.")
@click.option("--workers", type=click.IntRange(min=1), help="Number of programs run in parallel.")
@with_output
def command(
    path: Path,
    tasks: str,
    limit: int | None,
    isolation: str,
    workers: int | None,
    output: Output,
) -> None:
    """Judge kept programs again and say whether their verdicts are the same.

    PATH is a run's folder, or a file of kept programs. Exit code 0: all verdicts are the same; 1:
    some differ.
    """
    rows = [row for file in kept_files(path) for row in _judged(file)]
    if not rows:
        raise ConfigError("no kept program has a verdict", value=str(path))
    if limit is not None and limit < len(rows):
        rows = [rows[number * len(rows) // limit] for number in range(limit)]
    again: list[Regraded] = []
    with make_sandbox(isolation, workers=workers) as sandbox:
        starts = range(0, len(rows), _PIECE)
        for start in track(starts, "judging", console=output.notes, transient=True):
            again += regrade(rows[start : start + _PIECE], sandbox=sandbox, tasks=tasks)
    differ = [each for each in again if each.difference]
    shown = differ if output.verbose or not output.is_text else differ[:_SHOWN]
    output.field(programs=len(again), differ=len(differ))
    if differ:
        heads = words("task", "task_id"), words("file"), "sample", words("difference")
        cells = [
            (each.row["task_id"], each.row["file"], each.row.get("sample"), each.difference)
            for each in shown
        ]
        output.table("differences", ResultTable(heads, cells))
        output.line(f"{len(differ)} of {len(again)} verdicts differ", style="red")
        raise SystemExit(1)
    output.line(f"{len(again)} programs judged again: all verdicts are the same", style="green")


def kept_files(path: Path) -> list[Path]:
    """Return the files of kept programs of a run's folder, or the file itself.

    Raises:
        ConfigError: There is none.
    """
    if path.is_file():
        return [path]
    patterns = "programs.jsonl", "training_programs.jsonl*", "evaluations/*/programs.jsonl"
    files = [file for pattern in patterns for file in sorted(path.glob(pattern))]
    if not files:
        raise ConfigError(
            "no kept programs",
            value=str(path),
            expected="the folder of a run, or a file of kept programs",
        )
    return files


def _judged(file: Path) -> list[dict[str, Any]]:
    """Return the rows of a file that have a verdict, each with the file's name."""
    rows = []
    for record in read_records(file):
        if not isinstance(record.row.get("program"), str) or "verdict" not in record.row:
            raise record.error("not a row of kept programs", field="program")
        if record.row["verdict"] is not None:
            rows.append({**record.row, "file": file.name})
    return rows
