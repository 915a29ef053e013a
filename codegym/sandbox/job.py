"""The narrow seam to untrusted code: a Job goes in, an ExecutionResult comes out.

Nothing here judges: a reply is bytes that the judge has yet to read. Beside the protocol stands
``FakeSandbox``, for tests of everything above the seam.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Literal, Protocol, Self

from codegym.sandbox.limits import Limits

Ticket = int
Limit = Literal["", "wall", "cpu", "memory", "output"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One run of one untrusted program.

    Attributes:
        program: The untrusted text.
        mode: ``call``, ``stdio`` or ``assertion``.
        payload: What the mode needs beside the program; never an expected value in the modes
            ``call`` and ``stdio``. JSON bytes (``wire.dumps``), so that a caller writes them once
            for all programs of a task::

                call       {"function": name, "calls": [[args, kwargs], ...]}, wire trees
                stdio      [stdin, ...], texts
                assertion  {"setup", "code", "check", "entry_point", "names", "prompt",
                            "n_cases"}

        limits: Bounds of the run.
        packages: Packages it needs beside the standard library; the sandbox must offer them.
    """

    program: str
    mode: Literal["call", "stdio", "assertion"]
    payload: bytes
    limits: Limits = field(default_factory=Limits)
    packages: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutionResult:
    """The raw facts of one run.

    Attributes:
        replies: Reply frames in order, as the untrusted side wrote them (call, stdio), or the
            examiner's one report (assertion). See ``codegym.sandbox.inside`` for their content.
        output: What the program printed (stdio).
        parts: One result per case, in order (stdio); the other fields are their sum or maximum.
        exit_status: As ``os.waitpid`` gave it.
        limit: Which limit ended the run, "" if none.
        running_line: Line of the program that was running when a limit ended it.
        wall_s, cpu_s: Seconds.
        memory_bytes: Peak resident size.
    """

    replies: tuple[bytes, ...] = ()
    output: bytes = b""
    parts: tuple["ExecutionResult", ...] = ()
    exit_status: int = 0
    limit: Limit = ""
    running_line: int | None = None
    wall_s: float = 0.0
    cpu_s: float = 0.0
    memory_bytes: int = 0


class Sandbox(Protocol):
    """Runs untrusted programs. A context manager; safe to use from several threads.

    Tickets belong to the channel they were submitted on; the sandbox itself is one channel.

    Intended use::

        with codegym.make_sandbox() as sandbox:
            ticket = sandbox.submit(job)
            for ticket, result in sandbox.collect(timeout_s=1.0):
                ...
    """

    isolation: str

    def submit(self, job: Job) -> Ticket:
        """Queue a job; returns at once, or blocks while the queue is full."""
        ...

    def collect(self, timeout_s: float | None = None) -> list[tuple[Ticket, ExecutionResult]]:
        """Return what has finished since the last call, in any order.

        Waits until something has, or ``timeout_s`` has passed, or nothing is under way.

        Raises:
            SandboxError: A job could not be run, twice; its ``ticket`` says which. The others'
                results are kept for the next call.
        """
        ...

    def run(self, jobs: Sequence[Job]) -> list[ExecutionResult]:
        """Run jobs and return their results in the order given.

        Raises:
            SandboxError: A job could not be run, twice.
        """
        ...

    def channel(self) -> "Sandbox":
        """Return a view of this sandbox with tickets of its own, for one more caller.

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
    """A Sandbox without a sandbox: answers each job by a function. For tests only.

    Args:
        answer: Job -> ExecutionResult; may raise SandboxError.
    """

    isolation = "fake"

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
        """Return every result not yet returned."""
        done, self._done = self._done, []
        return done

    def run(self, jobs: Sequence[Job]) -> list[ExecutionResult]:
        """Answer each job in order."""
        return [self._answer(job) for job in jobs]

    def channel(self) -> "FakeSandbox":
        """Return a fake with tickets of its own."""
        return FakeSandbox(self._answer)

    def close(self) -> None:
        """Forget what was not collected."""
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
