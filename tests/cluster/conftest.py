"""The Ray cluster that all slow tests share: Ray cannot have another in the same process."""

from importlib.util import find_spec

import pytest

from tests.cluster.ray_cluster import cluster, wait_for_nodes

# They import what needs Ray; ``test_dispatch.py`` says that they are left out.
collect_ignore_glob = [] if find_spec("ray") else ["test_ray_*.py"]


@pytest.fixture(scope="session")
def two_nodes():
    """Start a head and another node of one CPU each, and connect to them."""
    with cluster(connect=True) as made:
        wait_for_nodes(2)
        yield made
