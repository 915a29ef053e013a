"""Verdict cache: stores verdicts so that the same program need not run again.

The key of a verdict holds the program, the tests with their limits and rules, and the surroundings
(``codegym.grading.surroundings``). A verdict is filed only if two runs gave it: the usual run, and
a run with other seeds of ``random`` and hashing, in which a program that uses entropy, a clock, a
process number or threads is killed (``Job.reseeded``). Outcomes that depend on time or memory are
never filed, nor are verdicts of runs that came near a limit.
"""

import hashlib
import json
import threading
from collections import OrderedDict
from pathlib import Path

from codegym.errors import ConfigError
from codegym.grading.verdict import Outcome, Verdict
from codegym.sandbox.limits import Limits
from codegym.tasks.task import Task

# Key of ``Task.metadata``: ``twice`` (the default) or ``never`` files the task's verdicts.
SETTING = "verdict_cache"
SETTINGS = ("twice", "never")
_STABLE = (Outcome.PASSED, Outcome.FAILED, Outcome.RUNTIME_ERROR, Outcome.SYNTAX_ERROR)
# Ends of a process, and of a test, that another run may not repeat.
_UNSTABLE_ERRORS = ("ProcessDied", "ProtocolError", "MemoryError", "TestDied", "RecursionError")
# A run that used more of a limit than this may reach it another time.
_NEAR = 0.5


def setting(task: Task) -> str:
    """Return how a task's verdicts are filed.

    Raises:
        ConfigError: The task's metadata holds an unknown setting.
    """
    found = task.metadata.get(SETTING, SETTINGS[0])
    if found not in SETTINGS:
        raise ConfigError(
            f"unusable metadata[{SETTING!r}] of task {task.task_id!r}",
            value=found,
            expected=" or ".join(SETTINGS),
        )
    return str(found)


def can_be_filed(verdict: Verdict, limits: Limits) -> bool:
    """Say whether a verdict depends neither on time nor on memory, whatever its second run says."""
    if verdict.outcome not in _STABLE:
        return False
    if any(
        case.outcome not in _STABLE or case.error_type in _UNSTABLE_ERRORS for case in verdict.cases
    ):
        return False
    used = verdict.usage
    # Any of the cases may have taken all the time.
    case_s = limits.of_case(len(verdict.cases))
    return (
        used.wall_s < _NEAR * min(limits.wall_s, case_s)
        and used.cpu_s < _NEAR * min(limits.cpu_s, case_s)
        and used.memory_bytes < _NEAR * limits.memory_bytes
    )


class VerdictCache:
    """Verdicts by key, in memory and optionally in a file.

    Args:
        path: An SQLite file that several processes may share; None keeps verdicts in memory only.
        size: Maximal number of verdicts in memory; the oldest are dropped first.

    Raises:
        ConfigError: The file is not a verdict cache.
    """

    def __init__(self, path: Path | str | None = None, *, size: int = 65_536) -> None:
        self._size = size
        self._lock = threading.Lock()
        self._memory: OrderedDict[str, Verdict] = OrderedDict()
        self._varies: set[str] = set()
        self._file = None
        self.hits = 0
        self.misses = 0
        if path is not None:
            import sqlite3  # imported here: most judges keep no file

            try:
                self._file = sqlite3.connect(path, check_same_thread=False, timeout=30.0)
                self._file.execute("PRAGMA journal_mode=WAL")
                self._file.execute(
                    "CREATE TABLE IF NOT EXISTS verdicts (key TEXT PRIMARY KEY, verdict TEXT)"
                )
            except sqlite3.DatabaseError as error:
                if self._file is not None:
                    self._file.close()
                raise ConfigError(
                    f"not a verdict cache ({error})", value=str(path), cure="name a new file"
                ) from None

    def key(self, program: str, plan_digest: str, around: tuple[str, ...]) -> str:
        """Return the key of a verdict.

        Args:
            program: The complete program.
            plan_digest: ``Plan.digest`` of the task.
            around: ``surroundings(...)`` of the sandbox.
        """
        digest = hashlib.sha256()
        for part in (*around, plan_digest, program):
            data = part.encode("utf-8", "surrogatepass")
            digest.update(len(data).to_bytes(8, "little"))
            digest.update(data)
        return digest.hexdigest()

    def get(self, key: str) -> Verdict | None:
        """Return the stored verdict, or None."""
        with self._lock:
            verdict = self._memory.get(key)
            if verdict is None and self._file is not None and key not in self._varies:
                row = self._file.execute(
                    "SELECT verdict FROM verdicts WHERE key = ?", (key,)
                ).fetchone()
                verdict = Verdict.from_json(json.loads(row[0])) if row else None
            if verdict is None:
                self.misses += 1
            else:
                self.hits += 1
                self._keep(key, verdict)
            return verdict

    def wants(self, key: str, verdict: Verdict, limits: Limits) -> bool:
        """Say whether a second run may lead to the verdict's being filed."""
        return key not in self._varies and can_be_filed(verdict, limits)

    def put(self, key: str, verdict: Verdict, again: Verdict, limits: Limits) -> None:
        """Store the verdict of a run if the second run confirms it, else never store one."""
        if not can_be_filed(verdict, limits):
            return
        if verdict != again:
            self.forbid(key)
        elif can_be_filed(again, limits):
            self._file_under(key, verdict)

    def _file_under(self, key: str, verdict: Verdict) -> None:
        with self._lock:
            if key in self._varies:
                return
            self._keep(key, verdict)
            if self._file is not None:
                with self._file:
                    self._file.execute(
                        "INSERT OR REPLACE INTO verdicts VALUES (?, ?)",
                        (key, json.dumps(verdict.to_json())),
                    )

    def forbid(self, key: str) -> None:
        """Never store a verdict under this key: the program's verdicts were seen to differ."""
        with self._lock:
            self._varies.add(key)
            self._memory.pop(key, None)
            if self._file is not None:
                with self._file:
                    self._file.execute("DELETE FROM verdicts WHERE key = ?", (key,))

    def _keep(self, key: str, verdict: Verdict) -> None:
        self._memory[key] = verdict
        self._memory.move_to_end(key)
        while len(self._memory) > self._size:
            self._memory.popitem(last=False)

    def __len__(self) -> int:
        return len(self._memory)

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            if self._file is not None:
                self._file.close()
                self._file = None
