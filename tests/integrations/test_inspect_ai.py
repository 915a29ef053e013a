"""inspect-ai: scorer and task at their signatures; a stand-in takes the place of inspect_ai."""

import asyncio
import importlib
import sys
from types import ModuleType, SimpleNamespace

import pytest

from codegym.errors import MissingExtraError, SandboxError
from tests.integrations.stand_ins import TASKS, broken, by_text, judge_of, right, tasks_of

NAME = "codegym.integrations.inspect_ai"


@pytest.fixture
def inspect_ai(monkeypatch):
    made = {
        "inspect_ai": {"Task": SimpleNamespace, "task": lambda function: function},
        "inspect_ai.dataset": {
            "MemoryDataset": lambda samples, name: samples,
            "Sample": SimpleNamespace,
        },
        "inspect_ai.scorer": {
            "Score": SimpleNamespace,
            "Scorer": object,
            "Target": object,
            "mean": object,
            "stderr": object,
            "scorer": lambda metrics: lambda function: function,
        },
        "inspect_ai.solver": {"TaskState": object, "generate": lambda: "generate"},
    }
    for name, values in made.items():
        module = ModuleType(name)
        vars(module).update(values)
        monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.delitem(sys.modules, NAME, raising=False)
    yield importlib.import_module(NAME)
    sys.modules.pop(NAME, None)


def scored(inspect_ai, stand_in, answer, task, reward="pass_rate"):
    score = inspect_ai.verdict(TASKS, reward, judge=judge_of(stand_in))
    state = SimpleNamespace(
        output=SimpleNamespace(completion=answer), metadata={"task_id": task.task_id}
    )
    return asyncio.run(score(state, None))


def test_a_score_is_the_rewards_number(inspect_ai):
    (task,) = tasks_of(1)
    score = scored(inspect_ai, by_text, right(task), task)
    assert score.value == 1.0 and score.answer.startswith(task.prompt)
    assert score.metadata == {"outcome": "passed", "pass_rate": 1.0}
    assert scored(inspect_ai, by_text, "    return 1\n", task).value == 0.5
    assert scored(inspect_ai, by_text, "", task, "binary - 1").value == -1.0


def test_no_verdict_is_an_error_without_a_score(inspect_ai):
    (task,) = tasks_of(1)
    with pytest.raises(SandboxError, match="the sandbox broke"):
        scored(inspect_ai, broken, right(task), task)


def test_a_task_has_a_sample_for_each_task_of_the_source(inspect_ai):
    made = inspect_ai.programs(TASKS, count=2)
    assert [sample.id for sample in made.dataset] == [task.task_id for task in tasks_of(2)]
    assert tasks_of(1)[0].prompt.strip() in made.dataset[0].input


def test_a_missing_package_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "inspect_ai", None)
    monkeypatch.delitem(sys.modules, NAME, raising=False)
    with pytest.raises(MissingExtraError, match="pip install inspect-ai brings it"):
        importlib.import_module(NAME)
