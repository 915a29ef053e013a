"""Zstandard: compresses and reads files, by the standard library where it can."""

import importlib
from typing import Any

from codegym.errors import MissingExtraError


def compress(data: bytes) -> bytes:
    """Return the data as one frame; frames that follow one another are a file.

    Raises:
        MissingExtraError: Python is older than 3.14 and ``zstandard`` is not installed.
    """
    module = _module()
    frame: bytes = (
        module.compress(data)
        if module.__name__ == "compression.zstd"
        else module.ZstdCompressor().compress(data)
    )
    return frame


def decompress(data: bytes) -> bytes:
    """Return the data of all frames.

    Raises:
        MissingExtraError: Python is older than 3.14 and ``zstandard`` is not installed.
        OSError: The data are damaged.
    """
    module = _module()
    if module.__name__ == "compression.zstd":
        try:
            plain: bytes = module.decompress(data)
        except module.ZstdError as error:
            raise OSError(str(error)) from None
        return plain
    try:
        reader = module.ZstdDecompressor().stream_reader(data, read_across_frames=True)
        plain = reader.read()
    except module.ZstdError as error:
        raise OSError(str(error)) from None
    return plain


def _module() -> Any:
    for name in ("compression.zstd", "zstandard"):
        try:
            return importlib.import_module(name)
        except ModuleNotFoundError:
            continue
    raise MissingExtraError("zstandard", "zstd")
