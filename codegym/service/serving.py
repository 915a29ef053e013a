"""Serving: the socket, the token, and a server that ends in good order."""

import contextlib
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import uvicorn

from codegym.errors import ConfigError
from codegym.service.app import make_app
from codegym.service.gate import is_loopback
from codegym.service.grading_service import GradingService

TOKEN_VARIABLE = "CODEGYM_SERVE_TOKEN"
LEAST_TOKEN_CHARS = 16
_BACKLOG = 1024


def read_token(file: Path | None) -> str:
    """Return the token of a file, else of the environment, "" if there is neither.

    Raises:
        ConfigError: The file cannot be read, or the token is too short or no visible ASCII.
    """
    if file is not None:
        try:
            token = file.read_text().strip()
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"the token file cannot be read ({error})") from None
    else:
        token = os.environ.get(TOKEN_VARIABLE, "").strip()
        if not token:
            return ""
    if len(token) < LEAST_TOKEN_CHARS or not (token.isascii() and token.isprintable()):
        raise ConfigError(
            "unusable token",
            value=f"{len(token)} characters",
            expected=f"at least {LEAST_TOKEN_CHARS} visible ASCII characters",
            cure="python -c 'import secrets; print(secrets.token_urlsafe(32))' makes one",
        )
    return token


def listening(host: str, port: int) -> socket.socket:
    """Return a socket that listens.

    Raises:
        ConfigError: The address cannot be used.
    """
    try:
        if not 0 <= port < 1 << 16:
            raise OverflowError("no such port")  # the resolver would take its remainder
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, address = found[0][0], found[0][4]
        return socket.create_server(address[:2], family=family, backlog=_BACKLOG)
    except (OSError, OverflowError) as error:
        raise ConfigError(
            f"cannot listen ({error})",
            value=f"{host}:{port}",
            expected="an address of this machine and a free port",
            cure="--port 0 takes any free port",
        ) from None


def check_exposure(host: str, token: str, *, without_token: bool) -> None:
    """Check that a service that other machines reach has a token.

    Raises:
        ConfigError: It has none, and ``without_token`` does not allow that.
    """
    if token or without_token or is_loopback(host):
        return
    raise ConfigError(
        "other machines would reach a service without a token",
        value=host,
        expected="a loopback address, or a token",
        cure=f"set {TOKEN_VARIABLE}, or give --token-file; --without-token serves everybody who"
        " can reach this machine",
    )


class Server(uvicorn.Server):
    """A server whose signals are handled by the command line.

    Args:
        service: What judges.
        host: Address that it listens on.
        token: What a client must know; "" for nothing.
        drain_s: Seconds that requests under way have when the service ends.

    Attributes:
        ended_by: Signal that ended it; 0 for none.
    """

    def __init__(self, service: GradingService, *, host: str, token: str, drain_s: float) -> None:
        self._service, self.ended_by = service, 0
        app = make_app(service, token=token, local=not token and is_loopback(host))
        super().__init__(
            uvicorn.Config(
                app,
                access_log=False,
                log_level="warning",
                lifespan="off",
                ws="none",
                server_header=False,
                h11_max_incomplete_event_size=1 << 16,
                timeout_graceful_shutdown=max(1, round(drain_s)),
            )
        )

    def end(self, signal: int = 0) -> None:
        """Accept no more programs; return from ``serve`` when every request is answered."""
        self.ended_by = signal
        self._service.draining = True
        self.should_exit = True

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals to the caller."""
        yield
