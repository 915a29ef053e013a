"""Replacing a checkpoint folder, so that it is whole or not there at any moment.

A folder is written aside, flushed to disk and renamed. A writer killed at any moment leaves the old
folder or the new one; ``resolve`` finds the old one also in the instant between the two renames.
"""

import os
import re
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from codegym.errors import CheckpointError

MANIFEST = "codegym.json"
_ASIDE = re.compile(r"\..+\.new-[0-9a-f]{8}$")


@contextmanager
def replacing(folder: Path) -> Iterator[Path]:
    """Give an empty folder to fill, and put it in the place of ``folder`` if nothing fails.

    A folder that is already being filled aside is given back unchanged: the outer call renames it.

    Raises:
        CheckpointError: The folder cannot be written, or holds something that is no checkpoint.
    """
    folder = Path(os.path.abspath(folder))
    if _ASIDE.match(folder.name):
        yield folder
        return
    if folder.exists() and not (folder / MANIFEST).is_file():
        if not folder.is_dir() or any(folder.iterdir()):
            raise CheckpointError(
                "will not replace what is no checkpoint",
                value=str(folder),
                expected="a free path, an empty folder or a checkpoint",
            )
    old = _old(folder)
    aside = folder.with_name(f".{folder.name}.new-{secrets.token_hex(4)}")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        for leftover in folder.parent.glob(f".{folder.name}.new-*"):
            shutil.rmtree(leftover)
        aside.mkdir()
        yield aside
        _flush(aside)
        if folder.exists():
            # While ``folder`` is there, an old one aside is only left over from a kill.
            shutil.rmtree(old, ignore_errors=True)
            folder.rename(old)
        aside.rename(folder)
        _flush_entry(folder.parent)
        shutil.rmtree(old, ignore_errors=True)
    except BaseException as error:
        shutil.rmtree(aside, ignore_errors=True)
        if isinstance(error, OSError):
            raise CheckpointError(f"cannot write the checkpoint: {error}") from error
        raise


def resolve(folder: Path) -> Path:
    """Return the folder that holds the checkpoint of a path now.

    Raises:
        CheckpointError: There is none.
    """
    folder = Path(os.path.abspath(folder))
    if folder.is_dir():
        return folder
    if _old(folder).is_dir():
        return _old(folder)
    raise CheckpointError("there is no checkpoint here", value=str(folder), expected="a folder")


def _old(folder: Path) -> Path:
    return folder.with_name(f".{folder.name}.old")


def _flush(folder: Path) -> None:
    for path in sorted(folder.rglob("*"), reverse=True):
        _flush_entry(path)
    _flush_entry(folder)


def _flush_entry(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
