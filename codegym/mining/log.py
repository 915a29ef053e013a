"""Log: stores the fates of a run beside its tasks, so that a stopped run can continue.

``tasks.jsonl`` holds the tasks, ``tasks.jsonl.fates`` a header with the settings and then a line
for each function. A task is written before its fate: after a crash between the two writes, the
continued run writes the task again in place of the first copy.
"""

import fcntl
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from codegym.errors import ConfigError, TaskError
from codegym.mining.funnel import KEPT, Fate
from codegym.tasks.task import Task

SUFFIX = ".fates"


@dataclass(slots=True)
class Log:
    """Writes a run's tasks and fates; reads those of an earlier run.

    Args:
        path: File of the tasks.
        settings: Settings, as JSON values, that must be the same when a run continues.
        resume: Whether to continue an earlier run; otherwise its files are replaced.

    Attributes:
        done: Fates of the earlier run.

    Raises:
        ConfigError: The earlier run had other settings, its log is unreadable, or it is still
            running.
        TaskError: The files cannot be written.
    """

    path: Path
    settings: Mapping[str, Any]
    resume: bool = False
    done: list[Fate] = field(default_factory=list)
    _tasks: IO[str] | None = None
    _fates: IO[str] | None = None

    def __enter__(self) -> Self:
        fates = self.path.with_name(self.path.name + SUFFIX)
        kept: list[str] = []
        _refuse_if_held(fates)
        if self.resume and fates.is_file():
            self._read(fates)
            kept = self._kept_lines()
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            # Rewritten whole, without a line that a crash cut or a task without its fate.
            self._tasks = _rewritten(self.path, kept)
            rows = [
                json.dumps(dict(self.settings)),
                *(json.dumps(fate.to_json()) for fate in self.done),
            ]
            self._fates = _rewritten(fates, rows)
            fcntl.flock(self._fates, fcntl.LOCK_EX)
        except OSError as error:
            raise TaskError(f"cannot be written ({error})", path=str(self.path)) from error
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for file in (self._tasks, self._fates):
            if file is not None:
                file.close()

    def write(self, fate: Fate, task: Task | None) -> None:
        """Write the fate of a function, with its task if it was kept."""
        assert self._tasks is not None and self._fates is not None
        if task is not None:
            self._tasks.write(json.dumps(task.to_json(), ensure_ascii=False) + "\n")
            self._tasks.flush()
        self._fates.write(json.dumps(fate.to_json()) + "\n")
        self._fates.flush()

    def _read(self, fates: Path) -> None:
        header, *rows = fates.read_text(encoding="utf-8").split("\n")
        try:
            settings = json.loads(header)
        except ValueError:
            raise ConfigError("not the log of a mining run", value=str(fates)) from None
        if settings != json.loads(json.dumps(dict(self.settings))):
            raise ConfigError(
                "the earlier run had other settings",
                value=settings,
                expected=json.dumps(dict(self.settings)),
                cure="give the same options, or another --out",
            )
        for row in rows:
            try:
                self.done.append(Fate(**json.loads(row)))
            except (ValueError, TypeError):
                break  # a line that a crash cut

    def _kept_lines(self) -> list[str]:
        wanted = {f"mined/{fate.key}" for fate in self.done if fate.stage == KEPT}
        found: dict[str, str] = {}
        text = self.path.read_text(encoding="utf-8") if self.path.is_file() else ""
        for line in text.split("\n"):
            try:
                task_id = json.loads(line)["task_id"]
            except (ValueError, TypeError, KeyError):
                continue
            if task_id in wanted:
                found[task_id] = line
        if wanted - found.keys():
            raise ConfigError(
                "tasks of the earlier run are gone",
                value=sorted(wanted - found.keys())[:3],
                cure="run without --resume",
            )
        return list(found.values())


def _refuse_if_held(fates: Path) -> None:
    if not fates.is_file():
        return
    with fates.open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ConfigError(
                "another run is writing there",
                value=str(fates),
                cure="wait for it to end, or give another --out",
            ) from None


def _rewritten(path: Path, lines: list[str]) -> IO[str]:
    partial = path.with_name(path.name + ".part")
    partial.write_text("".join(line + "\n" for line in lines), encoding="utf-8")
    partial.replace(path)
    return path.open("a", encoding="utf-8")
