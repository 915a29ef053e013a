"""OpenRLHF: its reward function and agent at their signatures, loaded as its command line does."""

import asyncio
import importlib.util
import json
import math
import sys
from types import ModuleType

import pytest

from codegym.errors import (
    ConfigError,
    MissingExtraError,
    SandboxError,
    TaskError,
    UnknownNameError,
)
from codegym.integrations import answer_grader, openrlhf
from codegym.integrations.task_table import reference
from tests.integrations.stand_ins import TASKS, broken, by_text, judge_of, right, tasks_of

torch = pytest.importorskip("torch")
PROMPT = "<|im_start|>user\nWrite it.<|im_end|>\n<|im_start|>assistant\n"


@pytest.fixture(params=[by_text])
def judged(request, monkeypatch):
    """Put a stand-in in the place of the judge that a process shares."""
    judge = judge_of(request.param)
    monkeypatch.setattr(answer_grader, "shared_judge", lambda isolation="auto": judge)


def from_path(name):
    """Load the file as OpenRLHF 0.11 loads what its command line names."""
    spec = importlib.util.spec_from_file_location(name, openrlhf.__file__)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_queries_with_special_tokens_earn_the_rewards_number(judged):
    (task,) = tasks_of(1)
    label = reference(TASKS, task.task_id, reward="pass_rate - 0.25")
    queries = [f"{PROMPT}{right(task)}<|im_end|>", f"{PROMPT}    return 1\n<|im_end|>", PROMPT]
    reward_func = from_path("reward_func").reward_func
    found = reward_func(queries, [PROMPT] * 3, [label] * 3)
    assert found["rewards"].tolist() == found["scores"].tolist() == [0.75, 0.25, -0.25]
    assert found["extra_logs"]["passed"].tolist() == [1.0, 0.0, 0.0]
    # As the executor reads it: an element of a batch of one.
    assert torch.tensor([reward_func(queries[:1], [PROMPT], [label])["rewards"]]).item() == 0.75


def test_the_answer_is_found_behind_a_prompt_that_a_tokenizer_changed():
    prompt = PROMPT.replace("Write it.", "Write a function that keeps the negative numbers.")
    query = f"<s>{prompt}answer"
    assert openrlhf.answer_in(query, prompt) == "answer"
    assert openrlhf.answer_in(query, "a beginning that was cut off, before " + prompt) == "answer"
    assert openrlhf.answer_in(query, "") == openrlhf.answer_in(query, "elsewhere") == query


@pytest.mark.parametrize("judged", [broken], indirect=True)
def test_no_verdict_is_raised_or_nan(judged, monkeypatch):
    (task,) = tasks_of(1)
    label = reference(TASKS, task.task_id)
    with pytest.raises(SandboxError, match="the sandbox broke"):
        openrlhf.reward_func([right(task)], [""], [label])
    monkeypatch.setenv("CODEGYM_NO_VERDICT", "nan")
    found = openrlhf.reward_func([right(task)], [""], [label])
    (score,) = found["scores"].tolist()
    assert math.isnan(score)
    # Dynamic filtering keeps a group whose mean lies between two bounds; NaN lies nowhere.
    assert not 0.0 < (score + 1.0) / 2 < 1.0
    monkeypatch.setenv("CODEGYM_NO_VERDICT", "zero")
    with pytest.raises(UnknownNameError, match="expected one of nan, raise"):
        openrlhf.reward_func([right(task)], [""], [label])


def test_mistakes_are_named(judged):
    with pytest.raises(ConfigError, match="2, 1 and 1"):
        openrlhf.reward_func(["a", "b"], ["a"], ["{}"])
    with pytest.raises(TaskError, match="a label is unusable"):
        openrlhf.reward_func(["a"], ["a"], [""])
    with pytest.raises(MissingExtraError, match=r"Cure: pip install openrlhf brings it"):
        openrlhf.agent_executor()
    assert not hasattr(openrlhf, "AgentExecuter")


def played(agent, task, *actions):
    """Play an agent's conversation as the executor does: add up the rewards until it is done."""
    label = reference(TASKS, task.task_id, turns=2)

    async def episode():
        await agent.reset({"observation": PROMPT, "label": label})
        total, steps = 0.0, []
        for action in actions:
            step = await agent.step(
                {"observation_text": PROMPT, "action_text": action, "label": label,
                 "sampling_params": None}
            )  # fmt: skip
            total += step["rewards"].item()
            steps.append(step)
            if step["done"]:
                break
        return total, steps

    return asyncio.run(episode())


def test_an_agent_is_told_what_is_wrong_and_earns_the_last_reward(judged, monkeypatch):
    (task,) = tasks_of(1)
    total, steps = played(openrlhf.Repairs(), task, "    return 1\n<|im_end|>", right(task))
    assert total == 1.0 and [step["done"] for step in steps] == [False, True]
    assert "1 of 2 tests passed" in steps[0]["environment_feedback"]
    assert steps[1]["environment_feedback"] == ""
    assert steps[1]["extra_logs"]["passed"].item() == 1.0
    monkeypatch.setenv("CODEGYM_FEEDBACK", "<user>{message}<assistant>")
    total, steps = played(openrlhf.Repairs(), task, *["    return 1\n"] * 3)
    assert total == 0.0 and len(steps) == 2
    assert steps[0]["environment_feedback"].startswith("<user>\n# The program above")


@pytest.mark.parametrize("judged", [broken], indirect=True)
def test_an_agent_without_a_verdict_raises(judged, monkeypatch):
    (task,) = tasks_of(1)
    with pytest.raises(SandboxError):
        played(openrlhf.Repairs(), task, "x")
    monkeypatch.setenv("CODEGYM_NO_VERDICT", "nan")
    total, steps = played(openrlhf.Repairs(), task, "x", "y")
    assert math.isnan(total) and len(steps) == 1


def test_the_file_holds_the_class_that_the_command_line_asks_for(judged, monkeypatch):
    class AgentInstanceBase:
        pass

    class MultiTurnAgentExecutor:
        def __init__(self, agent_instance_cls):
            assert issubclass(agent_instance_cls, AgentInstanceBase)
            self.agent_instance_cls = agent_instance_cls

    agent = ModuleType("openrlhf.utils.agent")
    agent.AgentInstanceBase = AgentInstanceBase
    agent.MultiTurnAgentExecutor = MultiTurnAgentExecutor
    for name in ("openrlhf", "openrlhf.utils"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    monkeypatch.setitem(sys.modules, "openrlhf.utils.agent", agent)
    module = from_path("agent_module")
    assert hasattr(module, "AgentExecutor")
    executor = module.AgentExecutor()
    assert isinstance(executor, MultiTurnAgentExecutor)
    (task,) = tasks_of(1)
    assert played(executor.agent_instance_cls(), task, right(task))[0] == 1.0


def test_lines_are_what_openrlhf_reads(tmp_path):
    (task,) = tasks_of(1)
    path = tmp_path / "train.jsonl"
    assert openrlhf.write_jsonl(TASKS, path, count=2, reward="coderl", turns=3) == 2
    first, _ = map(json.loads, path.read_text().splitlines())
    assert first["input"][0]["role"] == "user"
    assert json.loads(first["label"]) == {
        "tasks": TASKS,
        "task_id": task.task_id,
        "reward": "coderl",
        "turns": 3,
    }
    openrlhf.write_jsonl(TASKS, path, count=1, style="text")
    assert json.loads(path.read_text())["input"] == task.prompt
