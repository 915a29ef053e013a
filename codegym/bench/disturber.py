"""Disturber: kills and stops the processes of a sandbox while it is used."""

import os
import random
import signal
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Self

# A stopped process costs seconds until it is replaced, so it is less probable.
SIGNALS = (signal.SIGKILL, signal.SIGKILL, signal.SIGSTOP)


class Disturber(threading.Thread):
    """Sends SIGKILL or SIGSTOP to a random process of a sandbox, again and again.

    Programs themselves are spared: the end of a program is a verdict, and no fault of the sandbox.

    Args:
        sandbox: Returns the sandbox to disturb, or None while there is none.
        every_s: Mean seconds between two signals.
        seed: Seed of the moments and the choices.
        signals: The signals, each as probable as the others.

    Attributes:
        sent: Number of signals by name and process.
    """

    def __init__(
        self,
        sandbox: Callable[[], Any],
        *,
        every_s: float,
        seed: int,
        signals: Sequence[signal.Signals] = SIGNALS,
    ) -> None:
        super().__init__(daemon=True)
        self._sandbox = sandbox
        self._signals = signals
        self.sent: Counter[str] = Counter()
        self._every_s = every_s
        self._random = random.Random(seed)
        self._over = threading.Event()

    def run(self) -> None:
        """Disturb until the end of the ``with`` block."""
        while not self._over.wait(self._random.uniform(0.0, 2.0 * self._every_s)):
            found = sandbox_processes(self._sandbox())
            if not found:
                continue
            pid, name = self._random.choice(found)
            number = self._random.choice(self._signals)
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                continue
            self.sent[f"{number.name} of {name}"] += 1

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *rest: object) -> None:
        self._over.set()
        self.join()


def sandbox_processes(sandbox: Any) -> list[tuple[int, str]]:
    """Return the processes of a sandbox that have started, without the programs: (pid, name).

    A process that is still starting is left out: a worker gives up after two starts that fail, and
    a busy machine may need seconds for one.

    Args:
        sandbox: A sandbox of worker processes; None for none.
    """
    found = []
    for worker in getattr(sandbox, "workers", ()):
        zygote = worker.processes.zygote
        if zygote is None or not zygote.greeted:
            continue
        if sandbox.isolation == "namespace":
            found += [(zygote.pid, "bubblewrap")]
            found += [(inner, "zygote") for inner in children_of(zygote.pid)]
        else:
            found.append((zygote.pid, "zygote"))
    return found


def children_of(pid: int) -> list[int]:
    """Return the child processes of a process; none of a process that has ended."""
    try:
        tasks = os.listdir(f"/proc/{pid}/task")
        texts = [Path(f"/proc/{pid}/task/{task}/children").read_text() for task in tasks]
    except OSError:
        return []
    return [int(child) for text in texts for child in text.split()]
