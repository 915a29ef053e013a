"""TaskRunner: pieces of work that are spread over the nodes of a cluster in the order of need.

A piece whose node is lost begins again elsewhere, so that it must go on from what it has saved.
"""

from collections.abc import Callable, Hashable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Protocol

from codegym.errors import ClusterError

# Pieces that were asked to stop get so long to save themselves.
STOP_S = 60.0
# Pieces that wait on the cluster beside those that it has room for.
SPARE = 1


class LostPieceError(Exception):
    """A piece was lost with its node more often than it is tried."""


class Backend(Protocol):
    """Runs pieces somewhere."""

    def capacity(self) -> int:
        """Return how many pieces fit on the nodes at present."""
        ...

    def submit(self, work: Callable[[Any], Any], piece: Any) -> Any:
        """Begin a piece; return a reference."""
        ...

    def wait(self, references: Sequence[Any], timeout_s: float) -> Sequence[Any]:
        """Return the references of pieces that are over."""
        ...

    def get(self, reference: Any) -> Any:
        """Return what a piece returned, or raise what it raised.

        Raises:
            LostPieceError: Its nodes were lost.
        """
        ...

    def cancel(self, reference: Any) -> None:
        """Ask a piece to save itself and end."""
        ...

    def close(self) -> None:
        """Give up the connection."""
        ...


class TaskRunner:
    """Runs pieces of work on a cluster.

    Args:
        backend: Where they run.
    """

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    def run(
        self,
        work: Callable[[Any], Any],
        pieces: Mapping[Hashable, Any],
        needs: Mapping[Hashable, Hashable],
        *,
        go_on: Callable[[], bool] = lambda: True,
        done: Callable[[Hashable, Any], None] = lambda key, found: None,
    ) -> dict[Hashable, Any]:
        """Run every piece, each after the piece that it needs.

        Args:
            work: A function of a module, which is called with a piece on a node.
            pieces: Key -> piece; begun in this order.
            needs: Key -> key of the piece that has to be finished before.
            go_on: Called before a piece is begun; False begins no more.
            done: Called here with the key and the result of each piece that is finished.

        Returns:
            Key -> result of the pieces that were finished.

        Raises:
            ClusterError: A piece lost its nodes too often.
        """
        waiting = dict(pieces)
        running: dict[Hashable, Any] = {}
        finished: dict[Hashable, Any] = {}
        try:
            while waiting or running:
                room = self._backend.capacity() + SPARE - len(running)
                fit = [key for key in waiting if needs.get(key) in (None, *finished)]
                for key in fit[: max(room, 0)]:
                    if not go_on():
                        waiting.clear()
                        break
                    running[key] = self._backend.submit(work, waiting.pop(key))
                if not running:
                    break
                over = self._backend.wait(list(running.values()), 1.0)
                for key in [key for key, reference in running.items() if reference in over]:
                    finished[key] = self._result(key, running.pop(key))
                    done(key, finished[key])
        finally:
            self._stop(list(running.values()))
        return finished

    def _result(self, key: Hashable, reference: Any) -> Any:
        try:
            return self._backend.get(reference)
        except LostPieceError as error:
            raise ClusterError(
                "a run lost its nodes too often",
                value=f"{key}: {error}",
                cure="the same command goes on with what was saved; see ray status",
            ) from error

    def _stop(self, references: Sequence[Any]) -> None:
        """Let pieces under way save themselves, after an error or a signal."""
        for reference in references:
            with suppress(Exception):
                self._backend.cancel(reference)
        left, waited = list(references), 0.0
        while left and waited < STOP_S:
            over = self._backend.wait(left, 1.0)
            left = [reference for reference in left if reference not in over]
            waited += 1.0

    def close(self) -> None:
        """Give up the connection to the cluster."""
        self._backend.close()
