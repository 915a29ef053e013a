"""Connections: bodies read within bounds, and work that ends when its client goes away."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from starlette.requests import ClientDisconnect, Request

from codegym.service.refusals import FULL, Refused

Found = TypeVar("Found")
# A client may take so long to send a body.
BODY_S = 60.0
# Bytes of all bodies that are read or answered at a time, in bodies of the largest size.
MOST_BODIES = 16


class ClientGone(Exception):
    """The client has closed the connection; nobody reads the answer."""


class Bodies:
    """Reads bodies, and bounds what all of them hold together.

    Args:
        most_bytes: Size of a body.
    """

    def __init__(self, most_bytes: int) -> None:
        self._most, self._held = most_bytes, 0

    @asynccontextmanager
    async def read(self, request: Request) -> AsyncIterator[bytes]:
        """Read the body of a request; its bytes count until the block ends.

        Raises:
            Refused: The body is too large or comes too slowly, or all bodies are too large.
            ClientGone: The client closed the connection before it had sent the body.
        """
        parts: list[bytes] = []
        size = 0
        try:
            async with asyncio.timeout(BODY_S):
                async for part in request.stream():
                    size += len(part)
                    self._held += len(part)
                    self._check(size)
                    parts.append(part)
            yield b"".join(parts)
        except TimeoutError:
            raise Refused(
                "the body came too slowly", status=408, expected=f"within {BODY_S:g} s"
            ) from None
        except ClientDisconnect:
            raise ClientGone from None
        finally:
            self._held -= size

    def _check(self, size: int) -> None:
        if size > self._most:
            raise Refused(
                "the body is too large",
                status=413,
                expected=f"at most {self._most} bytes",
                cure="send the programs in several requests",
            )
        if self._held > MOST_BODIES * self._most:
            raise Refused(
                "the service holds too many large requests",
                status=FULL,
                retry_after_s=1,
                cure="send them again later",
            )


async def while_connected(request: Request, work: Coroutine[Any, Any, Found]) -> Found:
    """Return what the work returns; cancel it when the client goes away.

    Args:
        request: A request whose body was read.
        work: The work.

    Raises:
        ClientGone: The client went away first.
    """
    working = asyncio.ensure_future(work)
    watching = asyncio.ensure_future(_gone(request))
    try:
        await asyncio.wait((working, watching), return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            return working.result()
        raise ClientGone
    finally:
        for task in (working, watching):
            task.cancel()
        await asyncio.gather(working, watching, return_exceptions=True)


async def _gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        continue
