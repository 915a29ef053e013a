"""The Ray cluster that all slow tests share: Ray cannot have another in the same process."""

import pytest

from tests.cluster.ray_cluster import cluster, wait_for_nodes


@pytest.fixture(scope="session")
def two_nodes():
    """Start a head and another node of one CPU each, and connect to them."""
    with cluster(connect=True) as made:
        wait_for_nodes(2)
        yield made
