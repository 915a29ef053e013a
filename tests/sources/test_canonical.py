"""Canonical solutions: those of every source pass its own contract (a gate, slow)."""

import os
from pathlib import Path

import pytest

import codegym
from codegym.sources import load_tasks

DATA = Path(os.environ.get("CODEGYM_DATA", ""))
SOURCES = [
    ("humaneval", 164),
    ("humaneval?form=call", 164),
    (f"mbpp:{DATA}/mbpp_train_validation.jsonl", 474),
    (f"mbpp:{DATA}/mbpp_train_validation.jsonl?form=call", 474),
    (f"evalplus:{DATA}/HumanEvalPlus.jsonl.gz", 164),
    ("atoms?size=200", 200),
    ("composites?size=200", 200),
]


@pytest.mark.slow
@pytest.mark.timeout(1200)  # EvalPlus takes three minutes on a busy machine
@pytest.mark.parametrize(("uri", "count"), SOURCES)
def test_every_canonical_solution_passes(uri, count):
    path = uri.partition(":")[2].partition("?")[0]
    if path and not Path(path).is_file():
        pytest.skip(f"CODEGYM_DATA names no folder with {Path(path).name}")
    tasks = list(load_tasks(uri))
    verdicts = codegym.judge_many((task.program(task.canonical_solution), task) for task in tasks)
    failed = {
        task.task_id: verdict.error_message
        for task, verdict in zip(tasks, verdicts, strict=True)
        if not verdict.passed
    }
    assert len(tasks) == count and not failed
