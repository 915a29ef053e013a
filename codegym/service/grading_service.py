"""Grading service: a judge, a sandbox and a bounded queue, for the requests of one process."""

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import Any

from codegym.errors import SandboxError
from codegym.grading.async_judge import AsyncJudge
from codegym.grading.judge import Verdicts
from codegym.grading.verdict_cache import VerdictCache
from codegym.sandbox.job import ExecutionResult, Job, Sandbox
from codegym.service.metrics import Metrics
from codegym.service.program_queue import Batch, ProgramQueue
from codegym.service.refusals import UNAVAILABLE, Refused
from codegym.service.served_tasks import ServedTasks
from codegym.tasks.task import Task

# Programs that are started at a time: enough to keep every worker busy.
UNDER_WAY_PER_WORKER, LEAST_UNDER_WAY = 8, 32


class GradingService:
    """Judges programs and runs jobs for requests.

    Args:
        sandbox: Where programs run; the caller closes it.
        tasks: The served tasks.
        most_waiting: Number of programs that may wait.
        cache: Verdicts seen before, and where new ones are put.
        stand_in: Judges instead of the sandbox; for tests.

    Attributes:
        tasks: The served tasks.
        metrics: Counts.
        queue: The queue.
        draining: Whether new programs are refused, because the service is ending.
    """

    def __init__(
        self,
        sandbox: Sandbox,
        tasks: ServedTasks,
        *,
        most_waiting: int = 4096,
        cache: VerdictCache | None = None,
        stand_in: Verdicts | None = None,
    ) -> None:
        self.tasks, self.metrics, self.draining = tasks, Metrics(), False
        self._sandbox = sandbox
        workers: int = getattr(sandbox, "n_workers", 1)
        most = max(LEAST_UNDER_WAY, UNDER_WAY_PER_WORKER * workers)
        self._judge = AsyncJudge(sandbox, cache=cache, stand_in=stand_in)
        self._runner = ThreadPoolExecutor(most, thread_name_prefix="codegym-run")
        self._runs: dict[Job, Future[ExecutionResult]] = {}
        self.queue = ProgramQueue(
            most_waiting=most_waiting, most_under_way=most, watch=self.metrics.ended
        )

    @property
    def isolation(self) -> str:
        """Isolation of the sandbox."""
        return self._sandbox.isolation

    def grade(self, pairs: Sequence[tuple[str, Task]]) -> Batch:
        """Begin to judge programs.

        Raises:
            Refused: The queue is full, or the service is ending.
        """
        return self._admit([partial(self._judge.submit, *pair) for pair in pairs])

    def run(self, job: Job) -> Batch:
        """Begin to run a job; its result is an ExecutionResult.

        Raises:
            Refused: The queue is full, or the service is ending.
        """
        return self._admit([partial(self._started, job)])

    def _started(self, job: Job) -> "Future[ExecutionResult]":
        """Start a job, or join an equal job that runs.

        A client that gave up waiting on a busy machine and asks again finds its program running.
        """
        shared = self._runs.get(job)
        if shared is None or shared.done():
            shared = self._runs[job] = self._runner.submit(lambda: self._sandbox.run([job])[0])
            shared.add_done_callback(lambda _: self._runs.pop(job, None))
        mine: Future[ExecutionResult] = Future()
        mine.set_running_or_notify_cancel()  # a program that runs already runs to its end
        shared.add_done_callback(partial(_copy, mine))
        return mine

    def _admit(self, starts: Sequence[Any]) -> Batch:
        if self.draining:
            raise Refused(
                "the service is ending", status=UNAVAILABLE, retry_after_s=5, cure="ask another"
            )
        return self.queue.admit(starts)

    def forget(self, batch: Batch) -> None:
        """Drop the programs of a request whose client went away."""
        if batch.waiting:
            self.metrics.gone(batch.waiting)
        batch.cancel()

    def metrics_text(self) -> bytes:
        """Return the metrics, with the present state of queue and sandbox."""
        self.metrics.waiting.set(self.queue.waiting)
        self.metrics.under_way.set(self.queue.under_way)
        self.metrics.restarts.set(getattr(self._sandbox, "restarts", 0))
        return self.metrics.text()

    def close(self) -> None:
        """End the judge; programs under way get no verdict. The sandbox goes on."""
        self._judge.close()
        self._runner.shutdown(wait=False, cancel_futures=True)


def _copy(mine: "Future[ExecutionResult]", shared: "Future[ExecutionResult]") -> None:
    if shared.cancelled():
        mine.set_exception(SandboxError("the service was closed"))
    elif (error := shared.exception()) is not None:
        mine.set_exception(error)
    else:
        mine.set_result(shared.result())
