"""The queue: bounded, fair between requests, and nothing is lost or started in vain."""

import asyncio
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial

import pytest

pytest.importorskip("fastapi", reason="the extra serve is not installed")

from codegym.service.program_queue import ProgramQueue
from codegym.service.refusals import Refused


class Work:
    """Programs that end when the test says so."""

    def __init__(self):
        self.started = []
        self.futures = {}

    def starts(self, name, count):
        return [partial(self.start, f"{name}{number}") for number in range(count)]

    def start(self, name):
        self.started.append(name)
        self.futures[name] = Future()
        return self.futures[name]

    async def end(self, name):
        self.futures[name].set_result(name)
        await asyncio.sleep(0.02)


async def collected(batch):
    return dict([pair async for found in batch.results() for pair in found])


def test_requests_take_turns():
    async def main():
        work, queue = Work(), ProgramQueue(most_waiting=99, most_under_way=1)
        queue.admit(work.starts("a", 4))
        queue.admit(work.starts("b", 2))
        for name in ("a0", "a1", "b0", "a2", "b1"):
            await work.end(name)
        return work.started

    assert asyncio.run(main()) == ["a0", "a1", "b0", "a2", "b1", "a3"]


def test_results_keep_their_numbers():
    async def main():
        work, queue = Work(), ProgramQueue(most_waiting=99, most_under_way=3)
        batch = queue.admit(work.starts("a", 3))
        for name in ("a2", "a0", "a1"):
            await work.end(name)
        return await collected(batch)

    assert asyncio.run(main()) == {0: "a0", 1: "a1", 2: "a2"}


def test_a_request_is_admitted_whole_or_not_at_all():
    async def main():
        work, queue = Work(), ProgramQueue(most_waiting=4, most_under_way=1)
        queue.admit(work.starts("a", 4))  # one is started, three wait
        with pytest.raises(Refused) as raised:
            queue.admit(work.starts("b", 2))
        assert queue.waiting == 3
        queue.admit(work.starts("c", 1))
        return raised.value

    error = asyncio.run(main())
    assert error.status == 429 and 1 <= error.retry_after_s <= 60


def test_a_cancelled_request_starts_nothing_more_and_makes_room():
    async def main():
        work, queue = Work(), ProgramQueue(most_waiting=4, most_under_way=1)
        first = queue.admit(work.starts("a", 4))
        second = queue.admit(work.starts("b", 1))
        first.cancel()
        await asyncio.sleep(0.02)
        await work.end("b0")
        return work.started, await collected(second), queue.waiting, queue.under_way

    started, found, waiting, under_way = asyncio.run(main())
    assert started == ["a0", "b0"] and found == {0: "b0"}
    assert waiting == under_way == 0


def test_a_program_that_cannot_be_started_has_its_error_as_result():
    def fails():
        raise ValueError("no")

    async def main():
        queue = ProgramQueue(most_waiting=9, most_under_way=2)
        return await collected(queue.admit([fails, fails]))

    found = asyncio.run(main())
    assert [type(found[number]) for number in (0, 1)] == [ValueError, ValueError]


def test_the_error_of_a_program_is_its_result_and_the_next_is_started():
    async def main():
        work, queue = Work(), ProgramQueue(most_waiting=9, most_under_way=1)
        batch = queue.admit(work.starts("a", 2))
        work.futures["a0"].set_exception(RuntimeError("broke"))
        await asyncio.sleep(0.02)
        await work.end("a1")
        return await collected(batch)

    found = asyncio.run(main())
    assert isinstance(found[0], RuntimeError) and found[1] == "a1"


def test_many_programs_that_end_in_threads_all_arrive():
    async def main():
        with ThreadPoolExecutor(8) as pool:
            queue = ProgramQueue(most_waiting=5000, most_under_way=32)
            batches = [
                queue.admit([partial(pool.submit, pow, number, 2) for number in range(500)])
                for _ in range(4)
            ]
            found = await asyncio.gather(*map(collected, batches))
        return found, queue

    found, queue = asyncio.run(asyncio.wait_for(main(), 60))
    assert all(each == {number: number**2 for number in range(500)} for each in found)
    assert queue.waiting == queue.under_way == 0
