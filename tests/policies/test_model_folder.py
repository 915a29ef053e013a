"""Model folders: what cannot be opened is refused before anything is loaded, and says why."""

import json
import struct
from pathlib import Path

import pytest

from codegym.errors import ConfigError
from codegym.policies.factory import make_policy
from codegym.policies.hf import model_folder
from codegym.policies.hf.hf_policy import HFPolicy
from codegym.policies.hf.model_folder import available_bytes, check_memory, weight_bytes


def plain_model(folder: Path) -> Path:
    """A folder as another library writes it."""
    HFPolicy.specimen(seed=1).save(folder)
    for name in ("codegym.json", "codegym_hf.json", "value_head.safetensors"):
        (folder / name).unlink()
    return folder


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("/nope", r"there is no such folder.*'/nope'"),
        ("./no/such/model", "there is no such folder"),
        ("~/no-such-model", "there is no such folder"),
        ("a/b/c", "there is no such folder"),
    ],
)
def test_a_path_that_is_no_folder(name: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make_policy(f"hf:{name}")


def test_a_folder_that_holds_no_model(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"holds no model.*it is empty"):
        make_policy(f"hf:{tmp_path}")
    (tmp_path / "notes.txt").write_text("")
    with pytest.raises(ConfigError, match=r"config\.json is missing.*it holds notes\.txt"):
        make_policy(f"hf:{tmp_path}")
    with pytest.raises(ConfigError, match="a folder, not a file"):
        make_policy(f"hf:{tmp_path / 'notes.txt'}")
    (tmp_path / "adapter_config.json").write_text("{}")
    with pytest.raises(ConfigError, match="adapters without their model"):
        make_policy(f"hf:{tmp_path}")


def test_a_model_too_large_is_refused_by_its_headers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = plain_model(tmp_path / "model")
    policy = make_policy(f"hf:{folder}")
    names = {id(weight) for weight in policy.module.model.parameters()}  # type: ignore[attr-defined]
    assert names
    numbers = sum(weight.numel() for weight in policy.module.model.parameters())  # type: ignore[attr-defined]
    assert weight_bytes(folder, "float32") == 4 * numbers
    assert weight_bytes(folder, "bfloat16") == 2 * numbers
    check_memory(folder, "float32")
    # A shard whose header alone is there: 70 billion numbers.
    header = json.dumps({"w": {"dtype": "BF16", "shape": [70, 10**9], "data_offsets": [0, 0]}})
    (folder / "big.safetensors").write_bytes(struct.pack("<Q", len(header)) + header.encode())
    index = {"metadata": {}, "weight_map": {"w": "big.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    monkeypatch.setattr(model_folder, "available_bytes", lambda: 200 * 10**9)
    with pytest.raises(ConfigError, match=r"280\.0 GB in float32.*200\.0 GB.*dtype=bfloat16"):
        make_policy(f"hf:{folder}")
    monkeypatch.setattr(model_folder, "available_bytes", lambda: 100 * 10**9)
    with pytest.raises(ConfigError, match=r"140\.0 GB in bfloat16"):
        make_policy(f"hf:{folder}?dtype=bfloat16")


def test_a_broken_header_counts_nothing(tmp_path: Path) -> None:
    for content in (b"", b"\xff" * 8, struct.pack("<Q", 4) + b"what"):
        (tmp_path / "model.safetensors").write_bytes(content)
        assert weight_bytes(tmp_path, "float32") == 0


def test_the_machine_says_how_much_memory_is_left() -> None:
    left = available_bytes()
    assert left is not None
    assert 10**7 < left < 10**14


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("checkpointing=2", "checkpointing is unusable"),
        ("dtype=int4", "dtype of hf"),
        ("alpha=8", "there are none"),
        ("lora=two", "unusable options"),
        ("lora=1&lora=2", "each option once"),
        ("style=poem", "style of hf"),
    ],
)
def test_unusable_options_are_named(tmp_path: Path, options: str, message: str) -> None:
    folder = plain_model(tmp_path / "model")
    with pytest.raises(ConfigError, match=message):
        make_policy(f"hf:{folder}?{options}")


def test_options_reach_the_model(tmp_path: Path) -> None:
    folder = plain_model(tmp_path / "model")
    text = "lora=2&alpha=4&dtype=bfloat16&checkpointing=1&score_rows=7&max_tokens=64&style=code"
    policy = make_policy(f"hf:{folder}?{text}")
    assert isinstance(policy, HFPolicy)
    config = policy.config
    assert (config.lora_rank, config.lora_alpha, config.score_rows) == (2, 4, 7)
    assert (config.dtype, config.gradient_checkpointing) == ("bfloat16", True)
    dtypes = {str(weight.dtype) for weight in policy.module.parameters() if weight.requires_grad}
    assert dtypes == {"torch.float32"}
    policy.save(tmp_path / "run")
    assert HFPolicy.load(tmp_path / "run").config == config


def test_pickles_are_opened_where_they_are_asked_for(tmp_path: Path) -> None:
    import torch
    from safetensors.torch import load_file

    folder = plain_model(tmp_path / "model")
    weights = load_file(folder / "model.safetensors")
    torch.save(weights, folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    with pytest.raises(ConfigError, match="pickles=1"):
        make_policy(f"hf:{folder}")
    policy = make_policy(f"hf:{folder}?pickles=1")
    found = policy.module.model.state_dict()["model.norm.weight"]  # type: ignore[union-attr,operator]
    assert torch.equal(found, weights["model.norm.weight"])
    policy.save(tmp_path / "run")
    assert (tmp_path / "run" / "model.safetensors").is_file()
    assert make_policy(tmp_path / "run").name == "hf"
