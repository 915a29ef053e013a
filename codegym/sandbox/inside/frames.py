"""Frames: messages on a descriptor, each with four bytes of length before its data."""

import os

HEAD_BYTES = 4
# A candidate's process replaces the functions of ``os``; see ``idioms``.
_read, _write = os.read, os.write


class FrameError(Exception):
    """The other side sent an invalid frame, or a frame that is too long."""


def read_exactly(fd: int, count: int) -> bytes:
    """Read ``count`` bytes.

    Raises:
        EOFError: The other side closed first.
    """
    data = _read(fd, count)
    if len(data) == count:
        return data
    parts = [data]
    missing = count - len(data)
    while missing:
        data = _read(fd, min(missing, 1 << 16)) if parts[-1] else b""
        if not data:
            raise EOFError
        parts.append(data)
        missing -= len(data)
    return b"".join(parts)


def read_frame(fd: int, max_bytes: int) -> bytes:
    """Read one frame.

    Raises:
        EOFError: The other side closed first.
        FrameError: The frame is longer than ``max_bytes``.
    """
    count = int.from_bytes(read_exactly(fd, HEAD_BYTES), "little")
    if count > max_bytes:
        raise FrameError(f"a frame of {count} bytes")
    return read_exactly(fd, count) if count else b""


def write_frame(fd: int, data: bytes) -> None:
    """Write one frame completely."""
    data = len(data).to_bytes(HEAD_BYTES, "little") + data
    sent = _write(fd, data)
    if sent < len(data):
        view = memoryview(data)[sent:]
        while view:
            view = view[_write(fd, view) :]
