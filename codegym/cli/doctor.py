"""``codegym doctor``: shows which isolations work here, and how to repair the others."""

from dataclasses import asdict

import click
from rich.markup import escape
from rich.table import Table

from codegym.measuring.output import Output, with_output
from codegym.sandbox.doctor import examine

_MARKS = {"good": "[green]ok[/]", "missing": "[yellow]--[/]", "broken": "[red]!![/]"}


@click.command()
@with_output
def command(output: Output) -> None:
    """Check this machine and run programs in every isolation.

    The exit code is 0 if an isolation works, else 1.
    """
    diagnosis = examine()
    rows = [asdict(finding) for finding in diagnosis.findings]
    output.document({"chosen": diagnosis.chosen, "findings": rows})
    table = Table("", "what", box=None, pad_edge=False)
    table.add_column("found", overflow="fold")
    table.add_column("cure", overflow="fold")
    for finding in diagnosis.findings:
        mark, cure = _MARKS[finding.state], escape(finding.cure)
        table.add_row(mark, finding.name, escape(finding.found), cure)
    output.draw(table)
    if not diagnosis.ok:
        output.line("No isolation works on this machine: repair one of the two above.", style="red")
        raise SystemExit(1)
    output.line(f"isolation='auto' chooses {diagnosis.chosen}")
