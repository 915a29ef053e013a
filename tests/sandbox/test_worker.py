"""Worker: its states and deadlines, with fake processes."""

import time
from types import SimpleNamespace

import pytest

from codegym.errors import SandboxError
from codegym.sandbox import Job, wire
from codegym.sandbox.inside.protocol import NOT_STOPPED, STOPPED_WALL
from codegym.sandbox.job import ExecutionResult
from codegym.sandbox.limits import Limits
from codegym.sandbox.program_process import Status
from codegym.sandbox.worker import (
    COMPILE_S,
    LEAVE_S,
    LISTEN_AFTER_S,
    REPORT_S,
    START_S,
    WEDGED_AFTER_S,
    WEDGED_AGAIN_AFTER_S,
    Worker,
)
from codegym.sandbox.worker_state import State
from codegym.sandbox.zygote_client import Lost

LIMITS = Limits(wall_s=2.0, cpu_s=0.3)


def job(program="", mode="call", limits=LIMITS):
    payload = {"call": {"function": "f", "calls": [[[], {}]]}, "stdio": ["1\n", "2\n"]}
    return Job(program=program, mode=mode, payload=wire.dumps(payload.get(mode, {})), limits=limits)


class FakeExaminer:
    """Returns the runs that were sent to it, in order."""

    def __init__(self):
        self.runs = []

    def next_examined(self):
        return self.runs.pop(0)

    def so_far(self, run):
        return b"so far"


class FakeProcesses:
    """Takes a worker's requests and starts nothing."""

    isolation = "fake"

    def __init__(self):
        self.zygote = self.examiner = None
        self.greeted = True
        self.is_stopped = False
        self.compiled = True
        self.full = False
        self.starts = 0
        self.run_ids = 0
        self.stopped, self.out_of_time, self.recalled, self.listened = [], [], [], []
        self.limit, self.clock_again_s, self.firsts = "", 600.0, []
        self.loaded, self.replies = True, None

    def prepare(self, run):
        if self.zygote is None:
            self.starts += 1
            self.zygote = SimpleNamespace(greeted=self.greeted, complaint=lambda: "why not")
        if run.job.mode == "assertion":
            self.examiner = self.examiner or FakeExaminer()
            if not self.compiled:
                self.examiner.runs.append(run)
                self.compiled = True
                return False
        return True

    def may_wait(self, job):
        return True

    def send(self, run):
        if self.full:
            raise BlockingIOError
        if run.job.mode == "assertion":
            self.examiner.runs.append(run)
        self.run_ids += 1
        self.firsts.append(run.first)
        replies = (run.job.program.encode(),) if self.replies is None else self.replies
        run.process = process = SimpleNamespace(
            run_id=self.run_ids,
            ready=True,
            started=0.0,
            limits=run.job.limits,
            stop_reason="",
            result=lambda status: ExecutionResult(
                replies=replies,
                loaded=self.loaded,
                cpu_s=status.cpu_s,
                limit=process.stop_reason or "wall" if status.stopped == STOPPED_WALL else "",
            ),
        )
        return process

    def listen_to(self, process):
        self.listened.append(process.run_id)

    def close_process(self, run):
        run.process = None

    def abandon(self, run):
        run.process = None
        if self.examiner is not None:
            self.examiner.runs = [
                None if examined is run else examined for examined in self.examiner.runs
            ]

    def stop_program(self, process, *, out_of_time=False):
        (self.out_of_time if out_of_time else self.stopped).append(process.run_id)

    def are_stopped(self, run):
        return self.is_stopped

    def look_at_clock(self, run, now):
        return self.limit, self.clock_again_s

    def recall(self, run):
        self.recalled.append(run.process.run_id)
        self.abandon(run)

    def stop_examiner(self):
        self.examiner = None

    def stop_all(self):
        self.zygote = self.examiner = None


class Scene:
    """A worker with fake processes, the results it handed over and the jobs it gave back."""

    def __init__(self):
        self.given_back, self.results = [], []
        self.worker = Worker(None, None, lambda job, done: self.given_back.append(job))
        self.processes = self.worker.processes = FakeProcesses()

    @property
    def state(self):
        return self.worker.state

    def take(self, *args):
        self.worker.take(job(*args), self.results.append)

    def end(self, run_id, stopped=NOT_STOPPED):
        self.worker.program_ended(Status(run_id, 0, 0.1, 0.1, 9, stopped))

    def report(self, text=b"report"):
        self.worker.report_came(self.processes.examiner, text)

    def wait_for(self, seconds):
        """Check that the next deadline is so far away, and let it pass."""
        due = self.worker.next_look()
        assert due == pytest.approx(time.monotonic() + seconds, abs=0.5)
        self.worker.look(due)


@pytest.fixture
def scene():
    return Scene()


def test_a_worker_without_a_job_waits_for_ever(scene):
    assert scene.state is State.IDLE and scene.worker.next_look() == float("inf")
    assert not scene.worker.can_hold(job())


def test_a_program_runs_and_its_result_is_handed_over(scene):
    scene.take("a")
    assert scene.state is State.RUNNING and scene.worker.can_hold(job())
    scene.end(1)
    assert scene.state is State.IDLE and [r.replies for r in scene.results] == [(b"a",)]


def test_nothing_waits_behind_the_first_program_of_a_zygote(scene):
    scene.processes.greeted = False
    scene.take()
    assert scene.state is State.ALONE and not scene.worker.can_hold(job())
    scene.wait_for(LISTEN_AFTER_S)
    assert scene.state is State.SLOW and scene.processes.listened == [1]
    assert scene.worker.next_look() - time.monotonic() > LIMITS.elapsed_s + START_S - 1


def test_the_request_that_waited_runs_next(scene):
    scene.take("a")
    scene.take("b")
    assert scene.state is State.HOLDING and not scene.worker.can_hold(job())
    scene.end(1)
    assert scene.state is State.RUNNING
    scene.end(2)
    assert scene.state is State.IDLE and [r.replies for r in scene.results] == [(b"a",), (b"b",)]


def test_a_request_behind_a_slow_program_is_given_back(scene):
    scene.take("a")
    scene.take("b")
    scene.wait_for(LISTEN_AFTER_S)
    assert scene.state is State.SLOW and not scene.worker.can_hold(job())
    assert [given.program for given in scene.given_back] == ["b"]
    assert scene.processes.recalled == [2] and scene.processes.listened == [1]
    scene.end(1)
    assert scene.state is State.IDLE and len(scene.results) == 1


def test_a_request_that_cannot_be_sent_is_given_back(scene):
    scene.take("a")
    scene.processes.full = True
    scene.take("b")
    assert scene.state is State.ALONE and not scene.worker.can_hold(job())
    assert [given.program for given in scene.given_back] == ["b"]
    scene.end(1)
    assert scene.state is State.IDLE and scene.worker.restarts == 0


def test_a_zygote_that_hangs_is_replaced_once(scene):
    scene.take("a")
    scene.wait_for(LISTEN_AFTER_S)
    scene.wait_for(LIMITS.elapsed_s + WEDGED_AFTER_S)
    assert (scene.state, scene.worker.restarts, scene.processes.starts) == (State.RUNNING, 1, 2)
    # There is no third try, so a zygote that may only be slow is given longer.
    scene.wait_for(LISTEN_AFTER_S)
    scene.wait_for(LIMITS.elapsed_s + WEDGED_AGAIN_AFTER_S)
    assert (scene.state, scene.worker.restarts) == (State.IDLE, 2)
    (error,) = scene.results
    assert isinstance(error, SandboxError) and "twice" in str(error)


def test_a_zygote_lost_while_idle_is_no_failure_of_a_job(scene):
    scene.take()
    scene.end(1)
    scene.worker.process_failed(Lost("gone"), examiner=False)
    assert (scene.state, scene.worker.restarts) == (State.IDLE, 0)
    assert scene.processes.zygote is None and len(scene.results) == 1


def test_a_status_of_another_program_is_a_failure(scene):
    scene.take()
    with pytest.raises(Lost):
        scene.end(7)


def test_the_parts_of_a_script_run_in_turn(scene):
    scene.take("a", "stdio")
    assert not scene.worker.can_hold(job())  # another part of the same job comes first
    scene.end(1)
    assert scene.state is State.RUNNING and scene.worker.can_hold(job())
    scene.end(2)
    assert scene.state is State.IDLE and len(scene.results[0].parts) == 2


def test_a_candidate_whose_test_is_over_is_stopped(scene):
    scene.take("a", "assertion")
    scene.wait_for(LISTEN_AFTER_S)
    scene.report()
    scene.wait_for(LEAVE_S)
    assert scene.processes.stopped == [1] and scene.state is State.SLOW
    scene.end(1)
    assert scene.state is State.IDLE and scene.results[0].replies == (b"report",)


def test_a_report_that_never_comes_is_replaced_by_the_notebook(scene):
    scene.take("a", "assertion")
    scene.end(1)
    assert scene.state is State.REPORTING
    scene.wait_for(LISTEN_AFTER_S)
    scene.wait_for(LIMITS.elapsed_s + REPORT_S)
    assert scene.state is State.IDLE and scene.processes.examiner is None
    (result,) = scene.results
    assert (result.replies, result.limit, scene.worker.restarts) == ((b"so far",), "wall", 0)


def test_a_limit_that_ends_the_candidate_ends_its_test(scene):
    scene.take("a", "assertion")
    scene.end(1, STOPPED_WALL)
    scene.wait_for(REPORT_S)
    assert scene.results[0].limit == "wall"


def test_a_request_behind_a_late_report_is_given_back(scene):
    scene.take("a", "assertion")
    scene.take("b")
    scene.end(1)
    assert scene.state is State.REPORTING and not scene.given_back
    scene.wait_for(LISTEN_AFTER_S)
    assert scene.state is State.REPORTING and len(scene.given_back) == 1
    scene.report()
    assert scene.state is State.IDLE and scene.results[0].replies == (b"report",)


def test_a_program_that_ends_before_its_predecessors_report_runs_again(scene):
    scene.take("a", "assertion")
    scene.take("b")
    scene.end(1)
    scene.end(2)
    assert scene.state is State.REPORTING and [given.program for given in scene.given_back] == ["b"]
    scene.report()
    assert scene.state is State.IDLE and scene.worker.restarts == 0


def test_the_report_on_a_recalled_run_is_ignored(scene):
    scene.take("a", "assertion")
    scene.take("b", "assertion")
    scene.wait_for(LISTEN_AFTER_S)
    scene.report(b"of a")
    scene.end(1)
    scene.processes.compiled = False
    scene.take("c", "assertion")
    assert scene.state is State.COMPILING
    scene.report(b"of b")
    assert scene.state is State.COMPILING
    scene.report(b"{}")
    assert scene.state is State.RUNNING
    scene.report(b"of c")
    scene.end(3)
    assert [result.replies for result in scene.results] == [(b"of a",), (b"of c",)]


def test_a_long_test_is_compiled_first_and_not_for_ever(scene):
    scene.take()
    scene.end(1)
    scene.processes.compiled = False
    scene.take("a", "assertion")
    assert scene.state is State.COMPILING and not scene.worker.can_hold(job())
    scene.wait_for(COMPILE_S)
    assert (scene.state, scene.worker.restarts) == (State.RUNNING, 1)


def test_an_examiner_lost_behind_a_call_leaves_the_call_alone(scene):
    scene.take("a", "assertion")
    scene.report()
    scene.end(1)
    scene.take("b")
    scene.take("c", "assertion")
    assert scene.state is State.HOLDING
    scene.worker.process_failed(Lost("gone"), examiner=True)
    assert scene.state is State.RUNNING and [given.program for given in scene.given_back] == ["c"]
    assert scene.processes.examiner is None and scene.processes.zygote is not None
    scene.end(2)
    assert len(scene.results) == 2 and scene.worker.restarts == 0


def test_closing_gives_back_the_job_that_waits(scene):
    scene.take("a")
    scene.take("b")
    scene.worker.close()
    assert scene.state is State.CLOSED and not scene.results
    assert len(scene.given_back) == 1 and scene.worker.next_look() == float("inf")


def cases(program="", mode="call", n_cases=3):
    return Job(program=program, mode=mode, payload=CALLS, limits=LIMITS, n_cases=n_cases)


CALLS = wire.dumps({"function": "f", "calls": [[[], {}]] * 3})


def test_a_slow_program_is_stopped_by_its_clock(scene):
    scene.processes.clock_again_s = 5.0
    scene.take("a")
    scene.wait_for(LISTEN_AFTER_S)
    assert scene.processes.out_of_time == []
    scene.processes.limit = "case"
    scene.wait_for(5.0)
    assert scene.processes.out_of_time == [1] and scene.processes.stopped == []
    assert scene.state is State.SLOW
    scene.end(1, STOPPED_WALL)
    assert scene.state is State.IDLE and scene.results[0].limit == "case"


def test_the_clock_of_a_program_whose_test_is_over_is_not_read(scene):
    scene.processes.limit = "case"
    scene.take("a", "assertion")
    scene.report()
    scene.wait_for(LISTEN_AFTER_S)
    assert scene.processes.out_of_time == []


def test_the_clock_of_a_test_whose_candidate_has_ended_is_read(scene):
    scene.take("a", "assertion")
    scene.end(1)
    scene.processes.limit = "case"
    scene.wait_for(LISTEN_AFTER_S)
    assert scene.state is State.IDLE and scene.processes.examiner is None
    assert (scene.results[0].replies, scene.results[0].limit) == ((b"so far",), "case")


def test_a_fresh_process_runs_the_cases_after_a_crash(scene):
    scene.processes.replies = (b"1",)  # it dies in the second of three cases
    scene.worker.take(cases("a"), scene.results.append)
    scene.take("b")
    assert scene.state is State.HOLDING
    scene.end(1)
    assert [given.program for given in scene.given_back] == ["b"]
    assert scene.state is State.RUNNING and scene.processes.firsts == [0, 0, 2]
    assert not scene.worker.can_hold(job())  # it may need another one
    scene.end(3)
    (result,) = scene.results
    assert [(part.first_case, part.replies) for part in result.parts] == [
        (0, (b"1",)),
        (2, (b"1",)),
    ]
    assert scene.state is State.IDLE and scene.worker.restarts == 0


def test_a_program_that_is_not_loaded_gets_one_process(scene):
    scene.processes.loaded, scene.processes.replies = False, ()
    scene.worker.take(cases("a"), scene.results.append)
    scene.end(1)
    assert scene.state is State.IDLE and not scene.results[0].parts


def test_a_fresh_test_runs_the_cases_after_a_crash(scene):
    scene.worker.take(cases("a", "assertion"), scene.results.append)
    scene.end(1)
    scene.report(b'{"until":1,"cases":[[0,"gone"]]}')
    assert scene.state is State.RUNNING and scene.processes.firsts == [0, 1]
    scene.end(2)
    scene.report(b'{"until":1,"end":"signal 6","cases":[]}')
    assert scene.processes.firsts == [0, 1, 2]
    scene.report(b'{"until":3,"cases":[]}')
    scene.end(3)
    (result,) = scene.results
    assert [part.first_case for part in result.parts] == [0, 1, 2]


def test_the_time_of_the_whole_run_ends_a_program_that_dies_in_every_case(scene):
    scene.processes.replies = ()
    scene.worker.take(cases("a"), scene.results.append)
    scene.worker.program_ended(Status(1, 9, 0.2, 0.2, 9, NOT_STOPPED))
    assert scene.state is State.RUNNING
    scene.worker.program_ended(Status(2, 9, 0.2, 0.2, 9, NOT_STOPPED))
    assert scene.state is State.IDLE and len(scene.results[0].parts) == 2


def test_a_retry_begins_with_the_first_case(scene):
    scene.processes.replies = ()
    scene.worker.take(cases("a"), scene.results.append)
    scene.end(1)
    scene.worker.process_failed(Lost("gone"), examiner=False)
    assert scene.processes.firsts == [0, 1, 0] and scene.worker.restarts == 1


@pytest.mark.parametrize("why", ["stopped", "silent"])
def test_a_zygote_that_is_stopped_or_silent_is_replaced_long_before_the_bound(scene, why):
    scene.processes.clock_again_s = 50.0
    scene.take("a")
    if why == "stopped":
        scene.processes.is_stopped = True
    else:
        scene.processes.limit = "case"
    first = scene.processes.zygote
    scene.wait_for(LISTEN_AFTER_S)
    scene.wait_for(WEDGED_AFTER_S)
    assert scene.worker.restarts == 1 and scene.processes.zygote is not first


def test_a_stopped_examiner_is_replaced_and_no_limit_blamed_on_the_program(scene):
    scene.processes.limit = "case"
    scene.take("a", "assertion")
    scene.processes.is_stopped = True
    scene.wait_for(LISTEN_AFTER_S)
    scene.wait_for(WEDGED_AFTER_S)
    assert scene.worker.restarts == 1 and scene.processes.out_of_time == []


def test_a_report_that_a_stopped_examiner_owes_is_not_given_up(scene):
    scene.take("a", "assertion")
    scene.end(1, STOPPED_WALL)
    scene.processes.is_stopped = True
    scene.worker.look(scene.worker.next_look())
    assert scene.worker.restarts == 1 and not scene.results
