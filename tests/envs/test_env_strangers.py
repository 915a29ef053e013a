"""Other people's code, written from Gymnasium's and stable-baselines3's documentation alone."""

import copy
import multiprocessing
import os
import pickle
import re
import subprocess
import sys
from functools import partial
from importlib.util import find_spec

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import wrappers
from gymnasium.vector import AsyncVectorEnv, AutoresetMode, SyncVectorEnv

from codegym import errors
from codegym.envs.synthesis import SynthesisEnv
from codegym.envs.vector import SynthesisVectorEnv

ID = "codegym:CodeGym/Synthesis-v0"
ATOMS = {"tasks": "atoms", "max_tokens": 96, "budget": 6, "reward": "rltf"}
VECTOR = wrappers.vector


def play(env, steps=20):
    """Play at random through Gymnasium's interface; return the rewards and how many ended."""
    env.action_space.seed(0)
    env.reset(seed=0)
    rewards, ends = [], 0
    for _ in range(steps):
        obs, reward, terminated, truncated, _ = env.step(env.action_space.sample())
        assert obs in env.observation_space
        rewards.append(reward)
        if terminated or truncated:
            ends += 1
            env.reset()
    env.close()
    env.close()
    return rewards, ends


WRAPPERS = {
    "TimeLimit": lambda env: wrappers.TimeLimit(env, 4),
    "RecordEpisodeStatistics": wrappers.RecordEpisodeStatistics,
    "FlattenObservation": wrappers.FlattenObservation,
    "TransformReward": lambda env: wrappers.TransformReward(env, lambda reward: 2 * reward),
    "TimeAwareObservation": lambda env: wrappers.TimeAwareObservation(wrappers.TimeLimit(env, 4)),
    "FrameStackObservation": lambda env: wrappers.FrameStackObservation(env, 3),
    "DelayObservation": lambda env: wrappers.DelayObservation(env, 2),
    "MaxAndSkipObservation": lambda env: wrappers.MaxAndSkipObservation(env, 2),
    "ReshapeObservation": lambda env: wrappers.ReshapeObservation(env, (8, 6)),
    "OrderEnforcing": wrappers.OrderEnforcing,
    "PassiveEnvChecker": wrappers.PassiveEnvChecker,
    "NormalizeReward": wrappers.NormalizeReward,
    "NormalizeObservation": wrappers.NormalizeObservation,
    "ClipReward": lambda env: wrappers.ClipReward(env, -0.5, 0.5),
    "RescaleObservation": lambda env: wrappers.RescaleObservation(
        wrappers.DtypeObservation(env, np.float32), np.float32(0), np.float32(1)
    ),
    "DtypeObservation": lambda env: wrappers.DtypeObservation(env, np.float64),
    "StickyAction": lambda env: wrappers.StickyAction(env, 0.3),
}


@pytest.mark.parametrize("name", WRAPPERS)
def test_wrappers(tiny, name):
    env = WRAPPERS[name](gym.make(ID, budget=6, reward="rltf", **tiny))
    rewards, ends = play(env)
    assert ends
    assert np.isfinite(rewards).all()


def test_the_autoreset_wrapper_starts_anew(tiny):
    env = wrappers.Autoreset(gym.make(ID, budget=2, **tiny))
    env.reset(seed=0)
    word = env.unwrapped.tokenizer.encode("x")[0]
    steps = [env.step(word) for _ in range(6)]
    assert [step[2] for step in steps] == [False, True, False, False, True, False]
    assert "task_id" in steps[2][4]


@pytest.mark.parametrize("mode", [mode.value for mode in AutoresetMode])
@pytest.mark.parametrize(
    "wrap",
    [
        VECTOR.RecordEpisodeStatistics,
        VECTOR.DictInfoToList,
        VECTOR.NormalizeReward,
        lambda env: VECTOR.TransformReward(env, lambda reward: 2 * reward),
        lambda env: VECTOR.ClipReward(env, -0.5, 0.5),
    ],
    ids=["RecordEpisodeStatistics", "DictInfoToList", "NormalizeReward", "Transform", "Clip"],
)
def test_vector_wrappers(tiny, mode, wrap):
    env = wrap(gym.make_vec(ID, num_envs=3, autoreset_mode=mode, budget=4, **tiny))
    env.action_space.seed(0)
    env.reset(seed=0)
    ends = 0
    for _ in range(12):
        _, _, terminated, _, _ = env.step(env.action_space.sample())
        ends += terminated.sum()
        if mode == "Disabled" and terminated.any():
            env.reset(options={"reset_mask": terminated})
    env.close()
    assert ends


def test_the_vectorization_modes_of_make_vec(tiny):
    made = {
        mode: gym.make_vec(ID, num_envs=2, vectorization_mode=mode, **tiny)
        for mode in (None, "vector_entry_point", "sync", gym.VectorizeMode.SYNC)
    }
    assert [type(env) for env in made.values()] == [SynthesisVectorEnv] * 2 + [SyncVectorEnv] * 2
    tasks = [env.reset(seed=4)[1]["task_id"].tolist() for env in made.values()]
    assert tasks == tasks[:1] * 4
    sync = gym.make_vec(
        ID,
        num_envs=2,
        vectorization_mode="sync",
        wrappers=[wrappers.RecordEpisodeStatistics],
        vector_kwargs={"autoreset_mode": AutoresetMode.SAME_STEP},
        **tiny,
    )
    sync.reset(seed=0)
    *_, infos = sync.step(np.full(2, sync.get_attr("tokenizer")[0].end_id))
    assert infos["final_info"]["episode"]["l"].tolist() == [1, 1]


def test_calls_of_every_sub_env(tiny):
    native = gym.make_vec(ID, num_envs=2, render_mode="ansi", **tiny)
    sync = SyncVectorEnv([lambda: gym.make(ID, render_mode="ansi", **tiny)] * 2)
    for env in (native, sync):
        env.reset(seed=0)
        env.step(np.array([7, 8]))
    np.testing.assert_array_equal(native.call("action_masks"), sync.call("action_masks"))
    assert native.call("render") == sync.call("render")
    with pytest.raises(AttributeError, match="action_masks"):
        native.call("fork")


@pytest.mark.slow
@pytest.mark.parametrize("context", ["fork", "spawn"])
def test_asynchronous_envs_equal_the_native_form(context):
    native = gym.make_vec(ID, num_envs=2, **ATOMS)
    other = AsyncVectorEnv([partial(gym.make, ID, **ATOMS)] * 2, context=context)
    np.testing.assert_array_equal(native.reset(seed=1)[0], other.reset(seed=1)[0])
    rng = np.random.default_rng(0)
    for _ in range(16):
        actions = rng.integers(native.single_action_space.n, size=2)
        for mine, theirs in zip(native.step(actions)[:4], other.step(actions)[:4], strict=True):
            np.testing.assert_array_equal(mine, theirs)
    with (
        pytest.warns(UserWarning),  # Gymnasium's log of the workers' errors
        pytest.raises(errors.UnknownNameError, match="did you mean 'task_id'"),
    ):
        other.reset(options={"task": "atoms/0"})
    other.close(terminate=True)


ERRORS = [
    errors.ConfigError("unusable", value=3, expected="4", cure="say 4"),
    errors.UnknownNameError("reward", "binry", ["binary", "coderl"]),
    errors.TaskError("malformed", path="tasks.jsonl", line=3, field="tests"),
    errors.MissingExtraError("lark", "grammar"),
    errors.EpisodeOverError("over", value=[0, 1]),
    errors.SandboxError("broke"),
]


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_errors_cross_processes(error):
    """By pickle, and as AsyncVectorEnv raises them: ``type(error)(error)``."""
    for again in (pickle.loads(pickle.dumps(error)), type(error)(error)):
        assert type(again) is type(error)
        assert str(again) == str(error)
        assert vars(again) == vars(error)


COPIES = {
    "deepcopy": copy.deepcopy,
    "pickle": lambda env: pickle.loads(pickle.dumps(env)),
    "cloudpickle": lambda env: pytest.importorskip("cloudpickle").loads(
        pytest.importorskip("cloudpickle").dumps(env)
    ),
}


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("how", COPIES)
def test_copies_go_on_alike(how, shared):
    """Copied in the middle of an episode, after the grader was used."""
    options = ATOMS | {"budget": 2, "copy": not shared}
    single = gym.make(ID, disable_env_checker=True, **options)  # which warns of shared arrays
    vector = gym.make_vec(ID, num_envs=2, **options)
    for env, action in ((single, 5), (vector, np.array([5, 6]))):
        env.reset(seed=0)
        env.step(action)
        env.step(action)
        env.reset()
        env.step(action)
        twin = COPIES[how](env)
        for _ in range(2):
            mine, theirs = env.step(action), twin.step(action)
            for one, other in zip(mine[:4], theirs[:4], strict=True):
                np.testing.assert_array_equal(one, other)
            if env is single:
                env.reset()
                twin.reset()


def test_a_copy_has_nothing_of_what_is_being_judged(tiny):
    vector = SynthesisVectorEnv(2, grading="deferred", **tiny)
    vector.reset(seed=0)
    vector.step(np.full(2, vector.tokenizer.end_id))
    twin = copy.deepcopy(vector)
    assert (vector.under_way, twin.under_way) == (2, 0)
    assert twin.collect() == []
    assert len(vector.collect()) == 2


def test_seeds_of_every_kind(tiny):
    env, vector = gym.make(ID, **tiny), gym.make_vec(ID, num_envs=3, **tiny)
    alone = [env.reset(seed=seed)[1]["task_id"] for seed in (4, 5, 6)]
    assert env.reset(seed=np.int64(4))[1]["task_id"] == alone[0]
    for seed in (4, np.int64(4), [4, 5, 6], (4, 5, 6), np.array([4, 5, 6])):
        assert vector.reset(seed=seed)[1]["task_id"].tolist() == alone
    assert vector.reset(seed=[None, 5, None])[1]["task_id"][1] == alone[1]
    for bad in (-1, 1.5, "four"):
        with pytest.raises((gym.error.Error, TypeError)):
            env.reset(seed=bad)


@pytest.mark.parametrize(
    "action", [3, np.int64(3), np.uint8(3), np.array(3)], ids=lambda action: type(action).__name__
)
def test_actions_of_every_integer_kind(tiny, action):
    env = SynthesisEnv(**tiny)
    obs, _ = env.reset(seed=0)
    start = int((obs != 0).sum())
    assert env.step(action)[0][start] == 3


@pytest.mark.parametrize("actions", [[3, 4], (3, 4), np.array([3, 4], dtype=np.uint64)])
def test_vector_actions_of_every_integer_kind(tiny, actions):
    vector = SynthesisVectorEnv(2, **tiny)
    obs, _ = vector.reset(seed=0)
    starts = (obs != 0).sum(axis=1)
    obs = vector.step(actions)[0]
    assert [int(obs[row, start]) for row, start in enumerate(starts)] == [3, 4]


def test_a_reset_in_the_middle_is_a_clean_start(tiny):
    env = gym.make(ID, **tiny)
    first = env.reset(seed=2)
    env.step(7)
    again = env.reset(seed=2)
    np.testing.assert_array_equal(first[0], again[0])
    assert first[1] == again[1]


def _in_process(queue):
    env = gym.make(ID, **ATOMS)
    env.reset(seed=3)
    queue.put([env.step(9)[1:4] for _ in range(6)])


@pytest.mark.slow
@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_processes_of_ones_own(method):
    env = gym.make(ID, **ATOMS)
    env.reset(seed=3)
    here = [env.step(9)[1:4] for _ in range(6)]
    context = multiprocessing.get_context(method)
    queue = context.Queue()
    process = context.Process(target=_in_process, args=(queue,))
    process.start()
    assert queue.get(timeout=120) == here
    process.join()


PLAYS = """
import numpy as np, gymnasium as gym
for mode in ("NextStep", "SameStep", "Disabled"):
    envs = gym.make_vec(
        "codegym:CodeGym/Synthesis-v0", num_envs=3, autoreset_mode=mode, budget=9,
        tasks="composites?size=64", reward="rltf + 0.1*ast_match",
    )
    rng = np.random.default_rng(0)
    print(envs.reset(seed=5)[1])
    for _ in range(20):
        actions = [rng.choice(np.flatnonzero(mask)) for mask in envs.action_masks()]
        obs, *step = envs.step(np.array(actions))
        print(obs.tolist(), step)
        if mode == "Disabled" and step[1].any():
            envs.reset(options={"reset_mask": step[1]})
"""


@pytest.mark.slow
def test_vector_play_depends_neither_on_the_process_nor_on_its_hash_seed():
    outputs = {
        re.sub(
            r"usage=Usage\([^)]*\)",
            "",
            subprocess.run(
                [sys.executable, "-c", PLAYS],
                env={"PYTHONHASHSEED": seed, "PATH": os.environ["PATH"]},
                capture_output=True,
                text=True,
                check=True,
            ).stdout,
        )
        for seed in ("0", "77")
    }
    assert len(outputs) == 1


def test_the_registry_knows_every_id(capsys):
    gym.pprint_registry()
    shown = capsys.readouterr().out
    for name in ("Synthesis-v0", "HumanEval-v0", "Repair-v0"):
        assert f"CodeGym/{name}" in shown
        assert gym.spec(f"CodeGym/{name}").name == name.removesuffix("-v0")


@pytest.fixture
def sb3():
    torch = pytest.importorskip("torch")
    torch.set_num_threads(1)
    return pytest.importorskip("stable_baselines3")


@pytest.mark.slow
def test_the_vector_envs_of_stable_baselines3(sb3, tmp_path):
    from stable_baselines3.common import env_util, vec_env
    from stable_baselines3.common.callbacks import EvalCallback
    from stable_baselines3.common.evaluation import evaluate_policy

    def monitored():
        return vec_env.VecMonitor(vec_env.DummyVecEnv([partial(gym.make, ID, **ATOMS)] * 2))

    envs = vec_env.VecNormalize(monitored())
    model = sb3.PPO("MlpPolicy", envs, n_steps=16, batch_size=16, n_epochs=1, seed=0)
    evaluation = EvalCallback(vec_env.VecNormalize(monitored(), training=False), eval_freq=16)
    model.learn(64, callback=evaluation)
    model.save(tmp_path / "model")
    envs.save(tmp_path / "envs")
    obs = vec_env.VecNormalize.load(tmp_path / "envs", monitored()).reset()
    again = sb3.PPO.load(tmp_path / "model")
    for one, other in zip(
        model.predict(obs, deterministic=True)[0],
        again.predict(obs, deterministic=True)[0],
        strict=True,
    ):
        assert one == other
    apart = env_util.make_vec_env(
        ID, n_envs=2, env_kwargs=ATOMS, seed=0, vec_env_cls=vec_env.SubprocVecEnv
    )
    mean, _ = evaluate_policy(model, apart, n_eval_episodes=2)
    assert -1 <= mean <= 1
    assert apart.env_method("action_masks")[0].shape == (apart.action_space.n,)
    apart.close()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["A2C", "DQN"])
def test_other_algorithms_of_stable_baselines3(sb3, name):
    options = {"A2C": {"n_steps": 8}, "DQN": {"learning_starts": 8, "buffer_size": 64}}[name]
    model = getattr(sb3, name)("MlpPolicy", gym.make(ID, **ATOMS), seed=0, **options)
    assert model.learn(32).num_timesteps == 32


@pytest.mark.slow
@pytest.mark.parametrize("name", ["MaskablePPO", "QRDQN"])
@pytest.mark.skipif(find_spec("sb3_contrib") is None, reason="sb3-contrib is not installed")
def test_algorithms_of_sb3_contrib(sb3, name):
    import sb3_contrib

    options = {
        "MaskablePPO": {"n_steps": 16, "batch_size": 16},
        "QRDQN": {"learning_starts": 8, "buffer_size": 64},
    }[name]
    env = gym.make(ID, **ATOMS)
    model = getattr(sb3_contrib, name)("MlpPolicy", env, seed=0, **options)
    assert model.learn(16).num_timesteps == 16
