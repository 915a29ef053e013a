"""A service in memory, with the judge of the tests or with a real sandbox."""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any

import pytest

from codegym.sandbox import make_sandbox
from codegym.sandbox.job import ExecutionResult, FakeSandbox

if find_spec("fastapi"):  # each file of tests skips aloud where it is missing
    import httpx

    from codegym.service.app import make_app
    from codegym.service.grading_service import GradingService
    from codegym.service.served_tasks import ServedTasks
    from codegym.service.serving import Server, listening


class Served:
    """A service and requests to it, without a network."""

    def __init__(self, service: Any, **gate: Any) -> None:
        self.service = service
        self.app = make_app(service, **gate)

    def client(self, **settings: Any) -> Any:
        transport = httpx.ASGITransport(app=self.app, raise_app_exceptions=False)
        return httpx.AsyncClient(transport=transport, base_url="http://localhost", **settings)

    def run(self, talk: Callable[[Any], Awaitable[Any]]) -> Any:
        """Run a conversation; return its result."""

        async def whole() -> Any:
            async with self.client() as client:
                return await talk(client)

        return asyncio.run(whole())

    def send(self, path: str, body: Any = None, *, text: bytes | None = None) -> Any:
        """Post a body, or get a page without one; return the answer."""
        if body is None and text is None:
            return self.run(lambda client: client.get(path))
        headers = {"Content-Type": "application/json"}
        if text is not None:
            return self.run(lambda client: client.post(path, content=text, headers=headers))
        return self.run(lambda client: client.post(path, json=body))

    @contextmanager
    def running(self, token: str = "") -> Iterator[tuple[Any, Any]]:
        """Run a real server in a thread; yield it and its address."""
        with listening("127.0.0.1", 0) as listener:
            server = Server(self.service, host="127.0.0.1", token=token, drain_s=20)
            work = server.serve(sockets=[listener])
            thread = threading.Thread(target=asyncio.run, args=(work,))
            thread.start()
            try:
                yield server, listener.getsockname()
            finally:
                server.end()
                thread.join(30)
                self.service.draining = False
            assert not thread.is_alive()


@pytest.fixture
def serve(tiny: dict[str, Any]) -> Iterator[Callable[..., Served]]:
    """Make services whose programs the tests' judge judges by their text."""
    services = []

    def make(
        *,
        stand_in: Any = None,
        sandbox: Any = None,
        bounds: Any = None,
        most_waiting: int = 4096,
        **gate: Any,
    ) -> Served:
        sandbox = sandbox or FakeSandbox(lambda job: ExecutionResult(output=b"ran"))
        tasks = ServedTasks(["tiny"], bounds)
        by = stand_in or tiny["judge"]
        service = GradingService(sandbox, tasks, most_waiting=most_waiting, stand_in=by)
        services.append(service)
        return Served(service, **gate)

    yield make
    for service in services:
        service.close()


@pytest.fixture(scope="session")
def sandboxed() -> Iterator[Served]:
    """A service with a sandbox of one worker."""
    with make_sandbox(workers=1) as sandbox:
        service = GradingService(sandbox, ServedTasks(["tiny"]))
        yield Served(service)
        service.close()
