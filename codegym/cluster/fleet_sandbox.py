"""FleetSandbox: a Sandbox whose programs run on several nodes.

One thread hands jobs to the nodes' graders and takes their results. Another one looks for new nodes
while jobs are under way. A node that is lost costs no job: its jobs run elsewhere. Where no node is
left for a while, they end with SandboxError, never with a verdict.
"""

import atexit
import logging
import os
import queue
import threading
import time
import weakref
from collections.abc import Callable, Sequence
from functools import partial
from typing import Protocol

from codegym.cluster.dispatch import Dispatcher, Grader, Waiting
from codegym.cluster.job_frames import unpack_answers
from codegym.errors import SandboxError
from codegym.sandbox.channel import Answer, Channel, check_packages
from codegym.sandbox.job import Job, Ticket

# Jobs that wait in the driver for each worker of the fleet.
QUEUE_PER_WORKER = 256
# New nodes are looked for this often while jobs are under way; sooner after a loss.
LOOK_S = 10.0
LOOK_AGAIN_S = 1.0
CLOSE_WAIT_S = 15.0
_log = logging.getLogger(__name__)
_sandboxes: "weakref.WeakSet[FleetSandbox]" = weakref.WeakSet()
_hooks: set[str] = set()
# What a forked process must not destroy: it would tell the cluster that the parent's actors are
# needed no more.
_of_parents: list[object] = []


class Fleet(Protocol):
    """Finds nodes and starts graders on them.

    Attributes:
        isolation: Isolation on the nodes.
    """

    isolation: str

    def look(self) -> Sequence[Grader]:
        """Start a grader on every node that has none; return the new graders."""
        ...

    def lost(self, grader: Grader) -> None:
        """Hear that a grader is gone: its node may get another."""
        ...

    def close(self) -> None:
        """Give up the connection to the nodes."""
        ...


class FleetSandbox(Channel):
    """A Sandbox of several nodes.

    In a forked process it is closed: a connection to a cluster belongs to the process that made it.

    Args:
        fleet: The nodes.
        graders: Graders that are running, at least one.
        packages: Import names of the packages that are offered inside.
        patience_s: How long jobs wait for a node where none is left.
    """

    def __init__(
        self,
        fleet: Fleet,
        graders: Sequence[Grader],
        *,
        packages: tuple[str, ...] = (),
        patience_s: float = 20.0,
    ) -> None:
        self.isolation, self.packages = fleet.isolation, packages
        self._fleet, self._patience_s = fleet, patience_s
        self._begin()
        for grader in graders:
            self._dispatch.join(grader)
        self._n_workers = sum(grader.workers for grader in graders)
        super().__init__(self)
        _sandboxes.add(self)
        if not _hooks:
            _hooks.add("exit")
            atexit.register(_close_all)
            os.register_at_fork(after_in_child=_forget_all)

    def _begin(self) -> None:
        self._why_closed = ""
        self._space = threading.Condition()
        self._events: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._dispatch = Dispatcher(self._came)
        self._channels: weakref.WeakSet[Channel] = weakref.WeakSet()
        self._queued = self._tickets = self.losses = self._received_bytes = 0
        self._thread: threading.Thread | None = None
        self._looking = False
        self._look_at = time.monotonic() + LOOK_S
        self._alone_since: float | None = None

    @property
    def nodes(self) -> int:
        """Number of nodes that grade now."""
        return len(self._dispatch.graders)

    @property
    def traffic_bytes(self) -> tuple[int, int]:
        """Bytes of the frames that were sent to nodes and received from them."""
        return self._dispatch.sent_bytes, self._received_bytes

    @property
    def n_workers(self) -> int:
        """Number of programs that run at the same time on all nodes."""
        return self._n_workers

    def enqueue(self, channel: Channel, job: Job) -> Ticket:
        """Queue a job for a channel; block while the queue is full."""
        check_packages(job, self.packages)
        with self._space:
            bound = QUEUE_PER_WORKER * max(self._n_workers, 1)
            self._space.wait_for(lambda: self._queued < bound or self._why_closed)
            if self._why_closed:
                raise SandboxError(self._why_closed, cure="make a new one")
            if self._thread is None:
                self._thread = threading.Thread(
                    target=self._serve, name="codegym-fleet", daemon=True
                )
                self._thread.start()
            self._tickets += 1
            self._queued += 1
            ticket = self._tickets
            self._channels.add(channel)
            channel.opened(ticket)
            waiting = Waiting(
                ticket, job, partial(channel.deliver, ticket), partial(channel.expects, ticket)
            )
            # In the order of the tickets, which the lock gives.
            self._events.put(partial(self._dispatch.queue.append, waiting))
        return ticket

    def _came(self, grader: Grader, answer: bytes | Exception) -> None:
        self._events.put(partial(self._take, grader, answer))

    def _take(self, grader: Grader, answer: bytes | Exception) -> None:
        if isinstance(answer, bytes):
            self._received_bytes += len(answer)
            answers: list[tuple[int, Answer]] = unpack_answers(answer)
            self._dispatch.results(grader, answers)
        else:
            self._lose(grader, answer)

    def _lose(self, grader: Grader, why: Exception) -> None:
        _log.warning("grader %s is lost (%s): its programs run again", grader.name, why)
        self.losses += 1
        self._dispatch.lose(grader, why)
        grader.stop()
        self._fleet.lost(grader)
        self._look_at = time.monotonic()

    def _serve(self) -> None:
        try:
            while not self._why_closed:
                self._turn()
        except BaseException as error:
            _log.exception("the thread of a sandbox of several nodes broke")
            self._shut(f"the sandbox's thread broke: {error!r}")

    def _turn(self) -> None:
        busy = bool(self._dispatch.under_way)
        try:
            event = self._events.get(timeout=LOOK_AGAIN_S if busy else None)
            while True:
                event()
                event = self._events.get_nowait()
        except queue.Empty:
            pass
        for grader, error in self._dispatch.assign():
            self._lose(grader, error)
        now = time.monotonic()
        if self._dispatch.under_way:
            self._look(now)
            self._check_alone(now)
        with self._space:
            self._queued = len(self._dispatch.queue) + self._events.qsize()
            self._space.notify_all()

    def _look(self, now: float) -> None:
        """Look for nodes in another thread, for a node takes its time to start a grader."""
        if self._looking or now < self._look_at:
            return
        self._looking = True

        def look() -> None:
            try:
                found = list(self._fleet.look())
            # Ray raises errors of many kinds where the cluster is going.
            except Exception as error:
                _log.warning("no new nodes: %s", error)
                found = []
            self._events.put(partial(self._found, found))

        threading.Thread(target=look, name="codegym-fleet-look", daemon=True).start()

    def _found(self, graders: Sequence[Grader]) -> None:
        self._looking = False
        for grader in graders:
            self._dispatch.join(grader)
        alive = self._dispatch.graders
        self._look_at = time.monotonic() + (LOOK_S if alive else LOOK_AGAIN_S)
        with self._space:
            self._n_workers = sum(grader.workers for grader in alive) or self._n_workers

    def _check_alone(self, now: float) -> None:
        """Give up every job if no node has been left for too long."""
        if self._dispatch.graders:
            self._alone_since = None
            return
        if self._alone_since is None:
            self._alone_since = now
        if now - self._alone_since < self._patience_s:
            return
        self._dispatch.fail(
            lambda: SandboxError(
                "no node of the cluster is left to run programs",
                value=f"{self.losses} graders lost, {self._patience_s:g} s without one",
                cure="see ray status; the option patience_s waits longer for new nodes",
            )
        )

    def close(self) -> None:
        """End the graders; harmless when called again."""
        self._shut("the sandbox is closed")

    def _shut(self, why: str) -> None:
        with self._space:
            if self._why_closed:
                return
            self._why_closed = why
            self._space.notify_all()
            thread = self._thread
        self._events.put(lambda: None)
        if thread is not None and thread is not threading.current_thread():
            thread.join(CLOSE_WAIT_S)
        for channel in list(self._channels):
            for ticket in channel.tickets():
                channel.deliver(ticket, SandboxError(why))
        for grader in self._dispatch.graders:
            grader.stop()
        self._fleet.close()

    def _forget(self) -> None:
        """Be closed in a forked process, without touching what belongs to the parent."""
        channels = [*self._channels, self]
        _of_parents.append((self._dispatch, self._events, self._fleet))
        self._begin()
        self._why_closed = "a sandbox on Ray does not work in a forked process"
        for channel in channels:
            channel.reset()


def _close_all() -> None:
    for sandbox in list(_sandboxes):
        sandbox.close()


def _forget_all() -> None:
    for sandbox in list(_sandboxes):
        sandbox._forget()
