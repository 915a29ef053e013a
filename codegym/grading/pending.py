"""Pending: a program under way in a judge, and the tickets that wait for its verdict."""

from codegym.grading.run_plan import Plan
from codegym.grading.verdict import Verdict
from codegym.sandbox.job import Job, Ticket
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

    def job(self, *, reseeded: bool = False) -> Job:
        """Return a run of the program."""
        plan = self.plan
        return Job(
            program=self.text,
            mode=plan.form,
            payload=plan.payload,
            limits=plan.limits,
            site=plan.site,
            reseeded=reseeded,
        )
