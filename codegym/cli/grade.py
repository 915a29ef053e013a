"""``codegym grade``: runs programs against their tests in the sandbox."""

import time
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any

import click
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from codegym.errors import ConfigError
from codegym.grading.judge import Judge, repeat
from codegym.grading.verdict import Outcome, Verdict
from codegym.grading.verdict_cache import VerdictCache
from codegym.measuring.output import Output, with_output
from codegym.measuring.result_table import Cell, Column, ResultTable, words
from codegym.measuring.sample_files import (
    Sample,
    VerdictFile,
    canonical_samples,
    read_samples,
    same_program,
)
from codegym.measuring.statistics import pass_at_k, proportion
from codegym.sandbox import Sandbox, make_sandbox
from codegym.sandbox.limits import Limits
from codegym.sources import TaskSource, load_tasks
from codegym.training.interrupts import explained, this_command

IN_PROGRESS = 512
SHOWN_FAILURES = 10


@click.command()
@click.argument("source")
@click.option("--canonical", is_flag=True, help="Grade the tasks' reference solutions.")
@click.option(
    "--samples", type=click.Path(path_type=Path), help="JSONL of task_id and program or answer."
)
@click.option("--program", help="Grade this text against every task.")
@click.option(
    "--only-sampled",
    is_flag=True,
    help="Count pass@1 over the tasks that have samples.  [default: over all tasks]",
)
@click.option("--out", type=click.Path(path_type=Path), help="Write verdicts to this JSONL file.")
@click.option("--resume", is_flag=True, help="Continue an interrupted --out file.")
@click.option("--repeat", "times", default=1, show_default=True, help="Runs of each program.")
@click.option("--isolation", default="auto", show_default=True, help="Kind of sandbox.")
@click.option("--workers", type=int, help="Programs run in parallel.  [default: two per core]")
@click.option("--package", "packages", multiple=True, help="Installed package to offer inside.")
@click.option("--cache", type=click.Path(path_type=Path), help="File of cached verdicts.")
@click.option("--case-s", type=float, help="Seconds allowed per test case.")
@click.option("--wall-s", type=float, help="Seconds allowed per program.")
@click.option("--cpu-s", type=float, help="Processor seconds allowed per program.")
@click.option("--memory-mb", type=float, help="Megabytes allowed per program.")
@click.option("--first-failure", is_flag=True, help="Stop a program at its first failing case.")
@with_output
def command(
    source: str,
    canonical: bool,
    samples: Path | None,
    program: str | None,
    only_sampled: bool,
    out: Path | None,
    resume: bool,
    times: int,
    isolation: str,
    workers: int | None,
    packages: tuple[str, ...],
    cache: Path | None,
    case_s: float | None,
    wall_s: float | None,
    cpu_s: float | None,
    memory_mb: float | None,
    first_failure: bool,
    output: Output,
) -> None:
    """Run programs against their tests and print a summary.

    SOURCE is a task URI (humaneval, mbpp?split=test, jsonl:/tasks.jsonl) or a file of tasks. Give
    one of --canonical, --samples, --program. A sample may be a program, the continuation of its
    prompt, or a chat model's answer with fences and thoughts. A task without samples counts as
    failed in pass@1 unless --only-sampled is given. Exit code 0: all passed; 1: some did not,
    varied between runs (--repeat), or had no sample; 2: bad input.
    """
    _check_options(canonical, samples, program, out=out, resume=resume, times=times)
    # A bare file name is a file of tasks; a URI such as jsonl:/f or mbpp:/f names its reader.
    bare = ":" not in source and source.endswith((".jsonl", ".jsonl.gz"))
    tasks = load_tasks(f"jsonl:{source}" if bare else source)
    chosen = _choose(tasks, canonical, samples, program)
    if not chosen:
        raise ConfigError("nothing to grade", value=source, expected="at least one program")
    changes: dict[str, Any] = {"case_s": case_s, "wall_s": wall_s, "cpu_s": cpu_s}
    changes["memory_bytes"] = None if memory_mb is None else int(memory_mb * (1 << 20))
    changes["stop"] = "first_failure" if first_failure else None
    chosen = list(_limited(chosen, {k: v for k, v in changes.items() if v is not None}))
    summary = Summary(most_failures=len(chosen) if output.verbose else SHOWN_FAILURES)
    if samples is not None and not only_sampled:
        summary.miss(tasks, chosen)
    with ExitStack() as stack:
        file = stack.enter_context(VerdictFile(out, resume=resume)) if out else None
        sandbox = stack.enter_context(make_sandbox(isolation, workers=workers, packages=packages))
        kept = VerdictCache(cache) if cache else None
        if kept is not None:
            stack.callback(kept.close)
        left = _skip_done(chosen, file, summary)
        graded = _graded(left, sandbox, kept) if times == 1 else _repeated(left, times, sandbox)
        stack.enter_context(_explained(out, summary))
        for sample, verdicts in _with_progress(graded, len(left), output):
            summary.add(sample, verdicts)
            if file is not None:
                outcomes = [str(verdict.outcome) for verdict in verdicts]
                runs = [("outcomes", outcomes)] if times > 1 else []
                file.write(sample, verdicts[0], runs)
        summary.isolation = sandbox.isolation
    summary.write(output)
    raise SystemExit(0 if summary.all_good else 1)


def _check_options(
    canonical: bool,
    samples: Path | None,
    program: str | None,
    *,
    out: Path | None,
    resume: bool,
    times: int,
) -> None:
    if sum((canonical, samples is not None, program is not None)) != 1:
        raise click.UsageError("give exactly one of --canonical, --samples, --program")
    if resume and out is None:
        raise click.UsageError("--resume needs --out")
    if times < 1:
        raise ConfigError("unusable --repeat", value=times, expected="1 or more")


def _explained(out: Path | None, summary: "Summary") -> AbstractContextManager[None]:
    """Say of a signal how many verdicts the file holds."""
    if out is None:
        return explained("")
    return explained(lambda: f"{summary.programs} verdicts in {out}", this_command("--resume"))


def _choose(
    tasks: TaskSource, canonical: bool, samples: Path | None, program: str | None
) -> list[Sample]:
    if canonical:
        return list(canonical_samples(tasks))
    if samples is not None:
        return list(read_samples(samples, tasks))
    return list(same_program(tasks, program or ""))


def _limited(samples: Iterable[Sample], changes: dict[str, Any]) -> Iterator[Sample]:
    changed: dict[int, Sample] = {}
    for sample in samples:
        if not changes:
            yield sample
            continue
        # All programs of a task share a changed task, since the judge plans by task.
        known = changed.get(id(sample.task))
        if known is None:
            suite = sample.task.tests
            limits: Limits = replace(suite.limits, **changes)
            task = replace(sample.task, tests=replace(suite, limits=limits))
            known = changed[id(sample.task)] = replace(sample, task=task)
        yield replace(sample, task=known.task)


def _skip_done(samples: list[Sample], file: VerdictFile | None, summary: "Summary") -> list[Sample]:
    left = []
    for sample in samples:
        verdict = file.done.get(sample.key) if file is not None else None
        if verdict is None:
            left.append(sample)
        else:
            summary.add(sample, [verdict])
            summary.resumed += 1
    return left


def _graded(
    samples: list[Sample], sandbox: Sandbox, cache: VerdictCache | None
) -> Iterator[tuple[Sample, list[Verdict]]]:
    judge = Judge(sandbox, cache=cache)
    in_progress: dict[int, Sample] = {}
    waiting = iter(samples)
    exhausted = False
    while in_progress or not exhausted:
        while not exhausted and len(in_progress) < IN_PROGRESS:
            sample = next(waiting, None)
            if sample is None:
                exhausted = True
            else:
                in_progress[judge.submit(sample.whole, sample.task)] = sample
        for ticket, verdict in judge.collect():
            yield in_progress.pop(ticket), [verdict]


def _repeated(
    samples: list[Sample], times: int, sandbox: Sandbox
) -> Iterator[tuple[Sample, list[Verdict]]]:
    for sample in samples:
        yield sample, list(repeat(sample.whole, sample.task, times, sandbox=sandbox))


def _with_progress(
    graded: Iterator[tuple[Sample, list[Verdict]]], total: int, output: Output
) -> Iterator[tuple[Sample, list[Verdict]]]:
    console = output.notes
    columns = (
        TextColumn("grading"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[passed]} passed"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        bar = progress.add_task("grading", total=total, passed=0)
        passed = 0
        for sample, verdicts in graded:
            passed += all(verdict.passed for verdict in verdicts)
            progress.update(bar, advance=1, passed=passed)
            yield sample, verdicts


@dataclass
class Summary:
    """Counts of graded programs, and their table.

    Attributes:
        missing: Number of tasks without a sample, which count as failed in pass@1.
        named: The first of these tasks.
    """

    most_failures: int = SHOWN_FAILURES
    isolation: str = ""
    resumed: int = 0
    tasks: dict[str, list[bool]] = field(default_factory=dict)
    outcomes: Counter[Outcome] = field(default_factory=Counter)
    pass_rates: float = 0.0
    failures: list[tuple[str, Verdict, str]] = field(default_factory=list)
    missing: int = 0
    named: list[str] = field(default_factory=list)
    varying: list[tuple[str, list[Verdict]]] = field(default_factory=list)
    started: float = field(default_factory=time.monotonic)

    def miss(self, tasks: TaskSource, samples: Iterable[Sample]) -> None:
        """Count the tasks that have no sample."""
        sampled = {sample.task.task_id for sample in samples}
        self.missing = len(tasks) - len(sampled)
        missing = (task.task_id for task in tasks if task.task_id not in sampled)
        self.named = list(islice(missing, min(self.missing, SHOWN_FAILURES)))

    def add(self, sample: Sample, verdicts: list[Verdict]) -> None:
        """Count a program, judged once or several times."""
        first = verdicts[0]
        self.tasks.setdefault(sample.task.task_id, []).append(
            all(verdict.passed for verdict in verdicts)
        )
        self.outcomes[first.outcome] += 1
        self.pass_rates += first.pass_rate
        if not first.passed and len(self.failures) < self.most_failures:
            unread = first.outcome in (Outcome.SYNTAX_ERROR, Outcome.NO_PROGRAM)
            hint = sample.hint if unread else ""
            self.failures.append((sample.task.task_id, first, hint))
        if any(verdict != first for verdict in verdicts):
            self.varying.append((sample.task.task_id, verdicts))

    @property
    def programs(self) -> int:
        """Number of programs counted."""
        return sum(self.outcomes.values())

    @property
    def all_good(self) -> bool:
        """Whether every program passed, every time, and every task has one."""
        passed = self.outcomes[Outcome.PASSED] == self.programs
        return passed and not self.varying and not self.missing

    @property
    def per_task(self) -> list[float]:
        """Share of each task's programs that passed; 0 for a task without a sample."""
        sampled = [pass_at_k(len(passed), sum(passed), 1) for passed in self.tasks.values()]
        return sampled + [0.0] * self.missing

    def write(self, output: Output) -> None:
        """Write the table, then the failures and the programs that varied."""
        programs = self.programs
        passed = self.outcomes[Outcome.PASSED]
        seconds = round(time.monotonic() - self.started, 1)
        lacking = ("tasks without a sample (counted as failed)", self.missing)
        rows: list[tuple[str, Cell]] = [
            ("passed", f"{passed}/{programs}" if output.is_text else passed),
            ("programs", programs),
            ("tasks", len(self.tasks) + self.missing),
            *((lacking,) if self.missing else ()),
            ("pass@1", proportion(self.per_task)),
            ("mean share of cases passed", self.pass_rates / programs),
            *(
                (str(outcome), self.outcomes[outcome])
                for outcome in Outcome
                if self._counts(outcome)
            ),
            *((("taken from the file", self.resumed),) if self.resumed else ()),
            ("isolation", self.isolation),
            ("seconds", f"{seconds:.1f}" if output.is_text else seconds),
        ]
        columns = words("what"), Column("verdicts", digits=4)
        output.table("summary", ResultTable(columns, rows, title="verdicts"))
        named = ResultTable(tuple(what for what, _ in rows), [[cell for _, cell in rows]])
        output.field(
            summary=named.json()[0],
            outcomes={str(outcome): number for outcome, number in self.outcomes.items()},
            failures=[
                {"task_id": task_id, "verdict": verdict.to_json()}
                for task_id, verdict, _ in self.failures
            ],
            varying=[task_id for task_id, _ in self.varying],
            missing=self.named,
        )
        self._write_failures(output)

    def _write_failures(self, output: Output) -> None:
        for task_id, verdict, hint in self.failures:
            line = f" (line {verdict.error_line})" if verdict.error_line else ""
            text = f"{verdict.error_type} {verdict.error_message}".strip()
            output.line(f"  {task_id}: {verdict.outcome}{line} {text}")
            if hint:
                output.line(f"    {hint}")
        failed = self.programs - self.outcomes[Outcome.PASSED]
        if failed > len(self.failures):
            output.remark(f"  ... {failed - len(self.failures)} more; -v shows all")
        if self.missing:
            shown = ", ".join(self.named)
            more = ", ..." if self.missing > len(self.named) else ""
            output.line(f"  no sample: {shown}{more}")
        for task_id, verdicts in self.varying:
            counts = Counter(str(verdict.outcome) for verdict in verdicts)
            shown = ", ".join(f"{name} {count}" for name, count in counts.items())
            output.line(f"  varies {task_id}: {shown}", style="red")

    def _counts(self, outcome: Outcome) -> bool:
        """Whether an outcome gets a row."""
        return outcome is not Outcome.PASSED and bool(self.outcomes[outcome])
