"""``codegym serve``: the grader as a service over HTTP."""

import asyncio
from contextlib import ExitStack
from pathlib import Path

import click

from codegym.errors import ConfigError
from codegym.grading.verdict_cache import VerdictCache
from codegym.measuring.output import Output, with_output
from codegym.measuring.result_table import Column, ResultTable, words
from codegym.sandbox import make_sandbox
from codegym.service.gate import is_loopback
from codegym.service.grading_service import GradingService
from codegym.service.served_tasks import Bounds, ServedTasks
from codegym.service.serving import TOKEN_VARIABLE, Server, check_exposure, listening, read_token
from codegym.training.interrupts import Interrupted, stopping_on_signals, this_command

_USUAL = Bounds()


@click.command()
@click.argument("sources", nargs=-1)
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=8080, show_default=True, help="Port; 0 takes any free one.")
@click.option("--isolation", default="auto", show_default=True, help="Kind of sandbox.")
@click.option("--workers", type=int, help="Programs run in parallel.  [default: two per core]")
@click.option("--package", "packages", multiple=True, help="Installed package to offer inside.")
@click.option("--cache", type=click.Path(path_type=Path), help="File of cached verdicts.")
@click.option(
    "--token-file",
    type=click.Path(path_type=Path),
    help=f"File of the token that clients must know.  [default: ${TOKEN_VARIABLE}, if set]",
)
@click.option("--without-token", is_flag=True, help="Serve other machines without a token.")
@click.option("--queue", default=4096, show_default=True, help="Programs that may wait.")
@click.option("--batch", default=_USUAL.batch, show_default=True, help="Programs of a request.")
@click.option("--body-mb", default=_USUAL.body_bytes >> 20, show_default=True, help="Request size.")
@click.option("--wall-s", default=_USUAL.wall_s, show_default=True, help="Longest run allowed.")
@click.option(
    "--memory-mb", default=_USUAL.memory_bytes >> 20, show_default=True, help="Most memory allowed."
)
@click.option("--drain-s", default=60.0, show_default=True, help="Time to answer when ending.")
@with_output
def command(
    sources: tuple[str, ...],
    host: str,
    port: int,
    isolation: str,
    workers: int | None,
    packages: tuple[str, ...],
    cache: Path | None,
    token_file: Path | None,
    without_token: bool,
    queue: int,
    batch: int,
    body_mb: int,
    wall_s: float,
    memory_mb: int,
    drain_s: float,
    output: Output,
) -> None:
    """Serve the grader over HTTP until a signal ends it.

    SOURCES are task URIs whose tasks requests may name by id; whole tasks in requests need none.
    The first signal refuses new programs and answers those under way, the second ends at once.
    """
    token = read_token(token_file)
    check_exposure(host, token, without_token=without_token)
    bounds = _bounds(queue=queue, batch=batch, body_mb=body_mb, wall_s=wall_s, memory_mb=memory_mb)
    tasks = ServedTasks(sources, bounds)
    with ExitStack() as stack:
        socket = stack.enter_context(listening(host, port))
        sandbox = stack.enter_context(make_sandbox(isolation, workers=workers, packages=packages))
        kept = VerdictCache(cache) if cache else None
        if kept is not None:
            stack.callback(kept.close)
        service = GradingService(sandbox, tasks, most_waiting=queue, cache=kept)
        stack.callback(service.close)
        server = Server(service, host=host, token=token, drain_s=drain_s)
        shown = f"[{host}]" if ":" in host else host
        address = f"http://{shown}:{socket.getsockname()[1]}"
        with_token = "a token is needed" if token else "no token is needed"
        output.notes.print(
            f"serving on {address} ({sandbox.isolation}, {len(tasks)} tasks; {with_token})",
            soft_wrap=True,
            highlight=False,
        )
        if not token and not is_loopback(host):
            output.notes.print(
                f"WARNING: everybody who reaches {host} can run programs here", style="bold red"
            )
        with stopping_on_signals(server.end):
            asyncio.run(server.serve(sockets=[socket]))
        _report(service, output)
        if server.ended_by:
            output.finish()
            raise _interrupted(server.ended_by, service)


def _bounds(*, queue: int, batch: int, body_mb: int, wall_s: float, memory_mb: int) -> Bounds:
    given = {"queue": queue, "batch": batch, "body-mb": body_mb, "memory-mb": memory_mb}
    for name, value in (*given.items(), ("wall-s", wall_s)):
        if not value > 0:
            raise ConfigError(f"unusable --{name}", value=value, expected="above 0")
    if batch > queue:
        raise ConfigError(
            "a full request would never be admitted",
            value=f"--batch {batch}",
            expected=f"at most --queue {queue}",
        )
    return Bounds(
        body_bytes=body_mb << 20, batch=batch, wall_s=wall_s, memory_bytes=memory_mb << 20
    )


def _report(service: GradingService, output: Output) -> None:
    metrics = service.metrics
    left = service.queue.waiting + service.queue.under_way
    rows = [
        ("verdicts served", metrics.verdicts),
        ("programs without a verdict", metrics.faults),
        ("programs dropped, since their client went away", metrics.dropped),
        ("programs under way at the end", left),
    ]
    output.table("served", ResultTable((words("what"), Column("programs")), rows))


def _interrupted(number: int, service: GradingService) -> Interrupted:
    interrupted = Interrupted(number)
    left = service.queue.waiting + service.queue.under_way
    unanswered = f"{left} programs were not answered" if left else "every request was answered"
    interrupted.saved = f"{service.metrics.verdicts} verdicts, sent to their clients; {unanswered}"
    interrupted.again = this_command()
    return interrupted
