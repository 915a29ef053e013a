"""RayTroupe: policy actors on the nodes of a Ray cluster; weights are in its object store."""

import itertools
import logging
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import numpy as np
import ray as untyped_ray
from numpy.typing import NDArray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from codegym.cluster.cluster_address import WriterOptions
from codegym.cluster.policy_actor import PolicyActor, policy_files, take_weights
from codegym.cluster.ray_connection import release
from codegym.cluster.remote_authors import LostActorError, PolicyCopies
from codegym.errors import ClusterError, CodegymError
from codegym.policy import Generation, Policy
from codegym.rollout.authors import WriteCall

# Its annotations are incomplete.
ray: Any = untyped_ray
_log = logging.getLogger(__name__)
_numbers = itertools.count(1)


class RayPolicyActor:
    """The driver's end of a policy actor.

    Args:
        node_id: Ray's id of its node.
        handle: The actor's handle.
    """

    def __init__(self, node_id: str, handle: Any) -> None:
        self.name = f"{node_id[:12]}-{next(_numbers)}"
        self.node_id, self.handle = node_id, handle

    def write(self, version: int, weights: Any, call: WriteCall, state: NDArray[np.uint8]) -> Any:
        """Begin a call; see ``RemoteActor``."""
        return self.handle.write.remote(version, weights, call, state)


class RayTroupe:
    """Policy actors of the cluster that this process is connected to.

    Args:
        options: See ``WriterOptions``.
        threads: Number of torch's threads in each.
        copies: How a policy is copied to a node.
    """

    def __init__(self, options: WriterOptions, threads: int, copies: PolicyCopies) -> None:
        self._options, self._threads, self._copies = options, threads, copies
        self._actors: dict[str, RayPolicyActor] = {}
        self._closed = False

    def start(self, policy: Policy) -> Sequence[RayPolicyActor]:
        """Start the actors that lack; return those that started.

        Raises:
            ClusterError: A node would compute other numbers than the driver.
        """
        places = self._places()
        if not places:
            return []
        copies = self._copies
        files = ray.put(policy_files(policy, copies.save))
        begun = []
        for node_id in places:
            handle = (
                ray.remote(PolicyActor)
                .options(
                    num_cpus=self._options.cpus,
                    num_gpus=self._options.gpus,
                    scheduling_strategy=NodeAffinitySchedulingStrategy(node_id, soft=False),
                    max_restarts=0,
                )
                .remote()
            )
            actor = RayPolicyActor(node_id, handle)
            begun.append(
                (actor, handle.start.remote(files, self._threads, copies.load, copies.facts))
            )
        end = time.monotonic() + self._options.start_s
        return [actor for actor, facts in begun if self._started(actor, facts, end)]

    def _places(self) -> list[str]:
        """Return the node of each actor that lacks, those with the fewest actors first."""
        alive = [
            node["NodeID"]
            for node in ray.nodes()
            if node["Alive"] and node.get("Resources", {}).get("CPU")
        ]
        held = [actor.node_id for actor in self._actors.values()]
        wanted = (self._options.actors or len(alive)) - len(held)
        places: list[str] = []
        for _ in range(wanted if alive else 0):
            places.append(min(alive, key=lambda node: held.count(node) + places.count(node)))
        return places

    def _started(self, actor: RayPolicyActor, facts: Any, end: float) -> bool:
        try:
            theirs = ray.get(facts, timeout=max(0.1, end - time.monotonic()))
        except ray.exceptions.RayError as error:
            _log.warning("no policy actor on node %s: %s", actor.node_id[:12], error)
            _kill(actor)
            return False
        serious = self._copies.differing(self._copies.facts(), theirs)
        if serious:
            _kill(actor)
            raise ClusterError(
                "a node would write other programs than the driver",
                value={name: f"{own} -> {other}" for name, (own, other) in serious.items()},
                expected="the same releases, kind of processor and environment on every node",
                cure="use one image and one kind of machine; docs/scaling.md",
            )
        self._actors[actor.name] = actor
        return True

    def put(self, policy: Policy) -> Any:
        """Put the weights into the object store."""
        return ray.put(take_weights(policy))

    def is_ready(self, reference: Any) -> bool:
        """Say whether a call is over."""
        return bool(ray.wait([reference], timeout=0, fetch_local=False)[0])

    def get(self, reference: Any) -> Generation | CodegymError:
        """Return the programs of a call; see ``Troupe``."""
        try:
            found: Generation | CodegymError = ray.get(reference)
        except ray.exceptions.RayTaskError:
            raise  # a fault of the code, which would repeat itself
        except ray.exceptions.RayError as error:
            raise LostActorError(f"{type(error).__name__}") from error
        return found

    def lose(self, actor: Any) -> None:
        """Give up an actor."""
        self._actors.pop(actor.name, None)
        _kill(actor)

    def close(self) -> None:
        """End all actors, and give up the hold on the connection."""
        if self._closed:
            return
        self._closed = True
        for actor in self._actors.values():
            _kill(actor)
        self._actors.clear()
        release()


def _kill(actor: RayPolicyActor) -> None:
    # Ray raises errors of many kinds where the cluster is gone.
    with suppress(Exception):
        ray.kill(actor.handle)
