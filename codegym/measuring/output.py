"""Output of a command: its results as text, JSON, CSV or LaTeX, and what -q and -v change."""

import json
from collections.abc import Callable
from functools import wraps
from typing import Any

import click
from rich.console import Console, RenderableType
from rich.markup import escape

from codegym.errors import ConfigError
from codegym.measuring.result_table import ResultTable

# Where the output is a file or a pipe, a wide table is more readable than a folded table.
_WIDE = 160


class Output:
    """Writes the results of a command.

    Args:
        form: ``text``, ``json``, ``csv`` or ``latex``.
        quiet: Whether only the results are written: no progress and no notes.
        verbose: Whether details are written too.

    Attributes:
        console: Standard output, for results as text.
        notes: Standard error, for progress and notes; writes nothing where ``quiet``.
    """

    def __init__(self, form: str = "text", *, quiet: bool = False, verbose: bool = False) -> None:
        self.form, self.quiet, self.verbose = form, quiet, verbose
        self.console = Console(soft_wrap=False)
        if not self.console.is_terminal:
            self.console.width = max(self.console.width, _WIDE)
        self.notes = Console(stderr=True, quiet=quiet)
        self._document: Any = None
        self._fields: dict[str, Any] = {}
        self._tables: list[ResultTable] = []

    @property
    def is_text(self) -> bool:
        """Whether people read the output."""
        return self.form == "text"

    def table(self, key: str, table: ResultTable) -> None:
        """Write a table; in JSON it is a list of rows under ``key``."""
        self._fields[key] = table.json()
        self._tables.append(table)
        if self.is_text:
            self.console.print(table.rich())

    def field(self, **values: Any) -> None:
        """Add values that only the JSON holds."""
        self._fields |= values

    def document(self, value: Any) -> None:
        """Set the whole JSON output, instead of the tables and fields."""
        self._document = value

    def line(self, text: str, *, style: str | None = None) -> None:
        """Write a line of text for people, without markup; it is never folded."""
        if self.is_text:
            self.console.print(escape(text), style=style, highlight=False, soft_wrap=True)

    def remark(self, text: str) -> None:
        """Write a line for people that is no result; ``-q`` leaves it out."""
        if not self.quiet:
            self.line(text)

    def detail(self, text: str) -> None:
        """Write a line that only ``-v`` asks for, to standard error."""
        if self.verbose:
            self.notes.print(escape(text), highlight=False, soft_wrap=True)

    def draw(self, drawing: RenderableType) -> None:
        """Write something that rich draws."""
        if self.is_text:
            self.console.print(drawing)

    def finish(self) -> None:
        """Write what was collected, in the forms that machines read.

        Raises:
            ConfigError: CSV or LaTeX of a command without tables.
        """
        if self.form == "json":
            value = self._fields if self._document is None else self._document
            click.echo(json.dumps(value, indent=2, default=str))
        elif self.form in ("csv", "latex"):
            if not self._tables:
                raise ConfigError(
                    f"there is no table for --{self.form}", cure="leave it out, or --json"
                )
            parts = (getattr(table, self.form)() for table in self._tables)
            click.echo("\n".join(parts), nl=False)


def with_output(function: Callable[..., None]) -> Callable[..., None]:
    """Decorate a command with ``--json``, ``--csv``, ``--latex``, ``-q`` and ``-v``.

    The command gets an ``Output`` as its argument ``output``, whose results are written when the
    command returns or exits with a code; not after an error.
    """

    @click.option("--json", "form", flag_value="json", help="Write the results as JSON.")
    @click.option("--csv", "form", flag_value="csv", help="Write the tables as CSV.")
    @click.option("--latex", "form", flag_value="latex", help="Write the tables in LaTeX.")
    @click.option("-q", "--quiet", is_flag=True, help="Write the results alone: no progress.")
    @click.option("-v", "--verbose", is_flag=True, help="Write details; of an error, where.")
    @wraps(function)
    def wrapped(form: str | None, quiet: bool, verbose: bool, **settings: Any) -> None:
        output = Output(form or "text", quiet=quiet, verbose=verbose)
        try:
            function(output=output, **settings)
        except SystemExit:
            output.finish()
            raise
        output.finish()

    return wrapped
