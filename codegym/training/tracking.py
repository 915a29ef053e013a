"""Trackers: where a run's metrics go beside its own files: TensorBoard, Weights & Biases, trackio.

Each package is imported when its tracker is opened, and not before. The number of programs written
is the step everywhere, so that runs of different agents lie over one another.
"""

import os
import secrets
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from codegym.errors import MissingExtraError, UnknownNameError


class Tracker(ABC):
    """Receives numbers under names."""

    @abstractmethod
    def log(self, metrics: Mapping[str, float], step: int) -> None:
        """Take some metrics; ``step`` never falls within a run."""

    @abstractmethod
    def close(self) -> None:
        """Write what is left."""


class TensorBoard(Tracker):
    """Event files in ``tensorboard/`` of the run's folder.

    Args:
        folder: The run's folder.
        config: Not used.
        step: Where the run goes on; what a stopped run logged later is replaced.
    """

    def __init__(self, folder: Path, config: Mapping[str, Any], step: int) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self._writer: Any = SummaryWriter(str(folder / "tensorboard"), purge_step=step)

    def log(self, metrics: Mapping[str, float], step: int) -> None:
        """Write one scalar each."""
        for name, value in metrics.items():
            self._writer.add_scalar(name, value, step)

    def close(self) -> None:
        """Close the file."""
        self._writer.close()


class WeightsAndBiases(Tracker):
    """A run of Weights & Biases; ``WANDB_MODE=offline`` keeps it on this machine.

    Its files go into the run's folder, its project is ``codegym`` unless ``WANDB_PROJECT`` says
    otherwise, and a resumed run goes on under its old id.

    Args:
        folder: The run's folder.
        config: Settings to show beside the run.
        step: Where the run goes on.
    """

    def __init__(self, folder: Path, config: Mapping[str, Any], step: int) -> None:
        import wandb

        told = folder / "wandb_id"
        if not told.exists():
            told.write_text(secrets.token_hex(4))
        self._run: Any = wandb.init(
            project=os.environ.get("WANDB_PROJECT", "codegym"),
            name=folder.resolve().name,
            dir=str(folder),
            id=told.read_text(),
            resume="allow",
            config=dict(config),
        )

    def log(self, metrics: Mapping[str, float], step: int) -> None:
        """Log one row."""
        self._run.log(dict(metrics), step=step)

    def close(self) -> None:
        """Finish the run."""
        self._run.finish()


class Trackio(Tracker):
    """A run of trackio, whose database stands in the run's folder unless ``TRACKIO_DIR`` is set.

    Args:
        folder: The run's folder.
        config: Settings to show beside the run.
        step: Where the run goes on.
    """

    def __init__(self, folder: Path, config: Mapping[str, Any], step: int) -> None:
        # Read when trackio is imported; its default lies in the user's cache.
        os.environ.setdefault("TRACKIO_DIR", str((folder / "trackio").resolve()))
        import trackio

        self._trackio: Any = trackio
        self._run: Any = trackio.init(
            project=os.environ.get("TRACKIO_PROJECT", "codegym"),
            name=folder.resolve().name,
            resume="allow",
            config={name: str(value) for name, value in config.items()},
        )

    def log(self, metrics: Mapping[str, float], step: int) -> None:
        """Log one row."""
        self._trackio.log(dict(metrics), step=step)

    def close(self) -> None:
        """Finish the run."""
        self._trackio.finish()


_KINDS: dict[str, tuple[Callable[[Path, Mapping[str, Any], int], Tracker], str]] = {
    "tensorboard": (TensorBoard, "agents"),
    "wandb": (WeightsAndBiases, "wandb"),
    "trackio": (Trackio, "trackio"),
}


def tracker_names(text: str) -> list[str]:
    """Split ``tensorboard,wandb``; ``none`` stands for no tracker.

    Raises:
        UnknownNameError: No such tracker; names the nearest.
    """
    names = [name.strip() for name in text.split(",") if name.strip()]
    if names in ([], ["none"]):
        return []
    for name in names:
        if name not in _KINDS:
            raise UnknownNameError("tracker", name, [*_KINDS, "none"])
    return list(dict.fromkeys(names))


def require_trackers(text: str) -> None:
    """Refuse trackers that are unknown or not installed, before anything slow begins.

    Raises:
        UnknownNameError: No such tracker; names the nearest.
        MissingExtraError: A tracker's package is not installed.
    """
    for name in tracker_names(text):
        if find_spec(name) is None:
            raise MissingExtraError(name, _KINDS[name][1])


class Trackers(Tracker):
    """Several trackers as one.

    Args:
        text: Their names, separated by commas.
        folder: The run's folder.
        config: Settings to show beside the run.
        step: Where the run goes on.

    Raises:
        UnknownNameError: No such tracker; names the nearest.
        MissingExtraError: A tracker's package is not installed.
    """

    def __init__(self, text: str, folder: Path, *, config: Mapping[str, Any], step: int) -> None:
        require_trackers(text)
        self._opened: list[Tracker] = []
        for name in tracker_names(text):
            make, _ = _KINDS[name]
            self._opened.append(make(folder, config, step))

    def log(self, metrics: Mapping[str, float], step: int) -> None:
        """Tell every tracker."""
        for tracker in self._opened:
            tracker.log(metrics, step)

    def close(self) -> None:
        """Close every tracker."""
        for tracker in self._opened:
            tracker.close()
