"""verl: its reward function at its signature, and the rows of its data set."""

import asyncio
import functools
import inspect
import json

import pytest

from codegym.errors import MissingExtraError, SandboxError, TaskError, UnknownNameError
from codegym.integrations import answer_grader
from codegym.integrations.task_table import reference
from codegym.integrations.verl import compute_score, rows, write_parquet
from tests.integrations.stand_ins import TASKS, broken, by_text, judge_of, right, tasks_of


@pytest.fixture(params=[by_text])
def judged(request, monkeypatch):
    """Put a stand-in in the place of the judge that a process shares."""
    judge = judge_of(request.param)
    monkeypatch.setattr(answer_grader, "shared_judge", lambda isolation="auto": judge)


def scored(answer, truth, **more):
    """Call the function as the manager ``naive`` of verl 0.9.1 does."""
    call = compute_score(
        data_source="codegym",
        solution_str=answer,
        ground_truth=truth,
        extra_info={"num_turns": None, "rollout_reward_scores": {}},
        **more,
    )
    return asyncio.run(call)


def test_a_score_has_the_same_keys_for_every_answer(judged):
    (task,) = tasks_of(1)
    truth = reference(TASKS, task.task_id, reward="pass_rate - 0.25")
    assert scored(right(task), truth) == {"score": 0.75, "acc": 1.0, "pass_rate": 1.0}
    assert scored("    return 1\n", truth) == {"score": 0.25, "acc": 0.0, "pass_rate": 0.5}
    assert scored("", truth) == {"score": -0.25, "acc": 0.0, "pass_rate": 0.0}
    found = scored("    return 1\n", task.task_id, tasks=TASKS, reward="binary")
    assert found["score"] == 0.0
    assert scored(right(task), truth, reward_router_address="x", reward_model_tokenizer=None)


@pytest.mark.parametrize("judged", [broken], indirect=True)
def test_no_verdict_is_raised(judged):
    (task,) = tasks_of(1)
    with pytest.raises(SandboxError, match="the sandbox broke"):
        scored(right(task), reference(TASKS, task.task_id))


def test_mistakes_are_named(judged):
    with pytest.raises(TaskError, match="no such task"):
        scored("x", reference(TASKS, "nope"))
    with pytest.raises(TaskError, match="a label is unusable"):
        scored("x", {"inputs": [], "outputs": []})
    with pytest.raises(UnknownNameError, match="did you mean 'reward'"):
        scored("x", reference(TASKS, "a"), rewards="binary")


def test_verl_takes_it_for_a_coroutine_function_inside_a_partial_too():
    # ``get_custom_reward_fn`` wraps it, and the managers ask ``inspect``.
    assert inspect.iscoroutinefunction(compute_score)
    assert inspect.iscoroutinefunction(functools.partial(compute_score, reward="binary"))


def test_rows_are_what_verl_reads():
    (task,) = tasks_of(1)
    (row,) = rows(TASKS, count=1, reward="coderl", split="test")
    assert row["reward_model"]["style"] == "rule" and row["data_source"] == "codegym"
    assert json.loads(row["reward_model"]["ground_truth"]) == {
        "tasks": TASKS,
        "task_id": task.task_id,
        "reward": "coderl",
        "turns": 1,
    }
    assert row["extra_info"] == {"index": 0, "split": "test", "task_id": task.task_id}
    assert row["prompt"][0]["role"] == "user"
    (bare,) = rows(TASKS, count=1, style="text")
    assert bare["prompt"] == [{"role": "user", "content": task.prompt}]


def test_parquet_needs_pyarrow(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    with pytest.raises(MissingExtraError, match=r"pyarrow is not installed.*\[datasets\]"):
        write_parquet(TASKS, tmp_path / "train.parquet", count=1)


def test_parquet_is_read_back(tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet")
    path = tmp_path / "with a blank.parquet"
    assert write_parquet(TASKS, path, count=3) == 3
    table = parquet.read_table(path).to_pylist()
    assert table == rows(TASKS, count=3)
