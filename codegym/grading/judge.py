"""The judge: a program and a task in, a Verdict out.

It plans the run, hands it to a sandbox, compares what comes back with what the task expects and
names the outcome. Expected values stay in this process in the call and stdio forms; in the
assertion form they are in the examiner's sandbox, never in the candidate's.
"""

import os
import threading
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Literal, NoReturn, overload

from codegym.errors import (
    ConfigError,
    MissingVerdictsError,
    NotCopiedError,
    SandboxError,
    SandboxUnavailableError,
)
from codegym.grading.pending import Pending
from codegym.grading.run_plan import plan_for
from codegym.grading.surroundings import surroundings
from codegym.grading.verdict import Verdict
from codegym.grading.verdict_cache import VerdictCache, setting
from codegym.sandbox.choice import make_sandbox
from codegym.sandbox.job import ExecutionResult, Job, Sandbox, Ticket
from codegym.tasks.task import Task

# A verdict, or why there is none.
Graded = Verdict | SandboxError
Pairs = Sequence[tuple[str, Task]]
Verdicts = Callable[[Pairs], Sequence[Verdict]]

_shared_lock = threading.Lock()
_shared: dict[str, Sandbox] = {}


def judge(program: str, task: Task, *, sandbox: Sandbox | None = None) -> Verdict:
    """Run one program against its task's tests.

    Args:
        program: A whole program, or the continuation of the task's prompt; see ``Task.program``.
        task: The problem.
        sandbox: Where to run it; by default a sandbox that this process keeps until it exits.

    Raises:
        SandboxError: The sandbox broke, twice; never to be read as a failing program.
    """
    graded = Judge(sandbox).grade([(program, task)])[0]
    if isinstance(graded, SandboxError):
        raise graded
    return graded


@overload
def judge_many(
    programs_and_tasks: Iterable[tuple[str, Task]],
    *,
    sandbox: Sandbox | None = None,
    cache: VerdictCache | None = None,
    missing: Literal["raise"] = "raise",
) -> list[Verdict]: ...


@overload
def judge_many(
    programs_and_tasks: Iterable[tuple[str, Task]],
    *,
    sandbox: Sandbox | None = None,
    cache: VerdictCache | None = None,
    missing: Literal["none"],
) -> list[Verdict | None]: ...


def judge_many(
    programs_and_tasks: Iterable[tuple[str, Task]],
    *,
    sandbox: Sandbox | None = None,
    cache: VerdictCache | None = None,
    missing: Literal["raise", "none"] = "raise",
) -> list[Verdict] | list[Verdict | None]:
    """Run many programs side by side; return their verdicts in the order given.

    Args:
        programs_and_tasks: Pairs as for ``judge``; may be a generator.
        sandbox: Where to run them; by default a sandbox that this process keeps until it exits.
        cache: Verdicts seen before, and where new ones are put.
        missing: What happens where a program has no verdict because the sandbox broke on it,
            twice: ``raise`` an error that holds the other verdicts, or put ``none`` in its place.

    Raises:
        MissingVerdictsError: Some programs have no verdict, and ``missing`` is ``raise``.
        ConfigError: A pair is not a program and a task, or ``missing`` is unknown.
    """
    if missing not in ("raise", "none"):
        raise ConfigError("unusable missing", value=missing, expected="raise or none")
    graded = Judge(sandbox, cache=cache).grade(map(_pair, programs_and_tasks))
    verdicts = [None if isinstance(each, SandboxError) else each for each in graded]
    errors = {at: each for at, each in enumerate(graded) if isinstance(each, SandboxError)}
    if errors and missing == "raise":
        raise MissingVerdictsError(verdicts, errors)
    return verdicts


def _pair(pair: Any) -> tuple[str, Task]:
    if not isinstance(pair, tuple | list) or len(pair) != 2:
        raise ConfigError("not a pair", value=pair, expected="(program, task)")
    program, task = pair
    return program, task


def _check(program: Any, task: Any) -> None:
    if not isinstance(program, str):
        raise ConfigError("a program is not text", value=program, expected="str")
    if not isinstance(task, Task):
        raise ConfigError(
            "not a task",
            value=task,
            expected="codegym.Task",
            cure="Task.from_calls, from_assertions, from_stdio or codegym.load_tasks",
        )


def _check_sandbox(sandbox: Any) -> None:
    if sandbox is None:
        return
    if isinstance(sandbox, str) or not callable(getattr(sandbox, "channel", None)):
        raise ConfigError(
            "not a sandbox", value=sandbox, expected="a Sandbox", cure="codegym.make_sandbox(...)"
        )


def default_sandbox(isolation: str = "auto") -> Sandbox:
    """Return the sandbox of that isolation that this process keeps until it exits.

    Raises:
        UnknownNameError: There is no such isolation.
        SandboxUnavailableError: This machine cannot do it.
    """
    with _shared_lock:
        if isolation not in _shared:
            _shared[isolation] = make_sandbox(isolation)
        return _shared[isolation]


class Judge:
    """Judges programs while the caller does something else.

    Intended use, in a loop that overlaps sampling with grading::

        judge = Judge(sandbox)
        for program, task in samples():
            tickets[judge.submit(program, task)] = ...
            for ticket, verdict in judge.collect(timeout_s=0.0):
                ...

    Identical pairs of program and task under way at the same time run once. A judge in a forked
    process starts without the programs that are under way. A judge cannot be copied or pickled:
    every worker makes one.

    Args:
        sandbox: Where programs run; a shared one of this process by default.
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
        _check_sandbox(sandbox)
        if stand_in is not None and not callable(stand_in):
            raise ConfigError(
                "judge is unusable",
                value=stand_in,
                expected="a function from (program, task) pairs to verdicts, or None",
            )
        self._sandbox, self._isolation = sandbox, isolation
        self._cache, self._stand_in = cache, stand_in
        self._tickets = 0
        self._forget()

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise NotCopiedError("judge", "codegym.Judge(...)")

    def settings(self) -> dict[str, Any]:
        """Return the arguments that make another such judge, which shares sandbox and cache."""
        return {
            "sandbox": self._sandbox,
            "isolation": self._isolation,
            "cache": self._cache,
            "stand_in": self._stand_in,
        }

    def _forget(self) -> None:
        self._process = os.getpid()
        self._channel: Sandbox | None = None
        self._ready: list[tuple[Ticket, Graded]] = []
        self._waiting: list[tuple[Ticket, str, Task]] = []
        self._running: dict[Ticket, Pending] = {}
        # Twins are found by the identity of the task; ``Pending`` keeps it alive meanwhile.
        self._twins: dict[tuple[str, int], Pending] = {}

    def _open(self) -> Sandbox:
        if self._process != os.getpid():
            # A forked process must not wait for its parent's programs.
            self._forget()
        if self._channel is None:
            sandbox = self._sandbox or default_sandbox(self._isolation)
            self._channel = sandbox.channel()
        return self._channel

    def grade(self, pairs: Iterable[tuple[str, Task]]) -> list[Graded]:
        """Judge programs side by side; return the verdict of each, or the error in its place.

        No other program may be under way.

        Raises:
            SandboxUnavailableError: This machine refuses the isolation.
        """
        graded: dict[Ticket, Graded] = {}
        tickets = []
        for program, task in pairs:
            try:
                tickets.append(self.submit(program, task))
            except SandboxUnavailableError:
                raise
            except SandboxError as error:
                tickets.append(self._tickets)
                graded[self._tickets] = error
        while len(graded) < len(tickets):
            graded.update(self.collect_graded())
        return [graded[ticket] for ticket in tickets]

    def submit(self, program: str, task: Task) -> Ticket:
        """Begin judging a program; returns at once, or blocks while the sandbox's queue is full.

        Raises:
            ConfigError: ``program`` is not text, or ``task`` no Task.
            TaskError: A case holds a value that cannot cross the sandbox line.
        """
        _check(program, task)
        self._tickets += 1
        ticket = self._tickets
        if self._stand_in is not None:
            self._waiting.append((ticket, program, task))
            return ticket
        channel = self._open()
        if not program.strip():
            self._ready.append((ticket, Verdict.no_program(n_cases=len(task.tests))))
            return ticket
        text = task.program(program)
        twin = self._twins.get((text, id(task)))
        if twin is not None:
            twin.tickets.append(ticket)
            return ticket
        plan = plan_for(task)
        key = None
        # Without isolation a program sees the whole host, which no key can hold.
        if self._cache is not None and self._may_file(channel, task):
            around = surroundings(channel.isolation, channel.packages)
            key = self._cache.key(text, plan.digest, around)
            known = self._cache.get(key)
            if known is not None:
                self._ready.append((ticket, known))
                return ticket
        pending = Pending(text, task, plan, key, ticket)
        self._running[channel.submit(pending.job())] = pending
        self._twins[text, id(task)] = pending
        return ticket

    @staticmethod
    def _may_file(channel: Sandbox, task: Task) -> bool:
        return channel.isolation != "unsafe" and not task.tests.checker and setting(task) != "never"

    def _stood_in(self) -> list[tuple[Ticket, Graded]]:
        """Judge what was submitted, together, by the stand-in."""
        assert self._stand_in is not None
        waiting, self._waiting = self._waiting, []
        graded: Sequence[Graded]
        try:
            graded = self._stand_in([(program, task) for _, program, task in waiting])
        except SandboxError as error:
            graded = [error] * len(waiting)
        return list(zip([ticket for ticket, _, _ in waiting], graded, strict=True))

    def collect(self, timeout_s: float | None = None) -> list[tuple[Ticket, Verdict]]:
        """Return what has been judged since the last call, in any order.

        Args:
            timeout_s: Longest wait for a first verdict; None waits until there is one, or nothing
                is under way.

        Raises:
            SandboxError: A program could not be run, twice; its ``ticket`` is ``submit``'s, and
                it is given up. The other verdicts are kept for the next call.
        """
        verdicts: list[tuple[Ticket, Verdict]] = []
        graded = self.collect_graded(timeout_s)
        for at, (ticket, found) in enumerate(graded):
            if isinstance(found, SandboxError):
                self._ready = [*verdicts, *graded[at + 1 :], *self._ready]
                found.ticket = ticket
                raise found
            verdicts.append((ticket, found))
        return verdicts

    def collect_graded(self, timeout_s: float | None = None) -> list[tuple[Ticket, Graded]]:
        """Do the same with the error of a program that could not be run in its verdict's place.

        Raises:
            SandboxUnavailableError: This machine refuses the isolation.
            SandboxError: The sandbox broke, and no program is to blame.
        """
        if self._process != os.getpid():
            self._forget()
        ready, self._ready = self._ready, []
        if self._waiting:
            return ready + self._stood_in()
        while self._running and self._channel is not None:
            try:
                done = self._channel.collect(0.0 if ready else timeout_s)
            except SandboxError as error:
                self._lose(error, ready)
                return ready
            for ticket, result in done:
                self._take(self._running.pop(ticket), result, ready)
            if ready or timeout_s is not None:
                break
        return ready

    def _lose(self, error: SandboxError, ready: list[tuple[Ticket, Graded]]) -> None:
        """Deliver the error of a run, or raise it if it concerns no single program."""
        lost = self._running.pop(error.ticket) if error.ticket in self._running else None
        if lost is not None:
            del self._twins[lost.text, id(lost.task)]
            if lost.first is not None:  # only the confirmation is lost
                found = lost.first
                ready.extend((ticket, found) for ticket in lost.tickets)
                return
            error.ticket = lost.tickets[0]
        if lost is None or isinstance(error, SandboxUnavailableError):
            self._ready = ready
            raise error
        ready.extend((ticket, error) for ticket in lost.tickets)

    def _take(
        self, pending: Pending, result: ExecutionResult, ready: list[tuple[Ticket, Graded]]
    ) -> None:
        """Deliver the verdict of a run, or run the program again to confirm it for the cache."""
        verdict, limits = pending.take(result), pending.plan.limits
        if isinstance(verdict, Job):
            assert self._channel is not None
            self._running[self._channel.submit(verdict)] = pending
            return
        if self._cache is not None and pending.key is not None and isinstance(verdict, Verdict):
            if pending.first is None and self._cache.wants(pending.key, verdict, limits):
                assert self._channel is not None
                pending.first = verdict
                self._running[self._channel.submit(pending.job(reseeded=True))] = pending
                return
            if pending.first is not None:
                self._cache.put(pending.key, pending.first, verdict, limits)
                verdict = pending.first
        del self._twins[pending.text, id(pending.task)]
        ready.extend((ticket, verdict) for ticket in pending.tickets)

    @property
    def under_way(self) -> int:
        """How many submitted programs have not been collected."""
        running = sum(len(each.tickets) for each in self._running.values())
        return len(self._ready) + len(self._waiting) + running

    def close(self) -> None:
        """Forget what has not been collected; the sandbox goes on."""
        if self._channel is not None and self._process == os.getpid():
            self._channel.close()
        self._forget()


def repeat(
    program: str, task: Task, times: int, *, sandbox: Sandbox | None = None
) -> Sequence[Verdict]:
    """Judge a program several times, each time anew; finds programs whose verdict varies."""
    _check(program, task)
    _check_sandbox(sandbox)
    channel = (sandbox or default_sandbox()).channel()
    if not program.strip():
        return [Verdict.no_program(n_cases=len(task.tests))] * times
    text, plan = task.program(program), plan_for(task)
    job = Pending(text, task, plan, None, 0).job()
    return [
        _settled(Pending(text, task, plan, None, 0), result, channel)
        for result in channel.run([job] * times)
    ]


def _settled(pending: Pending, result: ExecutionResult, channel: Sandbox) -> Verdict:
    """Return the verdict of a run after the runs that follow it."""
    found = pending.take(result)
    while isinstance(found, Job):
        found = pending.take(channel.run([found])[0])
    if isinstance(found, SandboxError):
        raise found
    return found
