"""check_sandbox: checks that sandboxes of a kind keep their guarantees."""

import os
import sys
import time
import warnings
from typing import Any

from codegym.errors import ConformanceError, SandboxError
from codegym.sandbox import wire
from codegym.sandbox.job import ExecutionResult, Job, Sandbox
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


def check_sandbox(plugin: Any) -> None:
    """Start a sandbox of a kind and check its guarantees.

    Programs run under the caller's Python. Every limit ends a run and is named in the result. A
    crash is reported in the result. A program cannot affect the next program, and unless the
    isolation is called ``unsafe`` it cannot reach the host. Tickets belong to their channel, and
    a closed sandbox refuses jobs.

    Args:
        plugin: What the registry holds under a name: a launcher, which is called with
            ``packages``, or a class with ``from_spec``, which makes whole sandboxes.

    Raises:
        ConformanceError: The sandbox breaks a guarantee; the message names it.
        SandboxUnavailableError: The isolation does not work on this machine.
        MissingExtraError: The kind needs a package that is not installed.
    """
    os.environ["CODEGYM_CHECK"] = "visible"
    try:
        sandbox = _made(plugin)
        with sandbox:
            _check_answers(sandbox)
            _check_limits(sandbox)
            _check_crashes(sandbox)
            _check_channels(sandbox)
            if sandbox.isolation != "unsafe":
                _check_escapes(sandbox)
        _check_closed(sandbox)
    finally:
        del os.environ["CODEGYM_CHECK"]


def _made(plugin: Any) -> Sandbox:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        if hasattr(plugin, "from_spec"):
            sandbox: Sandbox = plugin.from_spec("ray", workers=1)
            return sandbox
        return PoolSandbox(plugin(packages=()), workers=1)


def _job(program: str, limits: Limits | None = None) -> Job:
    payload = wire.dumps({"function": "f", "calls": [[[1], {}]]})
    return Job(program=program, mode="call", payload=payload, limits=limits or Limits(wall_s=20.0))


def _run(sandbox: Sandbox, program: str, limits: Limits | None = None) -> ExecutionResult:
    return sandbox.run([_job(program, limits)])[0]


def _value(result: ExecutionResult) -> Any:
    replies = [wire.loads(reply) for reply in result.replies]
    return replies[0].get("r") if replies else None


def _check_answers(sandbox: Sandbox) -> None:
    if _value(_run(sandbox, _HONEST)) != 2:
        raise ConformanceError("a right program gives no right answer")
    version = _value(_run(sandbox, "import sys\ndef f(x):\n    return sys.version\n"))
    if version != sys.version:
        raise ConformanceError("another interpreter inside", value=version, expected=sys.version)
    _run(sandbox, _POISON)
    if _value(_run(sandbox, "def f(x):\n    return len([x]) + 1\n")) != 2:
        raise ConformanceError("a program affects the next program")


def _check_limits(sandbox: Sandbox) -> None:
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


def _check_crashes(sandbox: Sandbox) -> None:
    result = _run(sandbox, "import os\nos._exit(7)\n")
    if result.replies or os.waitstatus_to_exitcode(result.exit_status) != 7:
        raise ConformanceError("a program's exit status is not reported", value=result)
    if _value(_run(sandbox, _HONEST)) != 2:
        raise ConformanceError("a crash leaves the sandbox unfit")


def _check_channels(sandbox: Sandbox) -> None:
    first, second = sandbox.channel(), sandbox.channel()
    tickets = [channel.submit(_job(_HONEST)) for channel in (first, second)]
    for channel, ticket in zip((first, second), tickets, strict=True):
        (found,) = channel.collect()
        if found[0] != ticket or _value(found[1]) != 2:
            raise ConformanceError("a channel gets another channel's result", value=found)
    first.submit(_job(_HONEST))
    first.close()
    if first.collect(0.0) or _value(_run(sandbox, _HONEST)) != 2:
        raise ConformanceError("a closed channel gets results, or closes its sandbox")


def _check_closed(sandbox: Sandbox) -> None:
    sandbox.close()
    try:
        sandbox.submit(_job(_HONEST))
    except SandboxError:
        return
    raise ConformanceError("a closed sandbox takes a job")


def _check_escapes(sandbox: Sandbox) -> None:
    for action, attempt in _ESCAPES.items():
        if _value(_run(sandbox, _ESCAPE.format(attempt=attempt))) is True:
            raise ConformanceError(f"a program can {action}")
