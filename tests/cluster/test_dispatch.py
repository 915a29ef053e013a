"""Jobs on several nodes, their frames and their losses; nothing here needs Ray."""

import pickle
from functools import partial

import pytest

from codegym.cluster.dispatch import MOST_LOSSES, WINDOW_PER_WORKER, Dispatcher, Waiting
from codegym.cluster.job_frames import (
    SentJob,
    pack_answers,
    pack_jobs,
    unpack_answers,
    unpack_jobs,
)
from codegym.errors import SandboxError
from codegym.sandbox.job import ExecutionResult, Job
from codegym.sandbox.limits import Limits
from tests.cluster.fleets import ScriptedGrader


def job(number=0, **rest):
    rest = {"mode": "call", "payload": b"payload", **rest}
    return Job(program=f"# {number}\n", **rest)


def passed(asked):
    return ExecutionResult(replies=(asked.program.encode(),))


class Board:
    """A dispatcher, and what became of each job."""

    def __init__(self, *graders):
        self.arrived, self.answers = [], {}
        self.dispatch = Dispatcher(lambda grader, answer: self.arrived.append((grader, answer)))
        for grader in graders:
            self.dispatch.join(grader)

    def add(self, number, wanted=True, **rest):
        done = partial(self._done, number)
        self.dispatch.queue.append(Waiting(number, job(number, **rest), done, lambda: wanted))

    def _done(self, number, answer):
        assert number not in self.answers, "answered twice"
        self.answers[number] = answer

    def read(self):
        arrived, self.arrived[:] = list(self.arrived), []
        for grader, answer in arrived:
            if isinstance(answer, bytes):
                self.dispatch.results(grader, unpack_answers(answer))
            else:
                self.dispatch.lose(grader, answer)


def test_jobs_and_results_cross_unchanged():
    jobs = [
        SentJob(1, job(1, limits=Limits(case_s=0.5, wall_s=3, stop="first_failure"))),
        SentJob(2, job(2, mode="stdio", payload=b'["\xc3\xa4"]', n_cases=3, site="s"), 7),
        SentJob(3, job("\udc80", mode="assertion", before="x = '\udc80'", classes=("A", "B"))),
        SentJob(4, job(4, packages=("numpy",), reseeded=True)),
    ]
    assert unpack_jobs(pack_jobs(jobs)) == jobs
    part = ExecutionResult(replies=(b"\x00\xff", b""), output=b"out", first_case=2, loaded=True)
    whole = ExecutionResult(parts=(part, part), limit="wall", running_line=3, wall_s=0.25)
    assert unpack_answers(pack_answers([(5, whole)])) == [(5, whole)]


def test_a_shared_payload_crosses_once():
    payload = b"p" * 10_000
    frame = pack_jobs([SentJob(number, job(number, payload=payload)) for number in range(50)])
    assert len(frame) < 20_000


def test_errors_cross_as_errors():
    ((number, error),) = unpack_answers(
        pack_answers([(9, SandboxError("broke", value="x", expected="y", cure="z"))])
    )
    assert number == 9 and isinstance(error, SandboxError)
    assert (error.message, error.expected, error.cure) == ("broke", "y", "z")


def test_what_a_program_wrote_is_never_unpickled():
    class Bomb:
        def __reduce__(self):
            return pytest.fail, ("unpickled",)

    reply = pickle.dumps(Bomb())
    result = ExecutionResult(replies=(reply,), output=reply)
    ((_, read),) = unpack_answers(pack_answers([(1, result)]))
    assert read.replies == (reply,)


@pytest.mark.parametrize(
    "frame", [b"", b"\x01", pack_jobs([])[:-1] + b"x", pack_jobs([]) + b"x", pickle.dumps({})]
)
def test_a_foreign_frame_is_an_error(frame):
    with pytest.raises(SandboxError, match="unreadable"):
        unpack_jobs(frame)


def test_jobs_spread_and_no_node_gets_more_than_its_window():
    small, large = ScriptedGrader("small", passed, 1), ScriptedGrader("large", passed, 3)
    board = Board(small, large)
    for number in range(100):
        board.add(number)
    assert board.dispatch.assign() == []
    assert len(small.waiting) == WINDOW_PER_WORKER
    assert len(large.waiting) == 3 * WINDOW_PER_WORKER
    assert len(board.dispatch.queue) == 100 - 4 * WINDOW_PER_WORKER
    while board.dispatch.under_way:
        for grader in (small, large):
            if grader.then:
                grader.give(2)
        board.read()
        board.dispatch.assign()
    assert sorted(board.answers) == list(range(100))
    assert board.answers[42].replies == (b"# 42\n",)


def test_a_node_that_runs_dry_gets_more_and_a_slow_one_less(monkeypatch):
    grader = ScriptedGrader("node", passed)
    board = Board(grader)
    for number in range(100):
        board.add(number)
    board.dispatch.assign()
    grader.give()
    board.read()
    board.dispatch.assign()
    assert len(grader.waiting) == 2 * WINDOW_PER_WORKER
    monkeypatch.setattr("codegym.cluster.dispatch.SLOW_S", -1.0)
    grader.give(1)
    board.read()
    board.dispatch.assign()
    grader.give(9)
    board.read()
    board.dispatch.assign()
    assert len(grader.waiting) == WINDOW_PER_WORKER


def test_a_lost_node_loses_no_job_and_keeps_their_order():
    first, second = ScriptedGrader("first", passed), ScriptedGrader("second", passed)
    board = Board(first)
    for number in range(6):
        board.add(number)
    board.dispatch.assign()
    first.give(2)
    board.read()
    board.dispatch.lose(first, ConnectionError("gone"))
    assert [waiting.number for waiting in board.dispatch.queue] == [2, 3, 4, 5]
    board.dispatch.join(second)
    board.dispatch.assign()
    second.give()
    board.read()
    assert sorted(board.answers) == list(range(6))
    assert all(isinstance(answer, ExecutionResult) for answer in board.answers.values())
    # An answer that was on its way from the lost node is not delivered a second time.
    board.dispatch.results(first, [(3, ExecutionResult())])


def test_a_job_that_loses_every_node_is_an_error_and_no_verdict():
    board = Board()
    board.add(1)
    for number in range(MOST_LOSSES):
        assert 1 not in board.answers
        grader = ScriptedGrader(f"node {number}", passed)
        board.dispatch.join(grader)
        board.dispatch.assign()
        grader.fail(ConnectionError("gone"))
        board.read()
    assert isinstance(board.answers[1], SandboxError) and not board.dispatch.under_way


def test_a_node_that_cannot_be_spoken_to_is_reported():
    grader = ScriptedGrader("node", passed)
    grader.submit = lambda frame, learnt: (_ for _ in ()).throw(OSError("no way"))
    board = Board(grader)
    board.add(1)
    ((lost, error),) = board.dispatch.assign()
    assert lost is grader and isinstance(error, OSError)
    board.dispatch.lose(lost, error)
    assert [waiting.number for waiting in board.dispatch.queue] == [1]


def test_a_job_that_nobody_waits_for_is_not_sent():
    grader = ScriptedGrader("node", passed)
    board = Board(grader)
    board.add(1, wanted=False)
    board.add(2)
    board.dispatch.assign()
    assert [number for number, _, _ in grader.waiting] == [2]


def above(plan, case, result):
    return case < plan[0]


def test_a_callable_is_taught_once_to_each_node():
    first, second = ScriptedGrader("first", passed), ScriptedGrader("second", passed)
    board = Board(first, second)
    plan = [3]
    for number in range(8):
        board.add(number, goes_on=partial(above, plan))
    board.dispatch.assign()
    for grader in (first, second):
        ((number, data),) = grader.learnt
        assert {goes_on for _, _, goes_on in grader.waiting} == {number}
        assert pickle.loads(data)(2, None) and not pickle.loads(data)(3, None)


def test_a_callable_that_cannot_cross_is_an_error_of_its_job_alone():
    grader = ScriptedGrader("node", passed)
    board = Board(grader)
    board.add(1, goes_on=lambda case, result: True)
    board.add(2)
    board.dispatch.assign()
    assert isinstance(board.answers[1], SandboxError)
    assert [number for number, _, _ in grader.waiting] == [2]


def test_tests_on_ray_are_collected_where_it_is_installed() -> None:
    pytest.importorskip("ray", reason="Ray is not installed (extra ray): test_ray_*.py left out")
    from tests.cluster.conftest import collect_ignore_glob

    assert not collect_ignore_glob
