"""``codegym bench soak``: judges many mixed programs and watches the driver for leaks.

Programs that pass, fail, crash, hang, fork and flood come in a seeded random order, in all three
test forms. Some are pairs: a program and a test that try to leave something in the examiner, then
an honest program of another task. The correct verdict of each is known. Memory, descriptors and
processes must not grow.
"""

import os
import random
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace

import click
from rich.progress import Progress

from codegym.bench.leaks import LEAKS, honest_after
from codegym.errors import ConfigError
from codegym.grading.judge import Judge
from codegym.grading.verdict import Outcome
from codegym.measuring.output import Output, with_output
from codegym.measuring.result_table import Column, ResultTable
from codegym.sandbox import make_sandbox
from codegym.sandbox.limits import Limits
from codegym.tasks.suite import Form
from codegym.tasks.task import Task

LIMITS = Limits(wall_s=5.0, cpu_s=5.0, memory_bytes=256 << 20, output_bytes=1 << 16)
SHORT = Limits(wall_s=0.3, cpu_s=5.0, memory_bytes=256 << 20, output_bytes=1 << 16)
# More growth than this after the first tenth of the programs counts as a leak.
RSS_SLACK_BYTES = 16 << 20
FD_SLACK = 4
SAMPLES = 20
# Weight of the pairs in the mixture; the other weights sum up to 100.
PAIR_SHARE = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """One kind of program in the mixture.

    Attributes:
        name: What the program does.
        share: Weight in the mixture.
        body: Body of ``def solve(x)``; a right program returns ``x + 1``.
        outcomes: Outcomes that are correct for the program.
        limits: Bounds of its run.
        forms: Test forms in which it is run.
    """

    name: str
    share: float
    body: str
    outcomes: tuple[Outcome, ...]
    limits: Limits = LIMITS
    forms: tuple[Form, ...] = ("call", "assertion", "stdio")


_DIED = (Outcome.RUNTIME_ERROR,)
KINDS = (
    Kind(name="right", share=50, body="return x + 1", outcomes=(Outcome.PASSED,)),
    Kind(name="wrong", share=20, body="return x - 1", outcomes=(Outcome.FAILED,)),
    Kind(name="error", share=8, body="return x // 0", outcomes=_DIED),
    Kind(name="syntax", share=4, body="return (x", outcomes=(Outcome.SYNTAX_ERROR,)),
    Kind(
        name="leaves",
        share=4,
        body="__import__('os')._exit(0)",
        outcomes=(
            Outcome.RUNTIME_ERROR,
            Outcome.FAILED,
        ),  # a script may exit with status 0, but it printed nothing
    ),
    Kind(
        name="crashes",
        share=3,
        body="__import__('ctypes').string_at(8)",
        outcomes=_DIED,
    ),
    Kind(
        name="forks",
        share=3,
        body="while __import__('os').fork() >= 0: pass",
        outcomes=_DIED,
    ),
    Kind(
        name="threads",
        share=2,
        body="import threading, time\n"
        "    for _ in range(2):\n"
        "        threading.Thread(target=time.sleep, args=(60,), daemon=True).start()\n"
        "    return x + 1",
        outcomes=(Outcome.PASSED,),
        forms=("call", "assertion"),
    ),
    Kind(
        name="memory",
        share=2,
        body="return len(bytearray(1 << 30))",
        outcomes=(Outcome.MEMORY,),
    ),
    Kind(
        name="floods",
        share=2,
        body="print('y' * (1 << 20), flush=True)",
        outcomes=(Outcome.OUTPUT_LIMIT, Outcome.RUNTIME_ERROR),
    ),
    Kind(
        name="large answer",
        share=1,
        body="return 'y' * (1 << 22)",
        outcomes=(Outcome.OUTPUT_LIMIT, Outcome.RUNTIME_ERROR),
        forms=("call", "assertion"),
    ),
    Kind(
        name="hangs",
        share=0.5,
        body="while True: pass",
        outcomes=(Outcome.TIMEOUT,),
        limits=SHORT,
    ),
    Kind(
        name="sleeps",
        share=0.5,
        body="__import__('time').sleep(60)",
        outcomes=(Outcome.TIMEOUT,),
        limits=SHORT,
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """The driver's use of resources after ``done`` programs; processes are its descendants."""

    done: int
    rss_bytes: int
    fds: int
    processes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SoakReport:
    """The result of a soak.

    Attributes:
        programs: Number of programs judged.
        workers: Number of workers.
        isolation: Isolation mode.
        seconds: Duration of the soak.
        wrong: Kind, form and outcome of each wrong verdict, with the number of such verdicts.
        samples: The driver's use of resources during the soak.
        left: Number of descendant processes after the sandbox was closed.
        fds_before: Open descriptors before the sandbox was made.
        fds_after: Open descriptors after it was closed.
    """

    programs: int
    workers: int
    isolation: str
    seconds: float
    wrong: dict[str, int]
    samples: tuple[Sample, ...]
    left: int
    fds_before: int
    fds_after: int

    @property
    def rss_growth_bytes(self) -> int:
        """Growth of the driver from the end of the first tenth to its later maximum."""
        settled = [s for s in self.samples if s.done >= self.programs / 10] or list(self.samples)
        return max(s.rss_bytes for s in settled) - settled[0].rss_bytes

    @property
    def faults(self) -> list[str]:
        """The failures of the soak, in words."""
        found = [f"{count} x {what}" for what, count in self.wrong.items()]
        if self.rss_growth_bytes > RSS_SLACK_BYTES:
            found.append(f"the driver grew by {self.rss_growth_bytes >> 20} MiB")
        fds = [sample.fds for sample in self.samples[1:]]
        if fds and max(fds) - min(fds) > 16 * self.workers + FD_SLACK:
            found.append(f"open descriptors went from {min(fds)} to {max(fds)}")
        if self.fds_after > self.fds_before + FD_SLACK:
            found.append(f"{self.fds_after - self.fds_before} descriptors leaked")
        if self.left:
            found.append(f"{self.left} processes left behind")
        return found


def soak(
    programs: int, *, workers: int, isolation: str, seed: int, progress: Progress | None = None
) -> SoakReport:
    """Judge programs of the mixture and sample the driver's use of resources.

    Args:
        programs: Number of programs.
        workers: Number of workers of the sandbox.
        isolation: Mode of the sandbox.
        seed: Seed for the order of the programs.
        progress: Display of the progress, if any.
    """
    rng = random.Random(seed)
    fds_before = len(os.listdir("/proc/self/fd"))
    bar = progress.add_task("programs", total=programs) if progress else None
    wrong: Counter[str] = Counter()
    samples: list[Sample] = []
    began = time.monotonic()
    done, every = 0, max(1, programs // SAMPLES)
    with make_sandbox(isolation=isolation, workers=workers) as sandbox:
        judge = Judge(sandbox)
        pending: dict[int, Drawn] = {}
        stream = _mixture(programs, rng)
        while done < programs:
            while len(pending) < 8 * workers and (drawn := next(stream, None)) is not None:
                pending[judge.submit(drawn.text, drawn.task)] = drawn
            for ticket, verdict in judge.collect():
                drawn = pending.pop(ticket)
                done += 1
                if verdict.outcome not in drawn.outcomes:
                    wrong[f"{drawn.name} ({drawn.task.tests.form}) was {verdict.outcome}"] += 1
                if done % every == 0:
                    samples.append(_sample(done))
                if progress and bar is not None:
                    progress.update(bar, completed=done)
        isolation = sandbox.isolation
    time.sleep(0.1)
    return SoakReport(
        programs=programs,
        workers=workers,
        isolation=isolation,
        seconds=time.monotonic() - began,
        wrong=dict(wrong),
        samples=tuple(samples),
        left=len(descendants(os.getpid())),
        fds_before=fds_before,
        fds_after=len(os.listdir("/proc/self/fd")),
    )


@dataclass(frozen=True, slots=True)
class Drawn:
    """A program of the mixture, its task, and the outcomes that are right for it."""

    name: str
    text: str
    task: Task
    outcomes: tuple[Outcome, ...]


def _mixture(programs: int, rng: random.Random) -> Iterator[Drawn]:
    stream = _endless_mixture(rng)
    for number in range(programs):
        drawn = next(stream)
        yield replace(drawn, text=f"# {number}\n{drawn.text}")


def _endless_mixture(rng: random.Random) -> Iterator[Drawn]:
    shares = [*(kind.share for kind in KINDS), PAIR_SHARE]
    tasks = {(form, limits): _task(form, limits) for form in _FORMS for limits in (LIMITS, SHORT)}
    leaks = [(leak, leak.task()) for leak in LEAKS]
    while True:
        kind = rng.choices((*KINDS, None), shares)[0]
        if kind is None:
            leak, task = rng.choice(leaks)
            yield Drawn(f"leak: {leak.name}", leak.program, task, leak.outcomes)
            program, task = honest_after(rng)
            yield Drawn("honest after a leak", program, task, (Outcome.PASSED,))
            continue
        form = rng.choice(kind.forms)
        text = f"def solve(x):\n    {kind.body}\n"
        if form == "stdio":
            text += "print(solve(int(input())))\n"
        yield Drawn(kind.name, text, tasks[form, kind.limits], kind.outcomes)


_FORMS: tuple[Form, ...] = ("call", "assertion", "stdio")


def _task(form: Form, limits: Limits) -> Task:
    pairs = [(3, 4), (8, 9)]
    if form == "call":
        return Task.from_calls("", "solve", [((x,), y) for x, y in pairs], limits=limits)
    if form == "stdio":
        return Task.from_stdio("", [(f"{x}\n", f"{y}\n") for x, y in pairs], limits=limits)
    lines = [f"    assert candidate({x}) == {y}\n" for x, y in pairs]
    test = "def check(candidate):\n" + "".join(lines)
    return Task.from_assertions("", "solve", test, limits=limits)


def _sample(done: int) -> Sample:
    return Sample(
        done=done,
        rss_bytes=resident_bytes(),
        fds=len(os.listdir("/proc/self/fd")),
        processes=len(descendants(os.getpid())),
    )


def resident_bytes() -> int:
    """Return this process's resident memory in bytes."""
    with open("/proc/self/statm") as file:
        pages = int(file.read().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def descendants(pid: int) -> list[int]:
    """Return the descendants of a process, zombies included."""
    parents: dict[int, list[int]] = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                with open(f"/proc/{name}/stat") as file:
                    parent = int(file.read().rpartition(")")[2].split()[1])
            except OSError:
                continue
            parents.setdefault(parent, []).append(int(name))
    found, queue = [], [pid]
    while queue:
        below = parents.get(queue.pop(), [])
        found += below
        queue += below
    return found


def show(report: SoakReport, output: Output) -> None:
    """Write the samples and the failures."""
    rate = report.programs / report.seconds
    rows = [
        (sample.done, sample.rss_bytes / (1 << 20), sample.fds, sample.processes)
        for sample in report.samples
    ]
    title = (
        f"{report.programs} programs, {report.workers} workers, {report.isolation}: "
        f"{report.seconds:.0f} s, {rate:.0f}/s"
    )
    heads = "programs", Column("driver MiB", digits=1), "descriptors", "processes"
    output.table("samples", ResultTable(heads, rows, title=title))
    output.line(
        f"growth after the first tenth {report.rss_growth_bytes / (1 << 20):.1f} MiB; "
        f"descriptors before {report.fds_before}, after {report.fds_after}; "
        f"processes left {report.left}; wrong verdicts {sum(report.wrong.values())}"
    )
    for fault in report.faults:
        output.line(fault, style="bold red")


@click.command()
@click.option("--programs", default=100_000, show_default=True, help="Number of programs to judge.")
@click.option("--workers", default=2, show_default=True, help="Number of sandbox workers.")
@click.option(
    "--isolation", default="auto", show_default=True, help="Isolation mode of the sandbox."
)
@click.option("--seed", default=0, show_default=True, help="Seed for the order of the programs.")
@with_output
def command(programs: int, workers: int, isolation: str, seed: int, output: Output) -> None:
    """Judge a mixture of good and bad programs; exit with 1 after a leak or a wrong verdict."""
    if programs < 1 or workers < 1:
        raise ConfigError("nothing to do", value=(programs, workers), expected="at least 1 of each")
    with Progress(console=output.notes, transient=True) as progress:
        report = soak(programs, workers=workers, isolation=isolation, seed=seed, progress=progress)
    show(report, output)
    output.document(asdict(report) | {"faults": report.faults})
    if report.faults:
        sys.exit(1)
