"""Tables: the same rows as text, CSV, LaTeX, Markdown and JSON."""

import csv
import io

from rich.console import Console

from codegym.measuring.result_table import Column, Difference, ResultTable, words
from codegym.measuring.statistics import Interval

TABLE = ResultTable(
    (words("agent"), "pass@1", Column("gain"), Column("programs", digits=0)),
    [
        ("rft_[x]", Interval(0.5, 0.4, 0.6), Difference(Interval(0.0, -0.01, 0.01)), 1280.0),
        (None, None, None, None),
        ("a & b", Interval(0.0, 0.0, 0.02), None, 7.0),
    ],
    title="gains of 50 %",
)


def test_text_shows_every_cell_and_no_markup_is_read() -> None:
    console = Console(width=120, file=io.StringIO(), record=True)
    console.print(TABLE.rich())
    text = console.export_text()
    for cell in ("rft_[x]", "0.500 [0.400, 0.600]", "+0.000 [-0.010, +0.010]", "1,280", "50 %"):
        assert cell in text


def test_csv_spreads_intervals_over_three_columns() -> None:
    rows = list(csv.DictReader(io.StringIO(TABLE.csv())))
    assert list(rows[0]) == ["agent", "pass_at_1", "pass_at_1_low", "pass_at_1_high",
                             "gain", "gain_low", "gain_high", "programs"]  # fmt: skip
    assert [row["agent"] for row in rows] == ["rft_[x]", "a & b"]
    assert rows[0]["gain_low"] == "-0.01" and rows[1]["gain"] == ""


def test_latex_escapes_what_latex_reads() -> None:
    text = TABLE.latex()
    assert "a \\& b & 0.000 [0.000, 0.020] &  & 7 \\\\" in text
    assert "rft\\_[x]" in text and text.count("\\midrule") == 2 and "{lrrr}" in text


def test_json_keeps_the_numbers() -> None:
    first, second = TABLE.json()
    assert first["pass_at_1"] == {"mean": 0.5, "low": 0.4, "high": 0.6}
    assert first["gain"]["low"] == -0.01 and second["gain"] is None
    assert second["programs"] == 7.0


def test_markdown_has_a_line_for_each_row() -> None:
    lines = TABLE.markdown().splitlines()
    assert len(lines) == 4 and lines[1] == "| --- | ---: | ---: | ---: |"
