"""The compiled kernels: they need no folder to be kept in."""

import numpy as np
import pytest

caching = pytest.importorskip("numba.core.caching")


def test_kernels_run_where_no_cache_can_be_written(monkeypatch, tmp_path):
    from codegym.policies import kernels

    nowhere = tmp_path / "file"
    nowhere.write_text("")
    # A folder below a file can't be made, not even by root.
    for locator in caching.CacheImpl._locator_classes:
        monkeypatch.setattr(locator, "get_cache_path", lambda self: str(nowhere / "cache"))
    kernel = kernels._compiled()(kernels._highest.py_func)
    assert kernel(np.array([1.0, 3.0, 2.0], np.float32), 3) == 3.0
    assert not kernel.stats.cache_path
