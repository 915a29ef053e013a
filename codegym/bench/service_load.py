"""``codegym bench service``: a grading service under load, beside ``judge_many`` in this process.

The service runs in another process on the loopback interface, with as many workers. Both judge
the same kind of programs in turn, so that the ratio holds on a noisy machine. Meanwhile the
service's memory is read, and processes of its sandbox are killed: no program may be lost.
"""

import asyncio
import os
import random
import signal
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

import click
from rich.progress import Progress

from codegym.bench.disturber import children_of
from codegym.bench.soak import RSS_SLACK_BYTES
from codegym.errors import ConfigError, ServiceError
from codegym.grading.async_judge import AsyncJudge
from codegym.grading.judge import judge_many
from codegym.grading.verdict import Outcome, Verdict
from codegym.measuring.output import Output, with_output
from codegym.measuring.result_table import Column, ResultTable, words
from codegym.sandbox import Sandbox, make_sandbox
from codegym.service.client import GraderClient
from codegym.tasks.task import Task

# Share of the in-process rate that the service should reach.
LEAST_RATIO = 0.85
# Calls under way at a time, where the time of each is measured.
AT_A_TIME = 16
_START_S = 60.0
_WRONG_EVERY = 5
_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")

Pairs = list[tuple[str, Task]]


@dataclass(slots=True, kw_only=True)
class Load:
    """What was measured.

    Attributes:
        ratios: Rate of the service over the rate in process, of each pair of turns.
        cpu_ratios: Processor time of all processes per program, the same way.
        service_per_s, process_per_s: Programs per second of each turn.
        rss_bytes: Memory of the service after each turn.
        latencies_s: Seconds of single calls, by what was called.
        programs: Number of programs that the service was sent.
        wrong: Number of programs with an unexpected verdict.
        lost: Number of programs without a verdict.
        kills: Number of sandbox processes of the service that were killed.
        load: Load averages of the machine at the beginning and at the end.
    """

    ratios: list[float] = field(default_factory=list)
    cpu_ratios: list[float] = field(default_factory=list)
    service_per_s: list[float] = field(default_factory=list)
    process_per_s: list[float] = field(default_factory=list)
    rss_bytes: list[int] = field(default_factory=list)
    latencies_s: dict[str, list[float]] = field(default_factory=dict)
    programs: int = 0
    wrong: int = 0
    lost: int = 0
    kills: int = 0
    load: list[float] = field(default_factory=list)

    @property
    def growth_bytes(self) -> int:
        """Growth of the service's memory after the first tenth of the turns."""
        return self.rss_bytes[-1] - self.rss_bytes[len(self.rss_bytes) // 10]

    def count(self, pairs: Pairs, verdicts: Sequence[Verdict | None]) -> None:
        """Count the verdicts of the service that are missing, or not as expected."""
        self.programs += len(pairs)
        for (program, _), verdict in zip(pairs, verdicts, strict=True):
            wanted = Outcome.PASSED if "x + 1" in program else Outcome.FAILED
            self.lost += verdict is None
            self.wrong += verdict is not None and verdict.outcome is not wanted

    @property
    def good(self) -> bool:
        """Whether nothing was lost or misjudged and memory stayed flat; speed is not judged."""
        return not self.wrong and not self.lost and self.growth_bytes <= RSS_SLACK_BYTES


class Programs:
    """Makes trivial programs, no two alike, of which every fifth is wrong."""

    def __init__(self) -> None:
        self._task = Task.from_calls("", "f", [((x,), x + 1) for x in range(5)], task_id="trivial")
        self._made = 0

    def next(self, count: int) -> Pairs:
        """Return so many new programs with their task."""
        first, self._made = self._made, self._made + count
        return [
            (
                f"# {number}\ndef f(x):\n    return x {'-+'[bool(number % _WRONG_EVERY)]} 1\n",
                self._task,
            )
            for number in range(first, first + count)
        ]


@contextmanager
def running_service(isolation: str, workers: int) -> Iterator[tuple[str, int]]:
    """Run a service on the loopback interface; yield its address and process number.

    Raises:
        ServiceError: It does not start.
    """
    command = [sys.executable, "-m", "codegym", "serve", "--port", "0"]
    command += ["--workers", str(workers), "--isolation", isolation]
    process = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, bufsize=1
    )
    told: list[str] = []
    ready = threading.Event()

    def listen() -> None:
        assert process.stderr is not None
        for line in process.stderr:
            told.append(line)
            if line.startswith("serving on "):
                ready.set()
        ready.set()

    threading.Thread(target=listen, daemon=True).start()
    try:
        if not ready.wait(_START_S) or process.poll() is not None:
            raise ServiceError("the service did not start", value="".join(told)[-300:])
        line = next(line for line in told if line.startswith("serving on "))
        yield line.split()[2], process.pid
    finally:
        process.terminate()
        try:
            process.wait(_START_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def tree_cpu_s(pid: int) -> float:
    """Return the processor seconds of a process, its descendants, and their ended children."""
    total, pending = 0.0, [pid]
    while pending:
        each = pending.pop()
        try:
            fields = Path(f"/proc/{each}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        total += sum(map(int, fields[11:15])) / _TICKS
        pending += children_of(each)
    return total


def rss_bytes(pid: int) -> int:
    """Return the resident memory of a process."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE


def kill_worker(pid: int, rng: random.Random) -> bool:
    """Kill a process of the service's sandbox; say whether there was any."""
    found = children_of(pid)
    if not found:
        return False
    try:
        os.kill(rng.choice(found), signal.SIGKILL)
    except ProcessLookupError:
        return False
    return True


async def take_turns(
    load: Load, grader: GraderClient, sandbox: Sandbox, made: Programs, turn: int, pid: int
) -> None:
    """Let this process and the service judge ``turn`` programs each."""
    here = made.next(turn)
    cpu_s, began = tree_cpu_s(os.getpid()), time.perf_counter()
    judge_many(here, sandbox=sandbox)
    wall_s, used_s = time.perf_counter() - began, tree_cpu_s(os.getpid()) - cpu_s
    there = made.next(turn)
    cpu_s, began = tree_cpu_s(os.getpid()), time.perf_counter()
    verdicts = await grader.judge_many(there, missing="none")
    service_s, service_used_s = time.perf_counter() - began, tree_cpu_s(os.getpid()) - cpu_s
    load.count(there, verdicts)
    load.ratios.append(wall_s / service_s)
    load.cpu_ratios.append(service_used_s / used_s if used_s > 0 else 1.0)
    load.process_per_s.append(turn / wall_s)
    load.service_per_s.append(turn / service_s)
    load.rss_bytes.append(rss_bytes(pid))


async def disturbed_turn(
    load: Load, grader: GraderClient, made: Programs, turn: int, pid: int, rng: random.Random
) -> None:
    """Let the service judge ``turn`` programs while a process of its sandbox is killed."""
    pairs = made.next(turn)
    asked = asyncio.ensure_future(grader.judge_many(pairs, missing="none"))
    await asyncio.sleep(rng.uniform(0.05, 0.3))
    load.kills += kill_worker(pid, rng)
    load.count(pairs, await asked)
    load.rss_bytes.append(rss_bytes(pid))


async def latencies(load: Load, grader: GraderClient, sandbox: Sandbox, pairs: Pairs) -> None:
    """Measure single calls, so many at a time, of the service and of an ``AsyncJudge``."""
    with AsyncJudge(sandbox) as here:
        for name, call in (("AsyncJudge", here), ("service", grader)):
            left, times = iter(pairs), load.latencies_s.setdefault(name, [])

            async def caller(call=call, left=left, times=times) -> None:  # type: ignore[no-untyped-def]
                for program, task in left:
                    began = time.perf_counter()
                    await call(program, task)
                    times.append(time.perf_counter() - began)

            await asyncio.gather(*(caller() for _ in range(AT_A_TIME)))
    load.programs += len(pairs)


async def measure(
    address: str, pid: int, sandbox: Sandbox, *, programs: int, turn: int, kills: int, seed: int
) -> Load:
    """Send ``programs`` programs to a service; return what was measured."""
    load, made, rng = Load(load=[os.getloadavg()[0]]), Programs(), random.Random(seed)
    disturbed = {(number + 1) * programs // (turn * (kills + 1)) for number in range(kills)}
    async with GraderClient(address) as grader:
        warm = made.next(4 * AT_A_TIME)
        judge_many(warm, sandbox=sandbox)
        await grader.judge_many(warm)
        await latencies(load, grader, sandbox, made.next(min(2000, programs // 10)))
        with Progress(transient=True) as progress:
            bar = progress.add_task("programs", total=programs)
            for number in range(max(1, round((programs - load.programs) / turn))):
                if number in disturbed:
                    await disturbed_turn(load, grader, made, turn, pid, rng)
                else:
                    await take_turns(load, grader, sandbox, made, turn, pid)
                progress.update(bar, completed=load.programs)
    load.load.append(os.getloadavg()[0])
    return load


def _percentile(times: Sequence[float], share: float) -> float:
    return sorted(times)[min(len(times) - 1, int(len(times) * share))]


def show(load: Load, output: Output) -> None:
    """Write the figures."""
    middle = statistics.median
    rows: list[tuple[str, float, str]] = [
        ("programs/s of the service", middle(load.service_per_s), ""),
        ("programs/s of judge_many in process", middle(load.process_per_s), ""),
        ("ratio, median over pairs of turns", middle(load.ratios), f">= {LEAST_RATIO}"),
        ("processor time per program, ratio", middle(load.cpu_ratios), ""),
    ]
    for name, times in load.latencies_s.items():
        rows += [
            (f"{name}, {AT_A_TIME} calls at a time: p50 ms", 1000 * middle(times), ""),
            (f"{name}, {AT_A_TIME} calls at a time: p99 ms", 1000 * _percentile(times, 0.99), ""),
        ]
    most = RSS_SLACK_BYTES >> 20
    rows += [
        ("programs sent to the service", load.programs, ""),
        ("sandbox processes killed", load.kills, ""),
        ("programs without a verdict", load.lost, "0"),
        ("unexpected verdicts", load.wrong, "0"),
        ("memory of the service at the end, MiB", load.rss_bytes[-1] / (1 << 20), ""),
        ("growth after the first tenth, MiB", load.growth_bytes / (1 << 20), f"<= {most}"),
        ("load average at the beginning", load.load[0], ""),
        ("load average at the end", load.load[1], ""),
    ]
    columns = words("figure"), Column("value", digits=2), words("target")
    output.table("figures", ResultTable(columns, rows, title="A grading service under load"))


@click.command()
@click.option("--programs", default=20_000, show_default=True, help="Programs to send.")
@click.option("--turn", default=500, show_default=True, help="Programs of each turn.")
@click.option("--workers", default=2, show_default=True, help="Workers of each sandbox.")
@click.option("--kills", default=5, show_default=True, help="Sandbox processes to kill.")
@click.option("--isolation", default="auto", show_default=True, help="Kind of sandbox.")
@click.option("--seed", default=0, show_default=True, help="Seed of what is killed, and when.")
@with_output
def command(
    programs: int, turn: int, workers: int, kills: int, isolation: str, seed: int, output: Output
) -> None:
    """Put a service under load; exit with 1 if a program is lost or misjudged, or memory grows."""
    if not 0 < turn <= programs:
        raise ConfigError("unusable --turn", value=turn, expected=f"1 to {programs}")
    with (
        make_sandbox(isolation, workers=workers) as sandbox,
        running_service(isolation, workers) as (address, pid),
    ):
        load = asyncio.run(
            measure(address, pid, sandbox, programs=programs, turn=turn, kills=kills, seed=seed)
        )
    show(load, output)
    output.field(**asdict(load))
    if not load.good:
        sys.exit(1)
