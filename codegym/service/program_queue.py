"""Program queue: admits the programs of requests, starts them in turn, and hands results back.

Requests take turns, program by program, so that a large request does not hold up a small one. A
program that waits belongs to its request: cancelling the request drops it. Everything here runs
in the thread of the event loop, but for ``_note``.
"""

import asyncio
import math
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import CancelledError, Future
from contextlib import suppress
from typing import Any

from codegym.service.refusals import FULL, Refused

# Starts a program; the future gets what became of it.
Start = Callable[[], "Future[Any]"]
MOST_RETRY_AFTER_S = 60
# With so many programs under way, ends are looked for at this interval.
BUSY, TICK_S = 16, 0.005
# Weight of the newest second in the rate that Retry-After is computed from.
_NEWEST = 0.3


class Batch:
    """The programs of one request.

    Args:
        queue: The queue that admitted them.
        starts: Start each program.
    """

    def __init__(self, queue: "ProgramQueue", starts: Sequence[Start]) -> None:
        self._queue = queue
        self._waiting = deque(enumerate(starts))
        self._running: dict[int, Future[Any]] = {}
        self._arrived: list[tuple[int, Any]] = []
        self._changed = asyncio.Event()
        self._left = len(starts)
        self.began = time.monotonic()

    @property
    def waiting(self) -> int:
        """Number of programs that were not started."""
        return len(self._waiting)

    def start_next(self) -> tuple[int, "Future[Any] | Exception"]:
        """Start the next program; return its number, and its future or why there is none."""
        number, start = self._waiting.popleft()
        try:
            future = start()
        except Exception as error:
            return number, error
        self._running[number] = future
        return number, future

    def take(self, number: int, result: Any) -> None:
        """Note the result of a program."""
        self._running.pop(number, None)
        self._arrived.append((number, result))
        self._changed.set()

    async def results(self, gather_s: float = 0.0) -> AsyncIterator[list[tuple[int, Any]]]:
        """Yield pairs of number and result as they arrive; a result may be an exception.

        Args:
            gather_s: Seconds in which further results may join the first.
        """
        while self._left:
            await self._changed.wait()
            if gather_s and len(self._arrived) < self._left:
                await asyncio.sleep(gather_s)
            self._changed.clear()
            arrived, self._arrived = self._arrived, []
            self._left -= len(arrived)
            yield arrived

    def cancel(self) -> None:
        """Drop the programs that wait; a program that runs already runs to its end."""
        self._queue.drop(self, len(self._waiting))
        self._waiting.clear()
        for future in list(self._running.values()):
            future.cancel()


class ProgramQueue:
    """Bounded, fair queue of programs.

    Args:
        most_waiting: Number of programs that may wait.
        most_under_way: Number of programs that are started at a time.
        watch: Called with each result and the seconds since its request was admitted.

    Attributes:
        waiting: Number of programs that wait.
        under_way: Number of programs that were started and have not ended.
        progressed: When a program last ended, on the monotonic clock.
    """

    def __init__(
        self,
        *,
        most_waiting: int,
        most_under_way: int,
        watch: Callable[[Any, float], None] = lambda result, seconds: None,
    ) -> None:
        self.most_waiting, self._most_under_way = most_waiting, most_under_way
        self._watch = watch
        self.waiting = self.under_way = 0
        self.progressed = time.monotonic()
        self._batches: deque[Batch] = deque()
        self._ended: deque[tuple[Batch, int, Future[Any]]] = deque()
        self._told = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._rate, self._counted, self._since = 0.0, 0, time.monotonic()

    def admit(self, starts: Sequence[Start]) -> Batch:
        """Admit the programs of a request, all or none.

        Raises:
            Refused: The queue has no room for all of them.
        """
        if len(starts) + self.waiting > self.most_waiting:
            raise Refused(
                "the queue is full",
                status=FULL,
                retry_after_s=self.retry_after_s(len(starts)),
                value=f"{self.waiting} programs wait, {len(starts)} more were sent",
                expected=f"at most {self.most_waiting}",
                cure="send them again later, or in smaller requests",
            )
        self._loop = asyncio.get_running_loop()
        if not self.under_way:
            self.progressed = time.monotonic()
        batch = Batch(self, starts)
        self.waiting += len(starts)
        if starts:
            self._batches.append(batch)
        self._pump()
        return batch

    def retry_after_s(self, more: int) -> int:
        """Return the seconds after which there should be room for so many programs."""
        self._measure(0)
        excess = self.waiting + more - self.most_waiting
        seconds = excess / self._rate if self._rate > 0 else 1.0
        return max(1, min(MOST_RETRY_AFTER_S, math.ceil(seconds)))

    def drop(self, batch: Batch, count: int) -> None:
        """Forget the programs of a batch that were not started."""
        self.waiting -= count
        with suppress(ValueError):
            self._batches.remove(batch)

    def _pump(self) -> None:
        while self.under_way < self._most_under_way and self._batches:
            batch = self._batches.popleft()
            number, started = batch.start_next()
            self.waiting -= 1
            if batch.waiting:
                self._batches.append(batch)
            if isinstance(started, Exception):
                batch.take(number, started)
                continue
            self.under_way += 1
            started.add_done_callback(
                lambda future, batch=batch, number=number: self._note(batch, number, future)  # type: ignore[misc]
            )

    def _note(self, batch: Batch, number: int, future: "Future[Any]") -> None:
        """Note in any thread that a program has ended; many ends wake the event loop once."""
        self._ended.append((batch, number, future))
        if not self._told and self._loop is not None:
            self._told = True
            with suppress(RuntimeError):  # the event loop is closed: nobody waits any more
                self._loop.call_soon_threadsafe(self._deliver)

    def _deliver(self) -> None:
        """Hand results to their batches and start further programs.

        While many programs are under way, this is called at short intervals instead of once for
        each end: waking the event loop from another thread costs as much as reading a verdict.
        """
        count = 0
        while self._ended:
            batch, number, future = self._ended.popleft()
            self.under_way -= 1
            count += 1
            result: Any
            try:
                result = future.exception() or future.result()
            except CancelledError as error:
                result = error
            self._watch(result, time.monotonic() - batch.began)
            batch.take(number, result)
        if count:
            self.progressed = time.monotonic()
            self._measure(count)
            self._pump()
        if count and self.under_way >= BUSY and self._loop is not None:
            self._loop.call_later(TICK_S, self._deliver)
            return
        self._told = False
        if self._ended:  # noted before ``_told`` was false
            self._told = True
            self._deliver()

    def _measure(self, count: int) -> None:
        """Keep the rate at which programs end, in programs per second."""
        self._counted += count
        seconds = time.monotonic() - self._since
        if seconds >= 1.0:
            newest = self._counted / seconds
            self._rate += (newest - self._rate) * (_NEWEST if self._rate else 1.0)
            self._counted, self._since = 0, time.monotonic()
