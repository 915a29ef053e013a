"""Result table: rows of figures, written for the terminal, as CSV, LaTeX, Markdown or JSON."""

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from rich.markup import escape
from rich.table import Table

from codegym.measuring.statistics import Interval


@dataclass(frozen=True, slots=True)
class Difference:
    """A difference with its 95 % interval; it is written with signs."""

    interval: Interval

    def __str__(self) -> str:
        return self.interval.signed()


Cell = str | int | float | None | Interval | Difference

_LATEX = str.maketrans(
    {
        "\\": r"\textbackslash{}",
        "{": r"\{",
        "}": r"\}",
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
        **{char: f"\\{char}" for char in "&%$#_"},
    }
)


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table.

    Attributes:
        name: Its head.
        digits: Digits after the point of its numbers.
        key: Its key in JSON; the name with underscores by default.
        words: Whether it holds text, which is set to the left.
    """

    name: str
    digits: int = 3
    key: str = ""
    words: bool = False

    @property
    def json_key(self) -> str:
        """Return the key of this column in JSON."""
        return self.key or "_".join(self.name.replace("@", " at ").split()).lower() or "name"


def words(name: str, key: str = "") -> Column:
    """Return a column of text."""
    return Column(name, key=key, words=True)


@dataclass(frozen=True, slots=True)
class ResultTable:
    """A table of results.

    Attributes:
        columns: The columns; a plain name is a column of figures.
        rows: The cells; a row of None alone is a line between sections.
        title: Title, "" for none.
        caption: Line below the table, "" for none.
    """

    columns: Sequence[Column | str]
    rows: Sequence[Sequence[Cell]]
    title: str = ""
    caption: str = ""
    heads: tuple[Column, ...] = field(init=False)

    def __post_init__(self) -> None:
        heads = tuple(
            Column(column) if isinstance(column, str) else column for column in self.columns
        )
        object.__setattr__(self, "heads", heads)

    def texts(self) -> list[list[str]]:
        """Return the cells as text, without the lines between sections."""
        return [
            [_text(cell, column) for cell, column in zip(row, self.heads, strict=True)]
            for row in self.body()
        ]

    def body(self) -> list[Sequence[Cell]]:
        """Return the rows without the lines between sections."""
        return [row for row in self.rows if not _is_line(row)]

    def rich(self) -> Table:
        """Draw the table for a terminal."""
        drawn = Table(
            title=escape(self.title) or None,
            caption=escape(self.caption) or None,
            title_justify="left",
            caption_justify="left",
        )
        for column in self.heads:
            drawn.add_column(
                escape(column.name), justify="left" if column.words else "right", overflow="fold"
            )
        for row in self.rows:
            if _is_line(row):
                drawn.add_section()
            else:
                cells = zip(row, self.heads, strict=True)
                drawn.add_row(*(escape(_text(cell, column)) for cell, column in cells))
        return drawn

    def csv(self) -> str:
        """Return the table as CSV; an interval takes three columns."""
        file = io.StringIO()
        writer = csv.writer(file, lineterminator="\n")
        body = self.body()
        spread = [
            any(isinstance(row[place], Interval | Difference) for row in body)
            for place in range(len(self.heads))
        ]
        heads = [column.json_key for column in self.heads]
        writer.writerow(_flat((_csv_heads(head) for head in heads), spread))
        for row in body:
            writer.writerow(_flat(map(_csv_cells, row), spread))
        return file.getvalue()

    def latex(self) -> str:
        """Return the table in LaTeX, with the rules of the package booktabs."""
        layout = "".join("l" if column.words else "r" for column in self.heads)
        heads = " & ".join(column.name.translate(_LATEX) for column in self.heads)
        lines = [f"\\begin{{tabular}}{{{layout}}}", "\\toprule", f"{heads} \\\\", "\\midrule"]
        for row in self.rows:
            if _is_line(row):
                lines.append("\\midrule")
                continue
            cells = (_text(cell, column) for cell, column in zip(row, self.heads, strict=True))
            lines.append(" & ".join(cell.translate(_LATEX) for cell in cells) + " \\\\")
        lines += ["\\bottomrule", "\\end{tabular}"]
        title = [f"% {self.title}"] if self.title else []
        return "\n".join([*title, *lines]) + "\n"

    def markdown(self) -> str:
        """Return the table in Markdown."""
        heads = [column.name for column in self.heads]
        rules = ["---" if column.words else "---:" for column in self.heads]
        lines = [heads, rules, *self.texts()]
        return "\n".join(
            "| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines
        )

    def json(self) -> list[dict[str, Any]]:
        """Return the rows as JSON values."""
        keys = [column.json_key for column in self.heads]
        return [
            {key: _value(cell) for key, cell in zip(keys, row, strict=True)} for row in self.body()
        ]


def _is_line(row: Sequence[Cell]) -> bool:
    return bool(row) and all(cell is None for cell in row)


def _text(cell: Cell, column: Column) -> str:
    if isinstance(cell, float):
        return f"{cell:,.{column.digits}f}"
    if isinstance(cell, int) and not isinstance(cell, bool):
        return f"{cell:,}"
    return "" if cell is None else str(cell)


def _value(cell: Cell) -> Any:
    if isinstance(cell, Interval | Difference):
        interval = cell.interval if isinstance(cell, Difference) else cell
        return {"mean": interval.mean, "low": interval.low, "high": interval.high}
    return cell


def _csv_heads(head: str) -> list[Any]:
    return [head, f"{head}_low", f"{head}_high"]


def _csv_cells(cell: Cell) -> list[Any]:
    value = _value(cell)
    if isinstance(value, dict):
        return [value["mean"], value["low"], value["high"]]
    return ["" if value is None else value, "", ""]


def _flat(groups: Iterable[list[Any]], spread: Sequence[bool]) -> list[Any]:
    """Join cells; those of a column without intervals have the first of three only."""
    return [
        cell
        for group, wide in zip(groups, spread, strict=True)
        for cell in (group if wide else group[:1])
    ]
