"""RemoteAuthors: policy actors on several machines write the programs of a rollout.

Every call carries the state of its generator and names the version of its weights. Which actor
writes it, and how often it is begun again after an actor is lost, changes no bit of it.
"""

import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from codegym.errors import ClusterError, CodegymError
from codegym.policy import Generation, Policy
from codegym.rollout.authors import WriteCall, skip_call

if TYPE_CHECKING:
    import torch

LOOK_AGAIN_S = 1.0
_log = logging.getLogger(__name__)


class RemoteActor(Protocol):
    """The driver's end of a policy actor.

    Attributes:
        name: Name of the actor; a later one of the same node has another.
    """

    name: str

    def write(self, version: int, weights: Any, call: WriteCall, state: NDArray[np.uint8]) -> Any:
        """Begin a call; return a reference to its programs."""
        ...


class Troupe(Protocol):
    """The policy actors of a run."""

    def start(self, policy: Policy) -> Sequence[RemoteActor]:
        """Start an actor with a policy on every node; where some run, only those that lack."""
        ...

    def put(self, policy: Policy) -> Any:
        """Put a policy's weights where all actors can read them; return a reference."""
        ...

    def is_ready(self, reference: Any) -> bool:
        """Say whether the programs of a call are there, or will never be."""
        ...

    def get(self, reference: Any) -> Generation | CodegymError:
        """Return the programs of a call, or the error that the call raised.

        Raises:
            LostActorError: The actor is gone.
        """
        ...

    def lose(self, actor: RemoteActor) -> None:
        """Give up an actor."""
        ...

    def close(self) -> None:
        """End all actors."""
        ...


class LostActorError(Exception):
    """A policy actor is gone, with the calls that it had."""


@dataclass(slots=True)
class _Begun:
    """A call under way.

    Attributes:
        call, state, version, weights: What the actor was given.
        actor: Who writes it.
        reference: Where its programs will be.
    """

    call: WriteCall
    state: NDArray[np.uint8]
    version: int
    weights: Any
    actor: RemoteActor
    reference: Any


class RemoteAuthors:
    """Spreads calls over the actors of a troupe.

    Args:
        troupe: The actors.
        patience_s: How long calls wait for an actor where none is left.
        clock: Elapsed seconds; for tests.

    Attributes:
        losses: Number of actors that were lost.
    """

    def __init__(
        self,
        troupe: Troupe,
        *,
        patience_s: float = 20.0,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._troupe, self._patience_s = troupe, patience_s
        self._clock, self._sleep = clock, sleep
        self._actors: dict[str, RemoteActor] = {}
        self._busy: dict[str, int] = {}
        self._pinned: tuple[Policy, int, Any] | None = None
        self.losses = 0

    def pin(self, policy: Policy) -> "RemoteAuthor":
        """Return an author with a policy's present weights, which are put once a version."""
        if not self._actors:
            self._find_actors(policy)
        elif self.losses:
            # Where nodes came back, lost actors are replaced.
            self._join(self._troupe.start(policy))
        held = self._pinned
        if held is None or held[0] is not policy or held[1] != policy.version:
            self._pinned = held = policy, policy.version, self._troupe.put(policy)
        return RemoteAuthor(self, policy, held[1], held[2])

    def begin(
        self,
        policy: Policy,
        call: WriteCall,
        state: NDArray[np.uint8],
        version: int,
        weights: Any,
    ) -> _Begun:
        """Begin a call on the actor with the fewest.

        Raises:
            ClusterError: No actor is left.
        """
        while True:
            if not self._actors:
                self._find_actors(policy)
            name = min(self._actors, key=lambda each: self._busy[each])
            actor = self._actors[name]
            try:
                reference = actor.write(version, weights, call, state)
            except LostActorError as error:
                self._lose(actor, error)
                continue
            self._busy[name] += 1
            return _Begun(call, state, version, weights, actor, reference)

    def is_ready(self, begun: _Begun) -> bool:
        """Say whether a call's programs are there."""
        return self._troupe.is_ready(begun.reference)

    def finish(self, policy: Policy, begun: _Begun) -> Generation:
        """Return a call's programs; begin it again elsewhere as often as its actor is lost.

        Raises:
            ClusterError: No actor is left.
            CodegymError: What the call raised on its node.
        """
        while True:
            try:
                found = self._troupe.get(begun.reference)
            except LostActorError as error:
                self._lose(begun.actor, error)
                begun = self.begin(policy, begun.call, begun.state, begun.version, begun.weights)
                continue
            if begun.actor.name in self._busy:
                self._busy[begun.actor.name] -= 1
            if isinstance(found, CodegymError):
                raise found
            return found

    def _lose(self, actor: RemoteActor, why: Exception) -> None:
        if actor.name in self._actors:
            _log.warning("policy actor %s is lost (%s): its calls begin again", actor.name, why)
            self.losses += 1
            del self._actors[actor.name], self._busy[actor.name]
            self._troupe.lose(actor)

    def _join(self, actors: Sequence[RemoteActor]) -> None:
        for actor in actors:
            self._actors[actor.name] = actor
            self._busy[actor.name] = 0

    def _find_actors(self, policy: Policy) -> None:
        """Start actors, and wait for nodes if there is none.

        Raises:
            ClusterError: There is none for too long.
        """
        end = self._clock() + self._patience_s
        while True:
            self._join(self._troupe.start(policy))
            if self._actors:
                return
            if self._clock() >= end:
                raise ClusterError(
                    "no node of the cluster is left to write programs",
                    value=f"{self.losses} actors lost, {self._patience_s:g} s without one",
                    cure="the run is saved: codegym train --resume goes on with it",
                )
            self._sleep(LOOK_AGAIN_S)

    def close(self) -> None:
        """End all actors."""
        self._actors.clear()
        self._busy.clear()
        self._troupe.close()


class RemoteAuthor:
    """Writes with one version of a policy's weights.

    Args:
        authors: Who spreads the calls.
        policy: The policy; only its kind matters here.
        version: Version of the weights.
        weights: Reference to them.
    """

    def __init__(self, authors: RemoteAuthors, policy: Policy, version: int, weights: Any) -> None:
        self._authors, self._policy = authors, policy
        self._version, self._weights = version, weights

    def write(self, calls: Sequence[WriteCall], rng: "torch.Generator | None") -> "RemoteWritings":
        """Begin all calls at once; move the generator past them."""
        if rng is None:
            raise ClusterError(
                "programs that are written on several machines need a generator",
                cure="give rng",
            )
        begun = []
        for call in calls:
            state = np.array(rng.get_state().numpy())
            skip_call(self._policy, call, rng)
            begun.append(
                self._authors.begin(self._policy, call, state, self._version, self._weights)
            )
        return RemoteWritings(self._authors, self._policy, begun)


class RemoteWritings:
    """Programs that are being written elsewhere, in the order of their calls."""

    later = True

    def __init__(self, authors: RemoteAuthors, policy: Policy, begun: list[_Begun]) -> None:
        self._authors, self._policy, self._begun = authors, policy, begun

    def ready(self, count: int) -> bool:
        """Say whether the programs of the next so many calls are there."""
        following = self._begun[:count]
        return len(following) == count and all(map(self._authors.is_ready, following))

    def __iter__(self) -> Iterator[Generation]:
        return self

    def __next__(self) -> Generation:
        if not self._begun:
            raise StopIteration
        return self._authors.finish(self._policy, self._begun.pop(0))


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyCopies:
    """How a policy is copied to a node; each a function of a module.

    Attributes:
        save: Writes a policy into a folder.
        load: Reads what ``save`` wrote.
        facts: Returns what the numbers of a process depend on.
        differing: Returns what differs between the facts of two processes and can change a number:
            name -> (first, second).
    """

    save: Callable[[Policy, Path], None]
    load: Callable[[Path], Policy]
    facts: Callable[[], Mapping[str, Any]]
    differing: Callable[[Mapping[str, Any], Mapping[str, Any]], Mapping[str, tuple[Any, Any]]]
