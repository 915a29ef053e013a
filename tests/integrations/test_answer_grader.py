"""Answer grader: what the model caused is judged, what the sandbox caused has no reward."""

import asyncio
import copy
import os
import pickle
import threading

import numpy as np
import pytest

from codegym.errors import (
    ConfigError,
    InvalidActionError,
    NotCopiedError,
    SandboxError,
    SandboxUnavailableError,
    TaskError,
    UnknownNameError,
)
from codegym.grading.async_judge import AsyncJudge
from codegym.grading.verdict import Outcome
from codegym.integrations.answer_grader import (
    AnswerGrader,
    answer_text,
    demand_reward,
    report_missing,
    reward_of,
    run_blocking,
)
from codegym.sandbox.job import ExecutionResult, FakeSandbox
from tests.integrations.stand_ins import (
    TASKS,
    broken,
    by_text,
    chat,
    judge_of,
    refused,
    right,
    tasks_of,
    write_faulty_tasks,
)


def grade(grader, answer, task_id):
    return asyncio.run(grader.grade(answer, task_id))


def test_the_shared_sandbox_judges_what_coroutines_answer():
    tasks = tasks_of(3)
    answers = [right(tasks[0]), chat(right(tasks[1])), "    return None\n"]
    grader = AnswerGrader(TASKS, "binary - 0.25")
    endings = asyncio.run(grader.grade_many(answers, [task.task_id for task in tasks]))
    assert [reward_of(ending) for ending in endings] == [0.75, 0.75, -0.25]
    assert endings[0].program.startswith(tasks[0].prompt)


def test_a_fault_of_the_sandbox_is_no_reward_of_any_number(caplog):
    grader = AnswerGrader(TASKS, judge=judge_of(broken))
    ending = grade(grader, "    return 1\n", tasks_of(1)[0].task_id)
    assert reward_of(ending) is None and ending.verdict is None
    with pytest.raises(SandboxError, match="exit 139"):
        demand_reward(ending)
    report_missing([ending])
    assert "1 of 1 answers have no verdict" in caplog.text


def test_a_test_that_fails_by_itself_is_no_reward_either(tmp_path):
    grader = AnswerGrader(write_faulty_tasks(tmp_path / "with a blank.jsonl"))
    endings = asyncio.run(grader.grade_many(["    return x + 1\n"] * 2, ["good", "faulty"]))
    assert [reward_of(ending) for ending in endings] == [1.0, None]


def test_a_machine_that_isolates_nothing_stops_the_training():
    grader = AnswerGrader(TASKS, judge=judge_of(refused))
    with pytest.raises(SandboxUnavailableError, match="another machine"):
        grade(grader, "    return 1\n", tasks_of(1)[0].task_id)


def never(pairs):
    raise AssertionError("nothing is to be run")


@pytest.mark.parametrize("answer", ["x" * 5_000_000, chat("```python\n" + "x = 1\n" * 900_000)])
def test_an_answer_of_megabytes_is_refused_unread(answer):
    task_id = tasks_of(1)[0].task_id
    ending = grade(AnswerGrader(TASKS, judge=judge_of(never)), answer, task_id)
    assert reward_of(ending) == 0.0 and ending.verdict.outcome is Outcome.NO_PROGRAM
    assert "at most 65536 are read" in ending.verdict.error_message
    strict = AnswerGrader(TASKS, max_chars=9, oversized="raise", judge=judge_of(never))
    with pytest.raises(InvalidActionError, match=r"0 characters'; expected at most 9\. Cure: gen"):
        grade(strict, answer, task_id)


@pytest.mark.parametrize("answer", ["", " \n", "def f(): return '\ud800'", "\x00", "```", [], {}])
def test_an_answer_without_a_program_fails(answer):
    ending = grade(AnswerGrader(TASKS), answer, tasks_of(1)[0].task_id)
    assert reward_of(ending) == 0.0 and not ending.verdict.passed


@pytest.mark.parametrize("answer", [None, 3, b"x", [1], [{"role": "assistant", "content": 3}]])
def test_what_is_no_answer_is_a_mistake_of_the_caller(answer):
    with pytest.raises(ConfigError, match="expected a text, or"):
        grade(AnswerGrader(TASKS, judge=judge_of(by_text)), answer, tasks_of(1)[0].task_id)


def test_the_last_text_of_the_assistant_is_the_answer():
    call = {"role": "assistant", "content": None, "tool_calls": [{"function": {"name": "run"}}]}
    tool = {"role": "tool", "content": "def f(): 'not mine'"}
    parts = [{"type": "text", "text": "a"}, {"type": "image"}, {"type": "text", "text": "b"}]
    assert answer_text([call, tool, {"role": "assistant", "content": "last"}]) == "last"
    assert answer_text([{"role": "assistant", "content": "first"}, call, tool]) == "first"
    assert answer_text([{"role": "user", "content": "mine"}]) == ""
    assert answer_text(np.array([{"role": "assistant", "content": parts}])) == "ab"
    assert answer_text({"content": "bare"}) == "bare"


def test_ids_that_tables_made_numbers_of(tmp_path):
    text = (tmp_path / "tasks.jsonl", write_faulty_tasks(tmp_path / "tasks.jsonl"))
    text[0].write_text(text[0].read_text().replace('"good"', '"7"'))
    grader = AnswerGrader(text[1], judge=judge_of(by_text))
    task = grader.task("7")
    assert grader.task(7) is task and grader.task(np.int64(7)) is task
    assert grader.task(np.str_("7")) is task
    for task_id in (None, True, 7.0, b"7"):
        with pytest.raises(TaskError, match="not a task id"):
            grader.task(task_id)
    with pytest.raises(TaskError, match=r"no such task .*got '8'; expected the id of a task in j"):
        grader.task(8)


def test_bad_arguments_are_refused_before_anything_runs():
    for arguments, text in (
        (("atoms?topik=filtering",), "topic"),
        ((TASKS, "binry"), "binary"),
        ((3,), "a task URI"),
    ):
        with pytest.raises(ConfigError, match=text):
            AnswerGrader(*arguments)
    with pytest.raises(ConfigError, match="AsyncJudge"):
        AnswerGrader(TASKS, judge=by_text)
    with pytest.raises(UnknownNameError, match="fail, raise"):
        AnswerGrader(TASKS, oversized="ignore")
    grader = AnswerGrader(TASKS, judge=judge_of(never))
    with pytest.raises(ConfigError, match="2 answers, 1 task ids"):
        asyncio.run(grader.grade_many(["a", "b"], ["x"]))
    with pytest.raises(TaskError, match="no such task"):
        asyncio.run(grader.grade_many(["a", "b"], [tasks_of(1)[0].task_id, "x"]))


def test_256_answers_of_one_event_loop_wait_together():
    task, started = tasks_of(1)[0], threading.Event()
    most = 0

    def held(pairs):
        nonlocal most
        started.set()
        for _ in range(2000):
            most = max(most, judge.waiting + len(pairs))
            if most >= 255:
                break
            threading.Event().wait(0.005)
        return by_text(pairs)

    judge = judge_of(held)
    grader = AnswerGrader(TASKS, judge=judge)
    answers = [f"    return {number}\n" for number in range(256)]
    endings = asyncio.run(grader.grade_many(answers, [task.task_id] * 256))
    assert most >= 255 and {reward_of(ending) for ending in endings} == {0.0}


def test_equal_programs_of_a_batch_run_once():
    jobs = []

    def answer(job):
        jobs.append(job.program)
        return ExecutionResult(replies=(b'{"r":2}',) * job.n_cases)

    grader = AnswerGrader("composites", judge=AsyncJudge(FakeSandbox(answer)))
    task_id = grader.source[5].task_id
    asyncio.run(grader.grade_many(["    return 2"] * 64, [task_id] * 64))
    assert len(jobs) < 64


def test_callers_that_cannot_await_wait():
    task = tasks_of(1)[0]
    grader = AnswerGrader(TASKS, judge=judge_of(by_text))
    found = []

    def work():
        found.append(reward_of(run_blocking(grader.grade(right(task), task.task_id))))

    async def inside_a_loop():
        work()

    work()
    asyncio.run(inside_a_loop())
    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [1.0] * 6


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_worker_grades_with_a_judge_of_its_own():
    task, grader = tasks_of(1)[0], AnswerGrader(TASKS)
    assert reward_of(grade(grader, right(task), task.task_id)) == 1.0
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            ending = grade(grader, right(task), task.task_id)
            os.write(writer, repr(reward_of(ending)).encode())
        finally:
            os._exit(0)
    os.waitpid(pid, 0)
    assert os.read(reader, 9) == b"1.0"
    os.close(reader)
    os.close(writer)
    assert reward_of(grade(grader, right(task), task.task_id)) == 1.0


def test_it_travels_to_workers_unless_it_holds_a_judge():
    task, grader = tasks_of(1)[0], AnswerGrader(TASKS, "pass_rate")
    there = pickle.loads(pickle.dumps(grader))
    assert reward_of(grade(there, right(task), task.task_id)) == 1.0
    assert copy.deepcopy(grader).uri == TASKS
    with pytest.raises(NotCopiedError):
        pickle.dumps(AnswerGrader(TASKS, judge=judge_of(by_text)))
