"""Lines and whole programs as actions, and repair in several turns."""

import gymnasium as gym
import pytest
from gymnasium.utils.env_checker import check_env

from codegym.envs.dialogue import Dialogue
from codegym.envs.text import TextEnv
from codegym.errors import ConfigError, EpisodeOverError, InvalidActionError
from codegym.grading.verdict import CaseResult, Outcome, Verdict


@pytest.fixture
def texts(tiny):
    """Keyword arguments of a text env over the tiny source."""
    return {"tasks": "tiny", "judge": tiny["judge"], "max_chars": 400}


@pytest.mark.parametrize("name", ["Line", "Program", "Repair"])
def test_gymnasium_finds_nothing_to_complain_about(texts, name):
    env = gym.make(f"codegym:CodeGym/{name}-v0", **texts)
    check_env(env.unwrapped, skip_render_check=True)


def test_a_program_is_one_action(texts):
    env = TextEnv(**texts, reward="pass_rate")
    text, info = env.reset(options={"task_id": "tiny/3"})
    assert text == info["prompt"] == "def f(x):\n"
    text, reward, terminated, truncated, info = env.step("    return x+3")
    assert (reward, terminated, truncated) == (1.0, True, False)
    assert text == "def f(x):\n    return x+3"
    assert info["token_rewards"] == (1.0,)
    env.reset(options={"task_id": "tiny/3"})
    # A whole program is taken as one.
    assert env.step("def f(x):\n    return x+3")[1] == 1.0
    with pytest.raises(EpisodeOverError):
        env.step("x")


def test_lines_build_a_program_and_bear_its_faults(texts):
    error = CaseResult(outcome=Outcome.RUNTIME_ERROR, error_type="NameError", error_line=3)
    texts["judge"] = lambda pairs: [Verdict.from_cases([error])] * len(pairs)
    env = TextEnv(**texts, reward="rltf", granularity="line")
    env.reset(options={"task_id": "tiny/3"})
    assert env.step("    y = x")[1:3] == (0.0, False)
    text, reward, terminated, _, _ = env.step("    return z")
    assert (text, reward, terminated) == ("def f(x):\n    y = x\n    return z\n", 0.0, False)
    _, reward, terminated, _, info = env.step("")
    assert (reward, terminated, info["cut"]) == (-0.6, True, False)
    # Three actions: the faulty line bears the fine weight, the last one the reward.
    assert info["feedback"].tokens == (1, 2)
    assert info["token_rewards"] == pytest.approx((0.0, -0.3, -0.6))


def test_the_budget_of_lines_cuts(texts):
    env = TextEnv(**texts, granularity="line", max_lines=2)
    env.reset(seed=0)
    env.step("    y = x")
    *_, terminated, _, info = env.step("    z = x")
    assert terminated
    assert info["cut"]
    assert info["verdict"].cut


def test_repair_shows_the_verdict_and_pays_at_the_end(texts):
    env = TextEnv(**texts, turns=3, reward="coderl")
    env.reset(options={"task_id": "tiny/3"})
    text, reward, terminated, _, info = env.step("    return x")
    assert (reward, terminated, info["turn"]) == (0.0, False, 1)
    assert "not right: syntax error on line 2: SyntaxError: invalid syntax" in text
    assert "0 of 2 tests passed" in text
    text, reward, terminated, _, info = env.step("    return xx")
    assert (reward, terminated, info["turn"]) == (0.0, False, 2)
    assert "not right: wrong answer" in text
    text, reward, terminated, _, _ = env.step("    return x+3")
    assert (reward, terminated) == (1.0, True)
    assert text.endswith("return x+3")


def test_the_last_turn_pays_what_it_is_worth(texts):
    dialogue = Dialogue(**texts, turns=2, reward="coderl")
    dialogue.start(task_id="tiny/3")
    assert not dialogue.reply("    return x").done
    reply = dialogue.reply("    return xx")
    assert (reply.done, reply.reward) == (True, -0.3)


def test_a_long_dialogue_forgets_its_beginning(texts):
    dialogue = Dialogue(**texts, turns=9)
    prompt = dialogue.start(task_id="tiny/3")
    for _ in range(8):
        reply = dialogue.reply("    return " + "y" * 51)
        assert len(reply.text) <= 400
        assert reply.text.startswith(prompt)


@pytest.mark.parametrize("action", [1, None, b"x", "x" * 401])
def test_actions_outside_the_space_are_refused(texts, action):
    env = TextEnv(**texts)
    env.reset(seed=0)
    with pytest.raises(InvalidActionError, match="400"):
        env.step(action)


def test_bad_input_is_named(texts):
    env = TextEnv(**texts, granularity="line")
    with pytest.raises(EpisodeOverError, match="reset"):
        env.step("x")
    env.reset(seed=0)
    with pytest.raises(InvalidActionError, match="one line"):
        env.step("a\nb")
    with pytest.raises(ConfigError, match="granularity"):
        TextEnv(**texts, granularity="word")
    with pytest.raises(ConfigError, match="turns"):
        TextEnv(**texts, turns=0)
