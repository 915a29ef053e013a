"""The compiled kernels: they need no folder to be kept in, and are compiled before a clock runs."""

import os
import subprocess
import sys

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


# Prints a digest of what each kernel gives for many shapes.
DIGESTS = """
import hashlib
import os
import subprocess
import sys

import numpy as np
from codegym.policies import kernels

chance = np.random.default_rng(0)
found = hashlib.sha256()

def floats(*shape):
    return chance.standard_normal(shape).astype(np.float32)

for heads, size, rows, room in ((3, 32, 7, 40), (4, 12, 5, 90), (2, 20, 9, 131)):
    cos, sin = floats(room, size), floats(room, size)
    keys, values = np.zeros((2, rows, room, heads, size), np.float32)
    lengths = chance.integers(1, room // 2, rows)
    starts = np.concatenate(([0], lengths.cumsum()))
    read = np.empty((starts[-1], heads, size), np.float32)
    fused = floats(starts[-1], heads, 3, size)
    kernels.read_rows(fused, starts, np.zeros(rows, np.int64), cos, sin, keys, values, read)
    written = np.zeros((2, rows, room, heads, size), np.float32)
    told = np.empty((rows, heads, size), np.float32)
    for column in range(9):
        kernels.attend(
            floats(rows, heads, 3, size), lengths + column, cos, sin, np.arange(rows), lengths,
            keys, values, *written, column, told,
        )
        found.update(told.tobytes())
    stream, normed = floats(rows, heads * size), np.empty((rows, heads * size), np.float32)
    width = heads * size
    kernels.add_and_norm(stream, floats(rows, width), normed, floats(width), floats(width), 1e-5)
    logits = floats(400, 33 * size + 5) * 4
    probs, tokens = np.empty_like(logits), np.empty(400, np.int64)
    log_probs = np.empty(400, np.float32)
    kernels.draw(logits, chance.random(400, np.float32), probs, tokens, log_probs)
    for part in (read, stream, normed, probs, tokens, log_probs):
        found.update(part.tobytes())
print(found.hexdigest())
"""


@pytest.mark.slow
def test_code_just_compiled_and_code_from_the_cache_give_the_same_bits(tmp_path):
    surroundings = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)}
    digests = [
        subprocess.run(
            [sys.executable, "-c", DIGESTS],
            env=surroundings, capture_output=True, text=True, check=True,
        ).stdout
        for _ in range(3)
    ]  # fmt: skip
    assert any(tmp_path.rglob("*.nbc")), "nothing was kept"
    assert digests[0] == digests[1] == digests[2]
