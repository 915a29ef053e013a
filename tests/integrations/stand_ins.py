"""Judges without a sandbox, and tasks whose own test is at fault."""

import json

import codegym
from codegym.errors import SandboxError, SandboxUnavailableError
from codegym.grading.async_judge import AsyncJudge
from codegym.grading.verdict import CaseResult, Outcome, Verdict
from codegym.sources import load_tasks

TASKS = "atoms?topic=filtering"


def by_text(pairs):
    """Judge by text alone: what holds the reference solution passes, the rest fails half."""
    return [_verdict(program, task) for program, task in pairs]


def _verdict(program, task):
    if task.canonical_solution.strip() in program:
        return Verdict.from_cases([CaseResult(outcome=Outcome.PASSED)] * 2)
    if "return" not in program:
        return Verdict.no_program(n_cases=2)
    return Verdict.from_cases(
        [CaseResult(outcome=Outcome.PASSED), CaseResult(outcome=Outcome.FAILED)]
    )


def broken(pairs):
    raise SandboxError("the sandbox broke, twice", value="exit 139")


def refused(pairs):
    raise SandboxUnavailableError("this machine refuses", cure="another machine")


def judge_of(stand_in):
    return AsyncJudge(stand_in=stand_in)


def tasks_of(count=4, tasks=TASKS):
    source = load_tasks(tasks)
    return [source[index] for index in range(count)]


def right(task):
    """Return a chat model's answer that is right."""
    return f"Here it is.\n```python\n{task.program(task.canonical_solution)}\n```\nDone."


def chat(text):
    return [{"role": "assistant", "content": text}]


def write_faulty_tasks(path):
    """Write a good task and one whose test fails by itself, so that no program has a verdict."""
    good = codegym.Task.from_calls(
        "def f(x):\n", "f", [((1,), 2)], task_id="good", canonical_solution="    return x + 1\n"
    )
    faulty = codegym.Task.from_assertions(
        "def g(x):\n",
        "g",
        "assert g(1) == 2",
        setup_code="raise RuntimeError('the test is at fault')",
        task_id="faulty",
        canonical_solution="    return x + 1\n",
    )
    lines = [json.dumps(task.to_json()) + "\n" for task in (good, faulty)]
    path.write_text("".join(lines))
    return f"jsonl:{path}"
