"""The value head: with a hidden layer and without, the contract is the same."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM

from codegym.checks.check_policy import check_policy
from codegym.errors import CheckpointError, ConfigError, UnknownNameError
from codegym.policies import checkpoint
from codegym.policies.factory import make_policy
from codegym.policies.gpt.gpt_policy import GPTConfig, GPTPolicy, SamplingConfig
from codegym.policies.hf.hf_policy import HFPolicy
from codegym.policies.sb3.sequence_policy import load_rollout, make_ppo
from codegym.policies.value_head import ValueHead
from codegym.tokenizers.bytes import ByteTokenizer
from codegym.trajectory import Trajectory

SHAPE = GPTConfig(d_model=32, n_layers=2, n_heads=2, max_tokens=64, value_hidden=16)


def gpt(**settings):
    return GPTPolicy(ByteTokenizer(), replace(SHAPE, **settings), seed=7)


def hf():
    plain = HFPolicy.specimen(seed=7)
    config = replace(plain.config, value_hidden=16)
    return HFPolicy(plain.module.model, plain.tokenizer, config, seed=7)


def stir(head):
    rng = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for weight in head.parameters():
            weight.normal_(generator=rng)


def episode(prompt, actions, log_probs, values):
    return Trajectory(
        task_id="",
        prompt=np.array(prompt),
        actions=actions,
        log_probs=log_probs,
        values=values,
        reward=1.0,
        credit=np.zeros(len(actions), np.float32),
        finished=True,
        program="",
    )


@pytest.mark.parametrize("make", [gpt, hf])
def test_a_policy_with_a_hidden_layer_keeps_the_contract(make):
    check_policy(make)


def test_the_hidden_layer_computes_what_it_says():
    head = ValueHead(2, hidden=2)
    with torch.no_grad():
        head.hidden_weight.copy_(torch.tensor([[1.0, 2.0], [0.0, -1.0]]))
        head.hidden_bias.copy_(torch.tensor([0.0, 1.0]))
        head.weight.copy_(torch.tensor([3.0, 5.0]))
        head.bias.fill_(0.5)
    # Units 1 and 1 before the GELU, x times the share of a normal variable below x.
    gelu = 0.5 * (1.0 + math.erf(1.0 / math.sqrt(2.0)))
    value = head(torch.tensor([1.0, 0.0]))
    assert value.item() == pytest.approx(8.0 * gelu + 0.5, rel=1e-6)


def test_a_fresh_head_returns_zero_but_can_learn():
    policy = gpt()
    hidden = torch.randn(5, 32, generator=torch.Generator().manual_seed(0))
    head = policy.module.value_head
    assert not head(hidden).any()
    assert head.hidden_weight.std().item() == pytest.approx(1 / math.sqrt(32), rel=0.2)
    wanted = hidden[:, 0] * hidden[:, 1]
    optimizer = torch.optim.Adam(policy.value_parameters(), lr=0.02)
    for _ in range(200):
        optimizer.zero_grad()
        (head(hidden) - wanted).square().mean().backward()
        optimizer.step()
    assert (head(hidden) - wanted).abs().max() < 0.05


def test_the_layer_changes_neither_the_default_nor_the_actor():
    plain, layered = gpt(value_hidden=0), gpt()
    assert {name for name, _ in plain.module.value_head.named_parameters()} == {"weight", "bias"}
    pairs = zip(
        plain.module.transformer.parameters(),
        layered.module.transformer.parameters(),
        strict=True,
    )
    assert all(torch.equal(weight, other) for weight, other in pairs)


@pytest.mark.parametrize("compiled", [True, False])
def test_writing_and_acting_give_its_values(compiled):
    policy = gpt()
    stir(policy.module.value_head)
    policy.sampling_config = SamplingConfig(compiled=compiled)
    prompt = [5, 6, 7]
    written = policy.generate([prompt], budget=6)
    row = np.array([prompt + written.actions[0].tolist()])
    with torch.no_grad():
        states = policy.module.transformer(torch.from_numpy(row))[0]
        expected = policy.module.value_head(states).numpy()
    np.testing.assert_allclose(written.values[0], expected[2:-1], atol=1e-4)
    np.testing.assert_allclose(policy.act(row).values, expected[-1:], atol=1e-4)


def test_stable_baselines3_reads_and_trains_it():
    policy = gpt()
    stir(policy.module.value_head)
    ppo = make_ppo(policy, batch_size=4)
    prompts = [[3, 4, 5], [6, 7]]
    obs = torch.zeros(2, 64, dtype=torch.int64)
    for row, prompt in enumerate(prompts):
        obs[row, : len(prompt)] = torch.tensor(prompt)
    actions, values, log_probs = ppo.policy(obs)
    scored = ppo.policy.evaluate_actions(obs, actions)
    torch.testing.assert_close(scored[0], values.flatten(), atol=1e-4, rtol=0)
    torch.testing.assert_close(scored[1], log_probs, atol=1e-4, rtol=0)
    written = policy.generate(prompts, n=2, budget=5)
    parts = zip(written.actions, written.log_probs, written.values, strict=True)
    load_rollout(ppo, [episode(prompts[row // 2], *part) for row, part in enumerate(parts)])
    before = [weight.detach().clone() for weight in policy.value_parameters()]
    ppo.train()
    pairs = zip(before, policy.value_parameters(), strict=True)
    assert all(not torch.equal(weight, other) for weight, other in pairs)


@pytest.mark.parametrize("make", [gpt, hf])
def test_a_checkpoint_keeps_the_layer(make, tmp_path):
    policy = make()
    stir(policy.module.value_head)
    checkpoint.save_policy(policy, tmp_path / "saved")
    loaded = checkpoint.load_policy(tmp_path / "saved")
    assert loaded.config.value_hidden == 16
    for weight, other in zip(policy.value_parameters(), loaded.value_parameters(), strict=True):
        assert torch.equal(weight, other)
    AutoModelForCausalLM.from_pretrained(tmp_path / "saved")


def test_a_checkpoint_from_before_there_was_a_layer_loads(tmp_path):
    policy = gpt(value_hidden=0)
    policy.save(tmp_path / "saved")
    row = json.loads((tmp_path / "saved" / "config.json").read_text())
    assert row.pop("value_hidden") == 0
    assert GPTConfig.from_transformers(row) == policy.config


def test_a_head_of_another_shape_is_refused(tmp_path):
    gpt().module.value_head.save(tmp_path)
    with pytest.raises(CheckpointError, match="another model"):
        ValueHead(32).read(tmp_path)


def test_a_name_asks_for_the_layer(tmp_path):
    for name, context in (("gpt:tiny?value_hidden=24", 256), ("gpt:tiny@64?value_hidden=24", 64)):
        policy = make_policy(name)
        assert policy.module.value_head.hidden_weight.shape == (24, 96)
        assert (policy.config.value_hidden, policy.max_tokens) == (24, context)
    assert make_policy("gpt?value_hidden=8", tokenizer="bytes").config.value_hidden == 8
    hf().save(tmp_path / "model")
    opened = make_policy(f"hf:{tmp_path / 'model'}?lora=2&value_hidden=12")
    assert (opened.config.lora_rank, opened.config.value_hidden) == (2, 12)
    # The specimen has 128 positions, fewer than the 1,024 that a name asks for by itself.
    assert opened.max_tokens == 128
    assert make_policy(f"hf:{tmp_path / 'model'}?max_tokens=32").max_tokens == 32
    assert opened.module.value_head.hidden_weight.shape[0] == 12


def test_bad_options_are_named():
    with pytest.raises(UnknownNameError, match="did you mean 'value_hidden'"):
        make_policy("gpt:tiny?value_hiden=8")
    for name in (
        "gpt:tiny?value_hidden=-1",
        "gpt:tiny?value_hidden=many",
        "gpt:tiny?value_hidden",
        "gpt:tiny?value_hidden=8&value_hidden=9",
    ):
        with pytest.raises(ConfigError, match="value_hidden=NUMBER"):
            make_policy(name)
    with pytest.raises(ConfigError, match="value_hidden"):
        GPTConfig(value_hidden=-1)
