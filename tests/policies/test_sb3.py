"""stable-baselines3's own PPO and A2C on our policies: same numbers, whole sequences, learning.

The env here is a spelling game: a program is right when its first token is the prompt's last.
"""

import dataclasses

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space
from stable_baselines3 import A2C, PPO

from codegym.errors import ConfigError, EnvError
from codegym.policies.gpt.gpt_policy import GPTConfig, GPTPolicy
from codegym.policies.sb3.sequence_buffer import pack, unpack
from codegym.policies.sb3.sequence_policy import (
    SequencePolicy,
    SequenceRolloutBuffer,
    SequenceVecEnv,
    load_rollout,
    make_ppo,
    ppo_state,
    restore_ppo,
)
from codegym.tokenizers.bytes import ByteTokenizer
from codegym.trajectory import Trajectory

SHAPE = GPTConfig(d_model=32, n_layers=2, n_heads=2, max_tokens=24)
LETTERS = 6


class Letters(ByteTokenizer):
    """Six letters, so that a random policy is sometimes right."""

    vocab_size = LETTERS + 2


class Repeat(VectorEnv):
    """Reward 1 for a program whose first token is the prompt's last one; five tokens at most."""

    def __init__(self, num_envs, mode=AutoresetMode.SAME_STEP):
        self.num_envs = num_envs
        self.metadata = {"autoreset_mode": mode}
        self.render_mode = None
        self.single_observation_space = gym.spaces.Box(0, LETTERS + 1, (24,), np.int32)
        self.single_action_space = gym.spaces.Discrete(LETTERS + 2)
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)

    def _open(self, row):
        self.starts[row] = self.rng.integers(2, 6)
        self.obs[row] = 0
        self.obs[row, : self.starts[row]] = self.rng.integers(2, LETTERS + 2, self.starts[row])
        self.lengths[row] = self.starts[row]

    def reset(self, *, seed=None, options=None):
        self.rng = np.random.default_rng(seed)
        self.obs = np.zeros((self.num_envs, 24), np.int32)
        self.starts = np.zeros(self.num_envs, int)
        self.lengths = np.zeros(self.num_envs, int)
        for row in range(self.num_envs):
            self._open(row)
        return self.obs.copy(), {}

    def step(self, actions):
        every = np.arange(self.num_envs)
        self.obs[every, self.lengths] = actions
        self.lengths += 1
        over = (actions == 1) | (self.lengths - self.starts >= 5)
        rewards, infos = np.zeros(self.num_envs), {}
        for row in np.flatnonzero(over):
            right = self.obs[row, self.starts[row]] == self.obs[row, self.starts[row] - 1]
            rewards[row] = float(right)
            infos = self._add_info(infos, {"final_obs": self.obs[row].copy()}, row)
            infos = self._add_info(infos, {"final_info": {"right": bool(right)}}, row)
            self._open(row)
        return self.obs.copy(), rewards, over, np.zeros(self.num_envs, bool), infos


@pytest.fixture
def policy():
    made = GPTPolicy(Letters(), SHAPE, seed=3)
    with torch.no_grad():
        for weight in made.module.transformer.parameters():
            if weight.dim() > 1:
                weight.mul_(3)
        made.module.value_head.weight.normal_(generator=torch.Generator().manual_seed(0))
    return made


def algorithm(kind, policy, n_envs=8, **settings):
    return kind(
        SequencePolicy,
        SequenceVecEnv(Repeat(n_envs)),
        policy_kwargs={"policy": policy},
        rollout_buffer_class=SequenceRolloutBuffer,
        rollout_buffer_kwargs={"pad_id": 0},
        gamma=1.0,
        gae_lambda=1.0,
        device="cpu",
        **settings,
    )


def collected(model, steps):
    """Collect one rollout and return the model's buffer."""
    total, callback = model._setup_learn(10**9)
    assert total
    model.collect_rollouts(model.env, callback, model.rollout_buffer, n_rollout_steps=steps)
    return model.rollout_buffer


def at_the_end(actions, reward):
    credit = np.zeros(len(actions), np.float32)
    credit[-1] = reward
    return credit


def episodes(policy, count, seed=0, temperature=1.0):
    rng = np.random.default_rng(seed)
    prompts = [rng.integers(2, LETTERS + 2, rng.integers(2, 6)) for _ in range(count)]
    written = policy.generate(
        [prompt.tolist() for prompt in prompts],
        budget=5,
        temperature=temperature,
        rng=torch.Generator().manual_seed(seed),
    )
    return [
        Trajectory(
            task_id=str(row),
            prompt=prompt,
            actions=written.actions[row],
            log_probs=written.log_probs[row],
            values=written.values[row],
            reward=float(written.actions[row][0] == prompt[-1]),
            credit=at_the_end(written.actions[row], written.actions[row][0] == prompt[-1]),
            finished=bool(written.finished[row]),
            program="",
            temperature=temperature,
        )
        for row, prompt in enumerate(prompts)
    ]


@pytest.mark.parametrize("kind", [PPO, A2C])
def test_a_rollout_and_evaluate_actions_agree(policy, kind):
    settings = {"batch_size": 8} if kind is PPO else {}
    model = algorithm(kind, policy, n_steps=23, **settings)
    buffer = collected(model, 23)
    seen = 0
    with torch.no_grad():
        for data in buffer.get(16):
            values, log_probs, entropy = model.policy.evaluate_actions(
                data.observations, data.actions
            )
            torch.testing.assert_close(log_probs, data.old_log_prob, atol=1e-4, rtol=0)
            torch.testing.assert_close(values, data.old_values, atol=1e-4, rtol=0)
            assert entropy.shape == log_probs.shape
            batch = unpack(data.observations.numpy(), pad_id=0)
            np.testing.assert_array_equal(batch.actions[batch.mask], data.actions)
            seen += len(values)
    assert seen == 23 * 8


def test_advantages_travel_with_their_tokens(policy):
    """Tag every step with its own number and find prefix and action of that step beside it."""
    model = algorithm(PPO, policy, n_steps=23, batch_size=8)
    buffer = collected(model, 23)
    buffer.advantages = np.arange(23 * 8, dtype=np.float32).reshape(23, 8)
    seen = []
    for data in buffer.get(5):
        batch = unpack(data.observations.numpy(), pad_id=0)
        rows, columns = np.nonzero(batch.mask)
        tags = data.advantages.long().tolist()
        for row, column, tag in zip(rows, columns, tags, strict=True):
            obs = buffer.observations[tag // 8, tag % 8]
            end = batch.prompt_lengths[row] + column
            assert obs[obs != 0].tolist() == batch.tokens[row, :end].tolist()
            assert buffer.actions[tag // 8, tag % 8, 0] == batch.actions[row, column]
        seen += tags
    assert sorted(seen) == list(range(23 * 8))


def test_plain_observations_are_scored_too(policy):
    model = algorithm(PPO, policy, n_steps=8, batch_size=8)
    obs = torch.tensor([[3, 4, 5] + [0] * 21, [6, 7] + [0] * 22])
    actions, values, log_probs = model.policy(obs)
    scored = model.policy.evaluate_actions(obs, actions)
    torch.testing.assert_close(scored[0], values.flatten(), atol=1e-5, rtol=0)
    torch.testing.assert_close(scored[1], log_probs, atol=1e-5, rtol=0)
    torch.testing.assert_close(model.policy.predict_values(obs), values, atol=1e-5, rtol=0)
    distribution = model.policy.get_distribution(obs)
    torch.testing.assert_close(distribution.log_prob(actions), log_probs, atol=1e-5, rtol=0)
    assert model.predict(obs[:1].numpy(), deterministic=True)[0].shape == (1,)


def test_a_rollout_reads_each_token_once(policy, monkeypatch):
    """Only a new episode's prompt goes through the prefill; evaluation runs once per sequence."""
    rows = []
    forward = policy.module.transformer.forward
    monkeypatch.setattr(
        policy.module.transformer,
        "forward",
        lambda ids, cache=None: rows.append(ids.shape) or forward(ids, cache),
    )
    model = algorithm(PPO, policy, n_steps=20, batch_size=160, n_epochs=1)
    buffer = collected(model, 20)
    started = int(buffer.episode_starts[1:].sum()) + 8
    # The last call asks for the values of the 8 final observations.
    assert sum(shape[0] for shape in rows[:-1]) <= started
    rows.clear()
    read, passes = policy.module.transformer.read, []
    monkeypatch.setattr(
        policy.module.transformer, "read", lambda packed: passes.append(packed) or read(packed)
    )
    model.train()
    assert len(passes) == 1
    assert len(passes[0].rows) == started
    assert not rows


def test_load_rollout_gives_back_the_episodes(policy):
    ppo = make_ppo(policy, batch_size=7)
    played = episodes(policy, 20)
    load_rollout(ppo, played)
    rows = {}
    for data in ppo.rollout_buffer.get(7):
        batch = unpack(data.observations.numpy(), pad_id=0)
        for name in ("old_log_prob", "old_values", "returns"):
            parts = np.split(getattr(data, name).numpy(), np.cumsum(batch.lengths)[:-1])
            for row, part in enumerate(parts):
                start, length = batch.prompt_lengths[row], batch.lengths[row]
                key = tuple(batch.tokens[row, : start + length])
                rows.setdefault(key, {})[name] = part
    for episode in played:
        found = rows[(*episode.prompt, *episode.actions)]
        np.testing.assert_allclose(found["old_log_prob"], episode.log_probs)
        np.testing.assert_allclose(found["old_values"], episode.values)
        np.testing.assert_allclose(found["returns"], episode.reward, atol=1e-5)
    count = len(played[0])
    load_rollout(ppo, played[:1], rewards=[np.arange(count, dtype=np.float32)])
    (data,) = ppo.rollout_buffer.get()
    expected = [sum(range(at, count)) for at in range(count)]
    np.testing.assert_allclose(data.returns, expected, atol=1e-4)
    with pytest.raises(ConfigError, match="the rewards do not fit the episodes"):
        load_rollout(ppo, played[:1], rewards=[np.zeros(count + 1, np.float32)])


def test_each_episode_is_scored_at_its_own_temperature(policy):
    ppo = make_ppo(policy)
    played = episodes(policy, 12, temperature=0.6) + episodes(policy, 12, seed=1, temperature=1.3)
    load_rollout(ppo, played)
    for data in ppo.rollout_buffer.get(5):
        _, log_probs, _ = ppo.policy.evaluate_actions(data.observations, data.actions)
        torch.testing.assert_close(log_probs, data.old_log_prob, atol=1e-4, rtol=0)


def test_an_episode_the_environment_wrote_in_is_refused(policy):
    episode = next(row for row in episodes(policy, 20) if len(row) > 2)
    chosen = np.ones(len(episode), bool)
    load_rollout(make_ppo(policy), [dataclasses.replace(episode, chosen=chosen)])
    chosen[1] = False
    with pytest.raises(ConfigError, match="an agent other than sb3_ppo"):
        load_rollout(make_ppo(policy), [dataclasses.replace(episode, chosen=chosen)])


def test_ppo_learns_from_generated_programs():
    policy = GPTPolicy(Letters(), SHAPE, seed=0)
    ppo = make_ppo(policy, learning_rate=2e-3, batch_size=64, n_epochs=2)
    rates = []
    for update in range(25):
        played = episodes(policy, 128, seed=update)
        rates.append(np.mean([episode.reward for episode in played]))
        before = policy.version
        load_rollout(ppo, played)
        ppo.train()
        assert policy.version == before + 4
    assert np.mean(rates[:3]) < 0.35
    assert np.mean(rates[-3:]) > 0.6


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("kind", [PPO, A2C])
def test_unmodified_algorithms_learn_in_the_env(kind):
    policy = GPTPolicy(Letters(), SHAPE, seed=0)
    settings = {"batch_size": 64, "n_epochs": 2} if kind is PPO else {"use_rms_prop": False}
    model = algorithm(kind, policy, n_envs=32, n_steps=16, learning_rate=2e-3, **settings)
    model.learn(16 * 32 * 60)
    assert np.mean([info["r"] for info in model.ep_info_buffer]) > 0.6


def test_the_value_head_learns_at_its_own_rate(policy):
    """Both groups get the same rate from PPO; Adam's first step is the rate times the scale."""
    ppo = make_ppo(policy, learning_rate=1e-3, value_learning_rate=8e-3, max_grad_norm=1e9)
    before = {name: w.detach().clone() for name, w in policy.module.named_parameters()}
    load_rollout(ppo, episodes(policy, 64))
    ppo.train()
    moved = {
        name: float((w.detach() - before[name]).abs().max())
        for name, w in policy.module.named_parameters()
    }
    assert moved["value_head.bias"] == pytest.approx(8e-3, rel=1e-2)
    assert moved["transformer.layers.0.mlp.dense_h_to_4h.weight"] == pytest.approx(1e-3, rel=1e-2)
    assert {group["lr"] for group in ppo.policy.optimizer.param_groups} == {1e-3}


def test_split_training_equals_unsplit_training_to_the_last_bit(tmp_path):
    from codegym.policies import checkpoint

    def fresh():
        made = GPTPolicy(Letters(), SHAPE, seed=0)
        return made, make_ppo(made, batch_size=16, n_epochs=2, seed=4)

    def train(policy, ppo, updates):
        for update in updates:
            load_rollout(ppo, episodes(policy, 40, seed=update))
            ppo.train()

    whole, ppo = fresh()
    train(whole, ppo, range(4))
    first, ppo = fresh()
    train(first, ppo, range(2))
    checkpoint.registry.register("tokenizers", "bytes", Letters)
    try:
        checkpoint.save_policy(first, tmp_path / "run", trainer=ppo_state(ppo))
        second = checkpoint.load_policy(tmp_path / "run")
    finally:
        checkpoint.registry.register("tokenizers", "bytes", ByteTokenizer)
    ppo = make_ppo(second, batch_size=16, n_epochs=2, seed=99)
    restore_ppo(ppo, checkpoint.load_trainer(tmp_path / "run"))
    train(second, ppo, range(2, 4))
    assert second.version == whole.version
    for weight, resumed in zip(whole.module.parameters(), second.module.parameters(), strict=True):
        assert torch.equal(weight, resumed)


def test_ppo_itself_saves_and_loads(policy, tmp_path):
    ppo = make_ppo(policy)
    ppo.save(tmp_path / "ppo")
    loaded = PPO.load(tmp_path / "ppo")
    obs = np.array([[3, 4] + [0] * 22])
    assert loaded.predict(obs, deterministic=True)[0] == ppo.predict(obs, deterministic=True)[0]


def test_the_vec_env_follows_stable_baselines3():
    env = SequenceVecEnv(Repeat(3))
    env.seed(5)
    first = env.reset()
    env.seed(5)
    np.testing.assert_array_equal(first, env.reset())
    letters = first[:, 4].clip(2)
    for _ in range(4):
        obs, rewards, dones, infos = env.step(letters)
        assert not dones.any()
        assert infos == [{}, {}, {}]
    obs, rewards, dones, infos = env.step(letters)
    assert dones.all()
    for row in range(3):
        assert infos[row]["episode"]["l"] == 5
        assert infos[row]["episode"]["r"] == rewards[row] == float(infos[row]["right"])
        assert infos[row]["TimeLimit.truncated"] is False
        assert (infos[row]["terminal_observation"] != 0).sum() >= 7
        assert (obs[row] != 0).sum() <= 5
    assert env.env_is_wrapped(gym.Wrapper) == [False] * 3
    assert env.get_attr("num_envs", [0, 2]) == [3, 3]


def test_the_real_env_is_played_and_scored_alike(tiny):
    """The registered vector env, judged without a sandbox, under the unmodified PPO."""
    envs = gym.make_vec(
        "codegym:CodeGym/Synthesis-v0", num_envs=4, autoreset_mode="SameStep", budget=6, **tiny
    )
    shape = GPTConfig(d_model=32, n_layers=2, n_heads=2, max_tokens=tiny["max_tokens"])
    policy = GPTPolicy(envs.unwrapped.tokenizer, shape, seed=0)
    ppo = make_ppo(policy, env=SequenceVecEnv(envs), n_steps=20, batch_size=8)
    buffer = collected(ppo, 20)
    assert buffer.episode_starts[1:].any()
    with torch.no_grad():
        for data in buffer.get(8):
            values, log_probs, _ = ppo.policy.evaluate_actions(data.observations, data.actions)
            torch.testing.assert_close(log_probs, data.old_log_prob, atol=1e-4, rtol=0)
            torch.testing.assert_close(values, data.old_values, atol=1e-4, rtol=0)
    before = policy.version
    ppo.train()
    assert policy.version > before
    finished = [info for info in ppo.ep_info_buffer if info["l"] <= 6]
    assert len(finished) == len(ppo.ep_info_buffer) > 0


def test_pack_and_unpack_by_hand():
    tokens, starts, lengths = [[5, 6, 7, 8], [9, 3, 0, 0]], np.array([1, 1]), np.array([3, 1])
    packed = pack(np.array(tokens), starts, lengths)
    bits = 0x3F800000  # the bits of 1.0 in float32
    assert packed.tolist() == [[1, 3, 4, 0, bits, 5, 6, 7, 8], [1, 1, 4, 0, bits, 9, 3, 0, 0]]
    batch = unpack(packed, pad_id=0)
    assert batch.actions.tolist() == [[6, 7, 8], [3, 0, 0]]
    assert batch.tokens.tolist() == [[5, 6, 7, 8], [9, 3, 0, 0]]
    assert batch.masks is None


def test_masks_are_packed_along():
    masks = np.arange(2 * 3 * 9, dtype=np.uint8).reshape(2, 3, 9)  # 9 bytes take two words
    tokens = np.array([[5, 6, 7, 8], [9, 3, 0, 0]])
    packed = pack(tokens, np.array([1, 1]), np.array([3, 1]), masks=masks)
    batch = unpack(packed, pad_id=0)
    np.testing.assert_array_equal(batch.masks[:, :, :9], masks)
    assert unpack(packed[1:], pad_id=0).masks[0, 0, :9].tolist() == masks[1, 0].tolist()


def test_bad_input_is_named(policy):
    with pytest.raises(ConfigError, match="SameStep"):
        SequenceVecEnv(Repeat(2, AutoresetMode.NEXT_STEP))
    with pytest.raises(ConfigError, match="vocabulary"):
        make_ppo(GPTPolicy(ByteTokenizer(), SHAPE, seed=0), env=SequenceVecEnv(Repeat(2)))
    other = GPTPolicy(Letters(), GPTConfig(max_tokens=32), seed=0)
    with pytest.raises(ConfigError, match="max_tokens"):
        make_ppo(other, env=SequenceVecEnv(Repeat(2)))
    ppo = make_ppo(policy)
    with pytest.raises(EnvError, match="no env"):
        ppo.learn(10)
    with pytest.raises(ConfigError, match="not full"):
        next(ppo.rollout_buffer.get(2))
    long = episodes(policy, 1)[0]
    with pytest.raises(ConfigError, match="at most 24"):
        load_rollout(ppo, [Trajectory(**{**fields(long), "prompt": np.full(30, 3)})])
    with pytest.raises(ConfigError, match="learning_rate"):
        make_ppo(policy, learning_rate=0.0)


def fields(trajectory):
    return {name: getattr(trajectory, name) for name in trajectory.__slots__}
