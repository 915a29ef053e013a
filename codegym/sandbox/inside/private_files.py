"""Private files: the functions of ``io`` and ``os`` over a program's private folder.

They take the place of the real functions in a candidate's process, hand every other path to these,
and are no barrier: the sandbox is.
"""

import builtins
import errno
import io
import os
from collections.abc import Callable
from typing import Any

from codegym.sandbox.inside.private_folder import (
    FIRST_FD,
    Entries,
    Entry,
    File,
    Tree,
    stream_of,
)

_FLAGS = {"r": os.O_RDONLY, "w": os.O_CREAT | os.O_TRUNC, "a": os.O_CREAT | os.O_APPEND}
_FLAGS["x"] = os.O_CREAT | os.O_EXCL
_real_open, _os = io.open, {name: getattr(os, name) for name in dir(os) if name[0] != "_"}


class Files:
    """The functions over one tree.

    Args:
        tree: The files of the program.
    """

    def __init__(self, tree: Tree) -> None:
        self._tree = tree

    def open(
        self,
        file: Any,
        mode: str = "r",
        buffering: int = -1,
        encoding: str | None = None,
        errors: str | None = None,
        newline: str | None = None,
        closefd: bool = True,
        opener: Callable[[Any, int], int] | None = None,
    ) -> Any:
        """Open a file as the built-in function does."""
        stream = stream_of(file)
        if stream is not None:
            file = os.dup(stream)
        text = (encoding, errors, newline)
        path = self._tree.path(file)
        if opener is not None and path is not None:
            descriptor = opener(file, _flags(mode))
            if descriptor < FIRST_FD:
                return _real_open(descriptor, mode, buffering, *text, closefd)
            return _dressed(self._tree.open[descriptor], mode, buffering, *text)
        if isinstance(file, int) and file >= FIRST_FD:
            return _dressed(self._descriptor(file), mode, buffering, *text)
        if path is None:
            return _real_open(file, mode, buffering, *text, closefd, opener)
        return _dressed(self._raw(path, file, _flags(mode)), mode, buffering, *text)

    def _raw(self, path: str, name: Any, flags: int) -> File:
        tree = self._tree
        if flags & os.O_CREAT and path not in tree.nodes:
            tree.parent_of(path)
            tree.make(path, bytearray())
        elif flags & os.O_EXCL:
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), path)
        node = tree.find(path)
        if node.data is None:
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), path)
        if flags & os.O_TRUNC:
            node.data.clear()
        return File(tree, node, name, flags)

    def _descriptor(self, number: int) -> Any:
        if number not in self._tree.open:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        return self._tree.open[number]

    def os_open(self, path: Any, flags: int, mode: int = 0o777, **rest: Any) -> int:
        """Open a file as ``os.open`` does; the number means nothing to the kernel."""
        stream = stream_of(path)
        if stream is not None:
            return os.dup(stream)
        kept = self._tree.path(path)
        if kept is None:
            return int(_os["open"](path, flags, mode, **rest))
        number = FIRST_FD
        while number in self._tree.open:
            number += 1
        self._tree.open[number] = self._raw(kept, path, flags)
        return number

    def close(self, fd: int) -> None:
        """Close a descriptor."""
        if fd < FIRST_FD:
            _os["close"](fd)
        else:
            self._descriptor(fd)
            del self._tree.open[fd]

    def on_descriptor(self, name: str, act: Callable[..., Any]) -> Callable[..., Any]:
        """Return a function of ``os`` whose first argument is a descriptor."""

        def called(fd: Any, *rest: Any) -> Any:
            if isinstance(fd, int) and fd >= FIRST_FD:
                return act(self._descriptor(fd), *rest)
            return _os[name](fd, *rest)

        return called

    def on_path(self, name: str, act: Callable[..., Any]) -> Callable[..., Any]:
        """Return a function of ``os`` whose first argument is a path."""

        def called(path: Any = ".", *rest: Any, **named: Any) -> Any:
            kept = self._tree.path(path)
            return _os[name](path, *rest, **named) if kept is None else act(kept, *rest, **named)

        return called

    def stat(self, path: str, **named: Any) -> os.stat_result:
        """Return the status of a file."""
        return self._tree.find(path).status()

    def mkdir(self, path: str, mode: int = 0o777, **named: Any) -> None:
        """Make a folder."""
        if path in self._tree.nodes:
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), path)
        self._tree.parent_of(path)
        self._tree.make(path, None)

    def remove(self, path: str, **named: Any) -> None:
        """Remove a file."""
        if self._tree.find(path).data is None:
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), path)
        del self._tree.nodes[path]

    def rmdir(self, path: str, **named: Any) -> None:
        """Remove an empty folder."""
        if self._tree.names(path):
            raise OSError(errno.ENOTEMPTY, os.strerror(errno.ENOTEMPTY), path)
        del self._tree.nodes[path]

    def rename(self, path: str, target: Any, **named: Any) -> None:
        """Move a file or a folder with everything in it."""
        to = self._tree.path(target)
        if to is None:
            raise OSError(errno.EXDEV, os.strerror(errno.EXDEV), path)
        self._tree.find(path)
        self._tree.parent_of(to)
        nodes = self._tree.nodes
        moved = [name for name in nodes if name == path or name.startswith(path + "/")]
        nodes.update({to + name[len(path) :]: nodes.pop(name) for name in moved})

    def scandir(self, path: str) -> Entries:
        """Return the entries of a folder."""
        nodes = self._tree.nodes
        names = self._tree.names(path)
        return Entries(Entry(path, name, nodes[f"{path}/{name}"]) for name in names)

    def chdir(self, path: str) -> None:
        """Change the current folder."""
        self._tree.names(path)
        self._tree.cwd = path

    def access(self, path: str, mode: int, **named: Any) -> bool:
        """Say whether a file exists."""
        return path in self._tree.nodes

    def settle(self, path: str, *rest: Any, **named: Any) -> None:
        """Accept a change of times or rights."""
        self._tree.find(path)


def _flags(mode: str) -> int:
    kinds = [letter for letter in mode if letter in _FLAGS]
    if len(kinds) != 1 or set(mode) - set("rwaxbt+") or len(set(mode)) != len(mode):
        raise ValueError(f"invalid mode: {mode!r}")
    how = os.O_RDWR if "+" in mode else os.O_RDONLY if kinds[0] == "r" else os.O_WRONLY
    return _FLAGS[kinds[0]] | how


def _dressed(
    raw: Any,
    mode: str,
    buffering: int,
    encoding: str | None,
    errors: str | None,
    newline: str | None,
) -> Any:
    """Put the buffer and the encoding around an open file that a mode asks for."""
    _flags(mode)
    if "b" in mode and (encoding, errors, newline) != (None, None, None):
        raise ValueError("binary mode doesn't take an encoding, errors or newline argument")
    if buffering == 0:
        if "b" not in mode:
            raise ValueError("can't have unbuffered text I/O")
        return raw
    size = buffering if buffering > 1 else io.DEFAULT_BUFFER_SIZE
    if "+" in mode:
        buffered: Any = io.BufferedRandom(raw, size)
    elif "r" in mode:
        buffered = io.BufferedReader(raw, size)
    else:
        buffered = io.BufferedWriter(raw, size)
    if "a" in mode:
        buffered.seek(0, 2)
    if "b" in mode:
        return buffered
    text: Any = io.TextIOWrapper(buffered, encoding, errors, newline, line_buffering=buffering == 1)
    text.mode = mode
    return text


def install(program: Callable[[], str]) -> None:
    """Give this process and its forks a private folder.

    Args:
        program: Returns the text of the program, which is the content of its ``__file__``.
    """
    tree = Tree(program)
    files = Files(tree)
    builtins.open = io.open = files.open
    by_path: dict[str, Callable[..., Any]] = {
        "stat": files.stat,
        "lstat": files.stat,
        "mkdir": files.mkdir,
        "remove": files.remove,
        "unlink": files.remove,
        "rmdir": files.rmdir,
        "rename": files.rename,
        "replace": files.rename,
        "listdir": tree.names,
        "scandir": files.scandir,
        "chdir": files.chdir,
        "access": files.access,
        "chmod": files.settle,
        "utime": files.settle,
    }
    by_descriptor: dict[str, Callable[..., Any]] = {
        "read": lambda raw, count: raw.read(count),
        "write": lambda raw, data: raw.write(data),
        "lseek": lambda raw, offset, whence: raw.seek(offset, whence),
        "fstat": lambda raw: raw.node.status(),
        "ftruncate": lambda raw, size: raw.truncate(size),
        "fsync": lambda raw: None,
    }
    for name, act in by_path.items():
        setattr(os, name, files.on_path(name, act))
    for name, act in by_descriptor.items():
        setattr(os, name, files.on_descriptor(name, act))
    vars(os).update(open=files.os_open, close=files.close, getcwd=lambda: tree.cwd)
