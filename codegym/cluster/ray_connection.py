"""Connection to a Ray cluster: shared by all of this process, and ended by whoever began it."""

import logging
import os
import sys
import threading
import warnings
from typing import Any

from codegym.cluster.cluster_address import check_speaks_grpc, find_address
from codegym.errors import ClusterError, ConfigError, MissingExtraError

_lock = threading.Lock()
_holders = 0
_began_here = False


def hold(address: str) -> Any:
    """Connect to a cluster, unless this process is connected, and return the module ``ray``.

    Each call is paired with ``release``.

    Args:
        address: As of ``codegym.cluster.cluster_address.GraderOptions``.

    Raises:
        MissingExtraError: Ray is not installed.
        ClusterError: Nothing answers at the address, or a cluster of another version does.
        ConfigError: This process is connected to another cluster.
    """
    global _holders, _began_here
    with _lock:
        try:
            import ray
        except ModuleNotFoundError as error:
            raise MissingExtraError.of(error) or error from error
        if ray.is_initialized():
            _check_same(ray, address)
        else:
            _connect(ray, find_address(address))
            _began_here = True
        _holders += 1
        return ray


def release() -> None:
    """Give up a hold; the last one ends a connection that ``hold`` began."""
    global _holders, _began_here
    with _lock:
        _holders -= 1
        if _holders > 0 or not _began_here:
            return
        _began_here = False
        import ray

        if ray.is_initialized():
            ray.shutdown()


def _check_same(ray: Any, address: str) -> None:
    """Refuse a second cluster in one process, which Ray cannot have."""
    if address in ("", "auto", "local"):
        return
    if address.startswith("ray://"):
        if ray.util.client.ray.is_connected():
            return
        found = "a cluster that is no Ray Client's"
    else:
        found = ray.get_runtime_context().gcs_address
    if found != address:
        raise ConfigError(
            "this process is connected to another Ray cluster",
            value=address,
            expected=found,
            cure="leave the address out, or call ray.shutdown() before",
        )


def _connect(ray: Any, address: str) -> None:
    settings: dict[str, Any] = {"address": address, "logging_level": logging.WARNING}
    if not address.startswith("ray://"):
        settings["log_to_driver"] = False
    if address == "local":
        settings |= {"include_dashboard": False, "num_cpus": len(os.sched_getaffinity(0))}
    else:
        check_speaks_grpc(address)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            ray.init(**settings)
    except (RuntimeError, ConnectionError, OSError, ValueError) as error:
        raise ClusterError(
            f"the Ray cluster cannot be used: {str(error).strip()[:400]}",
            value=address,
            expected=f"a cluster of Ray {ray.__version__}, Python {sys.version.split()[0]}",
            cure="install the same releases of Ray and Python on driver and nodes",
        ) from error
