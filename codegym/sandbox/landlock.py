"""Isolation ``landlock``: for machines that refuse user namespaces.

Landlock closes the file system; two system-call filters close the network, processes and signals.
The mode is weaker than ``namespace``: the host's process ids and name stay visible, and the names
(not the contents) of files in the standard library's folders can be listed.
"""

import os
import sys

from codegym.errors import SandboxUnavailableError
from codegym.sandbox import runtime, seccomp
from codegym.sandbox.launcher import Process, socket_pair


class LandlockLauncher:
    """Starts zygotes that confine themselves.

    Args:
        packages: Import names of installed packages that are offered inside.

    Raises:
        SandboxUnavailableError: There is no filter for this processor.
    """

    isolation = "landlock"

    def __init__(self, packages: tuple[str, ...] = ()) -> None:
        if sys.platform != "linux":
            raise SandboxUnavailableError("Landlock exists on Linux only", value=sys.platform)
        arch = seccomp.architecture()
        self._base_filter = seccomp.base_filter(arch)
        self._child_filters = seccomp.child_filters(arch, signals=False)
        self._offered = runtime.packages(packages)
        self._readable, self._listable = readable_paths(runtime.runtime(), self._offered)

    def start(self, role: str, *, reseeded: bool = False) -> Process:
        """Start a zygote that may read the interpreter's files and nothing else."""
        line, theirs = socket_pair(role)
        settings = runtime.settings(
            role,
            self.isolation,
            ctl_fd=theirs.fileno(),
            child_filter=self._child_filters[reseeded],
            reseeded=reseeded,
            base_filter=self._base_filter,
            readable=self._readable,
            listable=self._listable,
            offered=self._offered,
        )
        command = [*runtime.interpreter_arguments(str(runtime.START_SCRIPT)), settings]
        return Process(command, line, theirs, reseeded=reseeded)


def readable_paths(
    python: runtime.Runtime, offered: tuple[runtime.Package, ...]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return (files and folders to read, folders to list), without installed packages.

    A Landlock rule covers everything below a folder. A folder with hidden entries therefore gets
    a rule for each of its other entries, and the names of all entries stay visible.
    """
    readable: list[str] = [str(file) for file in runtime.INSIDE_FILES]
    listable: list[str] = []
    for folder in python.folders:
        hidden = {path for path in python.hidden if path.startswith(folder + "/")}
        _allow(folder, hidden, readable, listable)
    for package in offered:
        readable += package.paths
    return tuple(readable), tuple(listable)


def _allow(folder: str, hidden: set[str], readable: list[str], listable: list[str]) -> None:
    if not hidden:
        readable.append(folder)
        return
    listable.append(folder)
    for name in sorted(os.listdir(folder)):
        path = os.path.join(folder, name)
        if path not in hidden:
            _allow(
                path,
                {below for below in hidden if below.startswith(path + "/")},
                readable,
                listable,
            )
