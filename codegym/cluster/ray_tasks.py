"""RayTasks: pieces of work as Ray tasks, with fractions of CPUs and GPUs."""

from collections.abc import Callable, Sequence
from typing import Any

import ray as untyped_ray

from codegym.cluster.cluster_address import TrialOptions
from codegym.cluster.ray_connection import release
from codegym.cluster.task_runner import LostPieceError

# Its annotations are incomplete.
ray: Any = untyped_ray


class RayTasks:
    """Runs pieces on the cluster that this process is connected to.

    Args:
        options: See ``TrialOptions``.
    """

    def __init__(self, options: TrialOptions) -> None:
        self._options = options

    def capacity(self) -> int:
        """Return how many pieces fit on the nodes that are alive."""
        resources = ray.cluster_resources()
        rooms = [
            int(resources.get(name, 0.0) / each + 1e-9)
            for name, each in (("CPU", self._options.cpus), ("GPU", self._options.gpus))
            if each > 0
        ]
        return max(1, min(rooms, default=len(ray.nodes())))

    def submit(self, work: Callable[[Any], Any], piece: Any) -> Any:
        """Begin a piece; Ray begins it again if its node is lost."""
        return (
            ray.remote(work)
            .options(
                num_cpus=self._options.cpus,
                num_gpus=self._options.gpus,
                max_retries=self._options.tries,
                # A worker that trained may hold threads and settings; the next piece gets another.
                max_calls=1,
            )
            .remote(piece)
        )

    def wait(self, references: Sequence[Any], timeout_s: float) -> Sequence[Any]:
        """Return the references of pieces that are over."""
        over: Sequence[Any] = ray.wait(
            list(references), num_returns=len(references), timeout=timeout_s
        )[0]
        return over

    def get(self, reference: Any) -> Any:
        """Return what a piece returned; see ``Backend``."""
        try:
            return ray.get(reference)
        except ray.exceptions.RayTaskError:
            raise
        except ray.exceptions.RayError as error:
            raise LostPieceError(type(error).__name__) from error

    def cancel(self, reference: Any) -> None:
        """Interrupt a piece as Ctrl-C would."""
        ray.cancel(reference)

    def close(self) -> None:
        """Give up the hold on the connection."""
        release()
