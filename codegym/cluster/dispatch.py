"""Dispatcher: which job runs on which node, and what becomes of it when the node is lost.

It is bookkeeping without threads or Ray: ``codegym.cluster.fleet_sandbox`` calls it from one
thread, and a grader's frames lead to a node.
"""

import pickle
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol

from codegym.cluster.job_frames import SentJob, pack_jobs
from codegym.cluster.node_grader import remember
from codegym.errors import SandboxError
from codegym.sandbox.channel import Answer
from codegym.sandbox.job import Job

# Jobs under way on a node for each of its workers at first, and at most. A node that runs dry while
# jobs wait gets twice as many; a node whose programs are slow keeps few, so that another node may
# have them.
WINDOW_PER_WORKER = 8
MOST_PER_WORKER = 64
SLOW_S = 1.0
# A job that has lost so many nodes is given up: it may be the cause.
MOST_LOSSES = 5


class Grader(Protocol):
    """The driver's end of a node's grader.

    Attributes:
        name: Name of the grader; a later grader of the same node has another.
        workers: Number of programs that run there at the same time.
    """

    name: str
    workers: int

    def submit(self, frame: bytes, learnt: Sequence[tuple[int, bytes]]) -> None:
        """Send a frame of jobs, and the callables that the node has still to learn."""
        ...

    def collect(self, then: Callable[[bytes | Exception], None]) -> None:
        """Ask for a frame of results; ``then`` is called with it, or the reason why none comes."""
        ...

    def stop(self) -> None:
        """End it; harmless when it is dead."""
        ...


@dataclass(slots=True)
class Waiting:
    """A job on its way.

    Attributes:
        number: Number of the job.
        job: The job.
        done: Called once, with its result or error.
        wanted: Whether anybody still waits for it.
        losses: How many nodes were lost while they ran it.
    """

    number: int
    job: Job
    done: Callable[[Answer], None]
    wanted: Callable[[], bool]
    losses: int = 0


@dataclass(slots=True)
class _Node:
    """A grader and what it has.

    Attributes:
        running: Jobs that were sent, by number.
        known: Callables that the node has learnt: key -> number.
        asked: Whether results are being waited for.
        window: Most jobs under way.
        asked_at: Moment since when results are waited for.
    """

    grader: Grader
    running: dict[int, Waiting] = field(default_factory=dict)
    known: "OrderedDict[int, Any]" = field(default_factory=OrderedDict)
    asked: bool = False
    window: int = 0
    asked_at: float = 0.0

    @property
    def room(self) -> int:
        return self.window - len(self.running)

    def adapt(self, *, waiting: bool) -> None:
        """Widen the window of a node that ran dry, and narrow that of a slow node."""
        least, most = (each * self.grader.workers for each in (WINDOW_PER_WORKER, MOST_PER_WORKER))
        if len(self.running) <= 2 * self.grader.workers and waiting:
            self.window = min(2 * self.window, most)
        elif time.monotonic() - self.asked_at > SLOW_S:
            self.window = max(self.window // 2, least)

    @property
    def load(self) -> float:
        return len(self.running) / self.grader.workers


class Dispatcher:
    """Jobs in a queue and on nodes.

    Args:
        arrived: ``arrived(grader, frame or error)``: where the answers of ``Grader.collect`` go;
            called from any thread.

    Attributes:
        queue: Jobs that wait for a node.
        sent_bytes: Size of all frames that were sent.
    """

    def __init__(self, arrived: Callable[[Grader, bytes | Exception], None]) -> None:
        self.queue: deque[Waiting] = deque()
        self._arrived = arrived
        self._nodes: dict[str, _Node] = {}
        # Callable -> its number: the parts of a partial by identity, which the last entry keeps.
        self._callables: OrderedDict[Any, tuple[int, Any]] = OrderedDict()
        self._numbered = self.sent_bytes = 0

    @property
    def graders(self) -> list[Grader]:
        """The graders that are alive, as far as known."""
        return [node.grader for node in self._nodes.values()]

    @property
    def under_way(self) -> int:
        """Number of jobs that wait or run."""
        return len(self.queue) + sum(len(node.running) for node in self._nodes.values())

    def join(self, grader: Grader) -> None:
        """Use a grader from now on."""
        self._nodes[grader.name] = _Node(grader, window=WINDOW_PER_WORKER * grader.workers)

    def assign(self) -> list[tuple[Grader, Exception]]:
        """Send waiting jobs to the nodes with the fewest, and ask every node for results.

        Returns:
            Graders that could not be spoken to, which are lost.
        """
        batches: dict[str, list[Waiting]] = {}
        while self.queue:
            free = [node for node in self._nodes.values() if node.room > 0]
            if not free:
                break
            waiting = self.queue.popleft()
            if not waiting.wanted():
                continue
            node = min(free, key=lambda each: each.load)
            node.running[waiting.number] = waiting
            batches.setdefault(node.grader.name, []).append(waiting)
        failed = []
        for name, node in self._nodes.items():
            try:
                if name in batches:
                    self._send(node, batches[name])
                if node.running and not node.asked:
                    node.asked, node.asked_at = True, time.monotonic()
                    node.grader.collect(partial(self._arrived, node.grader))
            # Ray raises errors of many kinds where a node is gone.
            except Exception as error:
                failed.append((node.grader, error))
        return failed

    def _send(self, node: _Node, batch: Sequence[Waiting]) -> None:
        learnt: list[tuple[int, bytes]] = []
        jobs = []
        for waiting in batch:
            try:
                jobs.append(
                    SentJob(waiting.number, waiting.job, self._teach(node, waiting.job, learnt))
                )
            except SandboxError as error:
                del node.running[waiting.number]
                waiting.done(error)
        if jobs:
            frame = pack_jobs(jobs)
            self.sent_bytes += len(frame)
            node.grader.submit(frame, learnt)

    def _teach(self, node: _Node, job: Job, learnt: list[tuple[int, bytes]]) -> int | None:
        """Return the number of a job's callable, and add it to what the node has to learn.

        Raises:
            SandboxError: It cannot be pickled.
        """
        goes_on = job.goes_on
        if goes_on is None:
            return None
        key: Any = id(goes_on)
        if isinstance(goes_on, partial) and not goes_on.keywords:
            # A judge makes a partial for every program, of one plan for every task.
            key = (goes_on.func, *map(id, goes_on.args))
        if key not in self._callables:
            self._numbered += 1
            remember(self._callables, key, (self._numbered, goes_on))
        number, kept = self._callables[key]
        if number not in node.known:
            try:
                learnt.append((number, pickle.dumps(kept)))
            except (pickle.PicklingError, TypeError, AttributeError) as error:
                raise SandboxError(
                    f"a job's goes_on cannot be sent to a node: {error}",
                    value=goes_on,
                    cure="use a function of a module, or functools.partial of one",
                ) from error
            remember(node.known, number, None)
        return number

    def results(self, grader: Grader, answers: Sequence[tuple[int, Answer]]) -> None:
        """Deliver results; those of a grader that was given up are dropped."""
        node = self._nodes.get(grader.name)
        if node is None:
            return
        node.asked = False
        for number, answer in answers:
            waiting = node.running.pop(number, None)
            if waiting is not None:
                waiting.done(answer)
        if answers:
            node.adapt(waiting=bool(self.queue))

    def lose(self, grader: Grader, why: Exception) -> None:
        """Give up a grader: its jobs run elsewhere, before those that wait."""
        node = self._nodes.pop(grader.name, None)
        if node is None:
            return
        for number in sorted(node.running, reverse=True):
            waiting = node.running[number]
            waiting.losses += 1
            if waiting.losses < MOST_LOSSES:
                self.queue.appendleft(waiting)
            else:
                waiting.done(
                    SandboxError(
                        f"a program lost {MOST_LOSSES} nodes that ran it",
                        value=f"{type(why).__name__}: {why}"[:300],
                        cure="see the nodes' memory and logs",
                    )
                )

    def fail(self, error: Callable[[], SandboxError]) -> None:
        """Answer every job that waits or runs with an error."""
        everything = [*self.queue]
        self.queue.clear()
        for node in self._nodes.values():
            everything += node.running.values()
            node.running.clear()
        for waiting in everything:
            waiting.done(error())
