"""What a policy draws from is what it reports and scores: temperature, masks, holes, top_p."""

import dataclasses
import math

import numpy as np
import pytest
import torch

from codegym.errors import ConfigError
from codegym.policies.gpt.gpt_policy import GPTPolicy, SamplingConfig
from codegym.policies.hf.hf_policy import HFPolicy
from codegym.policies.uniform import UniformPolicy
from codegym.trajectory import Batch, Trajectory


def sharpened(policy):
    """Make a fresh, nearly uniform policy an opinionated one, with values that differ."""
    rng = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for weight in policy.module.parameters():
            if weight.dim() > 1:
                weight.mul_(5)
        policy.module.value_head.weight.normal_(generator=rng)
    policy.mark_updated()
    return policy


def plain_gpt():
    policy = sharpened(GPTPolicy.specimen(seed=3))
    policy.sampling_config = SamplingConfig(compiled=False)
    return policy


def hf_by_parts():
    """Few actions are scored at once, so that parts end inside of rows."""
    policy = sharpened(HFPolicy.specimen(seed=3))
    policy.config = dataclasses.replace(policy.config, score_rows=5)
    return policy


POLICIES = [
    pytest.param(lambda: sharpened(GPTPolicy.specimen(seed=3)), id="gpt"),
    pytest.param(plain_gpt, id="gpt-plain"),
    pytest.param(hf_by_parts, id="hf"),
    pytest.param(lambda: UniformPolicy.specimen(seed=3), id="uniform"),
]


def episode(prompt, actions, log_probs=None, values=None, **settings):
    blank = np.zeros(len(actions), np.float32)
    return Trajectory(
        task_id="",
        prompt=np.array(prompt),
        actions=np.array(actions),
        log_probs=blank if log_probs is None else log_probs,
        values=blank if values is None else values,
        reward=0.0,
        credit=blank,
        finished=False,
        program="",
        **settings,
    )


def batch_of(policy, episodes):
    return Batch.from_trajectories(episodes, pad_id=policy.tokenizer.pad_id)


def episodes_at(policy, temperature, seed=0):
    prompts = [policy.tokenizer.encode(text) for text in ("def f(x):\n", "a = [1, 2", "x")]
    written = policy.generate(
        prompts,
        n=2,
        budget=8,
        temperature=temperature,
        rng=torch.Generator().manual_seed(seed),
    )
    return [
        episode(
            prompts[row // 2],
            actions,
            written.log_probs[row],
            written.values[row],
            temperature=temperature,
        )
        for row, actions in enumerate(written.actions)
    ]


def scored_at(policy, batch, temperature):
    scored = policy.evaluate(batch, temperature=temperature)
    return [part.detach().numpy() for part in (scored.log_probs, scored.entropy, scored.values)]


@pytest.mark.parametrize("make", POLICIES)
def test_each_row_is_scored_at_the_temperature_it_was_written_at(make):
    policy = make()
    batch = batch_of(policy, [row for t in (0.6, 1.0, 1.2) for row in episodes_at(policy, t)])
    log_probs, _, values = scored_at(policy, batch, batch.temperatures)
    np.testing.assert_allclose(np.exp(log_probs - batch.log_probs), 1.0, atol=1e-4)
    np.testing.assert_allclose(values, batch.values, atol=1e-4)
    plain, _, same = scored_at(policy, batch, 1.0)
    np.testing.assert_array_equal(same, values)
    if policy.learns:
        assert np.abs(plain - log_probs).max() > 0.05


@pytest.mark.parametrize("make", POLICIES)
@pytest.mark.parametrize("temperature", [0.6, 1.2])
def test_acting_draws_from_the_tempered_distribution(make, temperature):
    policy = make()
    prompt = policy.tokenizer.encode("def f(x):\n")
    obs = np.array([prompt])
    step = policy.act(obs, temperature=temperature, rng=torch.Generator().manual_seed(3))
    greedy = policy.act(obs, step.state, temperature=temperature, deterministic=True)
    scores = policy.scores(obs)[0] if policy.learns else torch.zeros(policy.tokenizer.vocab_size)
    if not policy.learns:
        scores[policy.tokenizer.pad_id] = -torch.inf
    expected = torch.log_softmax(scores / temperature, dim=-1).detach().numpy()
    for found in (step, greedy):
        np.testing.assert_allclose(found.log_probs, expected[found.actions], atol=1e-4)


def test_entropy_is_that_of_the_tempered_distribution():
    policy = sharpened(GPTPolicy.specimen(seed=3))
    written = episodes_at(policy, 1.0)[0]
    _, entropy, _ = scored_at(policy, batch_of(policy, [written]), 0.7)
    scores = policy.scores(written.prompt[None])[0].detach()
    log_all = torch.log_softmax(scores / 0.7, dim=-1)
    assert entropy[0, 0] == pytest.approx(float(-(log_all.exp() * log_all).sum()), abs=1e-4)


@pytest.mark.parametrize("make", POLICIES)
def test_masks_hold_at_any_temperature(make):
    """Two tokens are allowed: their probabilities sum to 1, and the entropy is that of the two."""
    policy = make()
    prompt = policy.tokenizer.encode("x = ")
    pair = [policy.tokenizer.encode(text)[0] for text in ("a", "b")]
    allowed = np.zeros((1, policy.tokenizer.vocab_size), bool)
    allowed[0, pair] = True
    masks = np.packbits(allowed, axis=1)
    batch = batch_of(policy, [episode(prompt, [token], masks=masks) for token in pair])
    log_probs, entropy, _ = scored_at(policy, batch, 3.0)
    first, second = log_probs[:, 0]
    assert math.exp(first) + math.exp(second) == pytest.approx(1.0, abs=1e-5)
    expected = -math.exp(first) * first - math.exp(second) * second
    np.testing.assert_allclose(entropy[:, 0], expected, atol=1e-4)
    step = policy.act(np.array([prompt]), mask=allowed, temperature=3.0, deterministic=True)
    np.testing.assert_allclose(step.log_probs, [max(first, second)], atol=1e-4)


@pytest.mark.parametrize("make", POLICIES)
def test_top_p_reports_the_distribution_it_draws_from(make):
    """The most probable tokens are kept until they sum to .5; what is drawn sums to 1 over them."""
    policy = make()
    prompt = policy.tokenizer.encode("def f(x):\n")
    written = policy.generate(
        [prompt], n=60, budget=1, temperature=0.3, top_p=0.5, rng=torch.Generator().manual_seed(0)
    )
    scores = policy.scores(np.array([prompt]))[0] if policy.learns else None
    if scores is None:
        vocab = policy.tokenizer.vocab_size - 1
        expected = np.full(60, -math.log(math.ceil(vocab / 2)))
    else:
        probs = torch.softmax(scores / 0.3, dim=-1).detach()
        ranked = probs.sort(descending=True).values
        kept = ranked[: int((ranked.cumsum(0) < 0.5).sum()) + 1]
        drawn = [int(actions[0]) for actions in written.actions]
        expected = (probs[drawn] / kept.sum()).log().numpy()
    np.testing.assert_allclose(np.concatenate(written.log_probs), expected, atol=1e-3)
    assert len({int(actions[0]) for actions in written.actions}) > 1


@pytest.mark.parametrize("make", POLICIES)
def test_an_unusable_temperature_is_named(make):
    policy = make()
    batch = batch_of(policy, episodes_at(policy, 1.0))
    with pytest.raises(ConfigError, match="unusable shape"):
        policy.evaluate(batch, temperature=np.ones(len(batch) + 1, np.float32))
    for temperature in (0.0, np.append(np.ones(len(batch) - 1, np.float32), -1.0)):
        with pytest.raises(ConfigError, match="temperature is unusable"):
            policy.evaluate(batch, temperature=temperature)
    with pytest.raises(ConfigError, match="deterministic=True"):
        policy.act(batch.tokens[:1, :1], temperature=0.0)


def turns_of(policy, count, seed=0):
    """Return (prompt, actions, chosen) of episodes: a program, a message, another program."""
    rng = np.random.default_rng(seed)
    message = policy.encode_message("# no\n")
    rows = []
    for number in range(count):
        prompt = policy.tokenizer.encode(("def f(x):\n", "x = 3")[number % 2])
        first, second = (
            rng.integers(2, policy.tokenizer.vocab_size - 1, rng.integers(1, 7)) for _ in range(2)
        )
        chosen = [True] * len(first) + [False] * len(message) + [True] * len(second)
        rows.append((prompt, [*first, *message, *second], np.array(chosen)))
    return rows


def scored_with_gradients(policy, batch, keep):
    """Return what is scored, and the gradient of all of it where ``keep`` is True."""
    policy.module.zero_grad(set_to_none=True)
    scored = policy.evaluate(batch, temperature=0.8)
    kept = torch.from_numpy(keep)
    parts = (scored.log_probs, scored.entropy, scored.values)
    sum(part[kept].sum() for part in parts).backward()
    gradients = [weight.grad for weight in policy.module.parameters()]
    return [part.detach().numpy() for part in (*parts, scored.hidden)], gradients


@pytest.mark.parametrize("make", POLICIES)
def test_a_hole_is_read_and_not_scored(make):
    policy = make()
    turns = turns_of(policy, 5)
    whole = batch_of(policy, [episode(prompt, actions) for prompt, actions, _ in turns])
    holes = batch_of(
        policy, [episode(prompt, actions, chosen=chosen) for prompt, actions, chosen in turns]
    )
    assert (whole.mask & ~holes.mask).any()
    expected, wanted = scored_with_gradients(policy, whole, holes.mask)
    found, gradients = scored_with_gradients(policy, holes, np.ones_like(holes.mask))
    for part, full in zip(found, expected, strict=True):
        np.testing.assert_allclose(part[holes.mask], full[holes.mask], atol=1e-5)
        assert not part[~holes.mask].any()
    for gradient, full in zip(gradients, wanted, strict=True):
        assert (gradient is None) == (full is None)
        if full is not None:
            torch.testing.assert_close(gradient, full, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("make", POLICIES)
def test_what_the_environment_wrote_is_read_as_context(make):
    policy = make()
    (prompt, actions, chosen), *_ = turns_of(policy, 1)
    last = int(np.flatnonzero(~chosen)[-1]) + 1
    joined = batch_of(policy, [episode(prompt, actions, chosen=chosen)])
    apart = batch_of(policy, [episode([*prompt, *actions[:last]], actions[last:])])
    found = scored_at(policy, joined, 0.8)
    for part, expected in zip(found, scored_at(policy, apart, 0.8), strict=True):
        np.testing.assert_allclose(part[0, last:], expected[0], atol=1e-5)
