"""``codegym doctor``: shows which isolations work here, and how to repair the others."""

import json
from dataclasses import asdict

import click
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from codegym.sandbox.doctor import examine

_MARKS = {"good": "[green]ok[/]", "missing": "[yellow]--[/]", "broken": "[red]!![/]"}


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print the findings as JSON.")
def command(as_json: bool) -> None:
    """Check this machine and run programs in every isolation.

    The exit code is 0 if an isolation works, else 1.
    """
    diagnosis = examine()
    if as_json:
        rows = [asdict(finding) for finding in diagnosis.findings]
        click.echo(json.dumps({"chosen": diagnosis.chosen, "findings": rows}, indent=2))
        raise SystemExit(0 if diagnosis.ok else 1)
    table = Table("", "what", box=None, pad_edge=False)
    table.add_column("found", overflow="fold")
    table.add_column("cure", overflow="fold")
    for finding in diagnosis.findings:
        mark, cure = _MARKS[finding.state], escape(finding.cure)
        table.add_row(mark, finding.name, escape(finding.found), cure)
    console = Console()
    console.print(table)
    if not diagnosis.ok:
        console.print("[red]No isolation works on this machine[/]: repair one of the two above.")
        raise SystemExit(1)
    console.print(f"isolation='auto' chooses [bold]{diagnosis.chosen}[/]")
