"""``codegym check KIND NAME``: runs the conformance suite of a plug-in."""

import importlib
import pkgutil
from typing import Any

import click
from rich.console import Console
from rich.markup import escape
from rich.table import Table

import codegym.checks
from codegym import registry
from codegym.checks.check_source import SourceReport, check_source
from codegym.checks.check_tokenizer import check_tokenizer, round_trips
from codegym.errors import ConformanceError, UnknownNameError
from codegym.tokenizers import make_tokenizer

_GROUPS = {
    "agent": "agents",
    "policy": "policies",
    "reward": "rewards",
    "sandbox": "sandboxes",
}


@click.command()
@click.argument("kind")
@click.argument("name")
@click.option(
    "--count",
    default=200,
    show_default=True,
    type=click.IntRange(min=1),
    help="Number of tasks (source) or of texts of each origin (tokenizer) to check.",
)
@click.option("--judge/--no-judge", default=True, help="Run programs in the sandbox (source).")
def command(kind: str, name: str, count: int, judge: bool) -> None:
    """Check that a plug-in keeps its contract.

    KIND is source, agent, env, policy, reward, sandbox or tokenizer. NAME is the registered name, a
    task URI for a source, an id for an env; a tokenizer may have a folder (hf:FOLDER). Exit code 1
    means a broken contract, or tasks unfit for training.
    """
    console = Console()
    try:
        if kind == "source":
            report = check_source(name, count=count, judge=judge)
            _show(report, console)
            if not report.ok:
                raise SystemExit(1)
        elif kind == "tokenizer":
            _check_tokenizer(name, count, console)
        else:
            _check(kind, name)
    except ConformanceError as error:
        console.print(f"[red]broken[/] {escape(str(error))}")
        raise SystemExit(1) from None
    console.print(f"[green]ok[/] {kind} {escape(name)}")


def _check(kind: str, name: str) -> None:
    """Run ``codegym.checks.check_<kind>.check_<kind>`` on the plug-in of that name.

    Raises:
        UnknownNameError: The check or the plug-in does not exist.
    """
    modules = {module.name for module in pkgutil.iter_modules(codegym.checks.__path__)}
    known = {
        "source",
        "tokenizer",
        *(group for group in (*_GROUPS, "env") if f"check_{group}" in modules),
    }
    if kind not in known:
        raise UnknownNameError("kind of plug-in to check", kind, known)
    module = importlib.import_module(f"codegym.checks.check_{kind}")
    check: Any = vars(module)[f"check_{kind}"]
    check(registry.get(_GROUPS[kind], name) if kind in _GROUPS else name)


def _check_tokenizer(name: str, count: int, console: Console) -> None:
    tokenizer = make_tokenizer(name)
    check_tokenizer(tokenizer)
    table = Table("round trip of", "texts", "characters", "tokens", "characters per token")
    for counts in round_trips(tokenizer, count=count):
        ratio = f"{counts.characters / max(counts.tokens, 1):.2f}"
        numbers = (counts.texts, counts.characters, counts.tokens)
        table.add_row(counts.origin, *(f"{number:,}" for number in numbers), ratio)
    console.print(table)


def _show(report: SourceReport, console: Console) -> None:
    table = Table("finding", "tasks", "first", title=report.uri, title_justify="left")
    for label, number, first in report.rows():
        table.add_row(label, str(number), escape(first))
    console.print(table)
    run = "programs run in the sandbox" if report.judged else "no program was run"
    console.print(
        f"{report.checked} of {report.size} tasks checked, {report.unsolved} without a canonical "
        f"solution; ids, determinism and round trip hold; {run}."
    )
