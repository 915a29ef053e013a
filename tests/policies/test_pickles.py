"""Weights that are a pickle are refused by name before anything is loaded."""

import json
import pickle
from pathlib import Path

import pytest
import torch

from codegym.errors import ConfigError
from codegym.policies.checkpoint import load_policy
from codegym.policies.factory import make_policy
from codegym.policies.gpt.gpt_policy import GPTPolicy
from codegym.policies.hf.hf_policy import HFPolicy


class Bomb:
    """Makes a file where it is unpickled."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self.target,)


def pickled(folder: Path, name: str, *, without: str, torch_format: bool = False) -> Path:
    """Replace a folder's weights by a pickle; return the file that it would make."""
    trap = folder.parent / "trap"
    (folder / without).unlink()
    if torch_format:
        torch.save({"weight": Bomb(trap)}, folder / name)
    else:
        (folder / name).write_bytes(pickle.dumps({"weight": Bomb(trap)}))
    return trap


@pytest.mark.parametrize("torch_format", [False, True])
def test_a_model_of_another_library(tmp_path: Path, torch_format: bool) -> None:
    folder = tmp_path / "model"
    HFPolicy.specimen(seed=1).save(folder)
    for name in ("codegym.json", "codegym_hf.json"):
        (folder / name).unlink()
    trap = pickled(
        folder, "pytorch_model.bin", without="model.safetensors", torch_format=torch_format
    )
    for text in (f"hf:{folder}", f"hf:{folder}?lora=2", str(folder)):
        with pytest.raises(ConfigError, match=r"a pickle.*pytorch_model\.bin.*save_pretrained"):
            make_policy(text)
    assert not trap.exists()


@pytest.mark.parametrize("kind", [GPTPolicy, HFPolicy])
def test_a_checkpoint(tmp_path: Path, kind: type[GPTPolicy] | type[HFPolicy]) -> None:
    folder = tmp_path / "checkpoint"
    kind.specimen(seed=1).save(folder)
    trap = pickled(folder, "pytorch_model.bin", without="model.safetensors")
    with pytest.raises(ConfigError, match=r"a pickle.*pytorch_model\.bin"):
        load_policy(folder)
    assert not trap.exists()


def test_adapters(tmp_path: Path) -> None:
    base, folder = tmp_path / "base", tmp_path / "adapted"
    HFPolicy.specimen(seed=1).save(base)
    make_policy(f"hf:{base}?lora=2").save(folder)
    trap = pickled(folder, "adapter_model.bin", without="adapter_model.safetensors")
    with pytest.raises(ConfigError, match=r"a pickle.*adapter_model\.bin"):
        load_policy(folder)
    assert not trap.exists()


def test_shards(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    HFPolicy.specimen(seed=1).save(folder)
    trap = pickled(folder, "shard-1.bin", without="model.safetensors")
    index = {"metadata": {}, "weight_map": {"lm_head.weight": "shard-1.bin"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(ConfigError, match=r"a pickle.*shard-1\.bin"):
        make_policy(f"hf:{folder}")
    assert not trap.exists()


def test_a_pickle_beside_safetensors_is_not_read(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    HFPolicy.specimen(seed=1).save(folder)
    (folder / "pytorch_model.bin").write_bytes(pickle.dumps(Bomb(tmp_path / "trap")))
    assert make_policy(f"hf:{folder}").name == "hf"
    assert not (tmp_path / "trap").exists()
