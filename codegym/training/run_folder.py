"""RunFolder: the files of one training run, and nothing outside it.

run/
  config.yaml          what was asked, with every default filled in
  metrics.jsonl        one line per update
  curve.jsonl          one line per evaluation
  checkpoint-good/     the last state before anything looked like a collapse
  checkpoint/          the newest resumable state: policy in Hugging Face layout + trainer/
  tensorboard/         the same metrics for TensorBoard
  report.json          written at the end
  learning_curve.png   written at the end
"""

import fcntl
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from codegym.errors import CheckpointError, ConfigError
from codegym.policies.checkpoint import replacing, resolve

_FOLDERS = ("warm_start", "checkpoint", "checkpoint-good", "tensorboard", "wandb", "trackio")


class RunFolder:
    """Reads and writes the files of one run.

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
        """Whether a run stands here."""
        return (self.path / "config.yaml").exists()

    def create(self, config: dict[str, Any], *, overwrite: bool = False) -> None:
        """Begin a run.

        Raises:
            ConfigError: A run stands here already and ``overwrite`` is False, another process
                trains here, the folder holds files that are no run's, or it cannot be written.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            with self.held():
                self._make_room(overwrite)
                self.write_config(config)
        except OSError as error:
            raise ConfigError(
                f"the output folder cannot be written: {error.strerror}",
                value=str(self.path),
                cure="choose another --out",
            ) from error

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keep other processes out while this one writes the folder.

        Raises:
            ConfigError: Another process trains here.
            CheckpointError: There is no such folder.
        """
        try:
            folder = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY)
        except (FileNotFoundError, NotADirectoryError):
            raise CheckpointError("no run stands in this folder", value=str(self.path)) from None
        try:
            # The kernel lets go of it however the process ends.
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
        """Write ``config.yaml`` aside and put it in place."""
        aside = self.path / "config.yaml.new"
        aside.write_text(yaml.safe_dump(config, sort_keys=False))
        aside.replace(self.path / "config.yaml")

    def keep_good(self) -> None:
        """Keep the newest checkpoint as the last good one; its files are shared, not copied."""
        _link(self.checkpoint, self.good)

    def restore_good(self) -> None:
        """Put the last good checkpoint in the place of the newest.

        Raises:
            CheckpointError: None was kept.
        """
        _link(self.good, self.checkpoint)

    def read_config(self) -> dict[str, Any]:
        """Return what ``create`` was given.

        Raises:
            CheckpointError: No run stands here.
        """
        try:
            config = yaml.safe_load((self.path / "config.yaml").read_text())
        except (FileNotFoundError, NotADirectoryError):
            raise CheckpointError(
                "no run stands in this folder", value=str(self.path), expected="config.yaml in it"
            ) from None
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
            raise CheckpointError(
                f"the run's config.yaml is unreadable: {error}", value=str(self.path)
            ) from None
        if not isinstance(config, dict):
            raise CheckpointError("the run's config.yaml is unreadable", value=str(self.path))
        return config

    def append(self, name: str, row: dict[str, Any]) -> None:
        """Append one line to ``<name>.jsonl``."""
        with (self.path / f"{name}.jsonl").open("a") as file:
            file.write(json.dumps(row) + "\n")

    def rows(self, name: str) -> Iterator[dict[str, Any]]:
        """Yield the lines of ``<name>.jsonl``."""
        path = self.path / f"{name}.jsonl"
        if path.exists():
            for line in path.read_text().splitlines():
                yield json.loads(line)

    def sizes(self) -> dict[str, int]:
        """Return how long the logs are, in bytes, to be cut back to on resuming."""
        return {path.stem: path.stat().st_size for path in self.path.glob("*.jsonl")}

    def cut(self, sizes: dict[str, int]) -> None:
        """Cut the logs back to what ``sizes`` returned: what came later will be done again."""
        for path in self.path.glob("*.jsonl"):
            os.truncate(path, min(sizes.get(path.stem, 0), path.stat().st_size))

    def write_report(self, report: dict[str, Any]) -> None:
        """Write ``report.json`` aside and put it in place."""
        aside = self.path / "report.json.new"
        aside.write_text(json.dumps(report, indent=2) + "\n")
        aside.replace(self.path / "report.json")

    def _make_room(self, overwrite: bool) -> None:
        """Refuse a folder that is in use, or clear it of the run that may be replaced."""
        if not any(self.path.iterdir()):
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
                "a run stands in the output folder already",
                value=str(self.path),
                cure=f"codegym train --resume {self.path}, or --overwrite to begin anew",
            )
        self._clear()

    def _clear(self) -> None:
        """Remove what a run writes, and only that."""
        for name in _FOLDERS:
            shutil.rmtree(self.path / name, ignore_errors=True)
        for name in ("config.yaml", "report.json", "learning_curve.png", "wandb_id"):
            (self.path / name).unlink(missing_ok=True)
        for log in self.path.glob("*.jsonl"):
            log.unlink()


def _link(source: Path, target: Path) -> None:
    """Make a checkpoint that shares another's files, which are never written in place."""
    found = resolve(source)
    with replacing(target) as aside:
        shutil.copytree(found, aside, copy_function=os.link, dirs_exist_ok=True)
