"""Small cluster: a Ray cluster of several nodes on this machine, for measuring and for tests."""

import os
import socket
import threading
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from codegym.errors import MissingExtraError

STORE_BYTES = 90 << 20
# A busy machine starts Ray's processes later than Ray waits by itself.
_PATIENCE = {
    "RAY_raylet_start_wait_time_s": "240",
    "RAY_agent_register_timeout_ms": "240000",
    "RAY_worker_register_timeout_seconds": "240",
}
# Ports of a node's agents, which are fixed here.
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


def add_node(cluster: Any, cpus: int = 1) -> Any:
    """Add a node to a cluster, and return it."""
    settings = node_settings(cpus)
    with ports_noted(settings):
        return cluster.add_node(**settings)


@contextmanager
def ports_noted(settings: Mapping[str, Any]) -> Iterator[None]:
    """Note the ports of a node's agents for its raylet while the node starts.

    A raylet ends if its agents have not noted their ports after 15 s, a time that cannot be set
    and in which a busy machine does not start them. The agents note the same ports later.
    """
    started, known = threading.Event(), set(_raylets())

    def note() -> None:
        while not started.wait(0.05):
            for line in set(_raylets()) - known:
                found = dict(word.partition("=")[::2] for word in line if "=" in word)
                folder, node = found.get("--session_dir", ""), found.get("--node_id", "")
                for name in _PORTS if folder and node else ():
                    file = Path(folder) / f"{name}_{node}"
                    if not file.exists():
                        file.write_text(str(settings[name]))

    thread = threading.Thread(target=note, daemon=True)
    thread.start()
    try:
        yield
    finally:
        started.set()
        thread.join()


def _raylets() -> Iterator[tuple[str, ...]]:
    """Yield the command lines of all raylets of this machine."""
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            line = path.read_bytes().decode(errors="replace").split("\0")
            if line[0].endswith("/raylet"):
                yield tuple(line)


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
        with ports_noted(head):
            cluster: Any = Cluster(initialize_head=True, head_node_args=head)
        try:
            for _ in range(nodes - 1):
                add_node(cluster, cpus)
            yield cluster
        finally:
            ray.shutdown()
            cluster.shutdown()
