"""Job: one run of an untrusted program, its raw result, and the protocol of sandboxes.

A sandbox takes a ``Job`` and returns an ``ExecutionResult``, whose replies are bytes that the judge
has still to read. ``FakeSandbox`` replaces a sandbox in tests.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Literal, Protocol, Self

from codegym.sandbox.limits import Limits

Ticket = int
Limit = Literal["", "case", "wall", "cpu", "memory", "output"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One run of one untrusted program.

    Attributes:
        program: The untrusted text.
        mode: ``call``, ``stdio`` or ``assertion``.
        payload: Input of the mode beside the program; in the modes ``call`` and ``stdio`` it
            holds no expected value. JSON bytes (``wire.dumps``), so that a caller writes them
            once for all programs of a task::

                call       {"function": name, "calls": [[args, kwargs], ...], "site": name}
                stdio      [stdin, ...], texts
                assertion  {"setup", "code", "check", "entry_point", "names", "prompt",
                            "n_cases"}

        limits: Bounds of the run.
        n_cases: Number of cases of a ``call`` or ``assertion``. After a hang or a crash, a fresh
            process runs the cases that are left. 0 runs everything in one process, which only the
            limits of the whole run bound.
        goes_on: ``goes_on(case, result)`` is called in the sandbox's thread with a case whose
            process has ended, where cases are left; False ends the run. None always goes on.
        site: What is done around the program (stdio, assertion); a name of ``inside.sites``.
        before: Code that runs before the program (assertion): classes that the test's set-up code
            defines, by the names ``classes``.
        packages: Packages that the program may import beside the standard library; the sandbox
            must offer them.
        reseeded: Whether ``random`` and hashing have other seeds than usual, and the program (or
            its test) is killed if it uses what differs from run to run: entropy, a clock, a
            process number, threads. Such a run shows whether a result is luck.
    """

    program: str
    mode: Literal["call", "stdio", "assertion"]
    payload: bytes
    limits: Limits = field(default_factory=Limits)
    n_cases: int = 0
    goes_on: "Callable[[int, ExecutionResult], bool] | None" = None
    site: str = ""
    before: str = ""
    classes: tuple[str, ...] = ()
    packages: tuple[str, ...] = ()
    reseeded: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutionResult:
    """The raw result of one run.

    Attributes:
        replies: Reply frames in order, as the untrusted side wrote them (call, stdio), or the
            single report of the examiner (assertion). ``codegym.sandbox.inside`` documents them.
        output: Text that the program printed, as bytes (stdio).
        parts: One result per process, in order, if there were several: one per case (stdio), or
            one more after each hang or crash (call, assertion). The other fields are their sum or
            maximum, or those of the last.
        first_case: Number of the first case that this process was to run.
        loaded: Whether the process reported that the program was loaded (call).
        exit_status: Exit status in the form of ``os.waitpid``.
        limit: Limit that ended the process, "" if none: ``case`` and ``wall`` are of the program's
            clock, or ``wall`` of elapsed time on a machine that is far too slow.
        running_line: Line of the program that was running when a limit ended it.
        wall_s, cpu_s: Elapsed seconds and processor seconds.
        memory_bytes: Peak resident size.
    """

    replies: tuple[bytes, ...] = ()
    output: bytes = b""
    parts: tuple["ExecutionResult", ...] = ()
    first_case: int = 0
    loaded: bool = False
    exit_status: int = 0
    limit: Limit = ""
    running_line: int | None = None
    wall_s: float = 0.0
    cpu_s: float = 0.0
    memory_bytes: int = 0


class Sandbox(Protocol):
    """Runs untrusted programs. A context manager; safe to use from several threads.

    A ticket belongs to the channel on which its job was submitted; the sandbox itself is a
    channel.

    Intended use::

        with codegym.make_sandbox() as sandbox:
            ticket = sandbox.submit(job)
            for ticket, result in sandbox.collect(timeout_s=1.0):
                ...

    Attributes:
        isolation: Name of the isolation.
        packages: Import names of the packages that it offers inside.
    """

    isolation: str
    packages: tuple[str, ...]

    def submit(self, job: Job) -> Ticket:
        """Queue a job; return at once, or block while the queue is full."""
        ...

    def collect(self, timeout_s: float | None = None) -> list[tuple[Ticket, ExecutionResult]]:
        """Return the results since the last call, in any order.

        Waits until there is a result, or ``timeout_s`` has passed, or no job is under way.

        Raises:
            SandboxError: A job failed to run twice; the error holds its ``ticket``. The results
                of other jobs are kept for the next call.
        """
        ...

    def run(self, jobs: Sequence[Job]) -> list[ExecutionResult]:
        """Run jobs and return their results in the order given.

        Raises:
            SandboxError: A job failed to run twice.
        """
        ...

    def channel(self) -> "Sandbox":
        """Return a view of this sandbox with separate tickets, for another caller.

        Closing a channel drops its results and leaves the sandbox running.
        """
        ...

    def close(self) -> None:
        """End every process of this sandbox; harmless when called again."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...


class FakeSandbox:
    """A Sandbox for tests that runs nothing: a function answers each job.

    Args:
        answer: Returns the result of a job, or raises SandboxError.
    """

    isolation = "fake"
    packages: tuple[str, ...] = ()

    def __init__(self, answer: Callable[[Job], ExecutionResult]) -> None:
        self._answer = answer
        self._done: list[tuple[Ticket, ExecutionResult]] = []
        self._next = 0

    def submit(self, job: Job) -> Ticket:
        """Answer the job now; keep the result for ``collect``."""
        self._next += 1
        self._done.append((self._next, self._answer(job)))
        return self._next

    def collect(self, timeout_s: float | None = None) -> list[tuple[Ticket, ExecutionResult]]:
        """Return the results since the last call."""
        done, self._done = self._done, []
        return done

    def run(self, jobs: Sequence[Job]) -> list[ExecutionResult]:
        """Answer each job in order."""
        return [self._answer(job) for job in jobs]

    def channel(self) -> "FakeSandbox":
        """Return a fake with separate tickets."""
        return FakeSandbox(self._answer)

    def close(self) -> None:
        """Drop the results that were not collected."""
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
