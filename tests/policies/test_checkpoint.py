"""Checkpoints: what was saved comes back, or a typed error; a kill leaves a whole folder."""

import json
import random
import signal
import subprocess
import sys

import numpy as np
import pytest
import torch

from codegym.errors import CheckpointError
from codegym.policies import checkpoint, nested_state
from codegym.policies.gpt.gpt_policy import GPTConfig, GPTPolicy
from codegym.tokenizers.bytes import ByteTokenizer

SHAPE = GPTConfig(d_model=32, n_layers=2, n_heads=2, max_tokens=64)


@pytest.fixture
def policy():
    return GPTPolicy(ByteTokenizer(), SHAPE, seed=3)


@pytest.fixture
def saved(policy, tmp_path):
    policy.mark_updated()
    checkpoint.save_policy(policy, tmp_path / "run", trainer={"step": 7})
    return tmp_path / "run"


def test_loaded_equals_saved_to_the_last_bit(policy, saved):
    with torch.no_grad():
        policy.module.value_head.weight.normal_(generator=policy.rng)
    checkpoint.save_policy(policy, saved)
    loaded = checkpoint.load_policy(saved)
    assert isinstance(loaded, GPTPolicy)
    assert loaded.version == 1
    for (name, weight), (_, other) in zip(
        policy.module.state_dict().items(), loaded.module.state_dict().items(), strict=True
    ):
        assert torch.equal(weight, other), name
    written = [
        p.generate([[5, 6]], n=3, budget=9, rng=torch.Generator().manual_seed(0))
        for p in (policy, loaded)
    ]
    for before, after in zip(written[0].log_probs, written[1].log_probs, strict=True):
        np.testing.assert_array_equal(before, after)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_transformers_opens_it_and_gives_the_same_scores(policy, saved):
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(saved)
    ids = torch.tensor([[5, 60, 7, 200], [9, 9, 9, 10]])
    with torch.no_grad():
        ours = policy.module.transformer.logits(policy.module.transformer(ids))
        theirs = model(ids).logits
    torch.testing.assert_close(ours[..., 1:], theirs[..., 1:], atol=1e-5, rtol=0)


def test_trainer_state_resumes_every_generator(policy, tmp_path):
    rngs = {
        "numpy": np.random.default_rng(1),
        "twister": np.random.Generator(np.random.MT19937(2)),
        "torch": torch.Generator().manual_seed(3),
        "python": random.Random(4),
    }
    rngs["torch"].manual_seed(11)
    rngs["python"].gauss(0, 1)
    optimizer = torch.optim.AdamW(policy.module.parameters(), lr=0.1)
    policy.module.value_head.bias.sum().backward()
    optimizer.step()
    checkpoint.save_policy(
        policy,
        tmp_path / "run",
        trainer={"rngs": rngs, "optimizer": optimizer.state_dict(), "inf": float("-inf"), 3: (1,)},
    )
    state = checkpoint.load_trainer(tmp_path / "run")
    assert state["inf"] == float("-inf")
    assert state[3] == (1,)
    loaded = state["rngs"]
    assert loaded["python"].gauss(0, 1) == rngs["python"].gauss(0, 1)
    for name in ("numpy", "twister"):
        assert loaded[name].normal() == rngs[name].normal()
    assert torch.equal(
        torch.rand(9, generator=loaded["torch"]), torch.rand(9, generator=rngs["torch"])
    )
    torch.optim.AdamW(policy.module.parameters()).load_state_dict(state["optimizer"])
    moment = optimizer.state_dict()["state"]
    assert moment
    for number, row in moment.items():
        for name, tensor in row.items():
            assert torch.equal(tensor, state["optimizer"]["state"][number][name])


@pytest.mark.parametrize(
    "value",
    [
        np.arange(6, dtype=np.uint32).reshape(2, 3),
        np.float32(0.1),
        np.bool_(True),
        np.zeros(0),
        np.array(3.5),
        torch.ones(2, dtype=torch.bfloat16),
        b"\x00\xff",
        {"a": [None, True, 2**200, -0.0, "x"]},
    ],
)
def test_a_nested_state_keeps_values_and_types(value):
    tree, tensors = nested_state.flatten({"x": value})
    back = nested_state.restore(json.loads(json.dumps(tree)), tensors)["x"]
    assert type(back) is type(value)
    if isinstance(value, np.ndarray):
        assert back.dtype == value.dtype
        np.testing.assert_array_equal(back, value)
    elif isinstance(value, torch.Tensor):
        assert torch.equal(back, value)
    else:
        assert back == value


def test_a_nested_state_refuses_what_it_cannot_rebuild():
    with pytest.raises(TypeError, match=r"state\['a'\]\[1\] holds a object"):
        nested_state.flatten({"a": [1, object()]})
    with pytest.raises(ValueError, match="unknown tag"):
        nested_state.restore({"eval": "1"}, {})


@pytest.mark.parametrize(
    "name", ["model.safetensors", "value_head.safetensors", "config.json", "codegym.json"]
)
def test_a_truncated_file_is_an_error(saved, name):
    whole = (saved / name).read_bytes()
    (saved / name).write_bytes(whole[: len(whole) // 2])
    with pytest.raises(CheckpointError, match=name):
        checkpoint.load_policy(saved)
    (saved / name).unlink()
    with pytest.raises(CheckpointError):
        checkpoint.load_policy(saved)


@pytest.mark.parametrize("name", ["state.json", "state.safetensors"])
def test_a_truncated_trainer_state_is_an_error(saved, name):
    whole = (saved / "trainer" / name).read_bytes()
    (saved / "trainer" / name).write_bytes(whole[:-9])
    with pytest.raises(CheckpointError, match=name):
        checkpoint.load_trainer(saved)


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("format", 99, "another format"),
        ("policy", "hf", "another kind"),
        ("vocabulary", "0" * 64, "vocabulary"),
        ("tokenizer", "bites", "bytes"),
        ("files", 3, "malformed"),
    ],
)
def test_a_foreign_manifest_is_an_error(saved, field, value, message):
    row = json.loads((saved / "codegym.json").read_text())
    row[field] = value
    (saved / "codegym.json").write_text(json.dumps(row))
    with pytest.raises(CheckpointError, match=message):
        GPTPolicy.load(saved)


def test_weights_of_another_shape_are_an_error(saved, tmp_path):
    other = GPTPolicy(ByteTokenizer(), GPTConfig(d_model=64, n_layers=2, n_heads=2), seed=0)
    other.save(tmp_path / "other")
    with pytest.raises(CheckpointError, match="another model"):
        checkpoint.read_tensors(
            tmp_path / "other" / "model.safetensors",
            into=GPTPolicy.load(saved).module.transformer,
            prefix="gpt_neox.",
        )


def test_nothing_there_and_no_checkpoint_there(tmp_path, policy):
    with pytest.raises(CheckpointError, match="there is no checkpoint here"):
        checkpoint.load_policy(tmp_path / "none")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work")
    with pytest.raises(CheckpointError, match="no codegym checkpoint"):
        checkpoint.load_policy(tmp_path / "mine")
    with pytest.raises(CheckpointError, match="will not replace"):
        policy.save(tmp_path / "mine")
    assert (tmp_path / "mine" / "thesis.txt").exists()


def test_a_failed_save_leaves_the_old_one(saved, policy, monkeypatch):
    before = (saved / "codegym.json").read_bytes()
    policy.mark_updated()
    monkeypatch.setattr(ByteTokenizer, "save", lambda self, folder: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        checkpoint.save_policy(policy, saved)
    assert (saved / "codegym.json").read_bytes() == before
    assert [path.name for path in saved.parent.iterdir()] == ["run"]


KILLED = """
import os, shutil, signal, sys
from pathlib import Path
from codegym.policies import checkpoint, folder_replacement
folder, count = sys.argv[1], 0
def counted(call):
    def call_or_die(*args, **kwargs):
        global count
        count += 1
        if count == when:
            os.kill(os.getpid(), signal.SIGKILL)
        return call(*args, **kwargs)
    return call_or_die
policy = checkpoint.load_policy(folder)
policy.mark_updated()
for name in ("write_json", "write_tensors"):
    setattr(checkpoint, name, counted(getattr(checkpoint, name)))
for module, name in ((os, "fsync"), (Path, "rename"), (shutil, "rmtree")):
    setattr(module, name, counted(getattr(module, name)))
for when in range(1, 100):
    child = os.fork()
    if child == 0:
        checkpoint.save_policy(policy, folder, trainer={"step": 8})
        os._exit(0)
    killed = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    version = checkpoint.load_policy(folder).version
    print(when, killed, version, checkpoint.load_trainer(folder)["step"])
    if killed == 0:
        break
"""


def test_kill_in_the_middle_of_a_save_leaves_a_whole_checkpoint(saved):
    """Die by SIGKILL before the first, second, third ... file operation, until a run survives."""
    run = subprocess.run(
        [sys.executable, "-c", KILLED, str(saved)], capture_output=True, check=False, text=True
    )
    assert run.returncode == 0, run.stderr
    rows = [tuple(map(int, line.split())) for line in run.stdout.splitlines()]
    assert len(rows) > 12
    assert [killed for _, killed, _, _ in rows] == [-signal.SIGKILL] * (len(rows) - 1) + [0]
    assert {(version, step) for _, _, version, step in rows} == {(1, 7), (2, 8)}
    assert {path.name for path in saved.parent.iterdir()} == {"run"}
