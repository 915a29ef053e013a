"""``codegym check KIND NAME``: runs the conformance suite of a plug-in."""

import importlib
from typing import Any

import click

from codegym import registry
from codegym.checks.check_source import SourceReport, check_source
from codegym.checks.check_tokenizer import check_tokenizer, round_trips
from codegym.errors import ConformanceError, UnknownNameError
from codegym.measuring.output import Output, with_output
from codegym.measuring.result_table import Column, ResultTable, words
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
@with_output
def command(kind: str, name: str, count: int, judge: bool, output: Output) -> None:
    """Check that a plug-in keeps its contract.

    KIND is agent, env, policy, reward, sandbox, source or tokenizer. NAME is the registered name, a
    task URI for a source, an id for an env; a tokenizer may have a folder (hf:FOLDER). Exit code 1
    means a broken contract, or tasks unfit for training.
    """
    if kind not in KINDS:
        raise UnknownNameError("kind of plug-in to check", kind, KINDS)
    output.field(kind=kind, name=name, ok=True)
    try:
        if kind == "source":
            report = check_source(name, count=count, judge=judge)
            _show(report, output)
            if not report.ok:
                output.field(ok=False)
                raise SystemExit(1)
        elif kind == "tokenizer":
            _check_tokenizer(name, count, output)
        else:
            _check(kind, name)
    except ConformanceError as error:
        output.field(ok=False, broken=str(error))
        output.line(f"broken {error}", style="red")
        raise SystemExit(1) from None
    output.line(f"ok {kind} {name}", style="green")


def _check(kind: str, name: str) -> None:
    """Run ``codegym.checks.check_<kind>.check_<kind>`` on the plug-in of that name.

    Raises:
        UnknownNameError: The plug-in does not exist; names the nearest.
        ConformanceError: The contract is violated.
    """
    module = importlib.import_module(f"codegym.checks.check_{kind}")
    check: Any = vars(module)[f"check_{kind}"]
    check(registry.get(_GROUPS[kind], name) if kind in _GROUPS else name)


def _check_tokenizer(name: str, count: int, output: Output) -> None:
    tokenizer = make_tokenizer(name)
    check_tokenizer(tokenizer)
    rows = [
        (
            counts.origin,
            counts.texts,
            counts.characters,
            counts.tokens,
            counts.characters / max(counts.tokens, 1),
        )
        for counts in round_trips(tokenizer, count=count)
    ]
    heads = (words("round trip of"), "texts", "characters", "tokens")
    table = ResultTable((*heads, Column("characters per token", digits=2)), rows)
    output.table("round_trips", table)


def _show(report: SourceReport, output: Output) -> None:
    rules = ResultTable(
        (words("contract"), words(report.contract.name)),
        list(report.contract.rows()),
        title=report.uri,
    )
    output.table("contract", rules)
    heads = words("finding"), "tasks", words("first")
    output.table("findings", ResultTable(heads, list(report.rows())))
    output.field(checked=report.checked, size=report.size, unsolved=report.unsolved)
    output.field(causes={cause: number for cause, number in report.causes})
    for cause, number in report.causes:
        output.line(f"canonical solution fails in {number} tasks: {cause}")
    run = "programs run in the sandbox" if report.judged else "no program was run"
    output.line(
        f"{report.checked} of {report.size} tasks checked, {report.unsolved} without a canonical "
        f"solution; ids, determinism and round trip hold; {run}."
    )
