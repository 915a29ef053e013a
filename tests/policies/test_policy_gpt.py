"""The gpt policy: stepping, generating and evaluating give the same numbers; caches never lie."""

import numpy as np
import pytest
import torch

from codegym.errors import ConfigError, PromptTooLongError, UnknownNameError
from codegym.policies.decoding.token_sampling import TokenSampler
from codegym.policies.gpt.compiled_rows import CompiledReader
from codegym.policies.gpt.gpt_policy import GPTConfig, GPTPolicy, SamplingConfig
from codegym.tokenizers.bytes import ByteTokenizer
from codegym.trajectory import Batch, Trajectory

SHAPE = GPTConfig(d_model=32, n_layers=2, n_heads=2, max_tokens=64)


@pytest.fixture
def policy():
    made = GPTPolicy(ByteTokenizer(), SHAPE, seed=3)
    sharpen(made)
    return made


def sharpen(policy):
    """Make the fresh, nearly uniform policy an opinionated one, the end token likely."""
    rng = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for weight in policy.module.transformer.parameters():
            if weight.dim() > 1:
                weight.mul_(4)
        policy.module.value_head.weight.normal_(generator=rng)
        policy.module.transformer.head_bias[policy.tokenizer.end_id] = 2.0
    policy.mark_updated()


def prompts_of(lengths, seed=0):
    rng = np.random.default_rng(seed)
    return [rng.integers(2, 258, length).tolist() for length in lengths]


def batch_of(prompts, generation, n):
    return Batch.from_trajectories(
        [
            Trajectory(
                task_id=str(row),
                prompt=np.array(prompts[row // n]),
                actions=actions,
                log_probs=generation.log_probs[row],
                values=generation.values[row],
                reward=0.0,
                credit=np.zeros(len(actions), np.float32),
                finished=bool(generation.finished[row]),
                program="",
            )
            for row, actions in enumerate(generation.actions)
        ],
        pad_id=0,
    )


def drawn(policy, prompts, seed=1, **settings):
    return policy.generate(prompts, rng=torch.Generator().manual_seed(seed), **settings)


@pytest.mark.parametrize(
    ("preset", "weights"), [("tiny", 359_328), ("small", 824_320), ("base", 4_798_976)]
)
def test_presets_have_the_sizes_they_promise(preset, weights):
    policy = GPTPolicy(ByteTokenizer(), GPTConfig.preset(preset), seed=0)
    transformer = sum(weight.numel() for weight in policy.module.transformer.parameters())
    assert transformer == weights


def test_a_variant_may_name_its_context():
    policy = GPTPolicy.create("tiny@512", tokenizer=ByteTokenizer(), seed=0)
    assert (policy.max_tokens, policy.config.d_model) == (512, 96)
    with pytest.raises(ConfigError, match="unusable context"):
        GPTPolicy.create("tiny@lots", tokenizer=ByteTokenizer(), seed=0)


def test_generate_agrees_with_evaluate(policy):
    prompts = prompts_of([3, 9, 1, 20])
    generation = drawn(policy, prompts, n=8, budget=30)
    assert 0 < generation.finished.mean() < 1
    batch = batch_of(prompts, generation, 8)
    scored = policy.evaluate(batch)
    np.testing.assert_allclose(scored.log_probs.detach(), batch.log_probs, atol=1e-4)
    np.testing.assert_allclose(scored.values.detach(), batch.values, atol=1e-4)
    assert (scored.entropy.detach().numpy()[~batch.mask] == 0).all()
    assert scored.hidden.shape == (32, batch.actions.shape[1], 32)


def test_act_agrees_with_evaluate_while_rows_restart(policy):
    """Rows at different positions, one of them replaced by a new episode on the way."""
    rng = torch.Generator().manual_seed(2)
    prompts = prompts_of([4, 11, 2])
    rows = [list(prompt) for prompt in prompts]
    state, worst = None, 0.0
    for at in range(20):
        if at == 7:
            rows[1] = prompts_of([5], seed=9)[0]
        obs = np.zeros((3, 64), np.int32)
        for row, ids in enumerate(rows):
            obs[row, : len(ids)] = ids
        step = policy.act(obs, state, rng=rng)
        state = step.state
        hidden = [policy.module.transformer(torch.tensor([ids]))[0, -1] for ids in rows]
        scores = policy.module.transformer.logits(torch.stack(hidden)).log_softmax(-1)
        expected = scores[range(3), step.actions].detach().numpy()
        values = policy.module.value_head(torch.stack(hidden)).detach().numpy()
        worst = max(worst, np.abs(expected - step.log_probs).max())
        worst = max(worst, np.abs(values - step.values).max())
        for ids, action in zip(rows, step.actions, strict=True):
            ids.append(int(action))
    assert worst < 1e-4


def test_act_reads_one_token_of_a_continued_row(policy, monkeypatch):
    policy.sampling_config = SamplingConfig(compiled=False)
    widths = []
    forward = policy.module.transformer.forward
    monkeypatch.setattr(
        policy.module.transformer,
        "forward",
        lambda ids, cache=None: widths.append(ids.shape) or forward(ids, cache),
    )
    obs = np.zeros((2, 64), np.int32)
    obs[:, :5] = prompts_of([5])[0]
    step = policy.act(obs)
    assert widths == [(2, 4)]
    obs[:, 5] = step.actions
    step = policy.act(obs, step.state)
    assert widths == [(2, 4)]
    obs[1, 2] += 1
    obs[:, 6] = 7
    policy.act(obs, step.state)
    assert widths == [(2, 4), (1, 6)]


def test_the_kernels_read_what_is_new_of_each_row(policy, monkeypatch):
    pytest.importorskip("numba")
    read = []
    plain = CompiledReader.read
    monkeypatch.setattr(
        CompiledReader,
        "read",
        lambda self, ids, *rest: read.append(len(ids)) or plain(self, ids, *rest),
    )
    obs = np.zeros((2, 64), np.int32)
    obs[:, :5] = prompts_of([5])[0]
    step = policy.act(obs)
    obs[:, 5] = step.actions
    step = policy.act(obs, step.state)
    obs[1, 2] += 1
    obs[:, 6] = 7
    policy.act(obs, step.state)
    # Both rows whole; one token each; one token of the first and five of the second.
    assert read == [10, 2, 6]


@pytest.mark.parametrize("compiled", [True, False])
def test_act_reads_rows_right_however_they_change(policy, compiled):
    """Rows go on by a token or by several, are taken back, changed inside, and begin anew."""
    policy.sampling_config = SamplingConfig(compiled=compiled)
    rng = np.random.default_rng(4)
    obs = np.zeros((5, 64), np.int32)
    lengths = np.ones(5, int)
    obs[:, 0] = rng.integers(2, 258, 5)
    state = None
    for _ in range(30):
        for row in range(5):
            kind = rng.integers(6)
            if kind < 3 or lengths[row] < 3:  # one token, or several
                more = min(1 if kind else rng.integers(2, 6), 64 - lengths[row])
                obs[row, lengths[row] : lengths[row] + more] = rng.integers(2, 258, more)
                lengths[row] += more
            elif kind == 3:  # taken back
                lengths[row] -= rng.integers(1, lengths[row])
            elif kind == 4:  # changed inside
                obs[row, rng.integers(lengths[row])] = rng.integers(2, 258)
            else:  # anew
                lengths[row] = rng.integers(1, 20)
                obs[row, : lengths[row]] = rng.integers(2, 258, lengths[row])
            obs[row, lengths[row] :] = 0
        step = policy.act(obs, state, rng=torch.Generator().manual_seed(0))
        state = step.state
        scores = policy.scores(obs).detach().numpy()
        expected = scores[np.arange(5), step.actions]
        np.testing.assert_allclose(step.log_probs, expected, atol=1e-4)
        values = policy.act(obs).values
        np.testing.assert_allclose(step.values, values, atol=1e-4)


def test_changed_weights_drop_the_cache(policy):
    obs = np.array([[5, 6, 7, 0]], np.int32)
    state = policy.act(obs).state
    with torch.no_grad():
        policy.module.transformer.layers[0].attention.dense.weight.add_(0.5)
    policy.mark_updated()
    obs[0, 3] = 8
    stale = policy.act(obs, state, deterministic=True)
    fresh = policy.act(obs, None, deterministic=True)
    np.testing.assert_array_equal(stale.values, fresh.values)


def test_padding_never_leaks(policy):
    short, long = prompts_of([3, 30])
    alone = drawn(policy, [short], budget=20, deterministic=True)
    beside = drawn(policy, [long, short], budget=20, deterministic=True)
    np.testing.assert_array_equal(alone.actions[0], beside.actions[1])
    np.testing.assert_allclose(alone.values[0], beside.values[1], rtol=1e-5, atol=1e-5)


def test_chunks_workers_and_dropped_rows_change_nothing(policy):
    prompts = prompts_of([3, 9, 1, 20, 6])
    whole = drawn(policy, prompts, n=4, budget=30)
    threads = torch.get_num_threads()
    for workers in (1, 3):
        policy.sampling_config = SamplingConfig(chunk_rows=3, keep_share=1.0, workers=workers)
        split = drawn(policy, prompts, n=4, budget=30)
        for expected, found in zip(whole.actions, split.actions, strict=True):
            np.testing.assert_array_equal(found, expected)
        for expected, found in zip(whole.values, split.values, strict=True):
            np.testing.assert_allclose(found, expected, atol=1e-5)
    assert torch.get_num_threads() == threads


@pytest.mark.parametrize("n", [1, 3])
def test_compiled_kernels_write_what_torch_writes(policy, n):
    prompts = prompts_of([1, 40, 7, 18, 33])
    policy.sampling_config = SamplingConfig(chunk_rows=8, keep_share=1.0, workers=1)
    compiled = drawn(policy, prompts, n=n, budget=30)
    policy.sampling_config = SamplingConfig(compiled=False)
    plain = drawn(policy, prompts, n=n, budget=30)
    assert len({len(row) for row in compiled.actions}) > 2
    for name, tolerance in (("actions", 0), ("log_probs", 1e-5), ("values", 1e-5)):
        for found, expected in zip(getattr(compiled, name), getattr(plain, name), strict=True):
            np.testing.assert_allclose(found, expected, atol=tolerance, rtol=0)


def test_the_compiled_sampler_inverts_the_cumulated_probabilities():
    rng = torch.Generator().manual_seed(0)
    logits = torch.randn(500, 97, generator=rng) * 8
    logits[:, ::3] = -torch.inf
    logits[0, :] = -torch.inf
    logits[0, 50] = -300.0
    uniform = torch.rand(500, 1, generator=rng)
    uniform[1], uniform[2] = 0.0, 1.0 - 2.0**-22
    tokens, log_probs, probs = TokenSampler().choose(logits, uniform)
    expected = torch.softmax(logits, dim=-1)
    sums = expected.double().cumsum(dim=-1)
    below = sums.gather(1, tokens[:, None]) - expected.gather(1, tokens[:, None])
    assert (below <= uniform + 1e-6).all()
    assert (sums.gather(1, tokens[:, None]) >= uniform - 1e-6).all()
    assert (logits.gather(1, tokens[:, None]) > -torch.inf).all()
    assert tokens[0] == 50
    torch.testing.assert_close(probs, expected, atol=1e-6, rtol=0)
    taken = torch.log_softmax(logits, dim=-1).gather(1, tokens[:, None])[:, 0]
    torch.testing.assert_close(log_probs, taken, atol=1e-5, rtol=0)


def test_a_repeated_prompt_is_read_once(policy, monkeypatch):
    policy.sampling_config = SamplingConfig(compiled=False)
    rows = []
    forward = policy.module.transformer.forward
    monkeypatch.setattr(
        policy.module.transformer,
        "forward",
        lambda ids, cache=None: rows.append(len(ids)) or forward(ids, cache),
    )
    drawn(policy, prompts_of([5, 5]), n=10, budget=3)
    assert rows == [2]


def test_the_kernels_read_a_repeated_prompt_once(policy, monkeypatch):
    pytest.importorskip("numba")
    read = []
    plain = CompiledReader.read_rows
    monkeypatch.setattr(
        CompiledReader,
        "read_rows",
        lambda self, ids, *rest: read.append(len(ids)) or plain(self, ids, *rest),
    )
    drawn(policy, prompts_of([5, 3]), n=10, budget=3)
    assert read == [8]


def test_max_tokens_cuts_a_long_row_and_no_other(policy):
    policy.module.transformer.head_bias[policy.tokenizer.end_id] = -1e9
    generation = drawn(policy, prompts_of([60, 10]), budget=30)
    assert [len(actions) for actions in generation.actions] == [4, 30]
    assert not generation.finished.any()


def test_an_end_at_the_last_token_of_the_budget_is_finished(policy):
    policy.module.transformer.head_bias[policy.tokenizer.end_id] = 1e9
    generation = drawn(policy, prompts_of([3]), budget=1)
    assert generation.actions[0].tolist() == [1]
    assert generation.finished.all()


def test_seed_decides_and_the_global_generator_is_left_alone(policy):
    before = torch.random.get_rng_state()
    first, again, other = (drawn(policy, prompts_of([3]), seed=s, n=4, budget=9) for s in (1, 1, 2))
    assert all(np.array_equal(a, b) for a, b in zip(first.actions, again.actions, strict=True))
    assert not all(np.array_equal(a, b) for a, b in zip(first.actions, other.actions, strict=True))
    same = GPTPolicy(ByteTokenizer(), SHAPE, seed=3), GPTPolicy(ByteTokenizer(), SHAPE, seed=3)
    assert torch.equal(*(p.module.transformer.embed_in.weight for p in same))
    assert torch.equal(before, torch.random.get_rng_state())


def test_pad_is_never_written(policy):
    generation = drawn(policy, prompts_of([3]), n=64, budget=30, temperature=50.0)
    assert 0 not in np.concatenate(generation.actions)


def test_mask_is_respected_and_renormalises(policy):
    mask = np.zeros((1, 258), bool)
    mask[0, [40, 41]] = True
    obs = np.array([[5, 6, 7]])
    probs = {}
    for seed in range(40):
        step = policy.act(obs, mask=mask, rng=torch.Generator().manual_seed(seed))
        probs[int(step.actions[0])] = float(np.exp(step.log_probs[0]))
    assert set(probs) <= {40, 41}
    chosen = policy.act(obs, mask=mask, deterministic=True)
    assert np.exp(chosen.log_probs[0]) == pytest.approx(max(probs.values()))
    if len(probs) == 2:
        assert sum(probs.values()) == pytest.approx(1.0, abs=1e-5)
    with pytest.raises(ConfigError, match="allows no token"):
        policy.act(obs, mask=np.zeros((1, 258), bool))


def test_tokens_are_drawn_by_the_probabilities():
    """Scores log(.5, .3, .2): intervals [0, .5), [.5, .8), [.8, 1); at temperature .5 squares."""
    logits = torch.tensor([[0.5, 0.3, 0.2]]).log().expand(5, 3)
    uniform = torch.tensor([[0.0], [0.49], [0.51], [0.79], [0.81]])
    tokens, log_probs, _ = TokenSampler().choose(logits, uniform)
    assert tokens.tolist() == [0, 0, 1, 1, 2]
    np.testing.assert_allclose(log_probs.exp(), [0.5, 0.5, 0.3, 0.3, 0.2], rtol=1e-5)
    tokens, log_probs, _ = TokenSampler(temperature=0.5).choose(logits, uniform)
    assert tokens.tolist() == [0, 0, 0, 1, 1]
    np.testing.assert_allclose(log_probs.exp(), np.array([25, 25, 25, 9, 9]) / 38, rtol=1e-5)
    tokens, log_probs, _ = TokenSampler(top_p=0.6).choose(logits, uniform)
    assert tokens.tolist() == [0, 0, 0, 1, 1]
    np.testing.assert_allclose(log_probs.exp(), np.array([5, 5, 5, 3, 3]) / 8, rtol=1e-5)
    assert TokenSampler(top_p=1e-6).choose(logits, uniform)[0].tolist() == [0] * 5


def test_the_value_never_moves_the_trunk(policy):
    prompts = prompts_of([4])
    batch = batch_of(prompts, drawn(policy, prompts, budget=8), 1)
    policy.evaluate(batch).values.sum().backward()
    moved = {name for name, weight in policy.module.named_parameters() if weight.grad is not None}
    assert moved == {"value_head.weight", "value_head.bias"}
    assert {id(weight) for weight in policy.value_parameters()} == {
        id(weight) for weight in policy.module.value_head.parameters()
    }


def test_it_learns_a_text_by_heart():
    policy = GPTPolicy(ByteTokenizer(), SHAPE, seed=0)
    prompts = [policy.tokenizer.encode(text) for text in ("a:", "bb:")]
    answers = [[*policy.tokenizer.encode(text), 1] for text in ("one", "three")]
    batch = Batch.from_trajectories(
        [
            Trajectory(
                task_id="",
                prompt=np.array(prompt),
                actions=np.array(answer),
                log_probs=np.zeros(len(answer), np.float32),
                values=np.zeros(len(answer), np.float32),
                reward=1.0,
                credit=np.zeros(len(answer), np.float32),
                finished=True,
                program="",
            )
            for prompt, answer in zip(prompts, answers, strict=True)
        ],
        pad_id=0,
    )
    optimizer = torch.optim.AdamW(policy.module.parameters(), lr=1e-2)
    for _ in range(60):
        optimizer.zero_grad()
        (-policy.evaluate(batch).log_probs.sum()).backward()
        optimizer.step()
    policy.mark_updated()
    written = policy.generate(prompts, budget=10, deterministic=True)
    assert [actions.tolist() for actions in written.actions] == answers
    assert written.finished.all()


def test_bad_input_is_named(policy):
    with pytest.raises(UnknownNameError, match="tiny"):
        GPTConfig.preset("tinny")
    with pytest.raises(ConfigError, match="n_heads"):
        GPTConfig(d_model=10, n_heads=3)
    with pytest.raises(PromptTooLongError, match="64"):
        policy.generate([[5] * 64], budget=3)
    with pytest.raises(ConfigError, match="prompt 0 is empty"):
        policy.generate([[]], budget=3)
    with pytest.raises(ConfigError, match="budget"):
        policy.generate([[5]], budget=0)
    with pytest.raises(ConfigError, match="deterministic=True"):
        policy.generate([[5]], budget=1, temperature=0.0)
    with pytest.raises(ConfigError, match="1 to 64"):
        policy.act(np.zeros((1, 8), np.int32))
