"""``codegym show``: pages of runs, episodes and comparisons; served live with ``--serve``."""

import re
import webbrowser
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import click

from codegym.errors import CodegymError, ConfigError
from codegym.measuring.output import Output, with_output
from codegym.measuring.result_table import Cell, Difference, ResultTable, words
from codegym.measuring.run_reading import RunFiles, leaderboard, programs_of, view_in_run
from codegym.measuring.statistics import Interval
from codegym.pages import episode_page, leaderboard_page, run_page
from codegym.sources._records import read_records

_REFRESH_S = 5


@click.command()
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path, exists=True))
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    help="File of the page.  [default: page.html in the run's folder, else codegym.html here]",
)
@click.option("--row", type=click.IntRange(min=1), default=1, help="Program of a file to show.")
@click.option("--serve", is_flag=True, help="Serve the page at localhost; it follows the run.")
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="Port; 0 takes a free one.")
@click.option("--open/--no-open", "opened", default=False, help="Open the page in a browser.")
@with_output
def command(
    paths: tuple[Path, ...],
    out: Path | None,
    row: int,
    serve: bool,
    port: int,
    opened: bool,
    output: Output,
) -> None:
    """Write a page of self-contained HTML: of a run, of kept programs, or of several runs.

    PATHS is the folder of a run, a file of kept programs, or several runs' folders or a folder of
    them (bench learning, reproduce), whose leaderboard is written.
    """
    runs = _runs(paths)
    make: Callable[[int], str]
    if len(paths) == 1 and paths[0].is_file():
        default, make = Path("codegym.html"), lambda refresh: _episode(paths[0], row)
    elif len(runs) == 1:
        default, make = runs[0] / "page.html", lambda refresh: _run(runs[0], refresh)
    else:
        default = (paths[0] if len(paths) == 1 else Path()) / "leaderboard.html"
        make = lambda refresh: leaderboard_page.draw(_board(runs))  # noqa: E731
        output.table("leaderboard", _table(_board(runs)))
    if serve:
        serve_page(make, port, opened, output)
        return
    page = out or default
    page.write_text(make(0), encoding="utf-8")
    output.field(page=str(page))
    output.line(f"page    {page}")
    if opened:
        webbrowser.open(page.resolve().as_uri())


def _runs(paths: tuple[Path, ...]) -> list[Path]:
    """Return the folders of runs among some paths and in them.

    Raises:
        ConfigError: There is none, and no single file either.
    """
    runs: list[Path] = []
    for path in paths:
        if (path / "config.yaml").is_file():
            runs.append(path)
        elif path.is_dir():
            runs += sorted(file.parent for file in path.glob("**/config.yaml"))
    if not runs and not (len(paths) == 1 and paths[0].is_file()):
        raise ConfigError(
            "nothing to show",
            value=[str(path) for path in paths],
            expected="a run's folder, a folder of runs, or a file of kept programs",
        )
    return runs


def _run(path: Path, refresh_s: int) -> str:
    run = RunFiles.read(path)
    best, worst = programs_of(run)
    return run_page.draw(
        run_page.RunContent(
            name=path.resolve().name,
            config=run.config,
            metrics=run.metrics,
            curve=run.curve,
            summary=run.summary,
            departures=run.departures or _departures(run.config),
            notes=run.notes,
            best=best,
            worst=worst,
            refresh_s=0 if run.complete else refresh_s,
        )
    )


def _departures(config: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the departures of a run without a report; {} where what trains is not installed."""
    try:
        from codegym.training.session import departures_of, make_config

        return dict(departures_of(make_config(config)))
    except (CodegymError, ModuleNotFoundError):
        return {}


def _episode(path: Path, number: int) -> str:
    records = read_records(path)
    if number > len(records):
        raise ConfigError("no such row", value=number, expected=f"1 to {len(records)}")
    record = records[number - 1]
    if not isinstance(record.row.get("program"), str):
        raise record.error("not a row of kept programs", field="program")
    return episode_page.draw(view_in_run(path, dict(record.row)))


def _board(paths: list[Path]) -> list[dict[str, Any]]:
    rows = leaderboard([RunFiles.read(path) for path in paths])
    if not rows:
        raise ConfigError("no run is complete", value=[str(path) for path in paths])
    return rows


def _table(board: list[dict[str, Any]]) -> ResultTable:
    hidden = any(row["hidden_gap"] for row in board)
    rows: list[tuple[Cell, ...]] = [
        (
            row["label"],
            row["kind"],
            len(row["seeds"]),
            Interval(**row["before"]),
            Interval(**row["after"]),
            Difference(Interval(**row["gain"])),
            *([Interval(**row["hidden_gap"]) if row["hidden_gap"] else None] if hidden else ()),
        )
        for row in board
    ]
    heads = (
        *(words("run"), words("programs", "kind"), "seeds", "before", "after", "gain"),
        *(("hidden-test gap",) if hidden else ()),
    )
    return ResultTable(heads, rows, title="pass@1 on held-out tasks, 95 % intervals over tasks")


def serve_page(make: Callable[[int], str], port: int, opened: bool, output: Output) -> None:
    """Serve a page at localhost until Ctrl-C; it is made anew for every request."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            # Another site's name may be made to lead here; its pages are to read nothing.
            host = self.headers.get("Host", "").partition(":")[0]
            if self.path != "/" or host not in ("127.0.0.1", "localhost"):
                self.send_error(404)
                return
            body = make(_REFRESH_S).encode()
            self.send_response(200)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            output.detail(re.sub(r"\s+", " ", format % args))

    with ThreadingHTTPServer(("127.0.0.1", port), Handler) as server:
        address = f"http://127.0.0.1:{server.server_port}/"
        output.field(address=address)
        click.echo(f"{address} follows the run; Ctrl-C ends it", err=not output.is_text)
        if opened:
            webbrowser.open(address)
        server.serve_forever()
