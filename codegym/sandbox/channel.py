"""Channel: one caller's tickets and results, for every sandbox that runs jobs in the background."""

import threading
from collections.abc import Sequence
from types import TracebackType
from typing import NoReturn, Protocol, Self

from codegym.errors import ConfigError, NotCopiedError, SandboxError
from codegym.sandbox.job import ExecutionResult, Job, Sandbox, Ticket

Answer = ExecutionResult | SandboxError


class JobQueue(Protocol):
    """What a channel hands its jobs to.

    Attributes:
        isolation: Name of the isolation.
        packages: Import names of the packages that are offered inside.
    """

    isolation: str
    packages: tuple[str, ...]

    def enqueue(self, channel: "Channel", job: Job) -> Ticket:
        """Queue a job for a channel; return at once, or block while the queue is full."""
        ...


def check_packages(job: Job, packages: tuple[str, ...]) -> None:
    """Refuse a job whose packages a sandbox does not offer.

    Raises:
        ConfigError: It imports another package.
    """
    if not set(job.packages) <= set(packages):
        raise ConfigError(
            "the sandbox does not offer these packages",
            value=job.packages,
            expected=f"a subset of {packages}",
            cure="make_sandbox(packages=...)",
        )


class Channel:
    """One caller's tickets and results; see the ``Sandbox`` protocol.

    Args:
        pool: The sandbox that runs the jobs.
    """

    isolation: str
    packages: tuple[str, ...]

    def __init__(self, pool: "JobQueue") -> None:
        self._pool = pool
        self.isolation, self.packages = pool.isolation, pool.packages
        self.reset()

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise NotCopiedError("sandbox", "codegym.make_sandbox(...)")

    def reset(self) -> None:
        """Begin anew, in a forked process."""
        self._arrived = threading.Condition()
        self._done: list[tuple[Ticket, Answer]] = []
        self._open: set[Ticket] = set()

    def submit(self, job: Job) -> Ticket:
        """Queue a job; return at once, or block while the queue is full."""
        return self._pool.enqueue(self, job)

    def opened(self, ticket: Ticket) -> None:
        """Expect the result of a job."""
        with self._arrived:
            self._open.add(ticket)

    def tickets(self) -> list[Ticket]:
        """Return the tickets whose results are still to come."""
        with self._arrived:
            return list(self._open)

    def expects(self, ticket: Ticket) -> bool:
        """Say whether a result is still to come and wanted; a closed channel wants none."""
        return ticket in self._open

    def deliver(self, ticket: Ticket, answer: Answer) -> None:
        """Keep the result of a job for ``collect``; dropped if nobody waits for it."""
        with self._arrived:
            if ticket in self._open:
                self._open.discard(ticket)
                self._done.append((ticket, answer))
                self._arrived.notify_all()

    def collect(self, timeout_s: float | None = None) -> list[tuple[Ticket, ExecutionResult]]:
        """Return the results since the last call, in any order; see ``Sandbox``."""
        with self._arrived:
            self._arrived.wait_for(lambda: self._done or not self._open, timeout_s)
            done, self._done = self._done, []
            good: list[tuple[Ticket, ExecutionResult]] = []
            bad: list[tuple[Ticket, Answer]] = []
            for ticket, answer in done:
                if isinstance(answer, ExecutionResult):
                    good.append((ticket, answer))
                else:
                    bad.append((ticket, answer))
            if good or not bad:
                self._done = bad
                return good
            self._done = bad[1:]
            ticket, error = bad[0]
        assert isinstance(error, SandboxError)
        error.ticket = ticket
        raise error

    def run(self, jobs: Sequence[Job]) -> list[ExecutionResult]:
        """Run jobs and return their results in the order given; see ``Sandbox``."""
        channel = Channel(self._pool)
        tickets = [channel.submit(job) for job in jobs]
        results: dict[Ticket, ExecutionResult] = {}
        while len(results) < len(tickets):
            results.update(channel.collect())
        return [results[ticket] for ticket in tickets]

    def channel(self) -> Sandbox:
        """Return a view of the same pool with separate tickets."""
        return Channel(self._pool)

    def close(self) -> None:
        """Drop the results that were not collected; the pool goes on."""
        with self._arrived:
            self._open.clear()
            self._done.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
