"""Idioms: what honest programs expect of a process and a sandbox does not have.

A private folder, ``/dev/stdin``, threads with large stacks, locks of ``multiprocessing``, and the
program's own text. Everything is replaced in the zygote, so that a fork pays nothing for it, and
nothing here is a barrier: a program that goes around it meets the sandbox itself.
"""

import _thread
import importlib.machinery
import resource
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

from codegym.sandbox.inside import confine, private_files
from codegym.sandbox.inside.protocol import FILENAME

# Stacks are address space, which is bounded: 64 threads of these fit into the usual 512 MiB.
STACK_BYTES = 4 << 20
# No thousand threads fit into 512 MiB.
LEAST_STACK_BYTES = 1 << 20
LARGEST_SHARE = 4
_real_start, _real_size = _thread.start_new_thread, _thread.stack_size


class Idioms:
    """The replacements of one zygote.

    Args:
        text: Holds the program's text, once there is a program.
    """

    def __init__(self, text: list[str]) -> None:
        self._text = text
        private_files.install(self.text)
        self._asked = 0
        self._threads = False
        vars(_thread).update(start_new_thread=self.start_thread, stack_size=self.stack_size)
        sys.meta_path.insert(0, Finder(self))

    def text(self) -> str:
        """Return the text of the program."""
        return self._text[0] if self._text else ""

    def start_thread(self, *arguments: Any, **named: Any) -> int:
        """Start a thread; the first one prepares for many."""
        if not self._threads:
            self._threads = True
            # Each arena reserves 64 MiB of address space.
            confine.share_one_arena()
            if not self._asked:
                _real_size(STACK_BYTES)
        return _real_start(*arguments, **named)

    def stack_size(self, size: int = 0, /) -> int:
        """Accept any size, and set at most a quarter of the process's memory."""
        before, self._asked = self._asked, size
        limit, _ = resource.getrlimit(resource.RLIMIT_AS)
        if limit != resource.RLIM_INFINITY:
            size = min(size, limit // LARGEST_SHARE & ~0xFFF)
        _real_size(max(size, LEAST_STACK_BYTES) if size else STACK_BYTES)
        return before


class Finder:
    """Finds two modules that need help: ``linecache`` and ``_multiprocessing``."""

    def __init__(self, idioms: Idioms) -> None:
        self._idioms = idioms

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        """Return the spec of a module, None for all others."""
        if name == "_multiprocessing":
            return importlib.machinery.ModuleSpec(name, _loader(_fill_semaphores))
        if name != "linecache":
            return None
        spec = importlib.machinery.PathFinder.find_spec(name)
        if spec is None or spec.loader is None:
            return None
        load: Callable[[ModuleType], None] = spec.loader.exec_module

        def fill(module: ModuleType) -> None:
            load(module)
            text = self._idioms.text()
            module.cache[FILENAME] = (len(text), None, text.splitlines(keepends=True), FILENAME)

        return importlib.machinery.ModuleSpec(name, _loader(fill), origin=spec.origin)


def _loader(fill: Callable[[ModuleType], None]) -> Any:
    return Loader(fill)


class Loader:
    """Loads a module by a function that fills it."""

    def __init__(self, fill: Callable[[ModuleType], None]) -> None:
        self._fill = fill

    def create_module(self, spec: Any) -> None:
        """Leave the making of the module to the interpreter."""
        return None

    def exec_module(self, module: ModuleType) -> None:
        """Fill the module."""
        self._fill(module)


def _fill_semaphores(module: ModuleType) -> None:
    from codegym.sandbox.inside.semaphores import SemLock

    vars(module).update(SemLock=SemLock, sem_unlink=lambda name: None)
