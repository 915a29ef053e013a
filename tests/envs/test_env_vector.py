"""The vector environment gives what Gymnasium's own gives over single environments."""

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import data_equivalence
from gymnasium.vector import AutoresetMode, SyncVectorEnv, VectorEnv

from codegym.envs.batching import stack_infos
from codegym.envs.synthesis import SynthesisEnv
from codegym.envs.vector import SynthesisVectorEnv
from codegym.errors import ConfigError, EpisodeOverError, InvalidActionError, SandboxError

ID = "codegym:CodeGym/Synthesis-v0"
MODES = list(AutoresetMode)


def pair(tiny, mode, n=4, **options):
    kwargs = {**tiny, "budget": 6, "reward": "rltf", **options}
    sync = SyncVectorEnv([lambda: SynthesisEnv(**kwargs)] * n, autoreset_mode=mode)
    return SynthesisVectorEnv(n, **kwargs, autoreset_mode=mode), sync


def draw(rng, vector):
    tokens = rng.integers(vector.single_action_space.n, size=vector.num_envs)
    tokens[rng.random(vector.num_envs) < 0.25] = vector.tokenizer.end_id
    return tokens


@pytest.mark.parametrize("mode", MODES)
def test_it_equals_the_synchronous_vector_of_singles(tiny, mode):
    native, sync = pair(tiny, mode)
    assert native.metadata["autoreset_mode"] is mode
    assert data_equivalence(native.reset(seed=5), sync.reset(seed=5))
    rng = np.random.default_rng(0)
    ends = 0
    for _ in range(150):
        actions = draw(rng, native)
        mine, theirs = native.step(actions), sync.step(actions)
        for one, other in zip(mine[:4], theirs[:4], strict=True):
            np.testing.assert_array_equal(one, other)
            assert one.dtype == other.dtype
        assert_same_infos(mine[4], theirs[4])
        ends += int(mine[2].sum())
        if mode is AutoresetMode.DISABLED and mine[2].any():
            options = {"reset_mask": mine[2]}
            mine, theirs = native.reset(options=options), sync.reset(options=dict(options))
            np.testing.assert_array_equal(mine[0], theirs[0])
            assert_same_infos(mine[1], theirs[1])
    assert ends > 50


def assert_same_infos(mine, theirs):
    assert mine.keys() == theirs.keys()
    for key, value in mine.items():
        if isinstance(value, dict):
            assert_same_infos(value, theirs[key])
        elif key == "final_obs":
            for one, other in zip(value, theirs[key], strict=True):
                np.testing.assert_array_equal(one, other)
        else:
            assert value.dtype == theirs[key].dtype, key
            assert value.tolist() == theirs[key].tolist(), key


def test_every_autoreset_mode_plays_the_same_episodes(tiny):
    """Scripted programs: each sub-env writes the same texts whenever it is its turn."""

    def episodes(mode):
        env = SynthesisVectorEnv(3, **tiny, budget=8, autoreset_mode=mode)
        _, infos = env.reset(seed=1)
        tokens, end = env.tokenizer.encode("    return x"), env.tokenizer.end_id
        step = [0] * 3
        done = [[], [], []]
        fresh = np.zeros(3, dtype=bool)
        for _ in range(60):
            scripts = [[*tokens[: row + 1 + len(done[row]) % 2], end] for row in range(3)]
            actions = np.array([scripts[row][step[row] % len(scripts[row])] for row in range(3)])
            _, rewards, ended, _, infos = env.step(actions)
            final = infos.get("final_info", infos)
            for row in range(3):
                step[row] += not fresh[row]
                if ended[row]:
                    done[row].append((final["task_id"][row], final["program"][row], rewards[row]))
                    step[row] = 0
            fresh = ended.copy() if mode is AutoresetMode.NEXT_STEP else np.zeros(3, dtype=bool)
            if mode is AutoresetMode.DISABLED and ended.any():
                env.reset(options={"reset_mask": ended})
        return done

    plays = [episodes(mode) for mode in MODES]
    for row in range(3):
        count = min(len(play[row]) for play in plays)
        assert count > 8
        assert plays[0][row][:count] == plays[1][row][:count] == plays[2][row][:count]


def test_gymnasium_makes_the_native_form(tiny):
    vector = gym.make_vec(ID, num_envs=3, autoreset_mode="SameStep", **tiny)
    assert isinstance(vector, SynthesisVectorEnv)
    assert vector.metadata["autoreset_mode"] is AutoresetMode.SAME_STEP
    wrapped = gym.wrappers.vector.RecordEpisodeStatistics(vector)
    obs, _ = wrapped.reset(seed=0)
    assert obs in wrapped.observation_space
    *_, infos = wrapped.step(np.full(3, vector.tokenizer.end_id))
    assert infos["episode"]["l"].tolist() == [1, 1, 1]


def test_programs_that_end_together_are_judged_together(tiny):
    sizes = []
    inner = tiny["judge"]

    def counting(pairs):
        sizes.append(len(pairs))
        return inner(pairs)

    vector = SynthesisVectorEnv(4, **tiny | {"judge": counting})
    vector.reset(seed=0)
    end, other = vector.tokenizer.end_id, vector.tokenizer.encode("x")[0]
    vector.step(np.array([end, other, end, end]))
    vector.step(np.array([end] * 4))
    assert sizes == [3, 1]


def test_each_sub_env_can_be_given_its_task(tiny):
    vector = SynthesisVectorEnv(2, **tiny)
    _, infos = vector.reset(options={"task_id": ["tiny/3", "tiny/1"]})
    assert infos["task_id"].tolist() == ["tiny/3", "tiny/1"]
    _, infos = vector.reset(options={"task_id": "tiny/2"})
    assert infos["task_id"].tolist() == ["tiny/2", "tiny/2"]
    assert vector.reset(seed=[4, 9])[1]["task_id"].tolist() == [
        SynthesisEnv(**tiny).reset(seed=seed)[1]["task_id"] for seed in (4, 9)
    ]


def test_no_copy_hands_out_one_read_only_array(tiny):
    vector = SynthesisVectorEnv(2, **tiny, copy=False)
    first, _ = vector.reset(seed=0)
    assert vector.step(np.array([4, 5]))[0] is first
    with pytest.raises(ValueError, match="read-only"):
        first[0, 0] = 1


def test_bad_input_is_named(tiny):
    vector = SynthesisVectorEnv(2, **tiny, autoreset_mode=AutoresetMode.DISABLED)
    with pytest.raises(EpisodeOverError, match="reset"):
        vector.step(np.array([3, 3]))
    vector.reset(seed=0)
    for bad in ([3], [3, -1], [3, 10**6], [0.5, 1.0], None):
        with pytest.raises(InvalidActionError):
            vector.step(np.array(bad))
    vector.step(np.array([3, vector.tokenizer.end_id]))
    with pytest.raises(EpisodeOverError, match="reset_mask"):
        vector.step(np.array([3, 3]))
    for options in ({"reset_mask": np.array([1, 0])}, {"reset_mask": np.zeros(2, bool)}):
        with pytest.raises(ConfigError, match="reset_mask"):
            vector.reset(options=options)
    with pytest.raises(ConfigError, match="seed"):
        vector.reset(seed=[1])
    with pytest.raises(ConfigError, match="NextStep"):
        SynthesisVectorEnv(2, **tiny, autoreset_mode="never")
    with pytest.raises(ConfigError, match="num_envs"):
        SynthesisVectorEnv(0, **tiny)


def test_masks_equal_those_of_singles(tiny):
    pytest.importorskip("lark")
    native, sync = pair(tiny, AutoresetMode.SAME_STEP)
    native.reset(seed=3), sync.reset(seed=3)
    rng = np.random.default_rng(0)
    for _ in range(30):
        masks = native.action_masks()
        np.testing.assert_array_equal(masks, np.stack(sync.call("action_masks")))
        actions = np.array([rng.choice(np.flatnonzero(mask)) for mask in masks])
        native.step(actions), sync.step(actions)


def test_deferred_programs_are_priced_as_at_the_step(tiny):
    options = {**tiny, "reward": "rltf", "budget": 5, "autoreset_mode": "SameStep"}
    now = SynthesisVectorEnv(3, **options)
    later = SynthesisVectorEnv(3, **options, grading="deferred")
    now.reset(seed=0), later.reset(seed=0)
    rng = np.random.default_rng(0)
    expected, tickets, got = {}, {}, {}
    for step in range(40):
        actions = draw(rng, now)
        one, other = now.step(actions), later.step(actions)
        np.testing.assert_array_equal(one[0], other[0])
        np.testing.assert_array_equal(one[2], other[2])
        assert not other[1].any()
        for row in np.flatnonzero(one[2]):
            final = one[4]["final_info"]
            expected[step, row] = (one[1][row], final["program"][row], final["token_rewards"][row])
            tickets[int(other[4]["final_info"]["ticket"][row])] = (step, row)
        if step % 7 == 0:
            got |= {tickets[ticket]: rest for ticket, *rest in later.collect(timeout_s=0.0)}
    while later.under_way:
        got |= {tickets[ticket]: rest for ticket, *rest in later.collect()}
    assert len(got) == len(expected) > 20
    for key, (reward, info) in got.items():
        assert (reward, info["program"], info["token_rewards"]) == expected[key]
    assert later.collect() == []


def test_a_broken_sandbox_truncates_its_own_row_only(tiny):
    def broken(pairs):
        raise SandboxError("the zygote died")

    vector = SynthesisVectorEnv(2, **tiny | {"judge": broken}, on_sandbox_error="truncate")
    vector.reset(seed=0)
    end, other = vector.tokenizer.end_id, vector.tokenizer.encode("x")[0]
    _, rewards, terminated, truncated, infos = vector.step(np.array([end, other]))
    assert (terminated.tolist(), truncated.tolist()) == ([False, False], [True, False])
    assert infos["infrastructure_error"].tolist() == ["the zygote died", None]
    assert not rewards.any()
    with pytest.raises(SandboxError):
        raising = SynthesisVectorEnv(1, **tiny | {"judge": broken})
        raising.reset(seed=0)
        raising.step(np.array([end]))


@pytest.mark.parametrize(
    "infos",
    [
        [{"a": 1, "b": "x"}, {"a": 2, "b": "y"}],
        [{"a": 1, "b": "x"}, {"b": "y", "c": 0.5}],  # as many keys, not the same ones
        [{"a": 1}, {"a": 2, "d": {"e": True, "f": [3]}}],
    ],
)
def test_infos_are_stacked_as_gymnasium_stacks_them(infos):
    gymnasium, theirs = VectorEnv(), {}
    gymnasium.num_envs = 4
    for row, info in zip([0, 2], infos, strict=True):
        theirs = gymnasium._add_info(theirs, info, row)
    assert data_equivalence(stack_infos(infos, [0, 2], 4), theirs)
