"""Entrances: connect to a Ray cluster for writing programs, or for whole runs.

Ray is imported here at use, so that what imports this module needs no Ray.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from codegym.cluster.cluster_address import TrialOptions, WriterOptions, read_options
from codegym.cluster.ray_connection import hold, release
from codegym.cluster.remote_authors import PolicyCopies, RemoteAuthors
from codegym.cluster.task_runner import TaskRunner


@contextmanager
def connected(spec: str) -> Iterator[None]:
    """Stay connected to the cluster of ``--ray`` for a while; "" connects to none.

    Raises:
        MissingExtraError: Ray is not installed.
        ClusterError: No cluster answers.
    """
    if not spec:
        yield
        return
    hold(read_options(spec, WriterOptions, "--ray").address)
    try:
        yield
    finally:
        release()


def ray_authors(spec: str, *, threads: int, copies: PolicyCopies) -> RemoteAuthors:
    """Connect to a Ray cluster for the rollouts of a run.

    Args:
        spec: ``ADDRESS[?key=value&...]``; see ``WriterOptions``.
        threads: Number of torch's threads in each actor.
        copies: How the policy is copied to a node.

    Raises:
        UnknownNameError, ConfigError: An option does not exist, or cannot be used.
        MissingExtraError: Ray is not installed.
        ClusterError: No cluster answers.
    """
    options = read_options(spec, WriterOptions, "--ray")
    hold(options.address)
    try:
        from codegym.cluster.ray_troupe import RayTroupe

        return RemoteAuthors(RayTroupe(options, threads, copies), patience_s=options.patience_s)
    except BaseException:
        release()
        raise


def ray_runner(spec: str) -> TaskRunner:
    """Connect to a Ray cluster for whole runs.

    Args:
        spec: ``ADDRESS[?key=value&...]``; see ``TrialOptions``.

    Raises:
        UnknownNameError, ConfigError: An option does not exist, or cannot be used.
        MissingExtraError: Ray is not installed.
        ClusterError: No cluster answers.
    """
    options = read_options(spec, TrialOptions, "--ray")
    hold(options.address)
    try:
        from codegym.cluster.ray_tasks import RayTasks

        return TaskRunner(RayTasks(options))
    except BaseException:
        release()
        raise
