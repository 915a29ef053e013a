"""Async judge: verdicts that coroutines await, from one thread that all of a process share.

A coroutine that judges by itself waits for one program at a time and blocks its event loop
meanwhile. Here the calls of all coroutines and event loops go to one thread, which has one judge:
their programs run side by side, and equal ones run once.
"""

import asyncio
import os
import threading
from collections import deque
from collections.abc import Iterable, Sequence
from concurrent.futures import Future
from types import TracebackType
from typing import NoReturn, Self

from codegym.errors import NotCopiedError, SandboxError
from codegym.grading.judge import Graded, Judge, Verdicts
from codegym.grading.verdict import Verdict
from codegym.grading.verdict_cache import VerdictCache
from codegym.sandbox.job import Sandbox, Ticket
from codegym.tasks.task import Task

# Programs handed to the judge at a time: fewer than its sandbox's queue holds.
MOST_UNDER_WAY = 256
# The thread looks for new programs this often while others run; less often while there are so many
# for each worker that a new one would wait anyway.
_LOOK_S, _SELDOM_S = 0.002, 0.02
_ENOUGH_PER_WORKER = 4


class AsyncJudge:
    """Judges programs for coroutines.

    Intended use, for any number of coroutines in any number of event loops::

        async with AsyncJudge() as judge:
            verdicts = await asyncio.gather(*(judge(program, task) for program, task in pairs))

    Cancelling a call drops its verdict; a program that runs already runs to its end, and one that
    still waits does not start. In a forked process the judge begins anew.

    Args:
        sandbox: Where programs run; the shared one of this process by default.
        isolation: Isolation of the shared sandbox, where no sandbox is given.
        cache: Verdicts seen before, and where new ones are put; none by default.
        stand_in: Judges instead of a sandbox; for tests.

    Raises:
        ConfigError: ``sandbox`` is no sandbox, or ``stand_in`` no function.
    """

    def __init__(
        self,
        sandbox: Sandbox | None = None,
        *,
        isolation: str = "auto",
        cache: VerdictCache | None = None,
        stand_in: Verdicts | None = None,
    ) -> None:
        judge = Judge(sandbox, isolation=isolation, cache=cache, stand_in=stand_in)
        self._settings = judge.settings()
        self._begin()

    def _begin(self) -> None:
        self._process = os.getpid()
        self._changed = threading.Condition()
        self._waiting: deque[tuple[str, Task, Future[Verdict]]] = deque()
        self._thread: threading.Thread | None = None
        self._closed = False

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise NotCopiedError("judge", "codegym.AsyncJudge(...)")

    async def __call__(self, program: str, task: Task) -> Verdict:
        """Return the verdict on a program; see ``codegym.judge``.

        Raises:
            ConfigError: ``program`` is not text, or ``task`` no Task.
            TaskError: A case holds a value that cannot cross the sandbox line.
            SandboxError: The sandbox broke on the program, twice, or this judge is closed.
        """
        return await asyncio.wrap_future(self.submit(program, task))

    async def judge_many(self, pairs: Iterable[tuple[str, Task]]) -> list[Verdict]:
        """Return the verdicts on programs in the order given.

        Raises:
            SandboxError: The sandbox broke on one of the programs.
        """
        futures = [asyncio.wrap_future(self.submit(program, task)) for program, task in pairs]
        return list(await asyncio.gather(*futures))

    def submit(self, program: str, task: Task) -> "Future[Verdict]":
        """Begin judging a program from any thread; return at once.

        Raises:
            SandboxError: This judge is closed.
        """
        if self._process != os.getpid():
            self._begin()
        future: Future[Verdict] = Future()
        with self._changed:
            if self._closed:
                raise SandboxError("the judge is closed", cure="make a new one")
            self._waiting.append((program, task, future))
            if self._thread is None:
                self._thread = threading.Thread(
                    target=self._serve, name="codegym-judge", daemon=True
                )
                self._thread.start()
            self._changed.notify()
        return future

    @property
    def waiting(self) -> int:
        """Number of programs that were not handed to the sandbox yet."""
        return len(self._waiting)

    def close(self) -> None:
        """Give up what is under way, whose calls raise SandboxError; the sandbox goes on."""
        with self._changed:
            self._closed = True
            self._changed.notify()
            thread, self._thread = self._thread, None
        if thread is not None and self._process == os.getpid():
            thread.join()

    async def aclose(self) -> None:
        """Close without blocking the event loop."""
        await asyncio.to_thread(self.close)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _serve(self) -> None:
        judge = Judge(**self._settings)
        asked: dict[Ticket, Future[Verdict]] = {}
        workers = getattr(self._settings["sandbox"], "n_workers", 2 * (os.cpu_count() or 1))
        while self._take(judge, asked):
            graded: Sequence[tuple[Ticket, Graded]] = []
            is_busy = len(asked) >= _ENOUGH_PER_WORKER * workers
            try:
                graded = judge.collect_graded(_SELDOM_S if is_busy else _LOOK_S)
            except Exception as error:  # of no single program: whoever waits is told
                judge.close()
                _fail(asked, error)
            for ticket, found in graded:
                _settle(asked.pop(ticket), found)
        judge.close()
        with self._changed:
            waiting = [future for _, _, future in self._waiting]
            self._waiting.clear()
        for future in [*asked.values(), *waiting]:
            _settle(future, SandboxError("the judge was closed"))

    def _take(self, judge: Judge, asked: dict[Ticket, "Future[Verdict]"]) -> bool:
        """Hand waiting programs to the judge; False once closed. Waits while there is no work."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or asked or self._closed)
            if self._closed:
                return False
            room = min(len(self._waiting), MOST_UNDER_WAY - len(asked))
            taken = [self._waiting.popleft() for _ in range(room)]
        for program, task, future in taken:
            if future.set_running_or_notify_cancel():
                try:
                    asked[judge.submit(program, task)] = future
                except Exception as error:
                    _settle(future, error)
        return True


def _settle(future: "Future[Verdict]", found: Verdict | Exception) -> None:
    if isinstance(found, Exception):
        future.set_exception(found)
    else:
        future.set_result(found)


def _fail(asked: dict[Ticket, "Future[Verdict]"], error: Exception) -> None:
    for future in asked.values():
        _settle(future, error)
    asked.clear()
