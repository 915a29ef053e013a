"""POST /v1/grade and the pages of tasks: programs in, verdicts or faults out."""

import asyncio
import json
import threading

import pytest

pytest.importorskip("fastapi", reason="the extra serve is not installed")

from codegym import Task
from codegym.errors import FaultyTestError, SandboxError
from codegym.grading.verdict import Verdict

RIGHT = {"task_id": "tiny/0", "program": "# note\n" * 0 + "def f(x):\n    return x+0"}
BROKEN = {"task_id": "tiny/0", "program": "def f(x):\n    return x+9 "}


def whole_task(task_id="mine", add=1):
    return Task.from_calls("", "f", [((1,), 1 + add)], task_id=task_id).to_json()


def test_verdicts_come_in_the_order_of_the_programs(serve):
    rows = serve().send("/v1/grade", {"programs": [RIGHT, BROKEN, RIGHT]}).json()["results"]
    assert [row["index"] for row in rows] == [0, 1, 2]
    verdicts = [Verdict.from_json(row["verdict"]) for row in rows]
    assert [verdict.passed for verdict in verdicts] == [True, False, True]


def test_lines_hold_each_verdict_and_end_with_their_number(serve):
    answer = serve().send("/v1/grade", {"programs": [RIGHT, BROKEN], "stream": True})
    assert answer.headers["content-type"] == "application/x-ndjson"
    *rows, end = map(json.loads, answer.text.splitlines())
    assert {row["index"]: row["verdict"]["outcome"] == "passed" for row in rows} == {
        0: True,
        1: False,
    }
    assert end == {"end": True, "results": 2}


def test_a_whole_task_comes_before_a_served_task_of_its_id(sandboxed):
    program = {"task_id": "tiny/0", "program": "def f(x):\n    return x + 7\n"}
    body = {"programs": [program], "tasks": [whole_task("tiny/0", add=7)]}
    (row,) = sandboxed.send("/v1/grade", body).json()["results"]
    assert row["verdict"]["outcome"] == "passed"
    (row,) = sandboxed.send("/v1/grade", {"programs": [program]}).json()["results"]
    assert row["verdict"]["outcome"] == "failed"


def test_an_answer_is_read_as_a_chat_models(sandboxed):
    answer = "Sure, here it is.\n```python\ndef f(x):\n    return x + 1\n```\nDone."
    body = {"programs": [{"task_id": "mine", "answer": answer}], "tasks": [whole_task()]}
    (row,) = sandboxed.send("/v1/grade", body).json()["results"]
    assert row["verdict"]["outcome"] == "passed"


@pytest.mark.parametrize("stream", [False, True])
def test_a_fault_of_the_sandbox_is_no_verdict(serve, stream):
    def breaks(pairs):
        raise SandboxError("the sandbox broke")

    body = {"programs": [RIGHT], "stream": stream}
    answer = serve(stand_in=breaks).send("/v1/grade", body)
    row = json.loads(answer.text.splitlines()[0]) if stream else answer.json()["results"][0]
    assert row["verdict"] is None
    assert row["fault"]["type"] == "SandboxError" and row["fault"]["retry"] is True


def test_a_faulty_test_is_no_verdict_and_not_worth_another_try(serve):
    def breaks(pairs):
        raise FaultyTestError("the test failed by itself")

    (row,) = serve(stand_in=breaks).send("/v1/grade", {"programs": [RIGHT]}).json()["results"]
    assert row["verdict"] is None
    assert row["fault"]["type"] == "FaultyTestError" and row["fault"]["retry"] is False


def test_a_judge_that_breaks_is_no_verdict(serve):
    def breaks(pairs):
        raise RuntimeError("a bug")

    (row,) = serve(stand_in=breaks).send("/v1/grade", {"programs": [RIGHT]}).json()["results"]
    assert row["verdict"] is None and row["fault"]["retry"] is True


def test_a_full_queue_is_answered_with_429_and_a_time(serve):
    answer = serve(most_waiting=2).send("/v1/grade", {"programs": [RIGHT] * 3})
    assert answer.status_code == 429
    assert int(answer.headers["retry-after"]) >= 1
    assert "the queue is full" in answer.json()["error"]["message"]


def test_a_service_that_ends_takes_no_more_programs(serve):
    served = serve()
    served.service.draining = True
    answer = served.send("/v1/grade", {"programs": [RIGHT]})
    assert answer.status_code == 503 and "retry-after" in answer.headers
    assert served.send("/healthz").status_code == 503


def test_pages_hold_every_task_once_and_no_expected_value(serve):
    served, seen, offset = serve(), [], 0
    while offset is not None:
        page = served.send(f"/v1/tasks?limit=4&offset={offset}").json()
        seen += page["tasks"]
        offset = page["next_offset"]
    assert [row["task_id"] for row in seen] == [f"tiny/{k}" for k in range(9)]
    known = {"task_id", "source", "prompt", "entry_point", "form", "n_cases"}
    assert all(set(row) == known for row in seen)


def test_metrics_count_programs_by_outcome(serve):
    served = serve()
    served.send("/v1/grade", {"programs": [RIGHT, BROKEN]})
    text = served.send("/metrics").text
    assert 'codegym_programs_total{outcome="passed"} 1.0' in text
    assert 'codegym_requests_total{path="/v1/grade",status="200"} 1.0' in text
    assert "process_resident_memory_bytes" in text


def test_health_probes_the_sandbox(sandboxed, serve):
    assert sandboxed.send("/healthz?probe=1").json()["status"] == "ok"

    def breaks(pairs):
        raise SandboxError("the sandbox broke")

    assert serve(stand_in=breaks).send("/healthz?probe=1").status_code == 503


def test_a_client_that_goes_away_drops_what_was_not_started(serve):
    started, release = threading.Event(), threading.Event()

    def slow(pairs):
        started.set()
        assert release.wait(20)
        return [Verdict.no_program(n_cases=1) for _ in pairs]

    served = serve(stand_in=slow)
    body = {"programs": [dict(RIGHT, program=f"{n}") for n in range(100)], "stream": True}

    async def talk(client):
        asked = asyncio.create_task(client.post("/v1/grade", json=body))
        await asyncio.to_thread(started.wait, 20)
        waiting = served.service.queue.waiting
        asked.cancel()
        await asyncio.gather(asked, return_exceptions=True)
        after = served.service.queue.waiting
        release.set()
        return waiting, after

    waiting, after = served.run(talk)
    assert waiting > 0 and after == 0
