"""``codegym bench training-soak``: trains while sandbox workers are killed and stopped.

A run is disturbed for some minutes: every few seconds a process of the sandbox gets SIGKILL or
SIGSTOP, while other processes keep the cores busy. The same run is then repeated undisturbed, for
as many updates. Rewards and weights must be equal, and memory must not grow.
"""

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.progress import Progress

from codegym.bench.disturber import SIGNALS, Disturber
from codegym.bench.soak import descendants, resident_bytes
from codegym.errors import ConfigError, SandboxError
from codegym.measuring.output import Output, with_output
from codegym.measuring.result_table import Cell, ResultTable, words
from codegym.training.interrupts import Interrupted

if TYPE_CHECKING:
    from codegym.training.trainer import Trainer

# More growth than this after the first fifth of the time counts as a leak.
RSS_SLACK_BYTES = 48 << 20
SAMPLE_EVERY_S = 5.0
_SHOWN, _WRITTEN = {"demonstrations": 64, "batch_size": 32}, {"tasks": 16, "samples": 4}
# So many ends without an update in between are no accident.
_FAILURES = 20
# Figures of an update that depend on the clock.
TIMES = frozenset(
    ("programs_per_s", "train_s", "share_sampling", "share_waiting_for_grader", "share_learning")
)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingSoakReport:
    """The result of a training soak.

    Attributes:
        updates: Number of updates, of the warm start and of the agent.
        programs: Number of programs that were judged while the sandbox was disturbed.
        seconds: Duration of the disturbed run.
        signals: Number of signals that were sent, by name and process.
        ends: How often the run ended with a SandboxError, because a program's sandbox was killed at
            both tries; it was then resumed.
        different: Numbers of the updates whose figures differ from the undisturbed run's.
        same_weights: Whether both runs end with the same weights, bit for bit.
        rss_bytes: (seconds since the start, resident memory) during the disturbed run.
        left: Number of descendant processes that the soak has left.
    """

    updates: int
    programs: int
    seconds: float
    signals: Mapping[str, int]
    ends: int
    different: tuple[int, ...]
    same_weights: bool
    rss_bytes: tuple[tuple[float, int], ...]
    left: int

    @property
    def rss_growth_bytes(self) -> int:
        """Growth of memory from the end of the first fifth to its later maximum."""
        settled = [size for at, size in self.rss_bytes if at >= self.seconds / 5]
        return max(settled) - settled[0] if settled else 0

    @property
    def faults(self) -> list[str]:
        """The failures of the soak, in words."""
        found = []
        if self.different:
            found.append(f"{len(self.different)} updates differ, the first is {self.different[0]}")
        if not self.same_weights:
            found.append("the weights differ")
        if self.rss_growth_bytes > RSS_SLACK_BYTES:
            found.append(f"the driver grew by {self.rss_growth_bytes >> 20} MiB")
        if self.left:
            found.append(f"{self.left} processes left behind")
        return found


def training_soak(
    settings: Mapping[str, Any],
    *,
    minutes: float,
    every_s: float,
    busy: int,
    seed: int,
    folder: Path,
    signals: Sequence[signal.Signals] = SIGNALS,
    watch: Callable[[float, str], None] = lambda share, text: None,
) -> TrainingSoakReport:
    """Train disturbed, train undisturbed for as many updates, and compare.

    Args:
        settings: Settings of the run, with a budget that the minutes do not reach.
        minutes: Duration of the disturbed run.
        every_s: Mean seconds between two signals.
        busy: Number of processes that keep the cores busy.
        seed: Seed of the signals.
        folder: Where both runs are written.
        signals: Those that are sent.
        watch: Called with the share that is done, and a line about it.

    Raises:
        Interrupted, SandboxError: As of ``_train``.
    """
    began, memory, done = time.monotonic(), list[tuple[float, int]](), Counter[str]()
    others = set(descendants(os.getpid()))

    def disturbed(update: Any) -> bool:
        now = time.monotonic() - began
        if not memory or now > memory[-1][0] + SAMPLE_EVERY_S:
            memory.append((now, resident_bytes()))
        watch(now / (60.0 * minutes) / 2, f"{disturber.sent.total()} signals")
        return now >= 60.0 * minutes

    trainer = _trainer(settings, folder / "disturbed", disturbed)
    disturber = Disturber(lambda: trainer.sandbox, every_s=every_s, seed=seed, signals=signals)
    with _busy(busy), disturber:
        ends = _train(trainer)
    seconds, updates = time.monotonic() - began, _updates(trainer.folder.path)

    def undisturbed(update: Any) -> bool:
        done["updates"] += 1
        watch(0.5 + done["updates"] / updates / 2, "undisturbed")
        return done["updates"] == updates

    _train(_trainer(settings, folder / "undisturbed", undisturbed))
    different, programs = _compared(folder / "disturbed", folder / "undisturbed")
    return TrainingSoakReport(
        updates=updates,
        programs=programs,
        seconds=seconds,
        signals=dict(disturber.sent),
        ends=ends,
        different=different,
        same_weights=len({_weights(folder / name) for name in ("disturbed", "undisturbed")}) == 1,
        rss_bytes=tuple(memory),
        left=len(set(descendants(os.getpid())) - others),
    )


def _trainer(settings: Mapping[str, Any], folder: Path, over: Callable[[Any], bool]) -> "Trainer":
    """Begin a run that ends when ``over`` says so after an update."""
    from codegym.training.session import make_config, prepare

    def watch(update: Any) -> None:
        if over(update):
            trainer.stop()

    trainer = prepare(make_config(settings), folder, watch=watch)
    trainer.folder.create(trainer.config.to_mapping())
    return trainer


def _train(trainer: "Trainer") -> int:
    """Train; return how often the sandbox ended the run, which was then resumed.

    Raises:
        Interrupted: A signal stopped the run.
        SandboxError: The sandbox ended the run again and again without an update in between.
    """
    folder = trainer.folder
    ends, failures, updates = 0, 0, 0
    while True:
        try:
            trainer.run(resume=ends > 0)
            break
        except SandboxError:
            failures = 0 if _updates(folder.path) > updates else failures + 1
            if failures == _FAILURES or not folder.checkpoint.is_dir():
                raise
            ends, updates = ends + 1, _updates(folder.path)
    if trainer.stopped_by:
        raise Interrupted(trainer.stopped_by)
    return ends


def _updates(folder: Path) -> int:
    """Return the number of updates in a run's log."""
    from codegym.training.run_folder import RunFolder

    return sum(1 for _ in RunFolder(folder).rows("metrics"))


def _compared(left: Path, right: Path) -> tuple[tuple[int, ...], int]:
    """Return the numbers of the updates that differ, and the number of programs."""
    from codegym.training.run_folder import RunFolder

    pairs = zip(RunFolder(left).rows("metrics"), RunFolder(right).rows("metrics"), strict=True)
    rows = [tuple(map(_untimed, pair)) for pair in pairs]
    programs: Counter[str] = Counter()
    for row, _ in rows:
        programs[row["phase"]] = max(programs[row["phase"]], row["programs"])
    different = tuple(
        number for number, (left_row, right_row) in enumerate(rows) if left_row != right_row
    )
    return different, programs.total()


def _untimed(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name not in TIMES}


def _weights(folder: Path) -> bytes:
    return (folder / "checkpoint" / "model.safetensors").read_bytes()


@contextmanager
def _busy(count: int) -> Iterator[None]:
    """Keep cores busy with so many processes."""
    command = [sys.executable, "-S", "-c", "while True: pass"]
    burning = [subprocess.Popen(command) for _ in range(count)]
    try:
        yield
    finally:
        for process in burning:
            process.kill()
            process.wait()


def show(report: TrainingSoakReport, output: Output) -> None:
    """Write the figures and the failures."""
    sizes = [size / (1 << 20) for _, size in report.rss_bytes]
    signals = ", ".join(f"{count} {name}" for name, count in sorted(report.signals.items()))
    rows: list[tuple[str, Cell]] = [
        ("updates", report.updates),
        ("programs", report.programs),
        ("seconds", round(report.seconds)),
        ("signals", signals or "none"),
        ("ends of the sandbox", report.ends),
        ("updates that differ", len(report.different)),
        ("weights", "equal" if report.same_weights else "differ"),
        ("memory, MiB", f"{min(sizes):.0f} to {max(sizes):.0f}"),
        ("growth after the first fifth, MiB", f"{report.rss_growth_bytes / (1 << 20):.1f}"),
        ("processes left", report.left),
    ]
    output.table("figures", ResultTable((words("figure"), words("value")), rows))
    output.document(asdict(report) | {"faults": report.faults})
    for fault in report.faults:
        output.line(fault, style="bold red")


@click.command()
@click.option("--minutes", default=60.0, show_default=True, help="Minutes of disturbed training.")
@click.option(
    "--every",
    "every_s",
    default=3.0,
    show_default=True,
    help="Mean seconds between two signals to the sandbox's processes.",
)
@click.option("--busy", default=2, show_default=True, help="Processes that keep cores busy.")
@click.option("--agent", default="grpo", show_default=True, help="Learning agent.")
@click.option("--ahead", default=1, show_default=True, help="As of codegym train.")
@click.option("--workers", default=2, show_default=True, help="Number of sandbox workers.")
@click.option("--isolation", default="auto", show_default=True, help="Kind of sandbox.")
@click.option("--seed", default=0, show_default=True, help="Seed of the run and of the signals.")
@with_output
def command(
    minutes: float,
    every_s: float,
    busy: int,
    agent: str,
    ahead: int,
    workers: int,
    isolation: str,
    seed: int,
    output: Output,
) -> None:
    """Train while the sandbox's processes are killed and stopped, then compare.

    The same run is repeated undisturbed. Exit code 1: rewards or weights differ, memory grew, or
    processes were left behind. Takes up to twice the minutes.
    """
    for name, value in {"--minutes": minutes, "--every": every_s}.items():
        if not value > 0:
            raise ConfigError(f"{name} is unusable", value=value, expected="> 0")
    settings = {
        "agent": agent, "seed": seed, "ahead": ahead, "workers": workers, "isolation": isolation,
        "threads": 1, "updates": 10_000_000, "warm_start_programs": 512, "curve_points": 0,
        "eval_count": 16, "track": "none", "guard": False,
        # Small updates, so that many are compared.
        "warm_start_settings": _SHOWN, "agent_settings": _SHOWN if agent == "sft" else _WRITTEN,
    }  # fmt: skip
    with (
        tempfile.TemporaryDirectory() as folder,
        Progress(console=output.notes, transient=True) as progress,
    ):
        bar = progress.add_task("training", total=1.0)
        report = training_soak(
            settings,
            minutes=minutes,
            every_s=every_s,
            busy=busy,
            seed=seed,
            folder=Path(folder),
            watch=lambda share, text: progress.update(bar, completed=share, description=text),
        )
    show(report, output)
    if report.faults:
        sys.exit(1)
