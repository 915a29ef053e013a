"""check_sandbox: checks that a launcher's sandboxes keep their guarantees."""

import os
import sys
import time
import warnings
from collections.abc import Callable
from typing import Any

from codegym.errors import ConformanceError
from codegym.sandbox import wire
from codegym.sandbox.job import ExecutionResult, Job
from codegym.sandbox.launcher import Launcher
from codegym.sandbox.limits import Limits
from codegym.sandbox.pool import PoolSandbox

# Allowed overrun of a limit, for busy machines.
OVERSHOOT_S = 5.0
_HONEST = "def f(x):\n    return x + 1\n"
# Attempts to escape; each raises an exception if the sandbox refuses it.
_ESCAPES = {
    "read the host's files": "open('/etc/passwd').read()",
    "write a file": "open('/tmp/codegym-check', 'w').close()",
    "list the host's processes": "os.listdir('/proc/1/fd')",
    "open a network socket": "socket.socket()",
    "start a process": "os.fork() or os._exit(0)",
    "execute a program": "os.execv('/bin/sh', ['sh', '-c', 'exit'])",
    "see the caller's environment": "os.environ['CODEGYM_CHECK']",
    "raise its own limits": "resource.setrlimit(resource.RLIMIT_AS, (1 << 44, 1 << 44))",
}
_ESCAPE = """
import os, resource, socket
def f(x):
    try:
        {attempt}
    except (OSError, ValueError, KeyError):
        return False
    return True
"""
_POISON = (
    "import builtins, sys\nbuiltins.len = None\nsys.modules.clear()\ndef f(x):\n    return 0\n"
)


def check_sandbox(launcher_class: Callable[..., Launcher]) -> None:
    """Start a pool on a launcher and check its guarantees.

    Programs run under the caller's Python. Every limit ends a run and is named in the result. A
    crash is reported in the result. A program cannot affect the next program, and unless the
    isolation is called ``unsafe`` it cannot reach the host.

    Args:
        launcher_class: The launcher to check; called like a launcher of the registry.

    Raises:
        ConformanceError: The sandbox breaks a guarantee; the message names it.
        SandboxUnavailableError: The isolation does not work on this machine.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        launcher = launcher_class(packages=())
    os.environ["CODEGYM_CHECK"] = "visible"
    try:
        with PoolSandbox(launcher, workers=1) as sandbox:
            _check_answers(sandbox)
            _check_limits(sandbox)
            _check_crashes(sandbox)
            if launcher.isolation != "unsafe":
                _check_escapes(sandbox)
    finally:
        del os.environ["CODEGYM_CHECK"]


def _run(sandbox: PoolSandbox, program: str, limits: Limits | None = None) -> ExecutionResult:
    payload = wire.dumps({"function": "f", "calls": [[[1], {}]]})
    job = Job(program=program, mode="call", payload=payload, limits=limits or Limits(wall_s=20.0))
    return sandbox.run([job])[0]


def _value(result: ExecutionResult) -> Any:
    replies = [wire.loads(reply) for reply in result.replies]
    return replies[0].get("r") if replies else None


def _check_answers(sandbox: PoolSandbox) -> None:
    if _value(_run(sandbox, _HONEST)) != 2:
        raise ConformanceError("a right program gives no right answer")
    version = _value(_run(sandbox, "import sys\ndef f(x):\n    return sys.version\n"))
    if version != sys.version:
        raise ConformanceError("another interpreter inside", value=version, expected=sys.version)
    _run(sandbox, _POISON)
    if _value(_run(sandbox, "def f(x):\n    return len([x]) + 1\n")) != 2:
        raise ConformanceError("a program affects the next program")


def _check_limits(sandbox: PoolSandbox) -> None:
    spin = "def f(x):\n    while x:\n        pass\n"
    for program, limits, expected in (
        (spin, Limits(wall_s=20.0, cpu_s=0.2), "cpu"),
        ("import time\ndef f(x):\n    time.sleep(60)\n", Limits(wall_s=0.3), "wall"),
        ("def f(x):\n    return 'x' * 10_000_000\n", Limits(wall_s=20.0), "output"),
    ):
        started = time.monotonic()
        result = _run(sandbox, program, limits)
        if result.limit != expected:
            raise ConformanceError("a limit is not held", value=result.limit, expected=expected)
        bound = (limits.cpu_s if expected == "cpu" else limits.wall_s) + OVERSHOOT_S
        if expected == "wall" and time.monotonic() - started > bound:
            raise ConformanceError("a limit comes late", value=result.wall_s, expected=f"< {bound}")
        if _value(_run(sandbox, _HONEST)) != 2:
            raise ConformanceError(f"the {expected} limit leaves the sandbox unfit")
    memory = _run(sandbox, "def f(x):\n    return len(bytearray(10**10))\n")
    if _value(memory) is not None:
        raise ConformanceError("the memory limit is not held")


def _check_crashes(sandbox: PoolSandbox) -> None:
    result = _run(sandbox, "import os\nos._exit(7)\n")
    if result.replies or os.waitstatus_to_exitcode(result.exit_status) != 7:
        raise ConformanceError("a program's exit status is not reported", value=result)
    if _value(_run(sandbox, _HONEST)) != 2:
        raise ConformanceError("a crash leaves the sandbox unfit")


def _check_escapes(sandbox: PoolSandbox) -> None:
    for action, attempt in _ESCAPES.items():
        if _value(_run(sandbox, _ESCAPE.format(attempt=attempt))) is True:
            raise ConformanceError(f"a program can {action}")
