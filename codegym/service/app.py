"""App: the routes of the service."""

import asyncio
import json
import logging
import time
from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import FastAPI, Request
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.types import Receive, Scope, Send

from codegym.errors import CodegymError, SandboxError
from codegym.grading.verdict import Verdict
from codegym.sandbox.job import ExecutionResult
from codegym.service.connection import Bodies, ClientGone, while_connected
from codegym.service.fusion_form import read_run, run_answer, sandbox_error, verdict_answer
from codegym.service.fusion_submit import inline_answer, read_submit
from codegym.service.gate import App, Gate
from codegym.service.grade_request import GradeRequest, read_request, result_row
from codegym.service.grading_service import GradingService
from codegym.service.metrics import CONTENT_TYPE
from codegym.service.program_queue import Batch
from codegym.service.refusals import FULL, UNAVAILABLE, Refused, answer_of
from codegym.service.strict_json import parse
from codegym.tasks.task import Task
from codegym.version import __version__

PAGE, MOST_PAGE = 100, 1000
# Verdicts that are reached within this time travel together: a packet costs as much as a program.
GATHER_S = 0.02
# A body above this size is parsed in a thread, so that the event loop goes on.
_LARGE_BYTES = 64 << 10
# SandboxFusion's clients wait this long beyond the limits of a run (verl: 10 s); 504 before that is
# the only answer after which verl asks again.
GATEWAY_TIMEOUT, MARGIN_S = 504, 8.0
# No program may take this long: with work under way, such a pause says that the service is stuck.
STUCK_S = 300.0
_CLOSED_REQUEST = 499
_log = logging.getLogger(__name__)


class Lines(Response):
    """Verdicts as lines of JSON, each sent when it is reached; the last line says so.

    Args:
        request: The request.
        service: The service.
        wanted: The programs.
        batch: Their place in the queue.
    """

    media_type = "application/x-ndjson"

    def __init__(
        self, request: Request, service: GradingService, wanted: GradeRequest, batch: Batch
    ) -> None:
        super().__init__()
        del self.headers["content-length"]
        self._request, self._service = request, service
        self._wanted, self._batch = wanted, batch

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the lines until the last, or until the client goes away."""
        try:
            await while_connected(self._request, self._written(send))
        except ClientGone:
            return
        finally:
            self._service.forget(self._batch)

    async def _written(self, send: Send) -> None:
        start = {"type": "http.response.start", "status": 200, "headers": self.raw_headers}
        await send(start)
        gather_s = GATHER_S if len(self._wanted.pairs) > 1 else 0.0
        async for found in self._batch.results(gather_s):
            text = "".join(_line(row) for row in _rows(self._wanted, found))
            await send({"type": "http.response.body", "body": text.encode(), "more_body": True})
        end = _line({"end": True, "results": len(self._wanted.pairs)})
        await send({"type": "http.response.body", "body": end.encode()})


def _line(row: dict[str, Any]) -> str:
    return json.dumps(row) + "\n"


def _rows(wanted: GradeRequest, found: list[tuple[int, Any]]) -> list[dict[str, Any]]:
    return [result_row(number, wanted.pairs[number][1], result) for number, result in found]


def make_app(service: GradingService, *, token: str = "", local: bool = False) -> App:
    """Return the service's ASGI application.

    Args:
        service: What judges.
        token: What a client must know; "" for nothing.
        local: Whether only the names of this machine are answered to.
    """
    app = FastAPI(title="codegym", version=__version__, docs_url=None, redoc_url=None)
    bodies = Bodies(service.tasks.bounds.body_bytes)
    for kind in (CodegymError, HTTPException, ClientGone, Exception):
        app.add_exception_handler(kind, _answer_error)
    _add_grading(app, service, bodies)
    _add_fusion(app, service, bodies)
    _add_state(app, service)
    return Gate(app, service.metrics, token=token, local=local)


async def _answer_error(request: Request, error: Exception) -> Response:
    if isinstance(error, CodegymError):
        status, body, headers = answer_of(error)
        return JSONResponse(body, status, headers)
    if isinstance(error, ClientGone):
        return Response(status_code=_CLOSED_REQUEST)
    if isinstance(error, HTTPException):
        refused = Refused(
            str(error.detail).lower(), status=error.status_code, value=request.url.path[:80]
        )
        return JSONResponse(answer_of(refused)[1], error.status_code, error.headers)
    _log.error("a request broke the service", exc_info=error)
    broke = SandboxError(f"the service broke: {type(error).__name__}", cure="report it")
    return JSONResponse(answer_of(broke)[1], 500)


async def _read(body: bytes, reader: Callable[..., Any], *arguments: Any) -> Any:
    """Parse a body and read it as a request; in a thread where it is large."""

    def read() -> Any:
        return reader(parse(body), *arguments)

    return await asyncio.to_thread(read) if len(body) > _LARGE_BYTES else read()


def _add_grading(app: FastAPI, service: GradingService, bodies: Bodies) -> None:
    """Add codegym's own routes for grading."""

    @app.post("/v1/grade", response_model=None)
    async def grade(request: Request) -> Response:
        async with bodies.read(request) as body:
            wanted: GradeRequest = await _read(body, read_request, service.tasks)
        batch = service.grade(wanted.pairs)
        if wanted.stream:
            return Lines(request, service, wanted, batch)
        found = await _all(request, service, batch)
        rows = _rows(wanted, sorted(found.items()))
        return JSONResponse({"results": rows})

    @app.get("/v1/tasks", response_model=None)
    def tasks(source: str = "", offset: str = "0", limit: str = str(PAGE)) -> Response:
        most = _count("limit", limit, MOST_PAGE)
        return JSONResponse(service.tasks.page(source, _count("offset", offset), most))


def _count(name: str, text: str, most: int = 1 << 62) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 20 and int(text) <= most):
        raise Refused(
            f"unusable {name}", value=text[:40], expected=f"a whole number from 0 to {most}"
        )
    return int(text)


async def _all(request: Request, service: GradingService, batch: Batch) -> dict[int, Any]:
    """Return every result of a batch; give the batch up when the client goes away."""

    async def gathered() -> dict[int, Any]:
        results = batch.results(GATHER_S)
        return {number: result async for found in results for number, result in found}

    try:
        return await while_connected(request, gathered())
    finally:
        service.forget(batch)


async def _one(
    request: Request, service: GradingService, batch: Batch, patience_s: float | None = None
) -> Any:
    """Return the result of a batch of one program.

    Raises:
        Refused: There is none yet after ``patience_s``; 504.
    """
    try:
        async with asyncio.timeout(patience_s):
            return (await _all(request, service, batch))[0]
    except TimeoutError:
        raise Refused(
            "the program was not run in time",
            status=GATEWAY_TIMEOUT,
            retry_after_s=service.queue.retry_after_s(1),
            cure="send it again later; more workers or machines shorten the queue",
        ) from None


def _add_fusion(app: FastAPI, service: GradingService, bodies: Bodies) -> None:
    """Add the routes that have SandboxFusion's form."""

    @app.post("/run_code", response_model=None)
    async def run_code(request: Request) -> Response:
        async with bodies.read(request) as body:
            wanted = await _read(body, read_run, service.tasks.bounds)
        batch = _as_gateway(lambda: service.run(wanted.job))
        found = await _one(request, service, batch, wanted.patience_s + MARGIN_S)
        if not isinstance(found, ExecutionResult):
            return JSONResponse(sandbox_error(str(found)))
        return JSONResponse(run_answer((found.parts or (found,))[0]))

    @app.post("/submit", response_model=None)
    async def submit(request: Request) -> Response:
        async with bodies.read(request) as body:
            wanted = await _read(body, read_submit, service.tasks)
        job, task = wanted.job, wanted.task
        started = (
            (lambda: service.run(job))
            if job is not None
            else (lambda: service.grade([(wanted.code, task)]))
        )
        found = await _one(request, service, _as_gateway(started))
        if isinstance(found, Exception):
            raise found  # no verdict: an answer of this form would say "not accepted"
        if isinstance(found, Verdict):
            return JSONResponse(verdict_answer(wanted.number, found, wanted.code, wanted.kind))
        return JSONResponse(inline_answer(wanted, found))


def _as_gateway(start: Callable[[], Batch]) -> Batch:
    """Answer a full queue with 504: after 429, verl gives a program up, and pays it nothing."""
    try:
        return start()
    except Refused as error:
        if error.status in (FULL, UNAVAILABLE):
            error.status = GATEWAY_TIMEOUT
        raise


def _add_state(app: FastAPI, service: GradingService) -> None:
    """Add the routes that say how the service is."""

    @app.get("/healthz", response_model=None)
    async def healthz(request: Request, probe: str = "") -> Response:
        problem = _problem(service)
        if not problem and probe not in ("", "0", "false"):
            problem = await _probe(request, service)
        state = {
            "status": problem or "ok",
            "version": __version__,
            "isolation": service.isolation,
            "tasks": len(service.tasks),
            "waiting": service.queue.waiting,
            "under_way": service.queue.under_way,
        }
        return JSONResponse(state, UNAVAILABLE if problem else 200)

    @app.get("/v1/ping", response_model=None)
    async def ping() -> Response:
        return JSONResponse("pong")

    @app.get("/metrics", response_model=None)
    async def metrics() -> Response:
        return PlainTextResponse(service.metrics_text(), media_type=CONTENT_TYPE)


def _problem(service: GradingService) -> str:
    if service.draining:
        return "ending"
    pause_s = time.monotonic() - service.queue.progressed
    return "stuck" if service.queue.under_way and pause_s > STUCK_S else ""


_PROBE = Task.from_calls("", "f", [((20, 22), 42)], task_id="probe")


async def _probe(request: Request, service: GradingService) -> str:
    """Judge a program; return what is wrong, "" if nothing."""
    text = f"# {time.monotonic_ns()}\ndef f(a, b):\n    return a + b\n"
    work: Coroutine[Any, Any, Any] = _one(
        request, service, service.grade([(text, _PROBE)]), patience_s=30.0
    )
    try:
        found = await work
    except Refused:
        return "stuck"
    return "" if isinstance(found, Verdict) and found.passed else "broken"
