"""Small cluster: a Ray cluster of several nodes on this machine, for measuring and for tests."""

import os
import socket
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from codegym.errors import MissingExtraError

STORE_BYTES = 90 << 20
# A busy machine starts Ray's processes later than Ray waits by itself.
_PATIENCE = {
    "RAY_raylet_start_wait_time_s": "240",
    "RAY_agent_register_timeout_ms": "240000",
    "RAY_worker_register_timeout_seconds": "240",
}
# For a port that it chooses itself an agent is waited for, half a minute at most.
_PORTS = (
    "dashboard_agent_listen_port",
    "metrics_agent_port",
    "metrics_export_port",
    "runtime_env_agent_port",
)


def node_settings(cpus: int) -> dict[str, Any]:
    """Return the arguments of ``Cluster.add_node`` for a node in little memory."""
    sockets = [socket.create_server(("", 0)) for _ in _PORTS]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    size = {"num_cpus": cpus, "object_store_memory": STORE_BYTES}
    return size | dict(zip(_PORTS, ports, strict=True))


@contextmanager
def small_cluster(
    nodes: int, cpus: int = 1, *, settings: Mapping[str, Any] | None = None
) -> Iterator[Any]:
    """Start nodes on this machine, and end them; yield ``ray.cluster_utils.Cluster``.

    Args:
        nodes: Number of nodes, the head included.
        cpus: CPUs that Ray counts on each.
        settings: Settings of Ray itself, by name.

    Raises:
        MissingExtraError: Ray is not installed.
    """
    # Ray reads them when it is imported, and nodes when they start.
    for name, value in _PATIENCE.items():
        os.environ.setdefault(name, value)
    try:
        import ray
        from ray.cluster_utils import Cluster
    except ModuleNotFoundError as error:
        raise MissingExtraError("ray") from error
    head = node_settings(cpus) | {"include_dashboard": False}
    if settings:
        head["_system_config"] = dict(settings)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        cluster: Any = Cluster(initialize_head=True, head_node_args=head)
        try:
            for _ in range(nodes - 1):
                cluster.add_node(**node_settings(cpus))
            yield cluster
        finally:
            ray.shutdown()
            cluster.shutdown()
