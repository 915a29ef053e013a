"""The folder of a tiny Llama."""

import pytest
import torch

from codegym.policies.hf.hf_policy import HFPolicy


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    """A folder with a tiny Llama, as it would come from elsewhere."""
    folder = tmp_path_factory.mktemp("models") / "base"
    policy = HFPolicy.specimen(seed=1)
    with torch.no_grad():
        for weight in policy.module.model.parameters():
            if weight.dim() > 1:
                weight.mul_(6)
    policy.save(folder)
    for name in ("codegym.json", "codegym_hf.json", "value_head.safetensors"):
        (folder / name).unlink()
    return folder
