"""TRL: its reward function and environment at their signatures, as GRPOTrainer calls them."""

import asyncio
import inspect
import pickle

import pytest

from codegym.errors import ConfigError, InvalidActionError, MissingExtraError, TaskError
from codegym.integrations import trl
from codegym.integrations.trl import log_name
from codegym.tasks.task import Task
from tests.integrations.stand_ins import (
    TASKS,
    broken,
    by_text,
    chat,
    judge_of,
    right,
    tasks_of,
    write_faulty_tasks,
)

OTHER = "atoms?topic=sorting"


def called(function, completions, ids, **columns):
    """Call a reward function as TRL 1.16 does: by name, with what else a batch holds."""
    given = {
        "prompts": ["p"] * len(completions),
        "completions": completions,
        "completion_ids": [[1, 2]] * len(completions),
        "trainer_state": object(),
        "log_extra": lambda name, values: None,
        "log_metric": lambda name, value: None,
    }
    return asyncio.run(function(**given | {"task_id": ids} | columns))


def test_texts_and_chats_earn_the_rewards_number():
    tasks = tasks_of(3)
    ids = [task.task_id for task in tasks]
    function = trl.reward(TASKS, "pass_rate - 0.25", judge=judge_of(by_text))
    texts = [right(tasks[0]), "    return 1\n", ""]
    assert called(function, texts, ids) == [0.75, 0.25, -0.25]
    assert called(function, [chat(text) for text in texts], ids) == [0.75, 0.25, -0.25]


def test_no_verdict_is_none_and_its_share_is_logged():
    tasks, metrics = tasks_of(2), {}
    ids = [task.task_id for task in tasks]
    function = trl.reward(TASKS, judge=judge_of(broken))
    assert called(function, ["a", "b"], ids, log_metric=metrics.__setitem__) == [None, None]
    assert metrics == {"codegym_binary/no_verdict": 1.0}


def test_a_batch_keeps_the_rewards_of_its_other_rows(tmp_path):
    uri = write_faulty_tasks(tmp_path / "tasks.jsonl")
    answers = ["    return x + 1\n", "    return x + 1\n", "    return x\n"]
    rewards = called(trl.reward(uri), answers, ["good", "faulty", "good"])
    assert rewards == [1.0, None, 0.0]


def test_it_is_what_trl_takes_for_an_async_function_with_a_name():
    function = trl.reward(TASKS, "0.5*pass_rate - 0.1*length(full=64)")
    assert inspect.iscoroutinefunction(function.__call__)
    assert function.__name__ == "codegym_0.5_pass_rate-0.1_length_full_64"
    assert pickle.loads(pickle.dumps(function)).__name__ == function.__name__
    assert log_name("binary") == "codegym_binary"
    assert trl.reward(TASKS, lambda verdict: 1.0).__name__.startswith("codegym_")


def test_columns_that_do_not_fit_are_named():
    tasks = tasks_of(2)
    ids = [task.task_id for task in tasks]
    function = trl.reward(TASKS, judge=judge_of(by_text))
    for completions, column, error, text in (
        (["a", "b"], ids[:1], ConfigError, "got '1 and 2'; expected as many of each"),
        (["a", "b"], ["nope", "nope"], TaskError, "no such task"),
        ([None, "a"], ids, ConfigError, "an answer is unusable"),
    ):
        with pytest.raises(error, match=text):
            called(function, completions, column)
    with pytest.raises(ConfigError, match="completions are unusable"):
        asyncio.run(function(completions=None, task_id=ids))
    with pytest.raises(ConfigError, match=r"'task_id' is missing; got \[.*'name'.*id_column"):
        asyncio.run(function(prompts=[], completions=["a"], name=["x"]))
    named = trl.reward(TASKS, id_column="name", judge=judge_of(by_text))
    assert asyncio.run(named(completions=[right(tasks[0])], name=ids[:1])) == [1.0]
    with pytest.raises(InvalidActionError, match="raise max_chars"):
        called(
            trl.reward(TASKS, max_chars=3, oversized="raise", judge=judge_of(by_text)),
            ["long"],
            ids[:1],
        )


def test_two_sources_at_once_each_have_their_rows(caplog):
    mine, theirs = tasks_of(1)[0], tasks_of(1, OTHER)[0]
    batch = ([right(mine), right(theirs)], [mine.task_id, theirs.task_id])
    uris = [TASKS, OTHER]
    rewards = [called(trl.reward(uri, judge=judge_of(by_text)), *batch, tasks=uris) for uri in uris]
    assert rewards == [[1.0, None], [None, 1.0]] and not caplog.text
    assert called(trl.reward(TASKS, judge=judge_of(by_text)), ["a"], ["b"], tasks=["c"]) == [None]
    assert f"no row of the batch is of '{TASKS}'; they name 'c'" in caplog.text


def test_a_list_of_tasks_needs_no_source():
    task = Task.from_calls("def f(x):\n", "f", [((1,), 2)], canonical_solution="    return x + 1")
    function = trl.reward([task], judge=judge_of(by_text))
    assert called(function, [right(task)], ["task"]) == [1.0]


def play(env, task, *programs):
    async def episode():
        env.reset(prompt=task.prompt, task_id=task.task_id, tasks=TASKS)
        said = [await env.submit_program(program) for program in programs]
        return said, await env.get_reward()

    return asyncio.run(episode())


def test_a_tool_judges_programs_until_one_passes():
    task = tasks_of(1)[0]
    env = trl.environment(TASKS, "binary", turns=3, judge=judge_of(by_text))()
    said, reward = play(env, task, "    return 1\n", right(task), "    return 2\n")
    assert "1 of 2 tests passed" in said[0] and said[1] == "Every test passed."
    assert "No more programs" in said[2] and reward == 1.0
    said, reward = play(env, task, *["    return 1\n"] * 4)
    assert said[2] == "The task is over." and reward == 0.0
    assert play(env, task) == ([], 0.0)  # nothing was submitted


def test_a_tool_without_a_verdict_asks_again_and_has_no_reward():
    task = tasks_of(1)[0]
    env = trl.environment(TASKS, judge=judge_of(broken))()
    said, reward = play(env, task, right(task))
    assert "not to blame" in said[0] and reward is None
    assert play(env, task) == ([], None)
    with pytest.raises(ConfigError, match="'task_id' is missing"):
        env.reset(prompt="p")


def test_the_tool_is_the_only_public_method_beside_trls_own():
    kind = trl.environment(TASKS, "pass_rate")
    public = [name for name, _ in inspect.getmembers(kind, inspect.isfunction) if name[0] != "_"]
    assert public == ["get_reward", "reset", "submit_program"]
    assert kind.__name__ == "codegym_pass_rate"
    schema = pytest.importorskip("transformers").utils.get_json_schema(kind().submit_program)
    assert list(schema["function"]["parameters"]["properties"]) == ["program"]


def test_a_missing_package_is_named(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "datasets", None)
    with pytest.raises(MissingExtraError, match=r"datasets is not installed.*\[datasets\]"):
        trl.dataset(TASKS)
