"""Launched processes: a team that ``accelerate launch`` or ``torchrun`` has started.

Such a launcher starts the same command several times and tells each process by its environment
which of them it is. Process 0 leads the run; the others take part in it and write nothing. On
several machines the run's folder is on a file system that all of them see.
"""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import torch
import torch.distributed as dist

from codegym.errors import ConfigError
from codegym.learning.team import Team
from codegym.training.interrupts import SIGNALS

# The others wait while the leader evaluates.
_PATIENCE = timedelta(days=14)


def launch_size() -> int:
    """Return how many processes a launcher has started together; 1 without a launcher.

    Raises:
        ConfigError: The launcher's variables are no numbers.
    """
    return _number("WORLD_SIZE", 1) if "RANK" in os.environ else 1


def launch_rank() -> int:
    """Return the number of this process among them; 0 without a launcher.

    Raises:
        ConfigError: The launcher's variables are no numbers.
    """
    return _number("RANK", 0) if launch_size() > 1 else 0


@contextmanager
def launch_team() -> Iterator[Team]:
    """Meet the other processes of the launcher, and leave them afterwards.

    Tensors on CPUs go through gloo, on GPUs through NCCL.
    """
    backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
    dist.init_process_group(backend, timeout=_PATIENCE)
    try:
        yield Team(launch_rank(), launch_size())
    finally:
        dist.destroy_process_group()


def leave_signals_to_the_leader() -> None:
    """Ignore the signals that save and end a run: the leader answers them, and the others hear."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)


def _number(name: str, default: int) -> int:
    text = os.environ.get(name, str(default))
    if not text.isdigit():
        raise ConfigError(f"${name} is unusable", value=text, expected="a whole number")
    return int(text)
