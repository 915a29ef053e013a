"""Private folder: a program's current folder, as files in its own memory.

No isolation offers a writable folder: bubblewrap cannot bound the number of files of a file system
in memory (two seconds of ``mkdir`` left 550,000, and minutes to remove them), and Landlock would
need a folder of the host. So files live in the program's process, where its memory limit bounds
them and its end removes them. A program that goes around these functions meets the sandbox itself,
in which it can write nothing.
"""

import errno
import io
import os
import posixpath
import stat
from collections.abc import Callable
from typing import Any

HOME = "/program"
PROGRAM = f"{HOME}/main.py"
MAX_BYTES = 64 << 20
MAX_FILES = 4096
FIRST_FD = 1 << 20
_STREAMS = {"stdin": 0, "stdout": 1, "stderr": 2}


class Node:
    """A file or a folder.

    Args:
        data: Content of a file, None for a folder.
    """

    def __init__(self, number: int, data: bytearray | None) -> None:
        self.number = number
        self.data = data

    def status(self) -> os.stat_result:
        """Return what ``os.stat`` tells."""
        kind = stat.S_IFDIR | 0o755 if self.data is None else stat.S_IFREG | 0o644
        size = 0 if self.data is None else len(self.data)
        return os.stat_result((kind, self.number, 0, 1, os.getuid(), os.getgid(), size, 0, 0, 0))


class Tree:
    """All files and folders of one program.

    Args:
        program: Returns the text of the program, which a file holds.
    """

    def __init__(self, program: Callable[[], str]) -> None:
        self._program = program
        self.cwd = HOME
        self.nodes: dict[str, Node] = {}
        self.open: dict[int, io.RawIOBase] = {}
        self.made = 0
        self.make(HOME, None)

    def path(self, path: Any) -> str | None:
        """Return the absolute path of a file that is kept here, None for any other path."""
        if isinstance(path, int) or path is None:
            return None
        text = os.fsdecode(path)
        if not text:
            return None
        text = posixpath.normpath(posixpath.join(self.cwd, text))
        return text if text == HOME or text.startswith(HOME + "/") else None

    def make(self, path: str, data: bytearray | None) -> Node:
        """Add a file or a folder."""
        if len(self.nodes) >= MAX_FILES:
            raise _error(errno.ENOSPC, path)
        self.made += 1
        node = self.nodes[path] = Node(self.made, data)
        return node

    def find(self, path: str) -> Node:
        """Return what is at a path.

        Raises:
            FileNotFoundError: There is nothing.
        """
        if path == PROGRAM and path not in self.nodes:
            self.make(path, bytearray(self._program().encode("utf-8", "surrogatepass")))
        if path not in self.nodes:
            raise _error(errno.ENOENT, path)
        return self.nodes[path]

    def parent_of(self, path: str) -> None:
        """Raise an error unless a path's folder exists."""
        if self.find(posixpath.dirname(path)).data is not None:
            raise _error(errno.ENOTDIR, path)

    def names(self, path: str) -> list[str]:
        """Return the names in a folder."""
        if self.find(path).data is not None:
            raise _error(errno.ENOTDIR, path)
        head = path + "/"
        return sorted(
            name[len(head) :]
            for name in self.nodes
            if name.startswith(head) and "/" not in name[len(head) :]
        )

    def grow(self, more: int) -> None:
        """Raise an error if the files would hold too many bytes."""
        held = sum(len(node.data) for node in self.nodes.values() if node.data is not None)
        if held + more > MAX_BYTES:
            raise _error(errno.ENOSPC, HOME)


def _error(number: int, path: str) -> OSError:
    return OSError(number, os.strerror(number), path)


class File(io.RawIOBase):
    """An open file of the tree.

    Args:
        tree: Where its size counts.
        node: The file.
        name: Its name, as given.
        flags: Flags of ``os.open``.
    """

    def __init__(self, tree: Tree, node: Node, name: Any, flags: int) -> None:
        assert node.data is not None
        self._tree, self._data, self._flags, self._at = tree, node.data, flags, 0
        self.node, self.name, self.mode = node, name, "rb+"

    def readable(self) -> bool:
        """Say whether it is open for reading."""
        return self._flags & os.O_ACCMODE != os.O_WRONLY

    def writable(self) -> bool:
        """Say whether it is open for writing."""
        return self._flags & os.O_ACCMODE != os.O_RDONLY

    def seekable(self) -> bool:
        """Say that it has positions."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Read into a buffer."""
        part = self._data[self._at : self._at + len(buffer)]
        buffer[: len(part)] = part
        self._at += len(part)
        return len(part)

    def write(self, data: Any) -> int:
        """Write at the position, or at the end where it was opened for appending."""
        piece = bytes(data)
        if self._flags & os.O_APPEND:
            self._at = len(self._data)
        end = self._at + len(piece)
        if end > len(self._data):
            self._tree.grow(end - len(self._data))
            self._data.extend(bytes(max(0, self._at - len(self._data))))
        self._data[self._at : end] = piece
        self._at = end
        return len(piece)

    def seek(self, offset: int, whence: int = 0) -> int:
        """Move the position."""
        start = (0, self._at, len(self._data))[whence]
        if start + offset < 0:
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        self._at = start + offset
        return self._at

    def truncate(self, size: int | None = None) -> int:
        """Set the length."""
        wanted = self._at if size is None else size
        more = wanted - len(self._data)
        if more > 0:
            self._tree.grow(more)
            self._data.extend(bytes(more))
        del self._data[wanted:]
        return wanted


class Entry:
    """An entry that ``os.scandir`` yields."""

    def __init__(self, folder: str, name: str, node: Node) -> None:
        self.name, self.path, self._node = name, posixpath.join(folder, name), node

    def __fspath__(self) -> str:
        return self.path

    def is_dir(self, *, follow_symlinks: bool = True) -> bool:
        """Say whether it is a folder."""
        return self._node.data is None

    def is_file(self, *, follow_symlinks: bool = True) -> bool:
        """Say whether it is a file."""
        return self._node.data is not None

    def is_symlink(self) -> bool:
        """Say that it is no link."""
        return False

    def stat(self, *, follow_symlinks: bool = True) -> os.stat_result:
        """Return its status."""
        return self._node.status()

    def inode(self) -> int:
        """Return its number."""
        return self._node.number


class Entries(list[Entry]):
    """What ``os.scandir`` returns."""

    def __enter__(self) -> "Entries":
        return self

    def __exit__(self, *rest: object) -> None:
        self.clear()

    def __next__(self) -> Entry:
        if not self:
            raise StopIteration
        return self.pop(0)

    def __iter__(self) -> Any:
        return iter(list(self[:]))

    def close(self) -> None:
        """Drop the entries that are left."""
        self.clear()


def stream_of(path: Any) -> int | None:
    """Return the descriptor that a path such as ``/dev/stdin`` means, None for any other path."""
    if not isinstance(path, str):
        return None
    head, _, name = path.rpartition("/")
    if head == "/dev" and name in _STREAMS:
        return _STREAMS[name]
    is_number = name.isdigit() and len(name) < 4
    return int(name) if head in ("/dev/fd", "/proc/self/fd") and is_number else None
