"""The hf policy over kinds of models, made on the spot, and under accelerate."""

import numpy as np
import pytest
import torch
from transformers import (
    AutoModelForCausalLM,
    GPT2Config,
    GPTNeoXConfig,
    LlamaConfig,
    MistralConfig,
    Qwen2Config,
)

from codegym.checks.check_policy import check_policy
from codegym.policies.hf.hf_policy import HFConfig, HFPolicy
from codegym.policies.hf.prompting import Prompting
from codegym.tokenizers.hf import HFTokenizer

SIZES = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
ROTARY = SIZES | {"intermediate_size": 64, "max_position_embeddings": 128}
GROUPED = ROTARY | {"num_key_value_heads": 1}
KINDS = {
    "learnt positions": (GPT2Config, {"n_embd": 32, "n_layer": 2, "n_head": 2, "n_positions": 128}),
    "parallel residuals": (GPTNeoXConfig, ROTARY),
    "grouped, biased": (Qwen2Config, GROUPED),
    "tied": (LlamaConfig, GROUPED | {"tie_word_embeddings": True}),
    "untied": (LlamaConfig, GROUPED | {"tie_word_embeddings": False}),
    "sliding window": (MistralConfig, GROUPED | {"sliding_window": 8}),
}


def make(kind, *, spare=0, seed=7):
    """Make a tiny model with fresh weights; its vocabulary has ``spare`` rows too many."""
    tokenizer = HFTokenizer()
    config_class, shape = KINDS[kind]
    special = {"bos_token_id": None, "eos_token_id": tokenizer.end_id, "pad_token_id": None}
    config = config_class(vocab_size=tokenizer.model_size + spare, **special, **shape)
    for name in ("resid_pdrop", "embd_pdrop", "attn_pdrop"):
        if getattr(config, name, 0.0):
            setattr(config, name, 0.0)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = AutoModelForCausalLM.from_config(config).eval()
    settings = HFConfig(max_tokens=64, prompting=Prompting(stops=()))
    return HFPolicy(model, tokenizer, settings, seed=seed)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_kinds_of_models_keep_the_contract(kind):
    check_policy(lambda: make(kind))


def test_rows_that_the_tokenizer_does_not_know_are_never_written():
    policy = make("untied", spare=64)
    with torch.no_grad():
        policy.module.causal.get_output_embeddings().weight[-64:] = 50.0
    prompt = policy.tokenizer.encode("def f(x):")
    written = policy.generate([prompt], n=16, budget=20)
    assert max(actions.max() for actions in written.actions) < policy.tokenizer.vocab_size


def test_accelerate_trains_a_step_and_the_policy_generates():
    accelerate = pytest.importorskip("accelerate")
    policy = make("tied")
    accelerator = accelerate.Accelerator(cpu=True)
    optimizer = torch.optim.AdamW(policy.module.parameters(), lr=1e-2)
    module, optimizer = accelerator.prepare(policy.module, optimizer)
    assert accelerator.unwrap_model(module) is policy.module
    prompt = policy.tokenizer.encode("def f(x):")
    before = policy.generate([prompt], n=4, budget=8, rng=torch.Generator().manual_seed(0))
    losses = []
    for _ in range(5):
        optimizer.zero_grad()
        loss = -policy.evaluate(_batch(policy, prompt)).log_probs.sum()
        accelerator.backward(loss)
        accelerator.clip_grad_norm_(module.parameters(), 1.0)
        optimizer.step()
        policy.mark_updated()
        losses.append(float(loss.detach()))
    assert losses[-1] < losses[0]
    after = policy.generate([prompt], n=4, budget=8, rng=torch.Generator().manual_seed(0))
    assert len(after.actions) == 4
    assert not np.allclose(before.log_probs[0][0], after.log_probs[0][0])


def _batch(policy, prompt):
    from codegym.trajectory import Batch, Trajectory

    actions = np.array([*policy.tokenizer.encode(" return x"), policy.tokenizer.end_id])
    blank = np.zeros(len(actions), np.float32)
    episode = Trajectory(
        task_id="",
        prompt=np.array(prompt),
        actions=actions,
        log_probs=blank,
        values=blank,
        reward=1.0,
        credit=blank,
        finished=True,
        program="",
    )
    return Batch.from_trajectories([episode], pad_id=policy.tokenizer.pad_id)
