"""Surroundings: everything outside program and task on which a verdict depends.

They are the grader's source, the interpreter, the machine, the isolation, and the packages that are
offered inside the sandbox.
"""

import hashlib
import os
import platform
import sys
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from codegym.sandbox import runtime

_CODEGYM = Path(__file__).resolve().parent.parent
CPU_FACTS = Path("/proc/cpuinfo")
# Rooms whose source decides how a program is run and judged.
ROOMS = ("sandbox", "grading")


def surroundings(isolation: str, packages: tuple[str, ...]) -> tuple[str, ...]:
    """Return the parts of a verdict's key that the program and its task do not hold.

    Args:
        isolation: Name of the isolation.
        packages: Import names of the packages that are offered inside.
    """
    return (
        grader(),
        *interpreter(),
        *machine(),
        isolation,
        *user(isolation),
        *(package(name) for name in sorted(packages)),
    )


@lru_cache(maxsize=1)
def grader() -> str:
    """Return a digest of the grader's source: another grader may judge differently."""
    digest = hashlib.sha256()
    for room in ROOMS:
        for file in sorted((_CODEGYM / room).rglob("*.py")):
            digest.update(f"{file.relative_to(_CODEGYM)}\0".encode())
            digest.update(file.read_bytes())
    return f"grader {digest.hexdigest()}"


def interpreter() -> tuple[str, ...]:
    """Return the interpreter, which runs programs too, and its settings."""
    digits = sys.get_int_max_str_digits()
    return (
        f"python {sys.implementation.cache_tag} {sys.version}",
        f"digits {digits}",
        f"environment {sorted(runtime.environment().items())}",
    )


def machine() -> tuple[str, ...]:
    """Return the kind of machine: its kernel, C library and processor, which round floats."""
    return (
        f"system {sys.platform} {platform.release()} {platform.machine()} {sys.byteorder}",
        f"libc {' '.join(platform.libc_ver())}",
        f"processor {processor()}",
    )


@lru_cache(maxsize=1)
def processor() -> str:
    """Return a digest of the processor's abilities, by which libraries choose their code."""
    try:
        lines = CPU_FACTS.read_text().splitlines()
    except OSError:
        return platform.processor()
    abilities = (line for line in lines if line.lower().startswith(("flags", "features")))
    return hashlib.sha256(next(abilities, "").encode()).hexdigest()


def user(isolation: str) -> tuple[str, ...]:
    """Return the user and the host's name, which programs see without namespaces."""
    if isolation == "namespace":
        return ()
    return (f"user {os.geteuid()} {os.getegid()}", f"host {platform.node()}")


@lru_cache(maxsize=256)
def package(name: str) -> str:
    """Return the name, version and files of a package.

    A package may change without its version: the sizes and times of its files tell.
    """
    try:
        number = version(name)
    except PackageNotFoundError:
        number = "no distribution"
    digest = hashlib.sha256()
    (found,) = runtime.packages((name,))
    for top in found.paths:
        files = [top] if os.path.isfile(top) else sorted(map(str, Path(top).rglob("*")))
        for file in files:
            if not file.endswith(".pyc") and os.path.isfile(file):
                facts = os.stat(file)
                digest.update(f"{file}\0{facts.st_size}\0{facts.st_mtime_ns}\0".encode())
    return f"package {name} {number} {digest.hexdigest()}"
