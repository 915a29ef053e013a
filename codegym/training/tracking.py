"""Trackers: send a run's metrics to TensorBoard, Weights & Biases or trackio.

Each package is imported when its tracker is opened. The step is the number of programs written, so
that the curves of different agents can be compared.
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
        """Log some metrics; ``step`` never falls within a run."""

    @abstractmethod
    def close(self) -> None:
        """Write what was not written yet, and close."""


class TensorBoard(Tracker):
    """Event files in ``tensorboard/`` of the run's folder.

    Args:
        folder: The run's folder.
        config: Not used.
        step: First step of this process; what a stopped run logged after it is replaced.
    """

    def __init__(self, folder: Path, config: Mapping[str, Any], step: int) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self._writer: Any = SummaryWriter(str(folder / "tensorboard"), purge_step=step)

    def log(self, metrics: Mapping[str, float], step: int) -> None:
        """Write a scalar for each metric."""
        for name, value in metrics.items():
            self._writer.add_scalar(name, value, step)

    def close(self) -> None:
        """Close the file."""
        self._writer.close()


class WeightsAndBiases(Tracker):
    """A run of Weights & Biases; ``WANDB_MODE=offline`` keeps it on this machine.

    Its files go into the run's folder. Its project is ``codegym`` unless ``WANDB_PROJECT`` is set.
    A resumed run keeps its id.

    Args:
        folder: The run's folder.
        config: Settings to show beside the run.
        step: First step of this process.
    """

    def __init__(self, folder: Path, config: Mapping[str, Any], step: int) -> None:
        import wandb

        id_file = folder / "wandb_id"
        if not id_file.exists():
            id_file.write_text(secrets.token_hex(4))
        self._run: Any = wandb.init(
            project=os.environ.get("WANDB_PROJECT", "codegym"),
            name=folder.resolve().name,
            dir=str(folder),
            id=id_file.read_text(),
            resume="allow",
            config=dict(config),
        )

    def log(self, metrics: Mapping[str, float], step: int) -> None:
        """Log the metrics as a row."""
        self._run.log(dict(metrics), step=step)

    def close(self) -> None:
        """Finish the run."""
        self._run.finish()


class Trackio(Tracker):
    """A run of trackio; its database is in the run's folder unless ``TRACKIO_DIR`` is set.

    Args:
        folder: The run's folder.
        config: Settings to show beside the run.
        step: First step of this process.
    """

    def __init__(self, folder: Path, config: Mapping[str, Any], step: int) -> None:
        # trackio reads this when it is imported; its default is in the user's cache.
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
        """Log the metrics as a row."""
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
    """Split ``tensorboard,wandb``; ``none`` means no tracker.

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
    """Check that trackers are known and installed, before anything slow begins.

    Raises:
        UnknownNameError: No such tracker; names the nearest.
        MissingExtraError: A tracker's package is not installed.
    """
    for name in tracker_names(text):
        if find_spec(name) is None:
            raise MissingExtraError(name, _KINDS[name][1])


class Trackers(Tracker):
    """Several trackers that receive the same metrics.

    Args:
        text: Their names, separated by commas.
        folder: The run's folder.
        config: Settings to show beside the run.
        step: First step of this process.

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
        """Log the metrics to every tracker."""
        for tracker in self._opened:
            tracker.log(metrics, step)

    def close(self) -> None:
        """Close every tracker."""
        for tracker in self._opened:
            tracker.close()
