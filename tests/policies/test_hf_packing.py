"""The hf policy reads each distinct token once; what it scores is the same as over padded rows."""

import dataclasses

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM, MistralConfig

from codegym.policies.decoding.action_scores import gather_actions, score_by_parts
from codegym.policies.gpt.packing import take
from codegym.policies.hf.hf_policy import HFConfig, HFPolicy
from codegym.policies.hf.packed_attention import (
    ATTENTION,
    Layout,
    PackedBatch,
    attend_segments,
    can_pack,
    read_packed,
)
from codegym.policies.hf.prompting import Prompting
from codegym.tokenizers.hf import HFTokenizer
from codegym.trajectory import Batch, Trajectory


def sliding():
    """A model whose tokens look back on the last 5 tokens alone."""
    tokenizer = HFTokenizer()
    config = MistralConfig(
        vocab_size=tokenizer.model_size,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        max_position_embeddings=128,
        sliding_window=5,
        bos_token_id=None,
        eos_token_id=tokenizer.end_id,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        model = AutoModelForCausalLM.from_config(config).eval()
    settings = HFConfig(max_tokens=64, prompting=Prompting(stops=()))
    return HFPolicy(model, tokenizer, settings, seed=3)


POLICIES = [
    pytest.param(lambda: HFPolicy.specimen(seed=4), id="llama"),
    pytest.param(sliding, id="window"),
]


def batch_of(policy, n=3):
    """Programs of several lengths for three prompts, one of a single action, in mixed order."""
    rng = np.random.default_rng(0)
    prompts = [policy.tokenizer.encode(text) for text in ("def f(x):", "a = [1, 2, 3", "x")]
    lengths = [9, 1, 4, 12, 7, 2, 5, 5, 8]
    episodes = []
    for row, length in enumerate(lengths):
        blank = np.zeros(length, np.float32)
        episodes.append(
            Trajectory(
                task_id="",
                prompt=np.array(prompts[row % n]),
                actions=rng.integers(30, 120, length),
                log_probs=blank,
                values=blank,
                reward=0.0,
                credit=blank,
                finished=True,
                program="",
                chosen=np.arange(length) != 3 if row == 0 else None,
            )
        )
    return Batch.from_trajectories(episodes, pad_id=policy.tokenizer.pad_id)


def padded(policy, batch):
    """Score as over padded rows, by a head that knows nothing of pieces."""
    module = policy.module
    hidden = gather_actions(module.read(batch.tokens[:, :-1]), batch)
    values = module.value_head(hidden)
    return score_by_parts(module.logits, hidden, values, batch, rows=1000)


@pytest.mark.parametrize("make", POLICIES)
def test_packed_tokens_are_scored_as_padded_rows(make):
    policy = make()
    batch = batch_of(policy)
    wanted, found = padded(policy, batch), policy.evaluate(batch)
    assert policy.module.causal.config._attn_implementation == ATTENTION
    for name in ("log_probs", "entropy", "values", "hidden"):
        torch.testing.assert_close(
            getattr(found, name), getattr(wanted, name), atol=1e-5, rtol=1e-5
        )
    weights = [weight for weight in policy.module.model.parameters() if weight.requires_grad]
    gradients = [
        torch.autograd.grad((scored.log_probs.sum() + scored.entropy.sum()), weights)
        for scored in (wanted, found)
    ]
    for first, second in zip(*gradients, strict=True):
        torch.testing.assert_close(first, second, atol=1e-4, rtol=1e-4)


def test_a_prompt_is_packed_once_for_its_rows():
    policy = HFPolicy.specimen(seed=4)
    batch = batch_of(policy)
    packed = PackedBatch.of(batch, policy.device)
    prompts = {tuple(row[:n]) for row, n in zip(batch.tokens, batch.prompt_lengths, strict=True)}
    assert len(packed.packed.ids) == sum(map(len, prompts)) + int((batch.lengths - 1).sum())
    assert sum(packed.layout.sizes) == len(packed.packed.ids)
    assert can_pack(policy.module.causal, policy.module.trunk)
    hidden = read_packed(policy.module.trunk, packed)
    assert len(hidden) == len(packed.packed.ids)
    drawn = take(hidden[packed.packed.sources], packed.packed.actions)
    wanted = gather_actions(policy.module.read(batch.tokens[:, :-1]), batch)
    torch.testing.assert_close(drawn, wanted, atol=1e-5, rtol=1e-5)


def test_a_segment_looks_at_its_prompt_and_at_itself_alone():
    rng = torch.Generator().manual_seed(0)
    query, key, value = (torch.randn(1, 2, 9, 4, generator=rng) for _ in range(3))
    layout = Layout((3, 2, 4), (-1, 0, 0))
    found = attend_segments(query, key, value, layout)
    for rows, seen in (([0, 1, 2], []), ([3, 4], [0, 1, 2]), ([5, 6, 7, 8], [0, 1, 2])):
        for place, row in enumerate(rows):
            columns = [*seen, *rows[: place + 1]]
            weights = torch.softmax(query[0, :, row, None] @ key[0, :, columns].mT / 2, dim=-1)
            wanted = (weights @ value[0, :, columns])[:, 0]
            torch.testing.assert_close(found[0, :, row], wanted, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
def test_a_model_that_cannot_pack_reads_padded_rows(attention):
    policy = HFPolicy.specimen(seed=4)
    model = policy.module.causal
    model.set_attn_implementation(attention)
    if attention == "sdpa":
        # A layer that mixes tokens in another way than by attention.
        model.model.layers[1].mlp.register_forward_hook(
            lambda _, __, out: out + 0.5 * out.roll(1, dims=1)
        )
    batch = batch_of(policy)
    torch.testing.assert_close(policy.evaluate(batch).log_probs, padded(policy, batch).log_probs)
    assert model.config._attn_implementation == attention


def test_checkpointing_repeats_the_packed_layers():
    gradients = []
    for checkpointing in (False, True):
        policy = HFPolicy.specimen(seed=4)
        config = dataclasses.replace(policy.config, gradient_checkpointing=checkpointing)
        policy = HFPolicy(policy.module.model, policy.tokenizer, config, seed=4)
        policy.module.train()
        policy.evaluate(batch_of(policy)).log_probs.sum().backward()
        gradients.append([weight.grad for weight in policy.module.model.parameters()])
    for first, second in zip(*gradients, strict=True):
        torch.testing.assert_close(first, second, atol=1e-5, rtol=1e-4)


def test_rows_of_a_prompt_stay_in_one_piece():
    batch = batch_of(HFPolicy.specimen(seed=4))
    pieces = list(batch.pieces(3, by_prompt=True))
    assert [len(piece) for piece in pieces] == [3, 3, 3]
    assert [len(np.unique(piece.prompt_numbers())) for piece in pieces] == [1, 1, 1]
    spread = [len(np.unique(piece.prompt_numbers())) for piece in batch.pieces(3)]
    assert max(spread) > 1
