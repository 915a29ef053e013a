"""Connection to a Ray cluster: shared by all of this process, and ended by whoever began it."""

import logging
import os
import subprocess
import sys
import threading
import warnings
from typing import Any

from codegym.cluster.cluster_address import find_address
from codegym.errors import ClusterError, ConfigError, MissingExtraError

# What answers at an address is given so long to prove that it is a Ray cluster.
HEALTH_S = 20.0

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
    elif not address.startswith("ray://"):
        _check_health(address)
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


def _check_health(address: str) -> None:
    """Refuse what answers and is no cluster of this release; ``ray.init`` would wait for minutes.

    Raises:
        ClusterError: It is none.
    """
    command = [sys.executable, "-m", "ray.scripts.scripts", "health-check", "--address", address]
    try:
        found = subprocess.run(
            command, capture_output=True, text=True, timeout=HEALTH_S, check=False
        )
        reason = "" if found.returncode == 0 else (found.stderr or found.stdout).strip()[-300:]
    except subprocess.TimeoutExpired:
        reason = f"no answer in {HEALTH_S:g} s"
    if reason:
        raise ClusterError(
            f"what answers at this address is no Ray cluster of this release: {reason}",
            value=address,
            expected="the head node's GCS, by default port 6379",
            cure="see ray status there; Ray Client servers are ray://HOST:10001",
        )
