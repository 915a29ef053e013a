"""Conformance suites of env, reward and tokenizer: codegym's pass, broken promises are caught."""

from dataclasses import replace

import numpy as np
import pytest
from click.testing import CliRunner

from codegym import registry
from codegym.checks.check_env import check_env
from codegym.checks.check_reward import check_reward
from codegym.checks.check_tokenizer import check_tokenizer, round_trips
from codegym.checks.fast_road import check_fast_road
from codegym.cli.check import command
from codegym.envs.episodes import PlaysPrograms
from codegym.envs.synthesis import SynthesisEnv
from codegym.envs.vector import SynthesisVectorEnv
from codegym.errors import ConfigError, ConformanceError, UnknownNameError
from codegym.registration import ENVIRONMENTS
from codegym.rewards import make_reward
from codegym.rewards.reward import Reward
from codegym.tokenizers.bytes import ByteTokenizer
from codegym.tokenizers.lexemes import LexemeTokenizer

ID = "CodeGym/Synthesis-v0"


@pytest.mark.parametrize("name", registry.names("rewards"))
def test_every_reward_keeps_the_contract(name):
    check_reward(registry.get("rewards", name))


def test_a_composed_reward_keeps_the_contract():
    check_reward(make_reward("0.5*rltf - 0.1*length(full=8)*pass_rate + ast_match"))


class Unbounded(Reward):
    low, high = 0.0, 0.5

    def __call__(self, verdict, feedback=None):
        return verdict.pass_rate


class Moody(Unbounded):
    high = 1e9
    _calls = 0

    def __call__(self, verdict, feedback=None):
        self._calls += 1
        return float(self._calls)


class Short(Unbounded):
    high = 1.0

    def credit(self, verdict, feedback):
        return np.zeros(1, dtype=np.float32)


@pytest.mark.parametrize(
    ("reward", "promise"),
    [(Unbounded, "low <= reward"), (Moody, "same verdict"), (Short, "tokens")],
)
def test_broken_rewards_are_caught(reward, promise):
    with pytest.raises(ConformanceError, match=promise):
        check_reward(reward)


@pytest.mark.parametrize("tokenizer", [LexemeTokenizer, ByteTokenizer, LexemeTokenizer(["return"])])
def test_every_tokenizer_keeps_the_contract(tokenizer):
    check_tokenizer(tokenizer)


class Lossy(ByteTokenizer):
    def encode(self, text):
        return super().encode(text.rstrip())


class Shifted(ByteTokenizer):
    def spans(self, ids):
        return super().spans(ids) + 1


class Ending(ByteTokenizer):
    def encode(self, text):
        return [*super().encode(text), self.end_id]


class Needy(ByteTokenizer):
    def __init__(self, folder):
        self.folder = folder


@pytest.mark.parametrize(
    ("tokenizer", "promise"), [(Lossy, "decode"), (Shifted, "spans"), (Ending, "pad or end")]
)
def test_broken_tokenizers_are_caught(tokenizer, promise):
    with pytest.raises(ConformanceError, match=promise):
        check_tokenizer(tokenizer)


def test_real_programs_come_back_and_are_counted():
    found = {counts.origin: counts for counts in round_trips(ByteTokenizer(), count=5)}
    library = found["standard library"]
    assert 3 <= library.texts <= 5
    assert library.tokens >= library.characters > 100
    with pytest.raises(ConformanceError, match=r"\.py"):
        list(round_trips(Lossy(), count=5))


def test_the_command_counts_what_came_back():
    run = CliRunner().invoke(command, ["tokenizer", "bytes", "--count", "2"])
    assert run.exit_code == 0, run.output
    assert "standard library" in run.output
    assert "ok tokenizer bytes" in run.output
    misspelt = CliRunner().invoke(command, ["tokenizer", "byte"])
    assert isinstance(misspelt.exception, UnknownNameError)


def test_a_tokenizer_that_needs_arguments_is_no_broken_one():
    with pytest.raises(ConfigError, match="without arguments"):
        check_tokenizer(Needy)


def test_the_environment_keeps_the_contract(tiny):
    del tiny["judge"]
    check_env(ID, **tiny)


@pytest.mark.parametrize("name", ["CodeGym/Repair-v0", "CodeGym/Line-v0"])
def test_text_environments_keep_the_contract(name):
    check_env(name, tasks="tiny", max_chars=300)


def test_broken_environments_are_caught(tiny, monkeypatch):
    del tiny["judge"]
    step = SynthesisEnv.step

    def generous(self, action):
        obs, reward, *rest = step(self, action)
        return obs, reward + 0.5, *rest

    with monkeypatch.context() as patch:
        patch.setattr(SynthesisEnv, "step", generous)
        with pytest.raises(ConformanceError, match="before the end"):
            check_env(ID, **tiny)

    def impatient(self, actions):
        obs, rewards, *rest = vector_step(self, actions)
        return obs + 1, rewards, *rest

    vector_step = SynthesisVectorEnv.step
    monkeypatch.setattr(SynthesisVectorEnv, "step", impatient)
    with pytest.raises(ConformanceError, match="vector form"):
        check_env(ID, **tiny)


@pytest.mark.parametrize("reward", ["binary", "rltf"])
@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_the_fast_road_of_every_environment_agrees_with_stepping(name, reward, tiny):
    assert check_fast_road(name, tasks="tiny", reward=reward, judge=tiny["judge"])


@pytest.mark.parametrize(
    ("name", "change", "promise"),
    [
        ("Synthesis", {"reward": 2.0}, "price says what wait says: reward"),
        ("Repair", {"message": ""}, "a message follows"),
        ("Line", {"length": 99}, "actions that were written"),
        ("Program", {"verdict": None}, "has a verdict"),
    ],
)
def test_endings_that_contradict_themselves_are_caught(name, change, promise, tiny, monkeypatch):
    wait = PlaysPrograms.wait

    def changed(self, tickets):
        return [replace(ending, **change) for ending in wait(self, tickets)]

    monkeypatch.setattr(PlaysPrograms, "wait", changed)
    with pytest.raises(ConformanceError, match=promise):
        check_fast_road(f"CodeGym/{name}-v0", tasks="tiny", judge=tiny["judge"])


@pytest.fixture
def otherwise(monkeypatch):
    """Return a function that changes every ending of the fast road, and of it alone."""
    price, wait = PlaysPrograms.price, PlaysPrograms.wait

    def patch(change):
        monkeypatch.setattr(PlaysPrograms, "price", lambda *given: change(price(*given)))
        monkeypatch.setattr(
            PlaysPrograms, "wait", lambda *given: [change(ending) for ending in wait(*given)]
        )

    return patch


@pytest.mark.parametrize("name", ["Synthesis", "Line", "Program", "Repair"])
def test_a_fast_road_that_pays_otherwise_than_stepping_is_caught(name, tiny, otherwise):
    otherwise(lambda ending: replace(ending, reward=ending.reward / 2, credit=ending.credit / 2))
    with pytest.raises(ConformanceError, match=r"agrees with stepping: (reward|credit)"):
        check_fast_road(f"CodeGym/{name}-v0", tasks="tiny", reward="coderl", judge=tiny["judge"])


def test_credit_on_other_tokens_than_in_stepping_is_caught(tiny, otherwise):
    otherwise(lambda ending: replace(ending, credit=np.roll(ending.credit, 1)))
    with pytest.raises(ConformanceError, match="agrees with stepping: credit"):
        check_fast_road(ID, tasks="tiny", reward="rltf", judge=tiny["judge"])


def test_a_fast_road_that_opens_or_follows_wrongly_is_caught(tiny, monkeypatch):
    opened, follow = PlaysPrograms.open, PlaysPrograms.follow

    def shifted(self, tasks, *, given=None):
        return [replace(opening, prompt=opening.prompt[1:]) for opening in opened(self, tasks)]

    with monkeypatch.context() as patch:
        patch.setattr(PlaysPrograms, "open", shifted)
        with pytest.raises(ConformanceError, match="the prompt of reset"):
            check_fast_road(ID, tasks="tiny", judge=tiny["judge"])

    def forgetful(self, opening, ids):
        return follow(self, opening, ids[len(opening.prompt) :])

    monkeypatch.setattr(PlaysPrograms, "follow", forgetful)
    with pytest.raises(ConformanceError, match="follow keeps what was written"):
        check_fast_road("CodeGym/Repair-v0", tasks="tiny", judge=tiny["judge"])


def test_an_environment_without_a_fast_road_is_not_compared():
    assert not check_fast_road("MountainCar-v0")
