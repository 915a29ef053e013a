"""``codegym check KIND NAME``: runs the conformance suite of a plug-in."""

import importlib
from typing import Any

import click
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from codegym import registry
from codegym.checks.check_source import SourceReport, check_source
from codegym.checks.check_tokenizer import check_tokenizer, round_trips
from codegym.errors import ConformanceError, MissingExtraError, UnknownNameError
from codegym.tokenizers import make_tokenizer

# Kinds whose plug-ins the registry knows by name -> the group they are in.
_GROUPS = {
    "agent": "agents",
    "policy": "policies",
    "reward": "rewards",
    "sandbox": "sandboxes",
}
KINDS = (*_GROUPS, "env", "source", "tokenizer")


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

    KIND is agent, env, policy, reward, sandbox, source or tokenizer. NAME is the registered name, a
    task URI for a source, an id for an env; a tokenizer may have a folder (hf:FOLDER). Exit code 1
    means a broken contract, or tasks unfit for training.
    """
    if kind not in KINDS:
        raise UnknownNameError("kind of plug-in to check", kind, KINDS)
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
        UnknownNameError: The plug-in does not exist; names the nearest.
        MissingExtraError: The check needs a package that is not installed.
    """
    try:
        module = importlib.import_module(f"codegym.checks.check_{kind}")
    except ModuleNotFoundError as error:
        raise MissingExtraError(error.name or "torch", "agents") from error
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
    rules = Table(
        "contract", report.contract.name, title=report.uri, title_justify="left", show_edge=False
    )
    for label, text in report.contract.rows():
        rules.add_row(label, escape(text))
    console.print(rules)
    table = Table("finding", "tasks", "first", title_justify="left")
    for label, number, first in report.rows():
        table.add_row(label, str(number), escape(first))
    console.print(table)
    for cause, number in report.causes:
        console.print(f"canonical solution fails in {number} tasks: {escape(cause)}")
    run = "programs run in the sandbox" if report.judged else "no program was run"
    console.print(
        f"{report.checked} of {report.size} tasks checked, {report.unsolved} without a canonical "
        f"solution; ids, determinism and round trip hold; {run}."
    )
