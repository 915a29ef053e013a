"""RunFolder: reads and writes the files of a training run.

run/
  config.yaml          the settings, with every default filled in
  metrics.jsonl        a line for each update
  curve.jsonl          a line for each evaluation
  numerics.jsonl       versions, processor and threads that the numbers depend on; a line more for
                       each time that the run was resumed with other ones
  checkpoint-good/     the last state before the first sign of a collapse
  checkpoint/          the newest resumable state: policy in Hugging Face layout + trainer/
  tensorboard/         the same metrics for TensorBoard
  programs.jsonl       every program of every evaluation, with its verdict
  training_programs.jsonl[.zst]   the programs of training that the settings ask to keep
  evaluations/         what ``codegym eval`` measured later: a folder each
  report.json          written at the end
  learning_curve.png   written at the end
"""

import fcntl
import json
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import yaml

from codegym.errors import CheckpointError, ConfigError
from codegym.policies.checkpoint import replacing, resolve
from codegym.sources._zstd import compress

_FOLDERS = (
    "warm_start",
    "checkpoint",
    "checkpoint-good",
    "evaluations",
    "tensorboard",
    "wandb",
    "trackio",
)


class RunFolder:
    """Reads and writes the files of a run.

    Args:
        path: The folder; made if it does not exist.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.warm_start = path / "warm_start"
        self.checkpoint = path / "checkpoint"
        self.good = path / "checkpoint-good"
        self.tensorboard = path / "tensorboard"
        self.plot = path / "learning_curve.png"

    @property
    def exists(self) -> bool:
        """Whether the folder holds a run."""
        return (self.path / "config.yaml").exists()

    def create(self, config: dict[str, Any], *, overwrite: bool = False) -> None:
        """Begin a run.

        Raises:
            ConfigError: The folder holds a run and ``overwrite`` is False, another process
                trains here, the folder holds files of something else, or it cannot be written.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            with self.held():
                self.check_free(overwrite=overwrite)
                self._clear()
                self.write_config(config)
        except OSError as error:
            raise ConfigError(
                f"the output folder cannot be written: {error.strerror}",
                value=str(self.path),
                cure="choose another --out",
            ) from error

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keep other processes out while this process writes the folder.

        Raises:
            ConfigError: Another process trains here.
            CheckpointError: There is no such folder.
        """
        try:
            folder = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY)
        except (FileNotFoundError, NotADirectoryError):
            raise CheckpointError("there is no run in this folder", value=str(self.path)) from None
        try:
            # The kernel releases the lock however the process ends.
            try:
                fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise ConfigError(
                    "another process trains in this folder",
                    value=str(self.path),
                    cure="wait for it or end it; or choose another --out",
                ) from None
            yield
        finally:
            os.close(folder)

    def write_config(self, config: dict[str, Any]) -> None:
        """Write ``config.yaml`` to a temporary file and move it into place."""
        aside = self.path / "config.yaml.new"
        aside.write_text(yaml.safe_dump(config, sort_keys=False))
        aside.replace(self.path / "config.yaml")

    def keep_good(self) -> None:
        """Keep the newest checkpoint as the last good one; its files are shared, not copied."""
        _link(self.checkpoint, self.good)

    def restore_good(self) -> None:
        """Replace the newest checkpoint by the last good checkpoint.

        Raises:
            CheckpointError: None was kept.
        """
        _link(self.good, self.checkpoint)

    def read_config(self) -> dict[str, Any]:
        """Return what ``create`` was given.

        Raises:
            CheckpointError: The folder holds no run.
        """
        try:
            config = yaml.safe_load((self.path / "config.yaml").read_text())
        except (FileNotFoundError, NotADirectoryError):
            raise CheckpointError(
                "there is no run in this folder", value=str(self.path), expected="config.yaml in it"
            ) from None
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
            raise CheckpointError(
                f"the run's config.yaml is unreadable: {error}", value=str(self.path)
            ) from None
        if not isinstance(config, dict):
            raise CheckpointError("the run's config.yaml is unreadable", value=str(self.path))
        return config

    def append(self, name: str, row: dict[str, Any]) -> None:
        """Append a line to ``<name>.jsonl``."""
        with (self.path / f"{name}.jsonl").open("a") as file:
            file.write(json.dumps(row) + "\n")

    def append_all(self, name: str, rows: Sequence[dict[str, Any]], *, zstd: bool = False) -> None:
        """Append lines to ``<name>.jsonl``, or as one frame to ``<name>.jsonl.zst``."""
        data = "".join(json.dumps(row) + "\n" for row in rows).encode()
        with (self.path / f"{name}.jsonl{'.zst' if zstd else ''}").open("ab") as file:
            file.write(compress(data) if zstd else data)

    def rows(self, name: str) -> Iterator[dict[str, Any]]:
        """Yield the lines of ``<name>.jsonl``."""
        path = self.path / f"{name}.jsonl"
        if path.exists():
            for line in path.read_text().splitlines():
                yield json.loads(line)

    def last(self, name: str) -> dict[str, Any]:
        """Return the last readable line of ``<name>.jsonl``; empty if there is none."""
        path = self.path / f"{name}.jsonl"
        for line in reversed(path.read_text().splitlines() if path.exists() else []):
            # A full disk can leave half a line.
            with suppress(ValueError):
                row: dict[str, Any] = json.loads(line)
                return row
        return {}

    def sizes(self) -> dict[str, int]:
        """Return the sizes of the logs in bytes, for ``cut``."""
        return {_log_name(path): path.stat().st_size for path in self._logs()}

    def cut(self, sizes: dict[str, int]) -> None:
        """Cut the logs back to earlier sizes: what came later will be done again."""
        for path in self._logs():
            os.truncate(path, min(sizes.get(_log_name(path), 0), path.stat().st_size))

    def _logs(self) -> list[Path]:
        return [*self.path.glob("*.jsonl"), *self.path.glob("*.jsonl.zst")]

    def write_report(self, report: dict[str, Any]) -> None:
        """Write ``report.json`` to a temporary file and move it into place."""
        aside = self.path / "report.json.new"
        aside.write_text(json.dumps(report, indent=2) + "\n")
        aside.replace(self.path / "report.json")

    def check_free(self, *, overwrite: bool = False) -> None:
        """Refuse a folder that holds a run, or something else; nothing is changed.

        Raises:
            ConfigError: The folder holds a run and ``overwrite`` is False, or something else.
        """
        if not self.path.is_dir() or not any(self.path.iterdir()):
            return
        if not self.exists:
            raise ConfigError(
                "the output folder holds something that is not a run",
                value=str(self.path),
                expected="an empty folder, or one that does not exist",
                cure="choose another --out",
            )
        if not overwrite:
            raise ConfigError(
                "the output folder already holds a run",
                value=str(self.path),
                cure=f"codegym train --resume {self.path}, or --overwrite to begin anew",
            )

    def _clear(self) -> None:
        """Remove the files of a run, and nothing else."""
        for name in _FOLDERS:
            shutil.rmtree(self.path / name, ignore_errors=True)
        for name in ("config.yaml", "report.json", "learning_curve.png", "wandb_id"):
            (self.path / name).unlink(missing_ok=True)
        for log in self._logs():
            log.unlink()


def _log_name(path: Path) -> str:
    return path.name.removesuffix(".jsonl")


def _link(source: Path, target: Path) -> None:
    """Make a checkpoint from hard links to another's files, which are never written in place."""
    found = resolve(source)
    with replacing(target) as aside:
        shutil.copytree(found, aside, copy_function=os.link, dirs_exist_ok=True)
