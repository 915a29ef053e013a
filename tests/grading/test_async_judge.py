"""Async judge: coroutines of any event loop share one thread, and none blocks its loop."""

import asyncio
import copy
import pickle
import threading

import pytest

import codegym
from codegym import Task
from codegym.errors import ConfigError, NotCopiedError, SandboxError
from codegym.grading.async_judge import AsyncJudge
from codegym.grading.verdict import Verdict
from codegym.sandbox.job import ExecutionResult, FakeSandbox

TASK = Task.from_calls("def f(x):\n", "f", [((1,), 2)])
PROGRAMS = [f"    return x + {k % 3}\n" for k in range(24)]


def test_coroutines_are_judged_as_a_batch_is():
    async def main():
        async with AsyncJudge() as judge:
            every = await asyncio.gather(*(judge(program, TASK) for program in PROGRAMS))
            assert await judge.judge_many([(program, TASK) for program in PROGRAMS]) == every
            return every

    expected = codegym.judge_many([(program, TASK) for program in PROGRAMS])
    assert [verdict.passed for verdict in asyncio.run(main())] == [
        verdict.passed for verdict in expected
    ]


def fake(started=None, release=None, seen=None):
    """Return a stand-in that waits for an event before it answers."""

    def judge(pairs):
        if started is not None:
            started.set()
            assert release.wait(20)
        if seen is not None:
            seen.extend(program for program, _ in pairs)
        return [Verdict.no_program(n_cases=1) for _ in pairs]

    return judge


def test_the_event_loop_goes_on_and_a_cancelled_call_is_dropped():
    started, release, seen = threading.Event(), threading.Event(), []

    async def main():
        async with AsyncJudge(stand_in=fake(started, release, seen)) as judge:
            first = asyncio.create_task(judge("a", TASK))
            await asyncio.to_thread(started.wait, 20)
            second = asyncio.create_task(judge("b", TASK))
            third = asyncio.create_task(judge("c", TASK))
            for _ in range(5):
                await asyncio.sleep(0)  # the loop runs while the judge is busy
            second.cancel()
            first.cancel()
            with pytest.raises(asyncio.CancelledError):
                await first
            release.set()
            assert not (await third).passed
        assert seen == ["a", "c"]

    asyncio.run(main())


def test_several_loops_share_a_judge_and_equal_programs_run_once():
    started, release, jobs = threading.Event(), threading.Event(), []

    def answer(job):
        jobs.append(job.program)
        started.set()
        assert release.wait(20)
        return ExecutionResult(replies=(b'{"r":2}',))

    judge, found = AsyncJudge(FakeSandbox(answer)), []
    held = judge.submit("    return 2", TASK)
    assert started.wait(20)

    def loop():
        found.extend(asyncio.run(judge.judge_many([("    return x + 1", TASK)] * 3)))

    threads = [threading.Thread(target=loop) for _ in range(3)]
    for thread in threads:
        thread.start()
    while judge.waiting < 9:
        threading.Event().wait(0.001)
    release.set()
    for thread in threads:
        thread.join()
    assert held.result(20).passed and len(found) == 9 and all(v.passed for v in found)
    assert len(jobs) == 2
    judge.close()


def test_errors_come_to_the_call_that_caused_them():
    def broken(pairs):
        if any(program == "broken" for program, _ in pairs):
            raise SandboxError("broke")
        return [Verdict.no_program(n_cases=1) for _ in pairs]

    async def main():
        judge = AsyncJudge(stand_in=broken)
        with pytest.raises(ConfigError, match="not text"):
            await judge(3, TASK)
        with pytest.raises(SandboxError, match="broke"):
            await judge("broken", TASK)
        assert not (await judge("x", TASK)).passed
        await judge.aclose()
        with pytest.raises(SandboxError, match="closed"):
            await judge("x", TASK)

    asyncio.run(main())


def test_a_judge_that_closes_tells_whoever_waits():
    started, release = threading.Event(), threading.Event()
    judge = AsyncJudge(stand_in=fake(started, release))
    first = judge.submit("a", TASK)
    assert started.wait(20)
    second = judge.submit("b", TASK)
    closing = threading.Thread(target=judge.close)
    closing.start()
    release.set()
    closing.join(20)
    assert not closing.is_alive()
    assert isinstance(second.exception(20), SandboxError)
    assert first.done()


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, pickle.dumps])
def test_an_async_judge_is_made_by_each_worker(copied):
    with pytest.raises(NotCopiedError, match="one per worker"):
        copied(AsyncJudge())
