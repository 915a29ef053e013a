"""The compiled kernels: they need no folder to be kept in."""

import sys

import numpy as np
import pytest

caching = pytest.importorskip("numba.core.caching")


def test_kernels_run_where_no_cache_can_be_written(monkeypatch, tmp_path):
    nowhere = tmp_path / "file"
    nowhere.write_text("")
    # A folder below a file can't be made, not even by root.
    for locator in caching.CacheImpl._locator_classes:
        monkeypatch.setattr(locator, "get_cache_path", lambda self: str(nowhere / "cache"))
    monkeypatch.delitem(sys.modules, "codegym.policies.kernels", raising=False)
    from codegym.policies import kernels

    row = np.array([1.0, 3.0, 2.0], np.float32)
    assert kernels._highest(row, 3) == 3.0
    assert not kernels._highest.stats.cache_path
