"""Served tasks: the tasks that a service knows, and the whole tasks that requests bring."""

import hashlib
import json
import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from codegym.errors import CodegymError, ConfigError, TaskError
from codegym.sandbox.limits import Limits
from codegym.sources import TaskSource, load_tasks
from codegym.tasks.task import Task
from codegym.tasks.unpassable import LEAST_MEMORY_BYTES

# Tasks that are kept, so that equal programs of equal tasks run once and plans are made once.
KEPT_TASKS = 4096
KEPT_BYTES = 64 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """What a request may ask for.

    Attributes:
        body_bytes: Size of a body.
        batch: Number of programs of a request.
        program_bytes: Size of a program, and of each code text of a whole task.
        wall_s: Seconds of a program's clock for a run, and of its processor time.
        memory_bytes: Memory of a program.
        output_bytes: Output of a program.
    """

    body_bytes: int = 16 << 20
    batch: int = 1024
    program_bytes: int = 1 << 20
    wall_s: float = 120.0
    memory_bytes: int = 4 << 30
    output_bytes: int = 16 << 20

    def check(self, limits: Limits) -> None:
        """Check the limits that a request sets.

        Raises:
            TaskError: A limit is above the service's bound, or too small to run anything.
        """
        bounds = {
            "wall_s": (0.001, self.wall_s),
            "cpu_s": (0.001, self.wall_s),
            "memory_bytes": (LEAST_MEMORY_BYTES, self.memory_bytes),
            "output_bytes": (1, self.output_bytes),
        }
        for name, (least, most) in bounds.items():
            value = getattr(limits, name)
            if not least <= value <= most:
                raise TaskError(
                    "a limit is out of the service's bounds",
                    field=f"tests.limits.{name}",
                    value=value,
                    expected=f"{least:g} to {most:g}",
                    cure="start the service with a larger bound: codegym serve --help",
                )


class ServedTasks:
    """The tasks of some sources, found by id.

    Args:
        uris: Task URIs; the first source that has an id wins.
        bounds: What whole tasks may ask for.

    Attributes:
        sources: The sources by URI.
    """

    def __init__(self, uris: Sequence[str] = (), bounds: Bounds | None = None) -> None:
        self.bounds = bounds or Bounds()
        self.sources: dict[str, TaskSource] = {uri: load_tasks(uri) for uri in uris}
        self._found: OrderedDict[tuple[str, str], Task] = OrderedDict()
        self._brought: OrderedDict[bytes, tuple[Task, int]] = OrderedDict()
        self._brought_bytes = 0
        # Large requests are read in threads.
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return sum(len(source) for source in self.sources.values())

    def find(self, task_id: str, source: str = "") -> Task:
        """Return the task of an id.

        Args:
            task_id: The id.
            source: URI, or the name before its colon and options, of the source to look in.

        Raises:
            TaskError: No served task has that id.
            ConfigError: No such source is served.
        """
        with self._lock:
            known = self._found.get((source, task_id))
            if known is not None:
                self._found.move_to_end((source, task_id))
                return known
        for each in self.named(source):
            try:
                task = each.find(task_id)
            except (TaskError, IndexError):
                continue
            with self._lock:
                task = self._found.setdefault((source, task_id), task)
                while len(self._found) > KEPT_TASKS:
                    self._found.popitem(last=False)
            return task
        raise TaskError(
            "no such task",
            field="task_id",
            value=task_id[:200],
            expected="the id of a task that is served, or of a whole task in the same request",
            cure="GET /v1/tasks lists the ids; codegym serve URI serves a source",
        )

    def named(self, name: str) -> list[TaskSource]:
        """Return the sources of a URI or of a name; all for "".

        Raises:
            ConfigError: No such source is served.
        """
        found = [
            source
            for uri, source in self.sources.items()
            if name in ("", uri, uri.partition("?")[0].partition(":")[0])
        ]
        if not found and name:
            raise ConfigError(
                "no such source of tasks",
                value=name[:200],
                expected=", ".join(self.sources) or "none: this service was started without tasks",
                cure="codegym serve URI serves a source",
            )
        return found

    def page(self, name: str, offset: int, limit: int) -> dict[str, Any]:
        """Return the rows of some tasks: what a policy may see, without tests."""
        rows: list[dict[str, Any]] = []
        at, total = offset, 0
        for source in self.named(name):
            count = len(source)
            while total <= at < total + count and len(rows) < limit:
                rows.append(_task_row(source[at - total], source.uri))
                at += 1
            total += count
        following = offset + len(rows)
        return {
            "tasks": rows,
            "offset": offset,
            "next_offset": following if rows and following < total else None,
            "total": total,
        }

    def bring(self, row: Mapping[str, Any]) -> Task:
        """Return the task of a JSON object, the same task for an equal object.

        Raises:
            TaskError: The object is no task, or asks for more than the service's bounds.
        """
        text = json.dumps(row).encode()
        key = hashlib.sha256(text).digest()
        with self._lock:
            known = self._brought.get(key)
            if known is not None:
                self._brought.move_to_end(key)
                return known[0]
        task = self._read(row)
        with self._lock:
            if key in self._brought:  # brought by another request meanwhile
                return self._brought[key][0]
            self._brought[key] = task, len(text)
            self._brought_bytes += len(text)
            while self._brought_bytes > KEPT_BYTES or len(self._brought) > KEPT_TASKS:
                _, (_, size) = self._brought.popitem(last=False)
                self._brought_bytes -= size
        return task

    def _read(self, row: Mapping[str, Any]) -> Task:
        tests = row.get("tests")
        codes = {"prompt": row.get("prompt"), "canonical_solution": row.get("canonical_solution")}
        if isinstance(tests, Mapping):
            codes |= {name: tests.get(name) for name in ("test_code", "setup_code", "checker")}
        for name, text in codes.items():
            if isinstance(text, str) and len(text) > self.bounds.program_bytes:
                raise TaskError(
                    "a text is too long",
                    field=name,
                    value=f"{len(text)} characters",
                    expected=f"at most {self.bounds.program_bytes}",
                )
        try:
            task = Task.from_json(row)
        except CodegymError:
            raise
        except (ValueError, TypeError, LookupError, AttributeError, ArithmeticError) as error:
            raise TaskError(f"unreadable ({type(error).__name__}: {str(error)[:100]})") from None
        except (RecursionError, MemoryError):
            raise TaskError("a text of the task is nested too deeply") from None
        self.bounds.check(task.tests.limits)
        return task


def _task_row(task: Task, uri: str) -> dict[str, Any]:
    return {
        "task_id": task.task_id,
        "source": uri,
        "prompt": task.prompt,
        "entry_point": task.entry_point,
        "form": task.tests.form,
        "n_cases": len(task.tests),
    }
