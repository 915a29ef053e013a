"""What an environment is made with: misspelt names and unusable values, by every road."""

import copy
import pickle

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.envs.registration import EnvSpec
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from gymnasium.wrappers import TimeLimit

from codegym.envs.dialogue import Dialogue
from codegym.envs.synthesis import SynthesisEnv
from codegym.envs.text import TextEnv
from codegym.envs.vector import SynthesisVectorEnv
from codegym.errors import CodegymError, ConfigError, UnknownNameError

ID = "codegym:CodeGym/Synthesis-v0"


@pytest.mark.parametrize(
    ("wrong", "right"),
    [
        ("rewrad", "reward"),
        ("task", "tasks"),
        ("tokeniser", "tokenizer"),
        ("max_token", "max_tokens"),
        ("isolate", "isolation"),
        ("rendermode", "render_mode"),
    ],
)
def test_a_misspelt_argument_is_answered_with_the_nearest(wrong, right):
    for make in (
        lambda **kwargs: gym.make(ID, **kwargs),
        lambda **kwargs: gym.make_vec(ID, num_envs=2, **kwargs),
        lambda **kwargs: gym.make_vec(ID, num_envs=2, vectorization_mode="sync", **kwargs),
        SynthesisEnv,
        SynthesisVectorEnv,
        lambda **kwargs: gym.make(gym.spec("CodeGym/Synthesis-v0"), **kwargs),
    ):
        with pytest.raises(UnknownNameError, match=f"did you mean '{right}'") as caught:
            make(**{wrong: 1})
        assert caught.value.suggestion == right
        assert right in caught.value.known


def test_text_environments_answer_likewise():
    for make in (TextEnv, Dialogue, lambda **kwargs: gym.make("codegym:CodeGym/Line-v0", **kwargs)):
        with pytest.raises(UnknownNameError, match="did you mean 'max_lines'"):
            make(max_line=1)
        with pytest.raises(UnknownNameError, match="did you mean 'program'"):
            make(granularity="programm")


def test_an_argument_of_the_other_form_is_told_where_it_belongs():
    for name, value in (("autoreset_mode", "SameStep"), ("grading", "deferred"), ("num_envs", 2)):
        with pytest.raises(UnknownNameError, match="make_vec"):
            gym.make(ID, **{name: value})
    with pytest.raises(UnknownNameError, match="vector_kwargs"):
        gym.make_vec(ID, 2, vectorization_mode="sync", autoreset_mode="SameStep")
    with pytest.raises(UnknownNameError, match="max_episode_steps"):
        gym.make(ID, max_episode_step=3)


@pytest.mark.parametrize(
    "bad",
    [
        {"tasks": 3},
        {"tasks": None},
        {"tasks": ["atoms"]},
        {"tasks": "composits"},
        {"tasks": "composites?depht=2"},
        {"tasks": "composites?depth=two"},
        {"tasks": ""},
        {"tasks": "atoms:/no/path"},
        {"tasks": "mbpp:/no/such/file.jsonl"},
        {"reward": "binry"},
        {"reward": 1},
        {"reward": None},
        {"reward": "binary/2"},
        {"tokenizer": "lexems"},
        {"tokenizer": 5},
        {"tokenizer": None},
        {"tokenizer": "lexemes:/no/such/folder"},
        {"max_tokens": 0},
        {"max_tokens": 2.0},
        {"max_tokens": "256"},
        {"max_tokens": True},
        {"budget": -1},
        {"budget": 0},
        {"budget": 1.5},
        {"isolation": "bubblewrap"},
        {"isolation": None},
        {"on_sandbox_error": "ignore"},
        {"on_sandbox_error": None},
        {"copy": "no"},
        {"render_mode": "ascii"},
        {"judge": 3},
    ],
    ids=str,
)
@pytest.mark.parametrize("make", [SynthesisEnv, SynthesisVectorEnv])
def test_unusable_values_are_named(bad, make):
    with pytest.raises(CodegymError) as caught:
        make(**bad)
    # What was expected, how to mend it, or what is not there.
    assert any(word in str(caught.value) for word in ("expected", "Cure", "No such", "no such"))


@pytest.mark.parametrize(
    "bad",
    [
        {"num_envs": 0},
        {"num_envs": -2},
        {"num_envs": 2.5},
        {"num_envs": "4"},
        {"grading": "later"},
        {"grading": None},
        {"autoreset_mode": "NextStepp"},
        {"autoreset_mode": 1},
        {"autoreset_mode": None},
        {"max_episode_steps": 0},
    ],
    ids=str,
)
def test_unusable_values_of_the_vector_form_are_named(bad):
    with pytest.raises(ConfigError, match=f"{next(iter(bad))}.*got.*expected"):
        SynthesisVectorEnv(**bad)


def test_gymnasiums_own_arguments_still_work(tiny):
    env = gym.make(ID, max_episode_steps=3, disable_env_checker=True, render_mode="ansi", **tiny)
    assert env.spec.max_episode_steps == 3
    del tiny["judge"]
    spec = gym.make(ID, **tiny).spec
    for again in (
        EnvSpec.from_json(spec.to_json()),
        pickle.loads(pickle.dumps(spec)),
        copy.deepcopy(spec),
    ):
        assert gym.make(again).spec.kwargs == spec.kwargs
    sync = gym.make_vec(
        ID,
        num_envs=2,
        vectorization_mode="sync",
        vector_kwargs={"autoreset_mode": AutoresetMode.SAME_STEP},
        wrappers=[gym.wrappers.RecordEpisodeStatistics],
        **tiny,
    )
    assert isinstance(sync, SyncVectorEnv)
    native = gym.make_vec(ID, num_envs=2, autoreset_mode="SameStep", **tiny)
    assert isinstance(native, SynthesisVectorEnv)
    assert gym.make_vec(native.spec).num_envs == 2


def test_the_signatures_are_those_that_were_written():
    import inspect

    for made in (SynthesisEnv, SynthesisVectorEnv, TextEnv):
        assert "reward" in inspect.signature(made).parameters
        assert "kwargs" not in inspect.signature(made).parameters


@pytest.mark.parametrize("mode", list(AutoresetMode))
def test_max_episode_steps_is_gymnasiums_time_limit(tiny, mode):
    options = {**tiny, "reward": "rltf", "budget": 7}
    native = gym.make_vec(ID, num_envs=3, max_episode_steps=4, autoreset_mode=mode.value, **options)
    sync = SyncVectorEnv([lambda: TimeLimit(SynthesisEnv(**options), 4)] * 3, autoreset_mode=mode)
    both = (native, sync)
    one, other = (envs.reset(seed=1)[0] for envs in both)
    np.testing.assert_array_equal(one, other)
    rng = np.random.default_rng(0)
    seen = set()
    for _ in range(60):
        actions = rng.integers(2, native.single_action_space.n, size=3)
        actions[rng.random(3) < 0.25] = native.tokenizer.end_id
        one, other = (envs.step(actions) for envs in both)
        for mine, theirs in zip(one[:4], other[:4], strict=True):
            np.testing.assert_array_equal(mine, theirs)
        assert one[4].keys() == other[4].keys()
        if mode is AutoresetMode.SAME_STEP and "final_info" in one[4]:
            assert one[4]["final_info"].keys() == other[4]["final_info"].keys()
        seen |= set(zip(one[2].tolist(), one[3].tolist(), strict=True))
        if mode is AutoresetMode.DISABLED and (one[2] | one[3]).any():
            for envs in both:
                envs.reset(options={"reset_mask": one[2] | one[3]})
    # Ended by itself, by the clock, by both at once, and not at all.
    assert len(seen) == 4
