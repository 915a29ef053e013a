"""Stopping: what a command that a signal ended says, and the exit code it ends with."""

import os
import shlex
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import click

from codegym.interrupts import Interrupted


def this_command(*extra: str) -> str:
    """Return the command line of this process, with words added that it lacks."""
    words = ["codegym", *sys.argv[1:]]
    return shlex.join([*words, *(word for word in extra if word not in words)])


@contextmanager
def explained(saved: str | Callable[[], str], again: str = "") -> Iterator[None]:
    """Say of a signal in this block what was saved, and how to go on.

    Args:
        saved: What was saved, in words; "" if nothing was.
        again: The command that goes on.
    """
    try:
        yield
    except Interrupted as interrupted:
        interrupted.saved = saved if isinstance(saved, str) else saved()
        interrupted.again = again if interrupted.saved else ""
        raise


def end(interrupted: Interrupted) -> None:
    """Say what happened and exit.

    Raises:
        SystemExit: With 128 + the signal's number.
    """
    try:
        click.echo(interrupted.message, err=True)
    except OSError:
        # The terminal is gone. Python would end with another exit code if it could not flush.
        nowhere = os.open(os.devnull, os.O_WRONLY)
        for fd in (sys.stdout.fileno(), sys.stderr.fileno()):
            os.dup2(nowhere, fd)
    sys.exit(interrupted.exit_code)
