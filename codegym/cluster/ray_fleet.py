"""RayFleet: graders as Ray actors, one on each node of a cluster.

What crosses between driver and nodes are frames, bytes to Ray. Only what the driver itself has
pickled is unpickled on a node.
"""

import itertools
import logging
import os
import time
import warnings
from collections.abc import Callable, Sequence
from contextlib import suppress
from math import inf
from typing import Any

import ray as untyped_ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from codegym.cluster.cluster_address import GraderOptions
from codegym.cluster.job_frames import error_of
from codegym.cluster.node_grader import NodeGrader, same_facts
from codegym.cluster.ray_connection import release
from codegym.errors import SandboxUnavailableError
from codegym.grading.surroundings import machine
from codegym.sandbox.choice import AUTO, ZYGOTES_PER_CORE

# Its annotations are incomplete.
ray: Any = untyped_ray
# A node that did not start its grader for lack of room is tried again after this time.
AGAIN_S = 60.0
_numbers = itertools.count(1)
_log = logging.getLogger(__name__)


class RayGrader:
    """The driver's end of a grader actor.

    Args:
        node_id: Ray's id of its node.
        actor: The actor's handle.
        workers: Number of programs that run there at the same time.
    """

    def __init__(self, node_id: str, actor: Any, workers: int) -> None:
        self.name = f"{node_id[:12]}-{next(_numbers)}"
        self.node_id, self.workers = node_id, workers
        self._actor = actor

    def start(self, isolation: str, packages: tuple[str, ...]) -> Any:
        """Start the pool; return Ray's reference to its facts."""
        return self._actor.start.remote(isolation, self.workers, packages)

    def submit(self, frame: bytes, learnt: Sequence[tuple[int, bytes]]) -> None:
        """Send a frame of jobs; see ``Grader``."""
        self._actor.submit.options(concurrency_group="in").remote(frame, list(learnt))

    def collect(self, then: Callable[[bytes | Exception], None]) -> None:
        """Ask for a frame of results; see ``Grader``."""

        def arrived(future: Any) -> None:
            error = future.exception()
            then(error if error is not None else future.result())

        self._actor.collect.options(concurrency_group="out").remote().future().add_done_callback(
            arrived
        )

    def stop(self) -> None:
        """Kill the actor; the kernel kills its sandbox."""
        # Ray raises errors of many kinds where the cluster is gone.
        with suppress(Exception):
            ray.kill(self._actor)


class RayFleet:
    """Starts a grader on each node of the cluster that this process is connected to.

    Args:
        options: See ``GraderOptions``.
        packages: Import names of packages that are offered inside.
        workers: Programs that run at the same time on each node; 0 goes by its CPUs.

    Attributes:
        isolation: Isolation on the nodes; "" until ``start``.
        refusals: Node -> why it does not grade.
    """

    def __init__(
        self, options: GraderOptions, packages: tuple[str, ...], *, workers: int = 0
    ) -> None:
        self._options, self._packages, self._workers = options, packages, workers
        self._process = os.getpid()
        self._used: dict[str, str] = {}  # node -> grader
        self._closed = False
        self.isolation = ""
        self.refusals: dict[str, str] = {}
        self._again_at: dict[str, float] = {}  # node -> when it is tried again

    def start(self) -> list[RayGrader]:
        """Start the first graders.

        Raises:
            SandboxUnavailableError: No node can isolate programs; holds each node's reason.
        """
        wanted = self._options.isolation
        reasons: dict[str, str] = {}
        for isolation in AUTO if wanted == "auto" else (wanted,):
            self.isolation, self.refusals, self._again_at = isolation, {}, {}
            found = self.look()
            if found:
                for node, why in self.refusals.items():
                    warnings.warn(f"node {node[:12]} does not grade: {why}", stacklevel=5)
                if self._options.mixed:
                    # Verdicts on several kinds of machine are not filed with those of one kind.
                    self.isolation = f"{isolation} on several machines"
                    if isolation == "unsafe":
                        self.isolation = isolation
                return found
            reasons |= self.refusals
        raise SandboxUnavailableError(
            "no node of the Ray cluster can grade",
            value="; ".join(f"{node}: {why}" for node, why in reasons.items()) or "no nodes",
            expected="a node with CPUs that codegym doctor approves of",
            cure="codegym doctor on the nodes shows what is missing; docs/scaling.md",
        )

    def look(self) -> list[RayGrader]:
        """Start a grader on every node that has none; return the new graders."""
        started = []
        for node in ray.nodes():
            node_id, cpus = node["NodeID"], node.get("Resources", {}).get("CPU", 0)
            if not node["Alive"] or not cpus or node_id in self._used:
                continue
            if time.monotonic() < self._again_at.get(node_id, 0.0):
                continue
            if self._options.nodes and len(self._used) >= self._options.nodes:
                break
            usable = max(1, int(self._options.cpus or cpus))
            workers = self._workers or ZYGOTES_PER_CORE * usable
            grader = RayGrader(node_id, self._actor(node_id), workers)
            self._used[node_id] = grader.name
            isolation = self.isolation.partition(" ")[0]
            started.append((grader, grader.start(isolation, self._packages)))
        deadline = time.monotonic() + self._options.start_s
        return [grader for grader, ref in started if self._is_fit(grader, ref, deadline)]

    def _actor(self, node_id: str) -> Any:
        actor = ray.remote(concurrency_groups={"in": 1, "out": 1})(NodeGrader)
        return actor.options(
            num_cpus=self._options.cpus,
            scheduling_strategy=NodeAffinitySchedulingStrategy(node_id, soft=False),
            max_restarts=0,
        ).remote()

    def _is_fit(self, grader: RayGrader, ref: Any, deadline: float) -> bool:
        """Wait for a grader's start; kill and note one that is unfit."""
        try:
            facts = ray.get(ref, timeout=max(0.1, deadline - time.monotonic()))
            why, again = self._fault(facts), False
        except ray.exceptions.GetTimeoutError:
            why = f"no start in {self._options.start_s:g} s; are {self._options.cpus:g} CPUs free?"
            again = True
        except ray.exceptions.RayError as error:
            why, again = _reason(error), True
        if not why:
            return True
        grader.stop()
        self.lost(grader)
        self.refusals[grader.node_id] = why
        self._again_at[grader.node_id] = time.monotonic() + AGAIN_S if again else inf
        _log.warning("node %s does not grade: %s", grader.node_id[:12], why)
        return False

    def _fault(self, facts: dict[str, Any]) -> str:
        if "refused" in facts:
            return str(error_of(facts["refused"]))
        differing = [
            f"{theirs} instead of {ours}"
            for ours, theirs in zip(same_facts(), facts["same"], strict=True)
            if ours != theirs
        ]
        if differing:
            return f"other software than the driver's: {'; '.join(differing)[:400]}"
        if list(machine()) != facts["machine"] and not self._options.mixed:
            return (
                f"another kind of machine than the driver's ({facts['machine']} instead of "
                f"{list(machine())}); the option mixed=true accepts it"
            )
        return ""

    def lost(self, grader: Any) -> None:
        """Hear that a grader is gone; its node may get another."""
        if self._used.get(grader.node_id) == grader.name:
            del self._used[grader.node_id]

    def close(self) -> None:
        """Give up the hold on the connection."""
        if not self._closed and self._process == os.getpid():
            self._closed = True
            release()


def _reason(error: Exception) -> str:
    lines = [line for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[-1].strip() if lines else ''}"[:400]
