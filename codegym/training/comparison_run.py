"""Trial: one training run of a comparison, trained once, continued or read.

Comparisons train many runs from shared starts. A run that is complete is read, one that was stopped
is continued, and one that another process is at work on is waited for; so the seeds of a comparison
may be spread over processes, and a comparison that is repeated only reads.
"""

import fcntl
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from codegym.training.config import TrainConfig


@dataclass(frozen=True, slots=True)
class Trial:
    """One run: its label, its seed, and the lines of its ``curve.jsonl``."""

    label: str
    seed: int
    curve: Sequence[Mapping[str, Any]]

    def end(self, axis: str) -> float:
        """Return the run's length in ``train_s`` or ``programs``."""
        return float(self.curve[-1][axis])

    def passed(self, kind: str, axis: str, at: float) -> NDArray[np.float64]:
        """Return how far each task passes at a point of an axis, (tasks,)."""
        points = np.array([row[axis] for row in self.curve], dtype=np.float64)
        values = np.array([passed(row[kind]) for row in self.curve])
        after = int(np.clip(np.searchsorted(points, at), 1, len(points) - 1))
        left, right = points[after - 1], points[after]
        share = float(np.clip((at - left) / (right - left), 0.0, 1.0)) if right > left else 1.0
        mixed: NDArray[np.float64] = (1 - share) * values[after - 1] + share * values[after]
        return mixed


def passed(report: Mapping[str, Any]) -> NDArray[np.float64]:
    """Return the share of each task's programs that passed, (tasks,), of a report as JSON."""
    return np.array([one["passed"] / report["n"] for one in report["rows"]], dtype=np.float64)


def train_or_read(
    path: Path,
    settings: Mapping[str, Any],
    *,
    start: Trial | None = None,
    watch: Callable[[float], None] | None = None,
) -> list[dict[str, Any]] | None:
    """Train, or go on with, or read what a run of the same settings left.

    Args:
        path: The run's folder.
        settings: What ``TrainConfig`` is made from.
        start: The run whose policy this one begins from, if any.
        watch: Is told after each update which share of the budget is spent.

    Returns:
        The lines of the run's curve; None if it was stopped, and can be continued.
    """
    from codegym.training.run_folder import RunFolder
    from codegym.training.trainer import Trainer

    folder = RunFolder(path)
    config = TrainConfig.from_mapping(settings)
    with alone(path):
        curve = list(folder.rows("curve"))
        same = folder.exists and folder.read_config() == config.to_mapping()
        if start is not None and curve:
            # A warm start that was deleted and trained anew is another policy too.
            same = same and curve[0]["sampled"]["rows"] == start.curve[-1]["sampled"]["rows"]
        if not (same and curve and curve[-1]["moment"] == "after"):
            resume = same and (folder.checkpoint / "trainer").is_dir()
            if not resume:
                folder.create(config.to_mapping(), overwrite=True)
            trainer = Trainer(config, folder)
            if watch is not None:
                trainer.watch = lambda update: watch(update.progress)
            if not trainer.run(resume=resume):
                return None
        return list(folder.rows("curve"))


@contextmanager
def alone(path: Path) -> Iterator[None]:
    """Keep other comparisons from a run's folder; the lock goes when this process does.

    A file beside the folder is locked: the folder itself is the trainer's to lock, and it
    refuses where this waits.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.with_name(f".{path.name}.lock").open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
