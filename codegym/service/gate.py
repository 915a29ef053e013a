"""Gate: who may ask. It stands before every route, and answers what it does not let through."""

import base64
import binascii
import hmac
import ipaddress
import json
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from codegym.errors import CodegymError
from codegym.service.metrics import Metrics
from codegym.service.refusals import FULL, Refused, answer_of

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

# Probes of a container's manager have no token.
OPEN_PATHS = ("/healthz", "/v1/ping")
MOST_REQUESTS = 1024
# Paths that are counted by name; all others are counted together.
KNOWN_PATHS = ("/v1/grade", "/v1/tasks", "/v1/ping", "/healthz", "/metrics", "/run_code", "/submit")


class Gate:
    """Checks token, host and number of requests, and counts the answers.

    A web page that a browser shows on this machine could send requests to a service without a
    token, under a host name that it controls. So a service that only this machine reaches answers
    to this machine's names only, and bodies must be ``application/json``, which a page of another
    origin may not send.

    Args:
        app: What stands behind the gate.
        metrics: Counts requests.
        token: What a client must know; "" for nothing.
        local: Whether only the names of this machine are answered to.
    """

    def __init__(self, app: App, metrics: Metrics, *, token: str = "", local: bool = False) -> None:
        self._app, self._metrics = app, metrics
        self._token, self._local = token.encode(), local
        self._open = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request through, or answer it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        path = scope["path"] if scope["path"] in KNOWN_PATHS else "other"

        async def counted(message: Message) -> None:
            if message["type"] == "http.response.start":
                self._metrics.answered(path, message["status"])
            await send(message)

        self._open += 1
        try:
            self._check(scope)
        except Refused as error:
            await _refuse(error, counted)
        else:
            await self._app(scope, receive, counted)
        finally:
            self._open -= 1

    def _check(self, scope: Scope) -> None:
        """Check a request before its body is read.

        Raises:
            Refused: The request is not let through.
        """
        headers = {name: value for name, value in scope["headers"]}
        if self._local and not _is_local(headers.get(b"host", b"")):
            raise Refused(
                "this service answers to the names of this machine only",
                status=403,
                value=headers.get(b"host", b"").decode("latin-1")[:80],
                expected="localhost, or an address of the loopback interface",
                cure="set a token, which lets any name through",
            )
        if self._token and scope["path"] not in OPEN_PATHS:
            given = _secret(headers.get(b"authorization", b""))
            if not hmac.compare_digest(given, self._token):
                raise Refused(
                    "the token is missing or wrong",
                    status=401,
                    expected="Authorization: Bearer TOKEN",
                    cure="use the token that the service was started with",
                )
        if self._open > MOST_REQUESTS and scope["path"] not in OPEN_PATHS:
            raise Refused(
                "too many requests at the same time",
                status=FULL,
                retry_after_s=1,
                expected=f"at most {MOST_REQUESTS}",
                cure="send more programs in each request",
            )
        if scope["method"] == "POST":
            kind = headers.get(b"content-type", b"").partition(b";")[0].strip().lower()
            if kind != b"application/json":
                raise Refused(
                    "unusable content type",
                    status=415,
                    value=kind.decode("latin-1")[:80],
                    expected="application/json",
                )


def _secret(header: bytes) -> bytes:
    """Return the token of a header: ``Bearer TOKEN``, or the password of ``Basic``.

    The second form is what clients send for a URL such as ``http://codegym:TOKEN@host/run_code``.
    """
    kind, _, rest = header.partition(b" ")
    if kind.lower() == b"bearer":
        return rest.strip()
    if kind.lower() == b"basic":
        try:
            return base64.b64decode(rest.strip(), validate=True).partition(b":")[2]
        except binascii.Error:
            return b""
    return b""


def _is_local(header: bytes) -> bool:
    name = header.decode("latin-1")
    name = name[1:].partition("]")[0] if name.startswith("[") else name.partition(":")[0]
    return is_loopback(name)


def is_loopback(name: str) -> bool:
    """Say whether a host name or address stands for the loopback interface."""
    if name.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


async def _refuse(error: CodegymError, send: Send) -> None:
    status, body, headers = answer_of(error)
    if status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    data = json.dumps(body).encode()
    named = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    named += [(b"content-type", b"application/json"), (b"content-length", str(len(data)).encode())]
    named += [(b"connection", b"close")]  # the body was not read
    await send({"type": "http.response.start", "status": status, "headers": named})
    await send({"type": "http.response.body", "body": data})
