"""check_source and the commands check, list and synthesize."""

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

import codegym
from codegym import registry
from codegym.checks.check_source import check_source, idle_programs
from codegym.cli.check import command as check_command
from codegym.cli.list import command as list_command
from codegym.cli.synthesize import command as synthesize_command
from codegym.errors import ConfigError, ConformanceError, UnknownNameError
from codegym.sources import TaskSource, load_tasks
from codegym.tasks.task import CallCase, Task

DATA = os.environ.get("CODEGYM_DATA", "")
needs_mbpp = pytest.mark.skipif(
    not (Path(DATA) / "mbpp_train_validation.jsonl").is_file() if DATA else True,
    reason="CODEGYM_DATA names no folder with mbpp_train_validation.jsonl: MBPP itself is not read",
)


def rows_file(folder: Path, *rows: object, name: str = "rows.jsonl") -> Path:
    path = folder / name
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


ADD = Task.from_calls(
    "def add(a, b):\n", "add", [((1, 2), 3)], task_id="add", canonical_solution="    return a + b\n"
)


def three_forms() -> list[Task]:
    return [
        Task.from_calls(
            "def f(x):\n",
            "f",
            [(({1: (2.5, {3})},), float("inf")), CallCase(kwargs={"x": b"y"}, raises="KeyError")],
            task_id="one",
            metadata={"split": "train"},
        ),
        Task.from_assertions("Write g.", "g", "assert g(1) == 2\nassert g(2) == 3", task_id="two"),
        Task.from_stdio("Echo.", [("1\n", "1\n")], task_id="three", output_rule="exact"),
    ]


def test_idle_programs_parse_and_do_nothing():
    texts = idle_programs(ADD)
    assert "def add(*args, **kwargs):\n    pass\n" in texts and any("return 3" in t for t in texts)
    for text in texts + idle_programs(three_forms()[2]):
        compile(text, "idle", "exec")
    assert "def f(*args, **kwargs):\n    return inf\n" not in idle_programs(three_forms()[0])


def test_check_source_counts_what_is_wrong(tmp_path):
    rows = [
        ADD.to_json(),
        ADD.to_json() | {"task_id": "again"},
        ADD.to_json() | {"task_id": "wrong", "canonical_solution": "    return a - b\n"},
    ]
    weak = Task.from_calls("def zero(x):\n", "zero", [((1,), 0), ((2,), 0)], task_id="weak")
    path = rows_file(tmp_path, *rows, weak.to_json())
    with codegym.make_sandbox() as sandbox:
        report = check_source(f"jsonl:{path}", sandbox=sandbox)
    assert report.checked == 4 and report.judged and not report.ok and report.unsolved == 1
    assert list(report.broken) == ["wrong"] and "failed" in report.broken["wrong"]
    assert report.weak["weak"] == "return 0"
    assert report.duplicates == ["again", "wrong"] and report.same_solution == ["again"]
    assert len(report.cut_prompts) == 4


def test_check_source_finds_a_leak_between_splits(tmp_path):
    rows = [
        ADD.to_json() | {"task_id": split, "metadata": {"split": split}}
        for split in ("train", "test")
    ]
    report = check_source(f"jsonl:{rows_file(tmp_path, *rows)}?split=train", judge=False)
    assert report.shared == {"test": ["train"]} and not report.ok


class Leaking(TaskSource):
    """Two splits that share their first task."""

    def __init__(self, *, split: str = "train") -> None:
        self._names = ["both", split]

    def __len__(self) -> int:
        return 2

    def __getitem__(self, index: int) -> Task:
        name = self._names[index]
        return Task.from_calls(f"def f(x):  # {name}", "f", [((1,), 1)], task_id=name)


def test_a_task_under_the_same_id_in_two_splits_is_a_leak(monkeypatch):
    monkeypatch.setitem(registry._registered["sources"], "leaking", Leaking)
    report = check_source("leaking", judge=False)  # the default split counts
    assert report.shared == {"validation": ["both"], "b": ["both"], "test": ["both"]}


def test_a_task_that_its_first_argument_passes_is_weak(tmp_path):
    same = Task.from_calls("def f(x):\n", "f", [((1,), 1), (([2],), [2])], task_id="same")
    with codegym.make_sandbox() as sandbox:
        report = check_source(f"jsonl:{rows_file(tmp_path, same.to_json())}", sandbox=sandbox)
    assert list(report.weak) == ["same"] and "args" in report.weak["same"]


@pytest.mark.parametrize(
    "uri",
    [
        "composites?domain=small&depth=1-2&split=train",
        "composites?domain=all&depth=1-4&split=test&shape=any",
        "atoms",
        "atoms?split=test",
    ],
)
@pytest.mark.slow
def test_composed_sources_pass_their_check(uri):
    with codegym.make_sandbox() as sandbox:
        report = check_source(uri, count=24, sandbox=sandbox)
    assert report.ok and report.checked == 24 and report.judged, list(report.rows())


@needs_mbpp
def test_the_solutions_of_mbpp_pass():
    with codegym.make_sandbox() as sandbox:
        report = check_source("mbpp?split=few_shot", sandbox=sandbox)
    assert not report.broken and report.checked == 10


class Restless(TaskSource):
    """A source that violates a single rule of the contract."""

    made = 0

    def __init__(self, *, fault: str = "") -> None:
        Restless.made += 1
        self._fault, self._copy = fault, Restless.made
        self._draws = iter(range(100))

    def __len__(self) -> int:
        return 3 + (self._copy if self._fault == "growing" else 0)

    def __iter__(self) -> Iterator[Task]:
        yield from [self[0]] if self._fault == "short" else super().__iter__()

    def __getitem__(self, index: int) -> Task:
        number = index + 3 if index < 0 else index
        if self._fault == "missing" and number == 1:
            raise KeyError(number)
        if not 0 <= number < len(self) and self._fault != "endless":
            raise IndexError(index)
        prompt = f"def f(x):  # {number}"
        if self._fault == "changing":
            prompt += f" {self._copy}"
        name = "same" if self._fault == "ids" else str(number)
        metadata = {"drawn": next(self._draws)} if self._fault == "drawing" else {}
        return Task.from_calls(prompt, "f", [((1,), 1), ((2,), 2)], task_id=name, metadata=metadata)

    def find(self, task_id: str) -> Task:
        return self[0] if self._fault == "find" else super().find(task_id)


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("ids", "occurs twice"),
        ("changing", "changes between two loads"),
        ("find", "find returns another task"),
        ("endless", "an index beyond the end is answered"),
        ("growing", "the length changes"),
        ("short", "iterating does not give as many tasks"),
        ("missing", r"task 1 cannot be read \(KeyError: 1\)"),
        ("drawing", "find returns another task"),
    ],
)
def test_check_source_raises_for_a_broken_promise(monkeypatch, fault, message):
    monkeypatch.setitem(registry._registered["sources"], "restless", Restless)
    check_source("restless", judge=False)
    with pytest.raises(ConformanceError, match=message):
        check_source(f"restless?fault={fault}", judge=False)


def test_check_source_refuses_a_mixture():
    with pytest.raises(ConfigError, match="cannot be checked as a whole"):
        check_source("atoms + composites", count=5, judge=False)


def invoke(command, *arguments: str):
    return CliRunner().invoke(command, arguments, catch_exceptions=False)


def test_synthesize_writes_tasks_that_differ(tmp_path):
    path = tmp_path / "tasks.jsonl"
    uri = "composites?domain=small&depth=1-2"
    result = invoke(synthesize_command, uri, "--count", "60", "--out", str(path), "--seed", "3")
    assert "60 tasks written" in result.output and "left out:" in result.output
    source = load_tasks(f"jsonl:{path}")
    assert len(source) == 60 and source[0].task_id.split("/")[4] == "3"
    assert check_source(f"jsonl:{path}", judge=False).same_solution == []


def test_synthesize_shows_tasks_and_tables():
    shown = invoke(synthesize_command, "atoms?topic=strings", "--show", "2").output
    assert shown.count("def f(s: str)") == 2 and "f('" in shown
    tables = invoke(synthesize_command, "--count", "20").output
    assert (
        "tasks by topic" in tables and "tasks by depth" in tables and "number of chains" in tables
    )
    atoms = invoke(synthesize_command, "--atoms").output
    assert "pair_up" in atoms and "list[int]" in atoms
    with pytest.raises(ConfigError, match="not a source of composed tasks"):
        invoke(synthesize_command, "humaneval")


def test_list_names_every_group_and_describes_one():
    assert "composites" in invoke(list_command).output
    described = invoke(list_command, "sources").output
    assert "MBPP problems" in described and "split" in described
    with pytest.raises(UnknownNameError, match="did you mean 'sources'"):
        invoke(list_command, "source")


def test_check_command_says_ok_or_ends_with_one(tmp_path):
    good = invoke(check_command, "source", "composites", "--count", "5", "--no-judge")
    assert good.exit_code == 0 and "ok" in good.output
    rows = [ADD.to_json() | {"task_id": s, "metadata": {"split": s}} for s in ("train", "test")]
    uri = f"jsonl:{rows_file(tmp_path, *rows)}?split=train"
    assert invoke(check_command, "source", uri, "--no-judge").exit_code == 1
    with pytest.raises(UnknownNameError, match="did you mean 'source'"):
        invoke(check_command, "sorce", "composites")
