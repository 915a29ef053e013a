"""Pool: one thread that serves several workers through epoll.

Jobs wait in one queue and go to the first idle worker, so a slow program delays one worker only.
The pool's thread starts the zygotes: the kernel kills them when that thread dies.
"""

import atexit
import contextlib
import logging
import os
import select
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable

from codegym.errors import ConfigError, SandboxError
from codegym.sandbox.channel import Answer, Channel, check_packages
from codegym.sandbox.job import Job, Ticket
from codegym.sandbox.launcher import Launcher
from codegym.sandbox.run import Done
from codegym.sandbox.worker import Worker
from codegym.sandbox.worker_state import State

QUEUE_PER_WORKER = 256
CLOSE_WAIT_S = 15.0
_log = logging.getLogger(__name__)
_pools: "weakref.WeakSet[PoolSandbox]" = weakref.WeakSet()
_hooks: set[str] = set()


class PoolSandbox(Channel):
    """A Sandbox of several workers.

    It is fork-safe: a forked process starts new zygotes at its first job. It is closed when the
    interpreter exits; if the process is killed, the kernel kills the zygotes.

    Args:
        launcher: Starts zygotes in one kind of isolation.
        workers: Number of programs that may run at the same time; as many reseeded ones.
        packages: Import names of the packages that the launcher offers inside.

    Attributes:
        workers: The workers started so far.
    """

    def __init__(self, launcher: Launcher, *, workers: int, packages: tuple[str, ...] = ()) -> None:
        if isinstance(workers, bool) or not isinstance(workers, int) or workers < 1:
            raise ConfigError("unusable number of workers", value=workers, expected="1 or more")
        self.isolation = launcher.isolation
        self.packages = packages
        self.n_workers = workers
        self._launcher = launcher
        self._closed = False
        self._begin()
        super().__init__(self)
        _pools.add(self)
        if not _hooks:
            _hooks.add("exit")
            atexit.register(_close_all)
            os.register_at_fork(after_in_child=_forget_all)

    def _begin(self) -> None:
        self._lock = threading.Lock()
        self._space = threading.Condition(self._lock)
        self._queue: deque[tuple[Job, Done]] = deque()
        self.workers: list[Worker] = []
        self._handlers: dict[int, Callable[[], None]] = {}
        self._masks: dict[int, int] = {}
        self._channels: weakref.WeakSet[Channel] = weakref.WeakSet()
        self._tickets = 0
        self._thread: threading.Thread | None = None
        self._epoll: select.epoll | None = None
        self._wake_fd = -1

    @property
    def restarts(self) -> int:
        """Number of times that a worker replaced its processes."""
        return sum(worker.restarts for worker in self.workers)

    @property
    def closed(self) -> bool:
        """Whether it runs nothing any more: it was closed, or its thread broke."""
        return self._closed

    def enqueue(self, channel: Channel, job: Job) -> Ticket:
        """Queue a job for a channel; block while the queue is full."""
        check_packages(job, self.packages)
        with self._space:
            bound = QUEUE_PER_WORKER * self.n_workers
            self._space.wait_for(lambda: len(self._queue) < bound or self._closed)
            if self._closed:
                raise SandboxError("the sandbox is closed", cure="make a new one")
            if self._thread is None:
                self._start()
            self._tickets += 1
            ticket = self._tickets
            self._channels.add(channel)
            channel.opened(ticket)
            self._queue.append((job, self._answerer(channel, ticket)))
            os.eventfd_write(self._wake_fd, 1)
        return ticket

    def _start(self) -> None:
        self._epoll = select.epoll()
        self._wake_fd = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._listen(self._wake_fd, select.EPOLLIN, self._woken)
        self._thread = threading.Thread(target=self._serve, name="codegym-sandbox", daemon=True)
        self._thread.start()

    def _woken(self) -> None:
        with contextlib.suppress(BlockingIOError):
            os.eventfd_read(self._wake_fd)

    def _listen(self, fd: int, mask: int, callback: Callable[[], None] | None) -> None:
        assert self._epoll is not None
        known = self._masks.get(fd, 0)
        if mask == 0:
            if known:
                self._epoll.unregister(fd)
                del self._masks[fd], self._handlers[fd]
            return
        assert callback is not None
        if not known:
            self._epoll.register(fd, mask)
        elif known != mask:
            self._epoll.modify(fd, mask)
        self._masks[fd], self._handlers[fd] = mask, callback

    def _serve(self) -> None:
        try:
            while not self._closed:
                self._turn()
        except BaseException as error:
            _log.exception("the sandbox's thread broke")
            self._broken(error)
        finally:
            # Only this thread takes jobs out of the queue: ``close`` in another must not empty it
            # between a look and a pop.
            self._queue.clear()
            for worker in self.workers:
                worker.close()

    def _turn(self) -> None:
        assert self._epoll is not None
        self._assign()
        now = time.monotonic()
        look_at = min((worker.next_look() for worker in self.workers), default=float("inf"))
        wait = -1.0 if look_at == float("inf") else max(look_at - now, 0.0) + 0.0005
        for fd, _ in self._epoll.poll(wait):
            handler = self._handlers.get(fd)
            if handler is not None:
                handler()
        now = time.monotonic()
        if now >= look_at:
            for worker in self.workers:
                if worker.next_look() <= now:
                    worker.look(now)

    def _assign(self) -> None:
        while self._queue and not self._closed:
            job, _ = self._queue[0]
            group = [worker for worker in self.workers if worker.reseeded is job.reseeded]
            worker = next((worker for worker in group if worker.state is State.IDLE), None)
            if worker is None:
                worker = self._another_worker(job, group)
            if worker is None:
                return
            with self._space:
                job, done = self._queue.popleft()
                self._space.notify()
            worker.take(job, done)

    def _another_worker(self, job: Job, group: list[Worker]) -> Worker | None:
        """Return a new worker, else a worker that can hold the next job until it is free."""
        if len(group) < self.n_workers:
            worker = Worker(self._launcher, self._listen, self._take_back, reseeded=job.reseeded)
            self.workers.append(worker)
            return worker
        return next((worker for worker in group if worker.can_hold(job)), None)

    def _take_back(self, job: Job, done: Done) -> None:
        with self._space:
            self._queue.appendleft((job, done))

    @staticmethod
    def _answerer(channel: Channel, ticket: Ticket) -> Callable[[Answer], None]:
        return lambda answer: channel.deliver(ticket, answer)

    def _broken(self, error: BaseException) -> None:
        with self._space:
            self._closed = True
            self._space.notify_all()
        for channel in list(self._channels):
            for ticket in channel.tickets():
                channel.deliver(ticket, SandboxError(f"the sandbox's thread broke: {error!r}"))

    def close(self) -> None:
        """End every process of this sandbox; harmless when called again."""
        with self._space:
            self._closed = True
            self._space.notify_all()
            thread, self._thread = self._thread, None
        for channel in list(self._channels):
            for ticket in channel.tickets():
                channel.deliver(ticket, SandboxError("the sandbox was closed"))
        if thread is None or self._epoll is None:
            return
        os.eventfd_write(self._wake_fd, 1)
        thread.join(CLOSE_WAIT_S)
        self._close_fds()

    def _close_fds(self) -> None:
        if self._epoll is not None:
            self._epoll.close()
            os.close(self._wake_fd)
            self._epoll, self._wake_fd = None, -1

    def _forget(self) -> None:
        """Start anew in a forked process: threads and zygotes belong to the parent."""
        for worker in self.workers:
            worker.forget()
        self._close_fds()
        closed = self._closed
        channels = list(self._channels)
        self._begin()
        self._closed = closed
        for channel in [*channels, self]:
            channel.reset()


def _close_all() -> None:
    for pool in list(_pools):
        pool.close()


def _forget_all() -> None:
    for pool in list(_pools):
        pool._forget()
