"""Semaphores: ``_multiprocessing.SemLock`` between the threads of one process.

The sandbox allows no second process and no ``/dev/shm``, but ``multiprocessing.pool.ThreadPool``,
``multiprocessing.dummy`` and ``multiprocessing.Lock`` need semaphores between threads only.
"""

import threading
from typing import Any

RECURSIVE_MUTEX = 0


class SemLock:
    """A semaphore, or a lock that its owner may take again.

    Args:
        kind: 0 for a recursive lock, 1 for a semaphore.
        value: Free places.
        maxvalue: Largest number of free places.
        name: Ignored.
        unlink: Ignored.
    """

    SEM_VALUE_MAX = (1 << 31) - 1

    def __init__(self, kind: int, value: int, maxvalue: int, name: str, unlink: bool) -> None:
        self.kind, self.maxvalue, self.name, self.handle = kind, maxvalue, None, id(self)
        self._free, self._owner, self._depth = value, 0, 0
        self._changed = threading.Condition(threading.Lock())

    def acquire(self, block: bool = True, timeout: float | None = None) -> bool:
        """Take a place; wait for it if ``block``, at most ``timeout`` seconds."""
        with self._changed:
            if self.kind == RECURSIVE_MUTEX and self._is_mine():
                self._depth += 1
                return True
            wait = timeout if block else 0
            if not self._changed.wait_for(lambda: self._free > 0, wait):
                return False
            self._free -= 1
            self._owner, self._depth = threading.get_ident(), self._depth + 1
            return True

    def release(self) -> None:
        """Give a place back.

        Raises:
            AssertionError: This thread does not own the recursive lock.
            ValueError: All places are free.
        """
        with self._changed:
            if self.kind == RECURSIVE_MUTEX and not self._is_mine():
                raise AssertionError("attempt to release recursive lock not owned by thread")
            if self.kind == RECURSIVE_MUTEX and self._depth > 1:
                self._depth -= 1
                return
            if self._free >= self.maxvalue:
                raise ValueError("semaphore or lock released too many times")
            self._depth -= 1
            self._free += 1
            self._changed.notify()

    def __enter__(self) -> bool:
        return self.acquire()

    def __exit__(self, *rest: Any) -> None:
        self.release()

    def _is_mine(self) -> bool:
        return self._depth > 0 and self._owner == threading.get_ident()

    def _count(self) -> int:
        return self._depth

    def _get_value(self) -> int:
        return self._free

    def _is_zero(self) -> bool:
        return self._free == 0

    def _after_fork(self) -> None:
        self._depth = 0
