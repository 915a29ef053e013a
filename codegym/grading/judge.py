"""The judge: a program and a task in, a Verdict out.

It plans the run, hands it to a sandbox, compares what comes back with what the task expects and
names the outcome. Expected values stay in this process in the call and stdio forms; in the
assertion form they are in the examiner's sandbox, never in the candidate's.
"""

import threading
from collections.abc import Iterable, Sequence
from typing import Any

from codegym.errors import ConfigError, SandboxError
from codegym.grading.read_result import read
from codegym.grading.run_plan import Plan, plan_for
from codegym.grading.verdict import Verdict
from codegym.grading.verdict_cache import VerdictCache
from codegym.sandbox.choice import make_sandbox
from codegym.sandbox.job import ExecutionResult, Job, Sandbox, Ticket
from codegym.tasks.task import Task

_default_lock = threading.Lock()
_default: list[Sandbox] = []


def judge(program: str, task: Task, *, sandbox: Sandbox | None = None) -> Verdict:
    """Run one program against its task's tests.

    Args:
        program: A whole program, or the continuation of the task's prompt; see ``Task.program``.
        task: The problem.
        sandbox: Where to run it; by default one that this process keeps until it exits.

    Raises:
        SandboxError: The sandbox broke, twice; never to be read as a failing program.
    """
    return judge_many([(program, task)], sandbox=sandbox)[0]


def judge_many(
    programs_and_tasks: Iterable[tuple[str, Task]],
    *,
    sandbox: Sandbox | None = None,
    cache: VerdictCache | None = None,
) -> list[Verdict]:
    """Run many programs side by side; return their verdicts in the order given.

    Args:
        programs_and_tasks: Pairs as for ``judge``; may be a generator.
        sandbox: Where to run them; by default one that this process keeps until it exits.
        cache: Verdicts seen before, and where new ones are put.

    Raises:
        SandboxError: The sandbox broke, twice, on one of them.
    """
    judge = Judge(sandbox, cache=cache)
    tickets = [judge.submit(*_pair(one)) for one in programs_and_tasks]
    verdicts: dict[Ticket, Verdict] = {}
    while len(verdicts) < len(tickets):
        verdicts.update(judge.collect())
    return [verdicts[ticket] for ticket in tickets]


def _pair(one: Any) -> tuple[str, Task]:
    if not isinstance(one, tuple | list) or len(one) != 2:
        raise ConfigError("not a pair", value=one, expected="(program, task)")
    program, task = one
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


def _channel(sandbox: Any) -> Sandbox:
    if sandbox is None:
        return default_sandbox().channel()
    if isinstance(sandbox, str) or not callable(getattr(sandbox, "channel", None)):
        raise ConfigError(
            "not a sandbox", value=sandbox, expected="a Sandbox", cure="codegym.make_sandbox(...)"
        )
    channel: Sandbox = sandbox.channel()
    return channel


def default_sandbox() -> Sandbox:
    """Return the sandbox that this process keeps; made at first use, closed at exit.

    Raises:
        SandboxUnavailableError: This machine can isolate nothing.
    """
    with _default_lock:
        if not _default:
            _default.append(make_sandbox())
        return _default[0]


class Judge:
    """Judges programs while the caller does something else.

    Intended use, in a loop that overlaps sampling with grading::

        judge = Judge(sandbox)
        for program, task in samples():
            tickets[judge.submit(program, task)] = ...
            for ticket, verdict in judge.collect(timeout_s=0.0):
                ...

    Identical pairs of program and task under way at the same time are run once.

    Args:
        sandbox: Where programs run; by default one that this process keeps until it exits.
        cache: Verdicts seen before, and where new ones are put; none by default.
    """

    def __init__(
        self, sandbox: Sandbox | None = None, *, cache: VerdictCache | None = None
    ) -> None:
        self._sandbox = _channel(sandbox)
        self._cache = cache
        self._tickets = 0
        self._ready: list[tuple[Ticket, Verdict]] = []
        self._running: dict[Ticket, _Pending] = {}
        self._twins: dict[tuple[str, int], _Pending] = {}
        # Plans name tasks by identity: keep those under way alive.

    def submit(self, program: str, task: Task) -> Ticket:
        """Begin judging a program; returns at once, or blocks while the sandbox's queue is full.

        Raises:
            ConfigError: ``program`` is not text, or ``task`` no Task.
            TaskError: A case holds a value that cannot cross the sandbox line.
        """
        _check(program, task)
        self._tickets += 1
        ticket = self._tickets
        if not program.strip():
            verdict = Verdict.no_program(n_cases=len(task.tests))
            self._ready.append((ticket, verdict))
            return ticket
        text = task.program(program)
        twin = self._twins.get((text, id(task)))
        if twin is not None:
            twin.tickets.append(ticket)
            return ticket
        plan = plan_for(task)
        key = None
        if self._cache is not None:
            key = self._cache.key(text, plan.digest, self._sandbox.isolation)
            known = self._cache.get(key)
            if known is not None:
                self._ready.append((ticket, known))
                return ticket
        pending = _Pending(text, task, plan, key, ticket)
        job = Job(program=text, mode=plan.form, payload=plan.payload, limits=plan.limits)
        self._running[self._sandbox.submit(job)] = pending
        self._twins[text, id(task)] = pending
        return ticket

    def collect(self, timeout_s: float | None = None) -> list[tuple[Ticket, Verdict]]:
        """Return what has been judged since the last call, in any order.

        Args:
            timeout_s: Longest wait for a first verdict; None waits until there is one, or nothing
                is under way.

        Raises:
            SandboxError: A program could not be run, twice; its ``ticket`` is ``submit``'s, and
                it is given up. The other verdicts are kept for the next call.
        """
        ready, self._ready = self._ready, []
        try:
            done = self._sandbox.collect(0.0 if ready else timeout_s) if self._running else []
        except SandboxError as error:
            self._ready = ready
            pending = self._running.pop(error.ticket) if error.ticket in self._running else None
            if pending is not None:
                self._twins.pop((pending.text, id(pending.task)), None)
                error.ticket = pending.tickets[0]
            raise
        for ticket, result in done:
            pending = self._running.pop(ticket)
            del self._twins[pending.text, id(pending.task)]
            verdict = self._judged(pending, result)
            ready.extend((one, verdict) for one in pending.tickets)
        return ready

    def _judged(self, pending: "_Pending", result: ExecutionResult) -> Verdict:
        verdict = read(result, pending.plan, pending.text)
        if self._cache is not None and pending.key is not None:
            self._cache.put(pending.key, pending.text, verdict)
        return verdict

    @property
    def under_way(self) -> int:
        """How many submitted programs have not been collected."""
        return len(self._ready) + sum(len(one.tickets) for one in self._running.values())

    def close(self) -> None:
        """Forget what has not been collected; the sandbox goes on."""
        self._sandbox.close()
        self._running.clear()
        self._twins.clear()
        self._ready.clear()


class _Pending:
    """A program under way, and who asked for it."""

    def __init__(self, text: str, task: Task, plan: Plan, key: str | None, ticket: Ticket) -> None:
        self.text = text
        self.task = task
        self.plan = plan
        self.key = key
        self.tickets = [ticket]


def repeat(
    program: str, task: Task, times: int, *, sandbox: Sandbox | None = None
) -> Sequence[Verdict]:
    """Judge one program several times, each time anew; for finding those whose verdict varies."""
    _check(program, task)
    channel = _channel(sandbox)
    if not program.strip():
        return [Verdict.no_program(n_cases=len(task.tests))] * times
    text, plan = task.program(program), plan_for(task)
    job = Job(program=text, mode=plan.form, payload=plan.payload, limits=plan.limits)
    return [read(result, plan, text) for result in channel.run([job] * times)]
