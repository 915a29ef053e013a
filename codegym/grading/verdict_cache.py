"""Verdict cache: stores verdicts so that the same program need not run again.

The key of a verdict covers program, tests, limits, isolation, and the versions of the grader and
of Python. Verdicts that can differ from run to run are not stored: time-outs, exhausted memory,
crashes, and programs that use the clock, threads or entropy.
"""

import hashlib
import json
import re
import sys
import threading
from collections import OrderedDict
from pathlib import Path

from codegym.errors import ConfigError
from codegym.grading.verdict import Outcome, Verdict

# Increased whenever the verdict on a program may change.
GRADER_VERSION = "1"
_STABLE = (Outcome.PASSED, Outcome.FAILED, Outcome.RUNTIME_ERROR, Outcome.SYNTAX_ERROR)
_UNSTABLE_WORDS = re.compile(
    r"\b(time|datetime|urandom|SystemRandom|secrets|uuid|threading|concurrent|asyncio|id|hash|"
    r"getrandom|resource|gc|weakref)\b"
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

    def key(self, program: str, plan_digest: str, isolation: str) -> str:
        """Return the key of a verdict."""
        digest = hashlib.sha256()
        for part in (GRADER_VERSION, sys.version, isolation, plan_digest, program):
            digest.update(part.encode("utf-8", "surrogatepass"))
            digest.update(b"\0")
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

    def put(self, key: str, program: str, verdict: Verdict) -> None:
        """Store a verdict, unless it may differ in the next run."""
        if verdict.outcome not in _STABLE or _UNSTABLE_WORDS.search(program):
            return
        if any(
            case.outcome not in _STABLE or case.error_type in ("ProcessDied", "ProtocolError")
            for case in verdict.cases
        ):
            return
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
