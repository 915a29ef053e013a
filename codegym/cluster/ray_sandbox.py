"""The sandbox ``ray``: programs run on the nodes of a Ray cluster."""

from collections.abc import Sequence

from codegym.cluster.cluster_address import GraderOptions, read_options
from codegym.cluster.fleet_sandbox import FleetSandbox
from codegym.cluster.ray_connection import hold, release
from codegym.errors import ClusterError, SandboxUnavailableError


class RaySandbox(FleetSandbox):
    """A Sandbox on a Ray cluster: a grader actor on each node, with a pool of its own."""

    @classmethod
    def from_spec(
        cls, spec: str, *, workers: int | None = None, packages: Sequence[str] = ()
    ) -> "RaySandbox":
        """Connect to a cluster and start its graders.

        Args:
            spec: ``ray[://HOST:PORT][?key=value&...]``; see ``GraderOptions``. ``ray://HOST:PORT``
                is a Ray Client server, ``ray?address=HOST:PORT`` the head of a cluster that this
                machine belongs to.
            workers: Programs that run at the same time on each node; wins over the option.
            packages: Import names of packages to offer inside; they have to be installed on every
                node.

        Raises:
            UnknownNameError: No such option; names the nearest.
            ConfigError: An option cannot be used.
            MissingExtraError: Ray is not installed.
            SandboxUnavailableError: No cluster answers, or no node can isolate programs.
        """
        options = read_options(spec, GraderOptions, "the sandbox ray")
        try:
            hold(options.address)
        except ClusterError as error:
            raise SandboxUnavailableError(
                error.message, value=error.value, expected=error.expected, cure=error.cure
            ) from error
        try:
            from codegym.cluster.ray_fleet import RayFleet

            fleet = RayFleet(options, tuple(packages), workers=workers or options.workers)
            graders = fleet.start()
        except BaseException:
            release()
            raise
        return cls(fleet, graders, packages=tuple(packages), patience_s=options.patience_s)
