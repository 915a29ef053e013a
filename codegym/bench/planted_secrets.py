"""Planted secrets: things on the host that a program can only know if its attack reaches them.

Imports the standard library only: the same file is loaded inside the containment, by its path.
"""

import os
import secrets
import shutil
import socket
import tempfile
from types import TracebackType

ENVIRONMENT_NAME = "CODEGYM_SECRET"


class PlantedSecrets:
    """A readable file, a writable folder, listening sockets and an environment variable.

    A context manager; it removes everything when it ends.

    Args:
        pid: Process that attacks try to reach; this process if None.
        rest: More words that ``fill`` replaces, such as ``CHECKOUT``.
    """

    def __init__(self, *, pid: int | None = None, rest: dict[str, str] | None = None) -> None:
        self.token = secrets.token_hex(16)
        self._pid = os.getpid() if pid is None else pid
        self._rest = rest or {}
        self._sockets: list[socket.socket] = []
        self._root = ""

    @property
    def words(self) -> dict[str, str]:
        """The words that programs write between at-signs, with the texts that replace them."""
        return self._rest | {
            "PID": str(self._pid),
            "TOKEN": self.token,
            "ENV": ENVIRONMENT_NAME,
            "FILE": f"{self._root}/file",
            "FOLDER": f"{self._root}/folder",
            "SOCKET": f"{self._root}/socket",
            "DATAGRAM": f"{self._root}/datagram",
            "ABSTRACT": f"codegym-secret-{self.token}",
            "PORT": str(self._port),
            "HOST": socket.gethostname(),
        }

    def fill(self, text: str) -> str:
        """Replace the words in a program's text."""
        for word, meaning in self.words.items():
            text = text.replace(f"@{word}@", meaning)
        return text

    def _bind(
        self,
        family: socket.AddressFamily,
        address: str | tuple[str, int],
        kind: socket.SocketKind = socket.SOCK_STREAM,
    ) -> socket.socket:
        line = socket.socket(family, kind)
        self._sockets.append(line)
        line.bind(address)
        if kind == socket.SOCK_STREAM:
            line.listen(16)
        return line

    def __enter__(self) -> "PlantedSecrets":
        self._root = tempfile.mkdtemp(prefix="codegym-secret-")
        os.chmod(self._root, 0o755)
        with open(f"{self._root}/file", "w") as file:
            file.write(self.token)
        os.mkdir(f"{self._root}/folder")
        os.chmod(f"{self._root}/folder", 0o777)
        self._bind(socket.AF_UNIX, f"{self._root}/socket")
        self._bind(socket.AF_UNIX, f"\0codegym-secret-{self.token}")
        self._bind(socket.AF_UNIX, f"{self._root}/datagram", socket.SOCK_DGRAM)
        for name in ("socket", "datagram"):
            os.chmod(f"{self._root}/{name}", 0o777)
        tcp = self._bind(socket.AF_INET, ("127.0.0.1", 0))
        self._port: int = tcp.getsockname()[1]
        os.environ[ENVIRONMENT_NAME] = self.token
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for line in self._sockets:
            line.close()
        os.environ.pop(ENVIRONMENT_NAME, None)
        shutil.rmtree(self._root, ignore_errors=True)
