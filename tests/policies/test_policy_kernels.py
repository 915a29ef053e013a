"""The compiled kernels: they need no folder to be kept in, and are compiled before a clock runs."""

import numpy as np
import pytest
import torch

from codegym.policies.gpt.gpt_policy import GPTConfig, GPTPolicy
from codegym.tokenizers.bytes import ByteTokenizer

caching = pytest.importorskip("numba.core.caching")


def test_kernels_run_where_no_cache_can_be_written(monkeypatch, tmp_path):
    from codegym.policies import kernels

    nowhere = tmp_path / "file"
    nowhere.write_text("")
    # A folder below a file can't be made, not even by root.
    for locator in caching.CacheImpl._locator_classes:
        monkeypatch.setattr(locator, "get_cache_path", lambda self: str(nowhere / "cache"))
    kernel = kernels.compiled()(kernels.highest.py_func)
    assert kernel(np.array([1.0, 3.0, 2.0], np.float32), 3) == 3.0
    assert not kernel.stats.cache_path


def test_a_folder_that_fails_later_only_costs_the_compiling(monkeypatch):
    """A disk that is full by now, or a file that something has damaged."""
    from codegym.policies import kernels

    def fail(*arguments):
        raise OSError(28, "No space left on device")

    kernel = kernels.compiled()(kernels.highest.py_func)
    monkeypatch.setattr(caching.IndexDataCacheFile, "save", fail)
    monkeypatch.setattr(caching.IndexDataCacheFile, "load", lambda self, key: b"no machine code")
    assert kernel(np.array([1.0, 3.0, 2.0], np.float32), 3) == 3.0


def test_a_prepared_policy_compiles_nothing_more():
    from codegym.policies import kernels

    shape = GPTConfig(d_model=32, n_layers=2, n_heads=2, max_tokens=32)
    policy = GPTPolicy(ByteTokenizer(), shape, seed=0)
    before = policy.rng.get_state()
    policy.prepare()
    assert torch.equal(policy.rng.get_state(), before)
    called = (kernels.read_rows, kernels.attend, kernels.add_and_norm, kernels.draw)
    compiled = [len(kernel.signatures) for kernel in called]
    assert all(compiled)
    prompts = [[3, 4, 5], [6], [7] * 20]
    policy.generate(prompts, n=1, budget=4)
    policy.generate(prompts, n=3, budget=20, temperature=0.5, top_p=0.9)
    policy.generate(prompts, n=2, budget=20, deterministic=True)
    obs = np.array([[3, 4, 0], [5, 6, 7]], np.int32)
    mask = np.ones((2, policy.tokenizer.vocab_size), bool)
    policy.act(obs, policy.act(obs).state, mask=mask)
    assert [len(kernel.signatures) for kernel in called] == compiled
