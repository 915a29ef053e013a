"""The option ``--ray`` of commands that train many runs."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from codegym.training.trials import TrialCluster


def ray_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add ``--ray [ADDRESS]`` to a command."""
    return click.option(
        "--ray",
        is_flag=False,
        flag_value="auto",
        metavar="[ADDRESS]",
        help="Train the runs side by side on a Ray cluster whose nodes share --out: auto (the "
        "running one), local, HOST:PORT, ray://HOST:PORT; options as auto?cpus=0.5&gpus=0.25. "
        "Needs the extra ray.",
    )(command)


@contextmanager
def trial_cluster(spec: str | None) -> "Iterator[TrialCluster | None]":
    """Connect to the cluster of ``--ray``; None without it.

    Raises:
        UnknownNameError, ConfigError: An option does not exist, or cannot be used.
        MissingExtraError: Ray is not installed.
        ClusterError: No cluster answers.
    """
    if not spec:
        yield None
        return
    from codegym.training.trials import TrialCluster

    cluster = TrialCluster(spec)
    try:
        yield cluster
    finally:
        cluster.close()
