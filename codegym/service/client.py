"""Client of a grading service: verdicts for coroutines, and never a reward for a fault.

It needs httpx only. Calls that are made at about the same time travel in one request.
"""

import asyncio
import json
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from types import TracebackType
from typing import Any, Literal, Self, overload

import httpx

from codegym.errors import (
    ConfigError,
    FaultyTestError,
    MissingVerdictsError,
    SandboxError,
    ServiceError,
    TaskError,
)
from codegym.grading.verdict import Verdict
from codegym.service.patience import Patience, retry_after_s
from codegym.tasks.task import Task

# Programs of one request, and the characters of its programs and tasks.
MOST_PROGRAMS, MOST_CHARS = 64, 2 << 20
# Answers that say "not now"; every other answer above 400 is an error of the request.
_NOT_NOW = (408, 429, 500, 502, 503, 504)
_KEPT_TASKS = 1024
# Metadata that the grader reads.
_TOLD = {"verdict_cache"}

Question = tuple[str, Task | str]
Found = Verdict | Exception


class GraderClient:
    """Asks a grading service (``codegym serve``) for verdicts.

    Intended use::

        async with GraderClient("http://127.0.0.1:8080") as grader:
            verdict = await grader(program, task)
            verdicts = await grader.judge_many(pairs)

    A request that fails because the service is full, ends or cannot be reached is sent again, after
    a random pause that grows and that is no shorter than the answer's ``Retry-After``. Judging
    twice does no harm, since a verdict depends on the program and the task alone. Whatever goes
    wrong is raised: no failure becomes a verdict.

    Args:
        url: Address of the service.
        token: What the service wants to know; "" for nothing.
        patience_s: Seconds after which a program without a verdict is given up.
        most_requests: Number of requests under way at a time.
        transport: Carries requests instead of the network; for tests.

    Raises:
        ConfigError: An argument is unusable.
    """

    def __init__(
        self,
        url: str,
        *,
        token: str = "",
        patience_s: float = 600.0,
        most_requests: int = 8,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        if not isinstance(url, str) or not url.startswith(("http://", "https://")):
            raise ConfigError("unusable url", value=url, expected="http://HOST:PORT")
        if not patience_s > 0 or most_requests < 1:
            raise ConfigError("unusable patience_s or most_requests", expected="above 0")
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._http = httpx.AsyncClient(
            base_url=url.rstrip("/"),
            headers=headers,
            transport=transport,
            timeout=httpx.Timeout(patience_s, connect=10.0),
            limits=httpx.Limits(max_connections=most_requests),
        )
        self._patience_s, self._room = patience_s, asyncio.Semaphore(most_requests)
        self._waiting: list[tuple[Question, asyncio.Future[Verdict]]] = []
        self._sending: set[asyncio.Task[None]] = set()
        self._texts: OrderedDict[int, tuple[Task, str]] = OrderedDict()

    async def __call__(self, program: str, task: Task | str) -> Verdict:
        """Return the verdict on a program.

        Args:
            program: A whole program, or the continuation of the task's prompt.
            task: The task, or the id of a task that the service has.

        Raises:
            ServiceError: The service gave no verdict.
            TaskError: The task is unknown there, or malformed.
            ConfigError: The request is unusable.
        """
        future: asyncio.Future[Verdict] = asyncio.get_running_loop().create_future()
        self._waiting.append(((program, task), future))
        if len(self._waiting) == 1:
            self._begin(self._send_waiting())
        return await future

    def _begin(self, work: Any) -> None:
        task = asyncio.ensure_future(work)
        self._sending.add(task)
        task.add_done_callback(self._sending.discard)

    async def _send_waiting(self) -> None:
        """Send what the coroutines that can run now ask for, in as few requests as possible."""
        await asyncio.sleep(0)
        asked, self._waiting = self._waiting, []
        for part in _parts([question for question, _ in asked], self._chars):
            self._begin(self._answer([asked[number] for number in part]))

    async def _answer(self, asked: list[tuple[Question, "asyncio.Future[Verdict]"]]) -> None:
        sending = asyncio.current_task()
        assert sending is not None

        def given_up(_: object) -> None:
            if all(future.done() for _, future in asked):
                sending.cancel()  # nobody waits any more: the service drops the programs

        for _, future in asked:
            future.add_done_callback(given_up)
        found: Sequence[Found]
        try:
            found = await self._ask([question for question, _ in asked], stream=True)
        except asyncio.CancelledError:
            found = [ServiceError("the client was closed")] * len(asked)
        except Exception as error:  # whoever waits is told
            found = [ServiceError(f"the client broke: {error!r}")] * len(asked)
        for (_, future), result in zip(asked, found, strict=True):
            if future.done():
                continue
            if isinstance(result, Exception):
                future.set_exception(result)
            else:
                future.set_result(result)

    @overload
    async def judge_many(
        self, pairs: Iterable[Question], *, missing: Literal["raise"] = "raise"
    ) -> list[Verdict]: ...

    @overload
    async def judge_many(
        self, pairs: Iterable[Question], *, missing: Literal["none"]
    ) -> list[Verdict | None]: ...

    async def judge_many(
        self, pairs: Iterable[Question], *, missing: Literal["raise", "none"] = "raise"
    ) -> list[Verdict] | list[Verdict | None]:
        """Return the verdicts on programs in the order given; see ``codegym.judge_many``.

        Raises:
            MissingVerdictsError: Some programs have no verdict, and ``missing`` is ``raise``.
            TaskError, ConfigError: The service refused a request.
        """
        if missing not in ("raise", "none"):
            raise ConfigError("unusable missing", value=missing, expected="raise or none")
        asked = list(pairs)
        results: dict[int, Found] = {}

        async def ask(part: list[int]) -> None:
            found = await self._ask([asked[number] for number in part], stream=False)
            results.update(zip(part, found, strict=True))

        await asyncio.gather(*(ask(part) for part in _parts(asked, self._chars)))
        errors: dict[int, SandboxError] = {}
        for number, found in sorted(results.items(), key=lambda pair: pair[0]):
            if isinstance(found, SandboxError):
                errors[number] = found
            elif isinstance(found, Exception):
                raise found
        ordered = [results[number] for number in range(len(asked))]
        verdicts = [each if isinstance(each, Verdict) else None for each in ordered]
        if errors and missing == "raise":
            raise MissingVerdictsError(verdicts, errors)
        return verdicts

    async def _ask(self, asked: Sequence[Question], *, stream: bool) -> list[Found]:
        """Return what became of each question; asks again while the service says "not now".

        Args:
            asked: The questions.
            stream: Whether the verdicts are sent one by one, so that a broken connection loses
                those that are missing only; a whole answer costs less.
        """
        found: dict[int, Found] = {}
        patience = Patience(self._patience_s)
        while len(found) < len(asked):
            left = [number for number in range(len(asked)) if number not in found]
            pause_s, why = 0.0, "the answer ended early"
            try:
                async with self._room:
                    body = self._body([asked[number] for number in left], stream)
                    await self._request(body, left, found)
            except _NotNow as error:
                pause_s, why = error.pause_s, str(error)
            except httpx.HTTPError as error:
                why = f"{type(error).__name__}: {error}"
            except (ConfigError, TaskError) as error:
                found |= await self._apart(asked, left, error, stream)
            except ServiceError as error:
                found |= {number: error for number in left if number not in found}
            if len(found) < len(asked) and not await patience.wait(pause_s):
                gave_up = ServiceError(
                    f"the service gave no verdict within {self._patience_s:g} s ({why})",
                    value=str(self._http.base_url),
                    cure="see GET /healthz there; more workers shorten its queue",
                )
                found |= {number: gave_up for number in left if number not in found}
        return [found[number] for number in range(len(asked))]

    async def _apart(
        self,
        asked: Sequence[Question],
        left: Sequence[int],
        error: ConfigError | TaskError,
        stream: bool,
    ) -> dict[int, Found]:
        """Ask in halves what was refused together: a malformed question concerns no other."""
        if len(left) == 1:
            return {left[0]: error}
        halves = left[: len(left) // 2], left[len(left) // 2 :]
        work = (self._ask([asked[n] for n in half], stream=stream) for half in halves)
        found = await asyncio.gather(*work)
        return {
            number: result
            for half, results in zip(halves, found, strict=True)
            for number, result in zip(half, results, strict=True)
        }

    async def _request(self, body: bytes, numbers: Sequence[int], found: dict[int, Found]) -> None:
        """Send a request; note what became of each question by its number.

        Raises:
            _NotNow: The service could not take the request.
            ConfigError, TaskError: The service refused it.
            ServiceError: The service answered with something else.
        """
        headers = {"Content-Type": "application/json"}
        async with self._http.stream("POST", "/v1/grade", content=body, headers=headers) as answer:
            if answer.status_code != 200:
                await answer.aread()
                raise _refusal(answer)
            async for line in answer.aiter_lines():
                for row in _rows(line, len(numbers)):
                    found[numbers[row["index"]]] = _found(row)

    def _body(self, asked: Sequence[Question], stream: bool) -> bytes:
        rows: list[dict[str, str]] = []
        names: dict[int, str] = {}
        texts: dict[str, str] = {}
        for program, task in asked:
            if not isinstance(program, str) or not isinstance(task, Task | str):
                raise ConfigError(
                    "not a program and a task", value=(program, task), expected="(str, Task or id)"
                )
            name = task if isinstance(task, str) else names.get(id(task), "")
            if isinstance(task, Task) and not name:
                taken = task.task_id in texts
                name = f"{task.task_id} ({len(texts)})" if taken else task.task_id
                names[id(task)], texts[name] = name, self._text(task)
            rows.append({"task_id": name, "program": program})
        tasks = ",".join(f'{{"task_id":{json.dumps(name)},{text}' for name, text in texts.items())
        streams = json.dumps(stream)
        text = f'{{"stream":{streams},"programs":{json.dumps(rows)},"tasks":[{tasks}]}}'
        return text.encode()

    def _text(self, task: Task) -> str:
        """Return a task as JSON without its id, which is different in each request."""
        known = self._texts.get(id(task))
        if known is None or known[0] is not task:
            row = task.to_json()
            del row["task_id"]
            row["metadata"] = {name: row["metadata"][name] for name in _TOLD & {*row["metadata"]}}
            known = self._texts[id(task)] = task, json.dumps(row)[1:]
            while len(self._texts) > _KEPT_TASKS:
                self._texts.popitem(last=False)
        return known[1]

    def _chars(self, question: Question) -> int:
        program, task = question
        size = len(program) if isinstance(program, str) else 0
        if isinstance(task, Task):
            with suppress(TaskError):  # raised where the request is made
                size += len(self._text(task))
        return size

    async def health(self) -> dict[str, Any]:
        """Return the state of the service.

        Raises:
            ServiceError: It cannot be reached, or is unwell.
        """
        try:
            answer = await self._http.get("/healthz", params={"probe": "1"})
            state: dict[str, Any] = answer.json()
        except (httpx.HTTPError, ValueError) as error:
            raise ServiceError(f"the service cannot be reached ({error!r})") from None
        if answer.status_code != 200:
            raise ServiceError("the service is unwell", value=state)
        return state

    async def aclose(self) -> None:
        """Give up what is under way and close the connections."""
        for task in list(self._sending):
            task.cancel()
        await asyncio.gather(*self._sending, return_exceptions=True)
        await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()


class _NotNow(Exception):
    """The service could not take a request.

    Args:
        why: Its words.
        pause_s: Seconds that it asks to wait for.
    """

    def __init__(self, why: str, pause_s: float) -> None:
        self.pause_s = pause_s
        super().__init__(why)


def _parts(asked: Sequence[Question], chars: Callable[[Question], int]) -> Iterator[list[int]]:
    """Yield the numbers of the questions of each request."""
    part: list[int] = []
    size = 0
    for number, question in enumerate(asked):
        size += chars(question)
        if part and (len(part) >= MOST_PROGRAMS or size > MOST_CHARS):
            yield part
            part, size = [], chars(question)
        part.append(number)
    if part:
        yield part


def _refusal(answer: httpx.Response) -> Exception:
    """Return the error that an answer with another status than 200 stands for."""
    try:
        told = answer.json()["error"]
        words = {name: str(told[name]) for name in ("type", "message", "expected", "cure")}
    except (ValueError, LookupError, TypeError):
        words = {"type": "", "message": answer.text[:200], "expected": "", "cure": ""}
    why = f"status {answer.status_code}: {words['message']}"
    if answer.status_code in _NOT_NOW:
        return _NotNow(why, retry_after_s(answer.headers.get("Retry-After")))
    if not words["type"]:
        cure = "check the url"
        return ConfigError(f"no grading service answers there ({why})", cure=cure)
    kind = TaskError if words["type"] == "TaskError" else ConfigError
    message = f"the service refused the request: {words['message']}"
    return kind(message, expected=words["expected"], cure=words["cure"])


def _rows(line: str, count: int) -> list[dict[str, Any]]:
    """Return the rows of a line of an answer, whose numbers are known to be below ``count``.

    A whole answer is a line with all rows, a streamed one has a line for each.

    Raises:
        ServiceError: The line is none of a grading service.
    """
    try:
        told = json.loads(line)
        if told.get("end") is True:
            return []
        rows: list[dict[str, Any]] = told["results"] if "results" in told else [told]
        if all(type(row["index"]) is int and 0 <= row["index"] < count for row in rows):
            return rows
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        pass
    raise ServiceError("the service answered with something else than verdicts", value=line[:200])


def _found(row: Mapping[str, Any]) -> Found:
    """Return the verdict of a line, or the fault that took its place.

    Raises:
        ServiceError: The line holds neither.
    """
    try:
        if row["verdict"] is not None:
            verdict = Verdict.from_json(row["verdict"])
            if verdict.cases and verdict.passed == all(case.passed for case in verdict.cases):
                return verdict
            raise ValueError("a verdict that contradicts its cases")
        fault = row["fault"]
        words = str(fault["message"]), str(fault["cure"])
        if fault["type"] == "FaultyTestError":
            return FaultyTestError(words[0])
        if fault["type"] == "TaskError":
            return TaskError(words[0], cure=words[1])
        return ServiceError(f"the service has no verdict: {words[0]}", cure=words[1])
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise ServiceError(
            f"the service answered with something else than a verdict ({error})",
            value=str(dict(row))[:200],
        ) from None


def judge_many_at(
    url: str, pairs: Iterable[Question], *, token: str = "", patience_s: float = 600.0
) -> list[Verdict]:
    """Ask a grading service for verdicts, without an event loop; see ``GraderClient.judge_many``.

    Raises:
        MissingVerdictsError: Some programs have no verdict.
        TaskError, ConfigError: The service refused a request.
    """

    async def ask() -> list[Verdict]:
        async with GraderClient(url, token=token, patience_s=patience_s) as grader:
            return await grader.judge_many(pairs)

    return asyncio.run(ask())
