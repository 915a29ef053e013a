"""The single environment: Gymnasium's contract, ours, and the errors of its callers."""

import ast
import dataclasses
import os
import re
import subprocess
import sys

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.envs.registration import EnvSpec
from gymnasium.utils.env_checker import check_env
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from codegym.envs.synthesis import SynthesisEnv
from codegym.envs.validation import validate
from codegym.errors import (
    ConfigError,
    EpisodeOverError,
    InvalidActionError,
    PromptTooLongError,
    SandboxError,
    TaskError,
    UnknownNameError,
)
from codegym.grading.verdict import Outcome
from codegym.rewards import make_reward
from codegym.sources import load_tasks
from codegym.trajectory import Trajectory

ID = "codegym:CodeGym/Synthesis-v0"


def play(env, text, *, end=True, **reset):
    """Write a text; return what the last step returned."""
    env.reset(**reset)
    tokens = env.unwrapped.tokenizer
    for token in tokens.encode(text) + [tokens.end_id] * end:
        result = env.step(token)
    return result


def test_gymnasium_finds_nothing_to_complain_about(tiny):
    check_env(gym.make(ID, **tiny).unwrapped, skip_render_check=True)


def test_stable_baselines3_finds_nothing_to_complain_about(tiny):
    checker = pytest.importorskip("stable_baselines3.common.env_checker")
    checker.check_env(gym.make(ID, **tiny))


def test_the_spec_survives_json(tiny):
    del tiny["judge"]
    spec = gym.make(ID, reward="0.5*rltf+binary", **tiny).spec
    again = gym.make(EnvSpec.from_json(spec.to_json()))
    assert again.spec.kwargs == spec.kwargs
    assert again.observation_space.shape == (48,)


def test_an_episode_from_prompt_to_reward(tiny):
    env = gym.make(ID, reward="rltf", **tiny)
    obs, info = env.reset(seed=3, options={"task_id": "tiny/4"})
    tokens = env.unwrapped.tokenizer
    prompt, ids = tokens.encode(info["prompt"]), [*tokens.encode("    return x+4"), tokens.end_id]
    assert info == {"length": 0, "task_id": "tiny/4", "prompt": "# note\ndef f(x):\n"}
    for count, token in enumerate(ids, start=1):
        obs, reward, terminated, truncated, info = env.step(token)
        assert obs in env.observation_space
        assert obs[: len(prompt) + count].tolist() == prompt + ids[:count]
        assert not obs[len(prompt) + count :].any()
        assert info["length"] == count
        assert (terminated, truncated) == (count == len(ids), False)
        assert reward == (1.0 if terminated else 0.0)
    assert info["program"] == "# note\ndef f(x):\n    return x+4"
    assert info["verdict"].passed
    assert info["cut"] is False
    assert info["token_rewards"] == (0.0,) * (len(ids) - 1) + (1.0,)
    assert info["feedback"].n_tokens == len(ids)


def test_the_budget_ends_an_episode_as_terminated(tiny):
    env = SynthesisEnv(**tiny, budget=3, reward="coderl")
    _, _, terminated, truncated, info = play(env, "    return x", end=False, seed=0)
    assert (terminated, truncated, info["cut"]) == (True, False, True)
    assert info["length"] == 3
    assert info["verdict"].cut
    # The end token as the budget's last token is an end of the policy's own.
    assert play(env, "    return", seed=0)[4]["cut"] is False


def test_without_a_budget_the_observation_is_filled(tiny):
    env = SynthesisEnv(**tiny)
    obs, _ = env.reset(seed=0)
    room = int((obs == 0).sum())
    for _ in range(room):
        obs, _, terminated, _, _ = env.step(env.tokenizer.encode("x")[0])
    assert terminated
    assert obs.all()


def test_a_program_is_judged_by_its_tests(tiny):
    rewards = {
        text: play(SynthesisEnv(**tiny, reward="pass_rate"), text, options={"task_id": "tiny/3"})
        for text in ("    return x+3", "    return xx", "    return x")
    }
    assert [result[1] for result in rewards.values()] == [1.0, 0.5, 0.0]
    verdict = rewards["    return x"][4]["verdict"]
    assert verdict.outcome is Outcome.SYNTAX_ERROR


def test_tasks_are_drawn_from_the_seed_alone(tiny):
    def draws(seed):
        env = SynthesisEnv(**tiny)
        np.random.seed(0)
        first = env.reset(seed=seed)[1]["task_id"]
        return [first] + [env.reset()[1]["task_id"] for _ in range(20)]

    assert draws(1) == draws(1)
    assert draws(1) != draws(2)
    assert len(set(draws(1))) > 4


@given(actions=st.lists(st.integers(0, 430), max_size=60), seed=st.integers(0, 99))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_actions_give_what_they_spell(tiny, actions, seed):
    env = SynthesisEnv(**tiny)
    _, info = env.reset(seed=seed)
    prompt = info["prompt"]
    for count, action in enumerate(actions, start=1):
        _, reward, terminated, _, info = env.step(action)
        if terminated:
            assert info["program"] == prompt + env.tokenizer.decode(actions[:count])
            assert len(info["token_rewards"]) == count
            assert info["cut"] is (action != env.tokenizer.end_id)
            break
        assert reward == 0.0


def test_observations_are_copies_unless_asked_otherwise(tiny):
    env = SynthesisEnv(**tiny)
    first, _ = env.reset(seed=0)
    kept = first.copy()
    env.step(5)
    assert (first == kept).all()
    shared = SynthesisEnv(**tiny, copy=False)
    first, _ = shared.reset(seed=0)
    assert shared.step(5)[0] is first
    with pytest.raises(ValueError, match="read-only"):
        first[0] = 1


def test_steps_outside_an_episode_are_refused(tiny):
    env = SynthesisEnv(**tiny)
    with pytest.raises(EpisodeOverError, match="reset"):
        env.step(3)
    play(env, "x")
    with pytest.raises(EpisodeOverError, match="reset"):
        env.step(3)


@pytest.mark.parametrize("action", [-1, 10**9, 1.5, "a", None, np.array([1, 2])])
def test_actions_outside_the_space_are_refused(tiny, action):
    env = SynthesisEnv(**tiny)
    env.reset(seed=0)
    with pytest.raises(InvalidActionError, match=r"0\.\."):
        env.step(action)
    env.step(np.int64(3))


def test_a_prompt_that_fills_the_observation_is_refused_with_the_cure(tiny):
    env = SynthesisEnv(**tiny | {"tasks": "tiny?long=30"})
    with pytest.raises(PromptTooLongError, match="max_tokens="):
        env.reset(options={"task_id": "tiny/0"})


def test_bad_arguments_are_named(tiny):
    with pytest.raises(UnknownNameError, match="did you mean 'binary'"):
        SynthesisEnv(**tiny, reward="binry")
    with pytest.raises(UnknownNameError, match="did you mean 'tiny'"):
        SynthesisEnv(**tiny | {"tasks": "tinny"})
    with pytest.raises(UnknownNameError, match="did you mean 'lexemes'"):
        SynthesisEnv(**tiny | {"tokenizer": "lexeme"})
    for bad in ({"budget": 0}, {"max_tokens": -1}, {"tasks": "tiny?n=0"}):
        with pytest.raises(ConfigError):
            SynthesisEnv(**tiny | bad)
    env = SynthesisEnv(**tiny)
    with pytest.raises(UnknownNameError, match="did you mean 'task_id'"):
        env.reset(options={"task": "tiny/0"})
    with pytest.raises(TaskError, match="no such task"):
        env.reset(options={"task_id": "tiny/99"})


def test_a_broken_sandbox_is_an_error_never_a_reward(tiny):
    def broken(pairs):
        raise SandboxError("the zygote died")

    env = SynthesisEnv(**tiny | {"judge": broken})
    with pytest.raises(SandboxError, match="zygote"):
        play(env, "    return x", seed=0)
    env.reset(seed=0)


@pytest.mark.parametrize("seed", range(5))
def test_masked_random_programs_end_and_parse(tiny, seed):
    pytest.importorskip("lark")
    env = SynthesisEnv(**tiny, budget=20)
    env.reset(seed=seed)
    rng = np.random.default_rng(seed)
    terminated = False
    while not terminated:
        mask = env.action_masks()
        assert mask.shape == (env.action_space.n,)
        *_, terminated, _, info = env.step(int(rng.choice(np.flatnonzero(mask))))
    assert not info["cut"]
    ast.parse(info["program"])
    assert env.action_masks().all()


def test_masks_let_go_of_a_program_that_left_python(tiny):
    pytest.importorskip("lark")
    env = SynthesisEnv(**tiny)
    env.reset(seed=0)
    assert not env.action_masks()[env.tokenizer.encode(")")[0]]
    env.step(env.tokenizer.encode(")")[0])
    mask = env.action_masks()
    assert mask.sum() == len(mask) - 1
    assert not mask[env.tokenizer.pad_id]


def test_what_cannot_be_judged_is_truncated_where_asked(tiny):
    def broken(pairs):
        raise SandboxError("the zygote died")

    env = SynthesisEnv(**tiny | {"judge": broken}, on_sandbox_error="truncate")
    _, reward, terminated, truncated, info = play(env, "    return x", seed=0)
    assert (reward, terminated, truncated) == (0.0, False, True)
    assert info["infrastructure_error"] == "the zygote died"
    assert "verdict" not in info
    with pytest.raises(ConfigError, match="on_sandbox_error"):
        SynthesisEnv(**tiny, on_sandbox_error="ignore")


def test_a_fork_goes_its_own_way(tiny):
    env = SynthesisEnv(**tiny, reward="pass_rate")
    env.reset(seed=0, options={"task_id": "tiny/3"})
    tokens = env.tokenizer
    for token in tokens.encode("    return x+"):
        env.step(token)
    twin = env.fork()
    right, wrong = [*tokens.encode("3"), tokens.end_id], [*tokens.encode("44"), tokens.end_id]
    # In turns, so that what they share would show.
    for one, other in zip(right, wrong, strict=False):
        theirs, ours = twin.step(one), env.step(other)
    ours = env.step(wrong[-1])
    assert theirs[4]["program"].endswith("return x+3")
    assert ours[4]["program"].endswith("return x+44")
    assert (theirs[1], ours[1]) == (1.0, 0.5)
    assert twin.view().pieces[-2:] == ("3", "")
    draws = [[one.reset()[1]["task_id"] for _ in range(9)] for one in (env, twin)]
    assert draws[0] == draws[1]


def logged(env, text):
    """Log an episode as a Trajectory, as the rollout does."""
    _, start = env.reset(seed=0)
    tokens = env.tokenizer
    actions = np.array([*tokens.encode(text), tokens.end_id])
    for action in actions:
        _, reward, _, _, info = env.step(action)
    nothing = np.zeros(len(actions), dtype=np.float32)
    return Trajectory(
        task_id=start["task_id"],
        prompt=np.array(tokens.encode(start["prompt"])),
        actions=actions,
        log_probs=nothing,
        values=nothing,
        reward=reward,
        credit=np.array(info["token_rewards"], dtype=np.float32),
        finished=True,
        program=info["program"],
        verdict=info["verdict"],
        feedback=info["feedback"],
    )


@pytest.mark.parametrize("text", ["    return x+3", "    return x", "    return xx"])
def test_a_logged_episode_plays_again(tiny, text):
    env = SynthesisEnv(**tiny, reward="rltf")
    episode = logged(env, text)
    assert validate(env.episodes, episode).ok
    assert validate(SynthesisEnv(**tiny, reward="rltf").episodes, episode).ok


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"reward": 0.25}, "reward"),
        ({"program": "def f(x):\n    return 1"}, "spell"),
        ({"prompt": np.array([5, 6])}, "prompt"),
        ({"credit": np.zeros(5, dtype=np.float32)}, "credit"),
    ],
)
def test_a_false_log_is_found_out(tiny, change, word):
    env = SynthesisEnv(**tiny, reward="rltf")
    report = validate(env.episodes, dataclasses.replace(logged(env, "    return x"), **change))
    assert not report.ok
    assert any(word in one for one in report.differences)


def test_an_episode_depends_neither_on_the_process_nor_on_its_hash_seed():
    script = (
        "import gymnasium as gym;"
        "env = gym.make('codegym:CodeGym/Synthesis-v0', reward='rltf', budget=12);"
        "env.action_space.seed(0); out = [env.reset(seed=3)[1]]\n"
        "while True:\n"
        "    step = env.step(env.action_space.sample()); out.append(step[1:])\n"
        "    if step[2]: break\n"
        "print(out, step[0].tolist())"
    )
    outputs = {
        re.sub(
            r"usage=Usage\([^)]*\)",
            "",
            subprocess.run(
                [sys.executable, "-W", "error", "-c", script],
                env={"PYTHONHASHSEED": seed, "PATH": os.environ["PATH"]},
                capture_output=True,
                text=True,
                check=True,
            ).stdout,
        )
        for seed in ("0", "1")
    }
    assert len(outputs) == 1


def test_a_rollout_gives_the_same_numbers_as_steps():
    """A policy's own programs, written whole by ``collect`` and then stepped token by token."""
    rollout = pytest.importorskip("codegym.rollout.collect")
    gpt = pytest.importorskip("codegym.policies.gpt.gpt_policy")
    request = pytest.importorskip("codegym.learning.agent").Request
    source = load_tasks("composites?depth=2")
    policy = gpt.GPTPolicy.specimen(seed=0)
    arguments = {
        "tasks": source,
        "tokenizer": policy.tokenizer,
        "reward": make_reward("rltf"),
        "max_tokens": 512,
        "budget": 12,
    }
    written = rollout.collect(
        gym.make_vec("codegym:CodeGym/Synthesis-v0", **arguments),
        policy,
        request(samples=2),
        tasks=[source[index] for index in range(4)],
    )
    env = SynthesisEnv(**arguments)
    assert len(written) == 8
    for episode in written:
        obs, _ = env.reset(options={"task_id": episode.task_id})
        assert obs[: len(episode.prompt)].tolist() == episode.prompt.tolist()
        for action in episode.actions:
            _, price, terminated, _, info = env.step(int(action))
        assert terminated
        assert (price, info["program"]) == (episode.reward, episode.program)
        assert info["cut"] is not episode.finished
        assert (info["verdict"], info["feedback"]) == (episode.verdict, episode.feedback)
        np.testing.assert_array_equal(np.float32(info["token_rewards"]), episode.credit)
    assert validate(env.episodes, written[0]).ok
