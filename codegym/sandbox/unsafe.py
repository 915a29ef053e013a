"""Isolation ``unsafe``: resource limits only; used only by name, and with a warning.

A program can read and write this user's files, reach the network and signal this user's processes.
The mode is for programs that a user would run by hand, on machines that support no isolation.
"""

import warnings

from codegym.sandbox import runtime
from codegym.sandbox.launcher import Process, socket_pair


class UnsafeLauncher:
    """Starts zygotes that are not confined.

    Args:
        packages: Import names of installed packages that are offered inside.
    """

    isolation = "unsafe"

    def __init__(self, packages: tuple[str, ...] = ()) -> None:
        warnings.warn(
            "isolation='unsafe' runs programs with this user's rights to files, network and "
            "processes; codegym doctor shows which isolations work here",
            RuntimeWarning,
            stacklevel=4,
        )
        self._offered = runtime.packages(packages)

    def start(self, role: str, *, reseeded: bool = False) -> Process:
        """Start a zygote with resource limits only."""
        line, theirs = socket_pair(role)
        settings = runtime.settings(
            role,
            self.isolation,
            ctl_fd=theirs.fileno(),
            offered=self._offered,
            reseeded=reseeded,
        )
        command = [*runtime.interpreter_arguments(str(runtime.START_SCRIPT)), settings]
        return Process(command, line, theirs, reseeded=reseeded)
