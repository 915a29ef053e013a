"""Collect: the fast road and stepping give the same trajectories in every environment."""

import string
from functools import cache

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium import spaces

from codegym.episode import ProgramEnv, Request, Written
from codegym.errors import ConfigError, SandboxError, UnknownNameError
from codegym.policies import nested_state
from codegym.policies.gpt.gpt_policy import GPTPolicy
from codegym.policies.gpt.transformer import GPTConfig
from codegym.registration import ENVIRONMENTS
from codegym.rollout.collect import Rollout, collect
from codegym.rollout.environments import make_env
from codegym.rollout.program_writer import Decoding
from codegym.tokenizers.lexemes import LexemeTokenizer
from codegym.trajectory import Batch, Trajectory

SHAPE = GPTConfig(d_model=32, n_layers=1, n_heads=2, max_tokens=160)


# What the three prompts of the tiny source are answered with, by seed: right and wrong programs,
# empty lines, a fence, one that ends at once, one that is cut.
ANSWERS = (
    ("    return x+3", "    y = x\n    return y", "\n"),
    ("    return x+3\n\n    y", "", "    if x:\n        return x\n    return 1"),
    ("```\ndef f(x):\n    return x\n```", "    return x+3\n", "    x = (" * 3),
    ("return", "    y = x\n    y = y\n    return x+4", "    return x+5"),
)


@cache
def policy(seed: int = 0) -> GPTPolicy:
    """Make a policy that has learnt to answer each prompt of the tiny source in its own way."""
    made = GPTPolicy(LexemeTokenizer(), SHAPE, seed=seed)
    end = made.tokenizer.end_id
    episodes = []
    for number, answer in enumerate(ANSWERS[seed]):
        actions = np.array([*made.tokenizer.encode(answer), end])
        nothing = np.zeros(len(actions), dtype=np.float32)
        prompt = "# note\n" * number + "def f(x):\n"
        episodes.append(
            Trajectory(
                task_id="",
                prompt=np.array(made.tokenizer.encode(prompt)),
                actions=actions,
                log_probs=nothing,
                values=nothing,
                reward=0.0,
                credit=nothing,
                finished=True,
                program="",
            )
        )
    batch = Batch.from_trajectories(episodes, pad_id=made.tokenizer.pad_id)
    adam = torch.optim.Adam(made.module.parameters(), lr=1e-2)
    for _ in range(60):
        adam.zero_grad()
        (-made.evaluate(batch).log_probs.sum()).backward()
        adam.step()
    made.mark_updated()
    return made


def env_for(env_id: str, made: GPTPolicy, tiny: dict, num_envs: int = 1, **env_args):
    return make_env(
        f"CodeGym/{env_id}-v0",
        made,
        tasks="tiny",
        reward="rltf",
        budget=14,
        num_envs=num_envs,
        env_args={"judge": tiny["judge"], **env_args},
    )


def same(fast, stepped):
    assert len(fast) == len(stepped)
    for left, right in zip(fast, stepped, strict=True):
        for name in ("prompt", "actions", "credit"):
            np.testing.assert_array_equal(getattr(left, name), getattr(right, name), err_msg=name)
        for name in ("log_probs", "values"):
            np.testing.assert_allclose(
                getattr(left, name), getattr(right, name), atol=1e-4, err_msg=name
            )
        for name in ("task_id", "reward", "finished", "program", "verdict", "feedback", "turns",
                     "temperature", "policy_version"):  # fmt: skip
            assert getattr(left, name) == getattr(right, name), name
        held = [each.chosen for each in (left, right)]
        assert (held[0] is None) == (held[1] is None)
        if held[0] is not None:
            np.testing.assert_array_equal(*held)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("env_id", [name.split("/")[1][:-3] for name in ENVIRONMENTS])
def test_stepping_and_the_fast_road_give_the_same(env_id: str, seed: int, tiny) -> None:
    made = policy(seed)
    env = env_for(env_id, made, tiny, num_envs=9)
    tasks = list(env.unwrapped.source)
    request = Request(samples=1, temperature=0.7)
    greedy = Decoding(deterministic=True)
    fast = collect(env, made, request, tasks=tasks, decoding=greedy)
    stepped = collect(env, made, request, tasks=tasks, decoding=greedy, stepwise=True)
    same(fast, stepped)
    assert len({len(episode) for episode in fast}) > 1


def test_the_message_between_two_programs_is_no_action(tiny) -> None:
    made = policy(1)
    env = env_for("Repair", made, tiny)
    episodes = collect(env, made, Request(tasks=6, samples=3), rng=torch.Generator().manual_seed(5))
    several = [episode for episode in episodes if episode.turns > 1]
    assert several
    for episode in several:
        hole = ~episode.chosen
        assert hole.any() and not hole[-1] and not hole[0]
        assert not episode.log_probs[hole].any() and not episode.values[hole].any()
        text = made.tokenizer.decode(episode.actions[hole].tolist())
        assert "The program above is not right" in text
        assert episode.credit[: np.flatnonzero(hole)[-1]].sum() == 0
        assert episode.credit.sum() != 0


def test_what_is_under_way_can_be_saved_and_graded_anew(tiny) -> None:
    made = policy(2)
    env = env_for("Repair", made, tiny)
    tasks = [env.source[number] for number in (1, 3, 3)]
    rollout = Rollout(
        env, made, tasks, Request(samples=2, greedy=True), rng=torch.Generator().manual_seed(0)
    )
    tree, tensors = nested_state.flatten(rollout.state_dict())
    again = Rollout.from_state(nested_state.restore(tree, tensors), env, made)
    same(rollout.wait(), again.wait())
    assert [len(group) for group in again.wait_by_task()] == [3, 3, 3]


class Shouting(gym.Env):
    """Another package's environment: texts in, texts out; the program must be loud."""

    observation_space = spaces.Text(2000, charset=string.printable)
    action_space = spaces.Text(1000, min_length=0, charset=string.printable)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return "say x", {}

    def step(self, action):
        return "say x" + action, float("x" in action), True, False, {}


class Counting(gym.Env):
    """Another package's environment over token ids, with a reward at every step."""

    def __init__(self, vocab=540, length=24):
        self.observation_space = spaces.Box(0, vocab - 1, (length,), np.int32)
        self.action_space = spaces.Discrete(vocab)
        self._length = length

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self._row = np.full(self._length, LexemeTokenizer().pad_id, dtype=np.int32)
        self._row[0], self._at = LexemeTokenizer().encode("x")[0], 1
        return self._row.copy(), {}

    def step(self, action):
        self._row[self._at] = action
        self._at += 1
        over = self._at == 6
        return self._row.copy(), 0.5, over, False, {}


@pytest.fixture
def others():
    for name, entry in {"Others/Shouting-v0": Shouting, "Others/Counting-v0": Counting}.items():
        gym.register(name, entry_point=entry)
    yield
    for name in ("Others/Shouting-v0", "Others/Counting-v0"):
        del gym.registry[name]


def test_another_packages_environments_are_stepped(others) -> None:
    made = policy(0)
    vocab = made.tokenizer.vocab_size
    env = make_env("Others/Counting-v0", made, num_envs=3, env_args={"vocab": vocab})
    assert not isinstance(env, ProgramEnv)
    episodes = collect(env, made, Request(tasks=2, samples=2), rng=torch.Generator().manual_seed(0))
    assert [len(episode) for episode in episodes] == [5] * 4
    assert all(episode.reward == 2.5 for episode in episodes)
    np.testing.assert_array_equal(episodes[0].credit, [0.5] * 5)
    text = make_env("Others/Shouting-v0", made, num_envs=2)
    for episode in collect(text, made, Request(tasks=3), rng=torch.Generator().manual_seed(0)):
        assert episode.reward == float("x" in episode.program)
        assert episode.credit[-1] == episode.reward


def test_what_cannot_be_collected_is_refused_with_its_reason(others, tiny) -> None:
    made = policy(0)
    with pytest.raises(ConfigError, match="vector environments"):
        collect(gym.make("Others/Counting-v0"), made, Request(tasks=1))
    with pytest.raises(ConfigError, match="not the policy's vocabulary"):
        collect(make_env("Others/Counting-v0", made, env_args={"vocab": 7}), made, Request(tasks=1))
    with pytest.raises(ConfigError, match="takes no tasks"):
        make_env("Others/Counting-v0", made, tasks="tiny")
    with pytest.raises(UnknownNameError, match="CodeGym/Repair-v0"):
        make_env("CodeGym/Repare-v0", made)
    with pytest.raises(ConfigError, match="greedy"):
        collect(make_env("Others/Shouting-v0", made), made, Request(tasks=1, greedy=True))


@pytest.mark.parametrize("mode", ["NextStep", "SameStep", "Disabled"])
@pytest.mark.parametrize("env_id", ["Synthesis", "Line", "Repair"])
def test_every_autoreset_mode_is_stepped_alike(env_id: str, mode: str, tiny) -> None:
    made = policy(1)
    greedy, request = Decoding(deterministic=True), Request(samples=1)
    env = env_for(env_id, made, tiny, num_envs=4, autoreset_mode=mode)
    tasks = [env.source[number] for number in (0, 1, 2, 4, 5, 8)]
    fast = collect(env, made, request, tasks=tasks, decoding=greedy)
    stepped = collect(env, made, request, tasks=tasks, decoding=greedy, stepwise=True)
    same(fast, stepped)


def test_a_program_that_breaks_the_sandbox_loses_no_other(tiny) -> None:
    made = policy(0)

    def judge(pairs):
        return [
            SandboxError("broke")
            if task.task_id == "tiny/4"
            else tiny["judge"]([(program, task)])[0]
            for program, task in pairs
        ]

    env = env_for("Synthesis", made, tiny, judge=judge)
    openings = env.open([env.source[number] for number in (3, 4, 5)])
    tickets = env.submit(
        [Written(opening, [made.tokenizer.end_id], finished=True) for opening in openings]
    )
    with pytest.raises(SandboxError, match="broke"):
        env.wait(tickets)
    assert [ending.program for ending in env.wait([tickets[0], tickets[2]])] == [
        env.source[number].prompt for number in (3, 5)
    ]
    with pytest.raises(ConfigError, match="no such programs"):
        env.wait(tickets)
