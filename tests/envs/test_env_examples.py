"""Other people's libraries run against the environment, and the examples run."""

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest

from codegym.envs.dataset import observations_of, record
from codegym.errors import ConfigError, MissingExtraError
from codegym.trajectory import Trajectory

EXAMPLES = Path(__file__).parents[2] / "examples"
RUNS = {
    "sb3_ppo.py --steps 256": "stable_baselines3",
    "sb3_ppo.py --algorithm A2C --steps 128": "stable_baselines3",
    "sb3_ppo.py --algorithm DQN --steps 256": "stable_baselines3",
    "maskable_ppo.py --steps 256": "sb3_contrib",
    "cleanrl_ppo.py --iterations 2": "torch",
    "tree_search.py --limit 200": "lark",
    "repair_dialogue.py": "gymnasium",
    "own_loop.py --demonstrations 256 --updates 1 --count 2": "torch",
    "torchrl_rollout.py": "torchrl",
    "rllib_ppo.py": "ray",
    "skrl_ppo.py --steps 256": "skrl",
    "tianshou_ppo.py --steps 256": "tianshou",
}


@pytest.mark.slow
@pytest.mark.parametrize("run", RUNS)
def test_examples_run(run):
    if find_spec(RUNS[run]) is None:
        pytest.skip(f"{RUNS[run]} is not installed")
    script, *options = run.split()
    done = subprocess.run(
        [sys.executable, str(EXAMPLES / script), *options], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout


def test_gymnasiums_wrappers_wrap_it(tiny):
    env = gym.make("codegym:CodeGym/Synthesis-v0", **tiny)
    wrapped = gym.wrappers.FlattenObservation(
        gym.wrappers.RecordEpisodeStatistics(gym.wrappers.TimeLimit(env, 3))
    )
    obs, _ = wrapped.reset(seed=0)
    assert obs in wrapped.observation_space
    word = env.unwrapped.tokenizer.encode("x")[0]
    steps = [wrapped.step(word) for _ in range(3)]
    # Only the outer wrapper truncates.
    assert [step[3] for step in steps] == [False, False, True]
    assert not any(step[2] for step in steps)
    assert steps[-1][4]["episode"]["l"] == 3


@pytest.mark.slow
def test_the_recurrent_ppo_of_sb3_contrib_takes_it(tiny):
    contrib = pytest.importorskip("sb3_contrib")
    env = gym.make("codegym:CodeGym/Synthesis-v0", budget=8, **tiny)
    model = contrib.RecurrentPPO("MlpLstmPolicy", env, n_steps=16, batch_size=16, seed=0)
    assert model.learn(16).num_timesteps == 16


def logged(actions):
    nothing = np.zeros(len(actions), dtype=np.float32)
    return Trajectory(
        task_id="tiny/1",
        prompt=np.array([7, 8]),
        actions=np.array(actions),
        log_probs=nothing,
        values=nothing,
        reward=0.5,
        credit=nothing,
        finished=True,
        program="",
    )


def test_observations_of_a_logged_episode():
    shown = observations_of(logged([4, 1]), 5, 0)
    assert shown.tolist() == [[7, 8, 0, 0, 0], [7, 8, 4, 0, 0], [7, 8, 4, 1, 0]]
    with pytest.raises(ConfigError, match="longer"):
        observations_of(logged([4, 1]), 3, 0)


def test_episodes_become_a_minari_dataset(tiny, tmp_path, monkeypatch):
    del tiny["judge"]
    env = gym.make("codegym:CodeGym/Synthesis-v0", **tiny)
    if find_spec("minari") is None:
        with pytest.raises(MissingExtraError, match=r"\[minari\]"):
            record([logged([4, 1])], env, "tiny-v0", description="two episodes")
        return
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path))
    with pytest.warns(UserWarning):  # of Minari's, about what a dataset should say of itself
        made = record(
            [logged([4, 1]), logged([5, 6, 1])], env, "tiny-v0", description="two episodes"
        )
    assert [episode.actions.tolist() for episode in made.iterate_episodes()] == [[4, 1], [5, 6, 1]]
    assert [episode.rewards.tolist() for episode in made.iterate_episodes()] == [
        [0, 0.5],
        [0, 0, 0.5],
    ]
    assert made.recover_environment().spec.kwargs == env.spec.kwargs
