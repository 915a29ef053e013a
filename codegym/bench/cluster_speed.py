"""``codegym bench cluster``: the sandbox ``ray`` beside a pool of this machine on the same cores.

Both take turns on the same programs in one run. Beside programs per second it measures processor
seconds per program of everything that this process started, Ray's own processes included, which a
busy machine disturbs less. Without ``--address`` a small cluster is started here and ended.
"""

import os
import statistics
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import click

from codegym.bench.executors import PROGRAM
from codegym.bench.sandbox_speed import trivial_tasks
from codegym.bench.small_cluster import small_cluster
from codegym.bench.soak import descendants
from codegym.cluster.fleet_sandbox import FleetSandbox
from codegym.cluster.ray_connection import hold, release
from codegym.errors import ConfigError
from codegym.grading.judge import judge_many
from codegym.measuring.output import Output, with_output
from codegym.measuring.result_table import Column, ResultTable, words
from codegym.sandbox import Sandbox, make_sandbox
from codegym.tasks.task import Task

_TICKS = os.sysconf("SC_CLK_TCK")
# Programs that take this long each show what the way to a node costs a real program.
_WORK = "def f(x):\n    return x + 1 + 0 * sum(i * i for i in range({work}))\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """One sandbox's turn.

    Attributes:
        per_s: Programs per second.
        cpu_ms: Processor milliseconds per program, of this process and all below it.
    """

    per_s: float
    cpu_ms: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Both sandboxes on one kind of program.

    Attributes:
        programs: Kind of program.
        local, ray: The turns of each, in pairs.
    """

    programs: str
    local: Sequence[Turn]
    ray: Sequence[Turn]

    def ratio(self, figure: str) -> float:
        """Return the median over the rounds of Ray's figure over the local figure."""
        pairs = zip(self.ray, self.local, strict=True)
        return float(statistics.median(getattr(a, figure) / getattr(b, figure) for a, b in pairs))

    def median(self, of: str, figure: str) -> float:
        """Return the median of a figure of ``local`` or ``ray``."""
        return float(statistics.median(getattr(each, figure) for each in getattr(self, of)))


def cpu_s() -> float:
    """Return the processor seconds of this process, of its descendants, and of those that ended."""
    total = 0
    for pid in (os.getpid(), *descendants(os.getpid())):
        try:
            with open(f"/proc/{pid}/stat") as file:
                fields = file.read().rpartition(")")[2].split()
        except OSError:
            continue
        total += sum(map(int, fields[11:15]))
    return total / _TICKS


def turn(sandbox: Sandbox, pairs: Sequence[tuple[str, Task]]) -> Turn:
    """Judge programs that all pass, and return the figures."""
    began, before = time.perf_counter(), cpu_s()
    verdicts = judge_many(pairs, sandbox=sandbox)
    elapsed, used = time.perf_counter() - began, cpu_s() - before
    failed = [verdict for verdict in verdicts if not verdict.passed]
    if failed:
        raise ConfigError("a right program was failed", value=failed[0])
    return Turn(per_s=len(pairs) / elapsed, cpu_ms=1000 * used / len(pairs))


def programs(work: int, count: int, tag: str) -> list[tuple[str, Task]]:
    """Return programs, none like another, with their task."""
    task = trivial_tasks()["call mode"]
    text = _WORK.format(work=work) if work else PROGRAM
    return [(f"# {tag} {number}\n{text}", task) for number in range(count)]


def compare(local: Sandbox, ray: Sandbox, *, work: int, count: int, rounds: int) -> Comparison:
    """Let both sandboxes take turns; the first of each round alternates."""
    turns: dict[str, list[Turn]] = {"local": [], "ray": []}
    for sandbox in (local, ray):
        turn(sandbox, programs(work, max(20, count // 10), f"warm {id(sandbox)}"))
    for number in range(rounds):
        order = [("local", local), ("ray", ray)]
        for name, sandbox in order if number % 2 else reversed(order):
            pairs = programs(work, count, f"{name} {number}")
            turns[name].append(turn(sandbox, pairs))
    kind = f"sum of {work} squares, five tests" if work else "x + 1, five tests"
    return Comparison(programs=kind, local=turns["local"], ray=turns["ray"])


def at_rest(seconds: float) -> float:
    """Return the processor seconds per second of everything below this process at rest."""
    before = cpu_s()
    time.sleep(seconds)
    return (cpu_s() - before) / seconds


def measure(address: str, *, count: int, rounds: int, works: Sequence[int]) -> dict[str, Any]:
    """Compare on a cluster; return the figures."""
    hold(address)
    try:
        with make_sandbox(f"ray?address={address}") as ray:
            assert isinstance(ray, FleetSandbox)
            with make_sandbox(workers=ray.n_workers) as local:
                found = [
                    compare(local, ray, work=work, count=count, rounds=rounds) for work in works
                ]
            before, size = ray.traffic_bytes, 200
            turn(ray, programs(0, size, "traffic"))
            sent, received = (
                (now - then) / size for now, then in zip(ray.traffic_bytes, before, strict=True)
            )
            figures = {
                "nodes": ray.nodes,
                "workers": ray.n_workers,
                "sent_bytes_per_program": sent,
                "received_bytes_per_program": received,
                "cpu_at_rest": at_rest(5.0),
                "load": os.getloadavg()[0],
            }
    finally:
        release()
    rows = [
        {
            **asdict(each),
            "rate_ratio": each.ratio("per_s"),
            "cpu_ratio": each.ratio("cpu_ms"),
        }
        for each in found
    ]
    return {**figures, "comparisons": rows, "table": found}


def table(found: Sequence[Comparison]) -> ResultTable:
    """Return the comparisons as a table."""
    columns = (
        words("programs"),
        Column("local/s", digits=0),
        Column("ray/s", digits=0),
        Column("ratio", digits=2),
        Column("local cpu ms", digits=2),
        Column("ray cpu ms", digits=2),
        Column("cpu ratio", digits=2),
    )
    cells = [
        (
            each.programs,
            each.median("local", "per_s"),
            each.median("ray", "per_s"),
            each.ratio("per_s"),
            each.median("local", "cpu_ms"),
            each.median("ray", "cpu_ms"),
            each.ratio("cpu_ms"),
        )
        for each in found
    ]
    return ResultTable(columns, cells, title="The sandbox ray beside a pool on the same cores")


@click.command()
@click.option(
    "--nodes",
    default=2,
    show_default=True,
    type=click.IntRange(min=1),
    help="Nodes of the small cluster.",
)
@click.option(
    "--cpus",
    default=1,
    show_default=True,
    type=click.IntRange(min=1),
    help="CPUs of each of its nodes.",
)
@click.option("--address", default="", help="HOST:PORT of a cluster, instead of a small one here.")
@click.option(
    "--programs",
    "count",
    default=400,
    show_default=True,
    type=click.IntRange(min=20),
    help="Programs of a turn.",
)
@click.option(
    "--rounds", default=5, show_default=True, type=click.IntRange(min=1), help="Turns of each."
)
@with_output
def command(nodes: int, cpus: int, address: str, count: int, rounds: int, output: Output) -> None:
    """Compare the sandbox ray with a pool of this machine on the same cores.

    Both take turns: compare the ratios, not the rates. Needs the extra ray.
    """
    works = (0, 20_000)
    if address:
        found = measure(address, count=count, rounds=rounds, works=works)
    else:
        with small_cluster(nodes, cpus) as own:
            found = measure(own.address, count=count, rounds=rounds, works=works)
    output.table("comparisons", table(found.pop("table")))
    output.line(
        f"{found['nodes']} nodes, {found['workers']} workers; a program's way takes "
        f"{found['sent_bytes_per_program']:.0f} bytes there and "
        f"{found['received_bytes_per_program']:.0f} back"
    )
    output.line(
        f"at rest everything takes {100 * found['cpu_at_rest']:.1f} % of a core; the machine's "
        f"load was {found['load']:.1f}"
    )
    output.document(found)
