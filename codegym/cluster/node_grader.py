"""NodeGrader: the sandbox of one node, which takes frames of jobs and gives frames of results.

It imports no Ray: ``codegym.cluster.ray_fleet`` runs it as an actor.
"""

import os
import pickle
import platform
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from codegym.cluster.job_frames import error_row, pack_answers, unpack_jobs
from codegym.errors import SandboxError, SandboxUnavailableError
from codegym.grading.surroundings import grader, interpreter, machine
from codegym.sandbox.channel import Answer
from codegym.sandbox.choice import make_sandbox
from codegym.sandbox.job import Sandbox, Ticket
from codegym.sandbox.pool import PoolSandbox
from codegym.version import __version__

# Callables that driver and node both remember.
KEPT_CALLABLES = 512
# An answer is waited for so long before an empty frame is returned.
COLLECT_S = 0.5
# Time in which more results join the first of a frame.
LINGER_S = 0.003


class NodeGrader:
    """Runs jobs in a pool of this node.

    ``submit`` and ``collect`` are called by two threads, each by one at a time.
    """

    def __init__(self) -> None:
        self._sandbox: Sandbox | None = None
        self._changed = threading.Condition()
        self._numbers: dict[Ticket, int] = {}
        self._callables: OrderedDict[int, Callable[..., bool]] = OrderedDict()
        self._refused: list[tuple[int, Answer]] = []

    def start(self, isolation: str, workers: int, packages: tuple[str, ...]) -> dict[str, Any]:
        """Start the pool and return what the driver compares between nodes.

        Args:
            isolation: Isolation of the pool, by name.
            workers: Number of programs that run at the same time.
            packages: Import names of packages that are offered inside.

        Returns:
            ``refused`` with the row of an error if this node cannot isolate programs; else
            ``same`` with what has to agree on all nodes, and ``machine`` with what may differ.
        """
        try:
            self._sandbox = make_sandbox(isolation, workers=workers, packages=packages)
        except SandboxUnavailableError as error:
            return {"refused": error_row(error)}
        return {"same": same_facts(), "machine": list(machine()), "pid": os.getpid()}

    def submit(self, frame: bytes, learnt: Sequence[tuple[int, bytes]] = ()) -> None:
        """Begin the jobs of a frame.

        Args:
            frame: See ``pack_jobs``.
            learnt: Callables of the driver that these jobs are the first to name, each pickled by
                the driver.
        """
        assert self._sandbox is not None
        for learnt_number, data in learnt:
            remember(self._callables, learnt_number, pickle.loads(data))
        for number, job, goes_on in unpack_jobs(frame):
            if goes_on is not None:
                job = replace(job, goes_on=self._callables[goes_on])
            with self._changed:
                try:
                    self._numbers[self._sandbox.submit(job)] = number
                except SandboxError as error:
                    self._refused.append((number, error))
                self._changed.notify()

    def collect(self) -> bytes:
        """Return a frame of the results so far; empty if there is none for a while.

        Raises:
            SandboxError: The pool broke; its jobs have to run elsewhere.
        """
        assert self._sandbox is not None
        with self._changed:
            self._changed.wait_for(lambda: self._numbers or self._refused, COLLECT_S)
            answers, self._refused = self._refused, []
        if self._numbers and not answers:
            answers += self._take(COLLECT_S)
            if answers and self._numbers:
                time.sleep(LINGER_S)
                answers += self._take(0.0)
        if isinstance(self._sandbox, PoolSandbox) and self._sandbox.closed:
            raise SandboxError("the sandbox of this node broke", value=platform.node())
        return pack_answers(answers)

    def _take(self, timeout_s: float) -> list[tuple[int, Answer]]:
        assert self._sandbox is not None
        found: list[tuple[Ticket, Answer]] = []
        try:
            found += self._sandbox.collect(timeout_s)
        except SandboxError as error:
            if error.ticket is None or isinstance(error, SandboxUnavailableError):
                raise
            found.append((error.ticket, error))
        # The lock is held while a ticket is drawn and noted.
        with self._changed:
            return [(self._numbers.pop(ticket), answer) for ticket, answer in found]

    def stop(self) -> None:
        """End every process of the pool."""
        if self._sandbox is not None:
            self._sandbox.close()


def same_facts() -> list[str]:
    """Return what has to agree between driver and nodes for verdicts to be the same."""
    return [f"codegym {__version__}", grader(), *interpreter()]


def remember(kept: "OrderedDict[int, Any]", key: int, value: Any) -> None:
    """Keep a value under a key, and drop the oldest of too many; driver and node do the same."""
    kept[key] = value
    while len(kept) > KEPT_CALLABLES:
        kept.popitem(last=False)
