"""Environments made in Python from a list of tasks and a function as reward."""

import gymnasium as gym
import pytest

import codegym
from codegym.errors import ConfigError

TASKS = [
    codegym.Task.from_calls(
        "def f(x):\n",
        "f",
        [((1,), 1 + k)],
        task_id=f"t/{k}",
        canonical_solution=f"    return x+{k}",
    )
    for k in range(3)
]


def paid(verdict: codegym.Verdict) -> float:
    """Pay 5 for a program that compiles."""
    return 0.0 if verdict.outcome is codegym.Outcome.SYNTAX_ERROR else 5.0


def play(env, text: str) -> float:
    env.reset(seed=0, options={"task_id": "t/1"})
    tokenizer = env.unwrapped.tokenizer
    for token in [*tokenizer.encode(text), tokenizer.end_id]:
        _, reward, terminated, _, _ = env.step(token)
    assert terminated
    return reward


def test_a_list_of_tasks_and_a_function_make_an_environment() -> None:
    env = gym.make("CodeGym/Synthesis-v0", tasks=TASKS, reward=paid, max_tokens=64)
    assert play(env, "    return x") == 5.0
    assert play(env, "    return x+") == 0.0
    seen = {env.reset(seed=seed)[1]["task_id"] for seed in range(30)}
    assert seen == {"t/0", "t/1", "t/2"}


def test_vector_environments_take_them_too() -> None:
    policy = codegym.make_policy("gpt:tiny@128")
    env = codegym.make_env("CodeGym/Synthesis-v0", policy, tasks=TASKS, reward=paid, budget=8)
    episodes = codegym.collect(env, policy, codegym.Request(tasks=3))
    assert {episode.reward for episode in episodes} <= {0.0, 5.0}
    assert {episode.task_id for episode in episodes} <= {"t/0", "t/1", "t/2"}


def test_functions_compose_and_say_what_they_return() -> None:
    reward = codegym.make_reward(paid) * 0.5 + codegym.make_reward("binary")
    verdict = codegym.judge("def f(x):\n    return x+1", TASKS[1])
    assert reward(verdict) == 3.5 and "paid" in repr(reward)
    with pytest.raises(ConfigError, match="returned no reward; got 'much'"):
        codegym.make_reward(lambda verdict: "much")(verdict)


@pytest.mark.parametrize("tasks", [[], [1], [TASKS[0], "atoms"]])
def test_other_lists_are_refused(tasks: list[object]) -> None:
    with pytest.raises(ConfigError, match="a list of Task"):
        gym.make("CodeGym/Synthesis-v0", tasks=tasks)
