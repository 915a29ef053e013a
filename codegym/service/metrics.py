"""Metrics of a service, in the text form of Prometheus."""

from typing import Any

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    generate_latest,
)
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from codegym.grading.verdict import Verdict
from codegym.sandbox.job import ExecutionResult

CONTENT_TYPE = CONTENT_TYPE_LATEST
_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0)


class Metrics:
    """Counts of one service.

    Attributes:
        verdicts: Number of verdicts, and of runs for SandboxFusion's form, that were reached.
        faults: Number of programs without a verdict.
        dropped: Number of programs whose client went away.
    """

    def __init__(self) -> None:
        self.verdicts = self.faults = self.dropped = 0
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        PlatformCollector(registry=self._registry)

        def named(kind: Any, name: str, text: str, *labels: str, **rest: Any) -> Any:
            return kind(f"codegym_{name}", text, labels, registry=self._registry, **rest)

        self._programs = named(Counter, "programs", "Programs that were judged.", "outcome")
        self._faults = named(Counter, "faults", "Programs without a verdict.", "type")
        self._dropped = named(Counter, "dropped", "Programs whose client went away.")
        self._requests = named(Counter, "requests", "Requests answered.", "path", "status")
        self._seconds = named(
            Histogram, "seconds", "Seconds from admission to verdict.", buckets=_BUCKETS
        )
        self._cpu = named(Counter, "program_cpu_seconds", "Processor seconds of programs.")
        self.waiting: Gauge = named(Gauge, "waiting", "Programs that wait.")
        self.under_way: Gauge = named(Gauge, "under_way", "Programs that were started.")
        self.restarts: Gauge = named(Gauge, "worker_restarts", "Replaced sandbox processes.")

    def ended(self, result: Any, seconds: float) -> None:
        """Count what became of a program, so many seconds after its admission."""
        if isinstance(result, Verdict):
            self.verdicts += 1
            self._programs.labels(str(result.outcome)).inc()
            self._cpu.inc(result.usage.cpu_s)
        elif isinstance(result, ExecutionResult):
            self.verdicts += 1
            self._programs.labels("run").inc()
            self._cpu.inc(result.cpu_s)
        elif isinstance(result, Exception):
            self.faults += 1
            self._faults.labels(type(result).__name__).inc()
        self._seconds.observe(seconds)

    def gone(self, count: int) -> None:
        """Count programs whose client went away before they were started."""
        self.dropped += count
        self._dropped.inc(count)

    def answered(self, path: str, status: int) -> None:
        """Count a request."""
        self._requests.labels(path, str(status)).inc()

    def text(self) -> bytes:
        """Return every metric."""
        return generate_latest(self._registry)
