"""``make_sandbox``: chooses an isolation by name and checks it by running a program."""

import os
import re
import sys
from collections.abc import Sequence

from codegym import registry
from codegym.errors import ConfigError, SandboxError, SandboxUnavailableError, UnknownNameError
from codegym.sandbox import wire
from codegym.sandbox.job import Job, Sandbox
from codegym.sandbox.pool import PoolSandbox

AUTO = ("namespace", "landlock")
ZYGOTES_PER_CORE = 2


def make_sandbox(
    isolation: str = "auto",
    *,
    workers: int | None = None,
    packages: Sequence[str] = (),
) -> Sandbox:
    """Make a sandbox and run one program in it.

    Args:
        isolation: ``namespace`` (bubblewrap and system-call filters), ``landlock`` (Landlock and
            system-call filters, weaker), ``unsafe`` (resource limits only, warns), or ``auto``:
            ``namespace`` if it works on this machine, else ``landlock``, never ``unsafe``. ``ray``
            runs programs on the nodes of a Ray cluster, each in one of these isolations:
            ``ray[://HOST:PORT][?key=value&...]``; see
            ``codegym.cluster.cluster_address.GraderOptions`` (extra ``ray``).
        workers: Number of programs that run at the same time, with ``ray`` on each node; by default
            two for each core that this process, or the node, may use.
        packages: Import names of installed packages to offer inside, such as ``("numpy",)``.

    Raises:
        UnknownNameError: There is no such isolation; names the nearest.
        ConfigError: ``workers`` is not positive, an option is unusable, or a package is not
            installed.
        MissingExtraError: ``ray`` needs Ray, which is not installed.
        SandboxUnavailableError: The isolation does not work on this machine; holds the cure.
    """
    if sys.platform != "linux":
        raise SandboxUnavailableError(
            "codegym isolates programs with features of Linux",
            value=sys.platform,
            expected="linux",
            cure="run codegym on Linux: a container or a virtual machine will do",
        )
    known = registry.names("sandboxes")
    name = re.split("[:?]", isolation, maxsplit=1)[0]
    if isolation != "auto" and name not in known:
        raise UnknownNameError("isolation", name, ["auto", *known])
    if isinstance(packages, str) or not isinstance(packages, Sequence):
        raise ConfigError(
            "packages is not a sequence", value=packages, expected="names, such as ('numpy',)"
        )
    if not all(isinstance(name, str) for name in packages):
        raise ConfigError("a package name is not text", value=packages, expected="names")
    if workers is not None and (isinstance(workers, bool) or workers < 1):
        raise ConfigError("unusable number of workers", value=workers, expected="1 or more")
    if isolation != "auto":
        return _made(isolation, workers, tuple(packages))
    refusals = []
    for name in AUTO:
        try:
            return _made(name, workers, tuple(packages))
        except SandboxUnavailableError as error:
            refusals.append(f"{name}: {error}")
    raise SandboxUnavailableError(
        "no isolation works on this machine (" + "; ".join(refusals) + ")",
        cure="codegym doctor shows the cure; isolation='unsafe' runs programs unprotected",
    )


def default_workers() -> int:
    """Return the number of workers that suits the cores this process may use."""
    return ZYGOTES_PER_CORE * len(os.sched_getaffinity(0))


def _made(isolation: str, workers: int | None, packages: tuple[str, ...]) -> Sandbox:
    name = re.split("[:?]", isolation, maxsplit=1)[0]
    plugin = registry.get("sandboxes", name)
    sandbox: Sandbox
    if hasattr(plugin, "from_spec"):
        sandbox = plugin.from_spec(isolation, workers=workers, packages=packages)
    elif name != isolation:
        raise ConfigError(f"isolation {name!r} takes no options", value=isolation, expected=name)
    else:
        launcher = plugin(packages=packages)
        workers = workers or default_workers()
        sandbox = PoolSandbox(launcher, workers=workers, packages=packages)
    payload = wire.dumps({"function": "f", "calls": [[[20, 22], {}]]})
    probe = Job(program="def f(a, b):\n    return a + b\n", mode="call", payload=payload)
    try:
        (result,) = sandbox.run([probe])
        if result.replies != (wire.dumps({"r": 42}),):
            raise SandboxError("a new sandbox does not add", value=result)
    except BaseException:
        sandbox.close()
        raise
    return sandbox
