"""Pending: a program under way in a judge, the runs that follow, and the tickets that wait."""

from functools import partial

from codegym.errors import FaultyTestError
from codegym.grading.checker import checked, checker_job
from codegym.grading.read_result import goes_on, read
from codegym.grading.run_plan import Plan
from codegym.grading.verdict import Verdict
from codegym.sandbox.job import ExecutionResult, Job, Ticket
from codegym.tasks.task import Task


class Pending:
    """A program under way, and who asked for it.

    Args:
        text: The complete program.
        task: Its task.
        plan: Plan of the task.
        key: Key of the verdict in the judge's cache, if it may be filed.
        ticket: The first ticket that waits.

    Attributes:
        first: Verdict of the first run, while a second run confirms it for the cache.
    """

    def __init__(self, text: str, task: Task, plan: Plan, key: str | None, ticket: Ticket) -> None:
        self.text = text
        self.task = task
        self.plan = plan
        self.key = key
        self.tickets = [ticket]
        self.first: Verdict | None = None
        # The result that a run of the checker or of the reference solution is about.
        self._checked: ExecutionResult | None = None
        self._blamed: ExecutionResult | None = None

    def job(self, *, reseeded: bool = False) -> Job:
        """Return a run of the program."""
        return self._run(self.text, reseeded=reseeded)

    def _run(self, text: str, *, reseeded: bool = False) -> Job:
        plan = self.plan
        return Job(
            program=text,
            mode=plan.form,
            payload=plan.payload,
            limits=plan.limits,
            n_cases=plan.n_cases,
            goes_on=partial(goes_on, plan) if plan.limits.stop == "first_failure" else None,
            site=plan.site,
            before=plan.before,
            classes=plan.classes,
            reseeded=reseeded,
        )

    def take(self, result: ExecutionResult) -> Verdict | FaultyTestError | Job:
        """Read the result of a run: the verdict, the fault of the test, or the run that follows.

        A test or a checker may fail because of the program's answer. It is at fault if it also
        fails on the reference solution, or before it has asked the program anything.
        """
        try:
            if self._checked is not None:
                return checked(self._checked, result, self.plan, self.text)
            if self._blamed is not None:
                return self._after_reference(result)
            verdict = read(result, self.plan, self.text)
        except FaultyTestError as error:
            error = self._named(error)
            reference = self.task.canonical_solution
            if self._checked is not None or error.is_certain or reference is None:
                return error
            self._blamed = result
            return self._run(self.task.program(reference))
        follow_up = checker_job(result, verdict, self.plan) if self.plan.checker else None
        self._checked = result if follow_up is not None else None
        return follow_up or verdict

    def _after_reference(self, result: ExecutionResult) -> Verdict | FaultyTestError:
        assert self._blamed is not None
        try:
            read(result, self.plan, self.text)
        except FaultyTestError as error:
            return self._named(error)
        return read(self._blamed, self.plan, self.text, blames_program=True)

    def _named(self, error: FaultyTestError) -> FaultyTestError:
        return FaultyTestError(
            f"task {self.task.task_id!r}: {error.message}", is_certain=error.is_certain
        )
