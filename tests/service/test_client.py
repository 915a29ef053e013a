"""The client: retries what passes, raises what does not, and never turns a fault into a verdict."""

import asyncio
import json
import random

import pytest

pytest.importorskip("fastapi", reason="the extra serve is not installed")

import httpx

from codegym import Task
from codegym.errors import (
    ConfigError,
    FaultyTestError,
    MissingVerdictsError,
    SandboxError,
    ServiceError,
    TaskError,
)
from codegym.grading.verdict import CaseResult, Outcome, Verdict
from codegym.service import client as client_module
from codegym.service.client import GraderClient
from codegym.service.patience import FIRST_S, LONGEST_S, Patience, retry_after_s

TASK = Task.from_calls("def f(x):\n", "f", [((1,), 2)], task_id="mine")
PASSED = Verdict.from_cases([CaseResult(outcome=Outcome.PASSED)])
RIGHT = "def f(x):\n    return x + 1\n"


def asked(answer, talk, **settings):
    """Run a conversation with a client whose requests a function answers."""

    async def main():
        transport = httpx.MockTransport(answer)
        async with GraderClient("http://grader", transport=transport, **settings) as grader:
            return await talk(grader)

    return asyncio.run(asyncio.wait_for(main(), 60))


def rows(request, **instead):
    """Answer every program of a request with a verdict, or with other fields."""
    body = json.loads(request.content)
    told = [
        {"index": n, "task_id": "", "verdict": PASSED.to_json()} | instead
        for n in range(len(body["programs"]))
    ]
    if not body["stream"]:
        return httpx.Response(200, json={"results": told})
    lines = [*told, {"end": True, "results": len(told)}]
    return httpx.Response(200, text="".join(json.dumps(line) + "\n" for line in lines))


def in_turn(*answers):
    """Give one answer after the other, then verdicts; a function is called, an error raised."""
    left = list(answers)

    def answer(request):
        found = left.pop(0) if left else rows
        if isinstance(found, Exception):
            raise found
        return found(request) if callable(found) else found

    answer.left = left
    return answer


async def one(grader):
    return await grader(RIGHT, TASK)


async def many(grader):
    return await grader.judge_many([(RIGHT, TASK)] * 3)


@pytest.mark.parametrize("talk", [one, many])
def test_a_real_service_gives_the_verdicts_of_the_judge(sandboxed, talk):
    async def main():
        transport = httpx.ASGITransport(app=sandboxed.app)
        async with GraderClient("http://localhost", transport=transport) as grader:
            return await talk(grader)

    found = asyncio.run(main())
    assert all(verdict.passed for verdict in (found if isinstance(found, list) else [found]))


@pytest.mark.parametrize("talk", [one, many])
@pytest.mark.parametrize(
    "fault",
    [
        httpx.Response(429, headers={"Retry-After": "0"}),
        httpx.Response(503, text="draining"),
        httpx.Response(502),
        httpx.Response(504),
        httpx.Response(500, text="Internal Server Error"),
        httpx.ConnectError("refused"),
        httpx.ReadTimeout("slow"),
        httpx.RemoteProtocolError("gone"),
    ],
)
def test_what_passes_is_tried_again(fault, talk):
    answer = in_turn(fault, fault)
    found = asked(answer, talk)
    assert all(v == PASSED for v in (found if isinstance(found, list) else [found]))
    assert not answer.left


def test_a_service_that_stays_away_is_an_error_and_no_verdict():
    def answer(request):
        return httpx.Response(429, headers={"Retry-After": "1"})

    with pytest.raises(ServiceError, match="no verdict within") as raised:
        asked(answer, one, patience_s=0.5)
    assert isinstance(raised.value, SandboxError)


def test_the_other_verdicts_of_a_batch_survive():
    def answer(request):
        body = json.loads(request.content)
        told = [
            {"index": n, "verdict": PASSED.to_json()}
            if "1" in row["program"]
            else {"index": n, "verdict": None, "fault": FAULT}
            for n, row in enumerate(body["programs"])
        ]
        return httpx.Response(200, json={"results": told})

    pairs = [(RIGHT, TASK), ("x", TASK), (RIGHT, TASK)]
    with pytest.raises(MissingVerdictsError) as raised:
        asked(answer, lambda grader: grader.judge_many(pairs))
    assert raised.value.verdicts == [PASSED, None, PASSED]
    found = asked(answer, lambda grader: grader.judge_many(pairs, missing="none"))
    assert found == [PASSED, None, PASSED]


FAULT = {"type": "SandboxError", "message": "it broke", "cure": "", "retry": True}


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (FAULT, ServiceError),
        (FAULT | {"type": "FaultyTestError"}, FaultyTestError),
        (FAULT | {"type": "TaskError"}, TaskError),
        (FAULT | {"type": "RuntimeError"}, ServiceError),
    ],
)
def test_a_fault_is_raised(fault, error):
    with pytest.raises(error, match="it broke"):
        asked(lambda request: rows(request, verdict=None, fault=fault), one)


def test_an_error_that_nobody_foresaw_reaches_whoever_waits():
    def answer(request):
        raise RuntimeError("a bug")

    with pytest.raises(ServiceError, match="a bug"):
        asked(answer, one)


BAD = {
    "no JSON": "<html>",
    "a number": "7",
    "a list": "[]",
    "no index": '{"verdict": null}',
    "an index that is true": '{"index": true, "verdict": null}',
    "an index beyond the programs": '{"index": 1, "verdict": null}',
    "a negative index": '{"index": -1, "verdict": null}',
    "neither verdict nor fault": '{"index": 0, "verdict": null}',
    "a verdict that is a number": '{"index": 0, "verdict": 1.0}',
    "an unknown outcome": json.dumps(
        {"index": 0, "verdict": PASSED.to_json() | {"outcome": "great"}}
    ),
    "a verdict without cases": json.dumps(
        {"index": 0, "verdict": PASSED.to_json() | {"cases": []}}
    ),
    "a verdict that contradicts its cases": json.dumps(
        {"index": 0, "verdict": PASSED.to_json() | {"outcome": "failed"}}
    ),
    "nested lists": "[" * 5000,
}


@pytest.mark.parametrize("name", BAD)
def test_an_answer_that_is_none_is_an_error_and_no_verdict(name):
    with pytest.raises(ServiceError):
        asked(lambda request: httpx.Response(200, text=BAD[name] + "\n"), one)


def test_the_programs_that_a_broken_answer_left_out_are_asked_again():
    sizes = []

    def answer(request):
        count = len(json.loads(request.content)["programs"])
        sizes.append(count)
        told = [json.dumps({"index": n, "verdict": PASSED.to_json()}) for n in range(count)]
        return httpx.Response(200, text="\n".join(told[: (count + 1) // 2]))

    async def talk(grader):
        return await asyncio.gather(*(grader(RIGHT, TASK) for _ in range(4)))

    assert asked(answer, talk) == [PASSED] * 4
    assert sizes == [4, 2, 1]


def test_calls_made_together_travel_together():
    requests = []

    def answer(request):
        requests.append(json.loads(request.content))
        return rows(request)

    async def talk(grader):
        await asyncio.gather(*(grader(RIGHT, TASK) for _ in range(10)))

    asked(answer, talk)
    (body,) = requests
    assert len(body["programs"]) == 10 and len(body["tasks"]) == 1


def test_two_tasks_of_the_same_id_stay_apart(sandboxed):
    other = Task.from_calls("def f(x):\n", "f", [((1,), 3)], task_id="mine")

    async def main():
        transport = httpx.ASGITransport(app=sandboxed.app)
        async with GraderClient("http://localhost", transport=transport) as grader:
            return await grader.judge_many([(RIGHT, TASK), (RIGHT, other)])

    assert [verdict.passed for verdict in asyncio.run(main())] == [True, False]


def test_a_malformed_call_concerns_no_other(sandboxed):
    async def main():
        transport = httpx.ASGITransport(app=sandboxed.app)
        async with GraderClient("http://localhost", transport=transport) as grader:
            calls = (grader(RIGHT, TASK), grader(RIGHT, "nobody"), grader(7, TASK))
            return await asyncio.gather(*calls, return_exceptions=True)

    good, unknown, wrong = asyncio.run(main())
    assert good.passed
    assert isinstance(unknown, TaskError) and "no such task" in str(unknown)
    assert isinstance(wrong, ConfigError)


def test_an_address_where_no_grader_is_gives_the_cure():
    with pytest.raises(ConfigError, match="check the url"):
        asked(lambda request: httpx.Response(404, text="not here"), one)


def test_a_wrong_token_is_not_tried_again(serve):
    served = serve(token="a-token-of-enough-characters")

    async def main():
        transport = httpx.ASGITransport(app=served.app)
        async with GraderClient("http://localhost", token="wrong", transport=transport) as grader:
            return await grader(RIGHT, TASK)

    with pytest.raises(ConfigError, match="token"):
        asyncio.run(asyncio.wait_for(main(), 20))


def test_a_call_that_is_cancelled_ends_its_request():
    closed = []

    async def answer(request):
        try:
            await asyncio.sleep(30)
        except asyncio.CancelledError:
            closed.append(True)
            raise

    async def talk(grader):
        call = asyncio.create_task(grader(RIGHT, TASK))
        await asyncio.sleep(0.1)
        call.cancel()
        await asyncio.sleep(0.1)
        return list(closed)

    assert asked(answer, talk) == [True]


def test_closing_the_client_ends_the_calls_under_way():
    async def answer(request):
        await asyncio.sleep(30)

    async def talk(grader):
        call = asyncio.create_task(grader(RIGHT, TASK))
        await asyncio.sleep(0.1)
        await grader.aclose()
        return await asyncio.gather(call, return_exceptions=True)

    (error,) = asked(answer, talk)
    assert isinstance(error, ServiceError) and "closed" in str(error)


def test_pauses_are_random_grow_and_respect_what_the_service_asks_for():
    patience = Patience(1e6, random.Random(0))
    pauses = [patience.pause_s() for _ in range(200)]
    assert 0 <= pauses[0] <= FIRST_S and max(pauses) <= LONGEST_S
    assert max(pauses[100:]) > LONGEST_S / 2 and len(set(pauses)) == 200
    assert all(patience.pause_s(7.0) >= 7.0 for _ in range(20))


@pytest.mark.parametrize(
    ("header", "seconds"),
    [(None, 0.0), ("", 0.0), ("3", 3.0), ("-3", 0.0), ("nan", 0.0), ("inf", 0.0), ("soon", 0.0),
     ("Wed, 21 Oct 2015 07:28:00 GMT", 0.0)],
)  # fmt: skip
def test_retry_after(header, seconds):
    assert retry_after_s(header) == seconds


@pytest.mark.parametrize(
    "settings", [{"url": "grader:80"}, {"url": 7}, {"patience_s": 0.0}, {"most_requests": 0}]
)
def test_unusable_settings(settings):
    with pytest.raises(ConfigError, match="unusable"):
        GraderClient(**{"url": "http://grader"} | settings)


def test_large_programs_travel_in_several_requests(monkeypatch):
    monkeypatch.setattr(client_module, "MOST_CHARS", 1000)
    sizes = []

    def answer(request):
        sizes.append(len(json.loads(request.content)["programs"]))
        return rows(request)

    asked(answer, lambda grader: grader.judge_many([("x" * 400, "id")] * 5))
    assert sorted(sizes) == [1, 2, 2]
