"""SandboxFusion's form: the statuses of its answers, which verl reads."""

import asyncio
import threading

import pytest

pytest.importorskip("fastapi", reason="the extra serve is not installed")

from codegym.errors import SandboxError
from codegym.sandbox.job import ExecutionResult, FakeSandbox
from codegym.service.fusion_submit import same_lines


def run(served, code, **rest):
    answer = served.send("/run_code", {"code": code, "language": "python", "run_timeout": 2} | rest)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_an_answer_has_the_fields_of_the_form(sandboxed):
    told = run(sandboxed, "print(input())", stdin="in")
    assert set(told) == {"status", "message", "compile_result", "run_result",
                         "executor_pod_name", "files"}  # fmt: skip
    assert set(told["run_result"]) == {"status", "execution_time", "return_code",
                                       "stdout", "stderr"}  # fmt: skip
    assert told["compile_result"] is None and told["files"] == {}


@pytest.mark.parametrize(
    ("code", "status", "run_status", "return_code", "said"),
    [
        ("print(input() * 2)", "Success", "Finished", 0, ""),
        ("1 / 0", "Failed", "Finished", 1, "ZeroDivisionError: division by zero"),
        ("x x", "Failed", "Finished", 1, "SyntaxError: invalid syntax"),
        ("import sys; sys.exit(3)", "Failed", "Finished", 3, ""),
        ("raise SystemExit('bye')", "Failed", "Finished", 1, "bye"),
        ("raise SystemExit", "Success", "Finished", 0, ""),
        ("assert 1 == 2, 'no'", "Failed", "Finished", 1, "AssertionError: no"),
        ("import os; os.kill(os.getpid(), 9)", "Failed", "Finished", -9, ""),
        ("bytearray(1 << 40)", "Failed", "Finished", 1, "MemoryError"),
        ("while True: print('y' * 10**6)", "Failed", "Finished", -9, "more output"),
    ],
)
def test_statuses(sandboxed, code, status, run_status, return_code, said):
    told = run(sandboxed, code, stdin="ab")
    ran = told["run_result"]
    assert (told["status"], ran["status"], ran["return_code"]) == (status, run_status, return_code)
    assert said in ran["stderr"] and (said or not ran["stderr"])


def test_what_was_printed_before_the_time_was_up_is_kept(sandboxed):
    code = "print('begun', flush=True)\nwhile True: pass"
    told = run(sandboxed, code, run_timeout=0.2)
    assert told["status"] == "Failed"
    assert told["run_result"]["status"] == "TimeLimitExceeded"
    assert told["run_result"]["return_code"] is None
    assert told["run_result"]["stdout"] == "begun\n"


def test_the_memory_limit_is_the_requests(sandboxed):
    code = "print(len(bytearray(200 << 20)))"
    assert run(sandboxed, code, memory_limit_MB=100)["status"] == "Failed"
    assert run(sandboxed, code, memory_limit_MB=1024)["status"] == "Success"
    assert run(sandboxed, code, memory_limit_MB=-1)["status"] == "Success"


def test_a_broken_sandbox_is_a_sandbox_error(serve):
    def breaks(job):
        raise SandboxError("the sandbox broke")

    told = run(serve(sandbox=FakeSandbox(breaks)), "print(1)")
    assert told["status"] == "SandboxError" and told["run_result"] is None
    assert "the sandbox broke" in told["message"]


def test_who_asks_again_for_a_program_that_runs_joins_it(serve):
    ran, release = [], threading.Event()

    def slow(job):
        ran.append(job.program)
        assert release.wait(20)
        return ExecutionResult(output=b"done")

    served = serve(sandbox=FakeSandbox(slow))
    bodies = [{"code": code, "language": "python"} for code in ("a", "a", "b")]

    async def talk(client):
        asked = [asyncio.create_task(client.post("/run_code", json=body)) for body in bodies]
        while len(ran) < 2 or served.service.queue.under_way < 3:
            await asyncio.sleep(0.01)
        asked[0].cancel()
        release.set()
        return await asyncio.gather(*asked[1:])

    answers = served.run(talk)
    assert [answer.json()["run_result"]["stdout"] for answer in answers] == ["done", "done"]
    assert sorted(ran) == ["a", "b"]


def test_a_full_queue_is_a_gateway_timeout_after_which_verl_asks_again(serve):
    served = serve(most_waiting=0)
    answer = served.send("/run_code", {"code": "print(1)", "language": "python"})
    assert answer.status_code == 504


def test_a_submission_to_a_served_task(sandboxed):
    body = {"dataset": "tiny", "id": "tiny/3", "config": {"language": "python"}}
    right = "```python\ndef f(x):\n    return x + 3\n```"
    told = sandboxed.send("/submit", body | {"completion": right}).json()
    assert told["accepted"] is True and told["extracted_type"] == "fenced"
    assert [test["passed"] for test in told["tests"]] == [True, True]
    told = sandboxed.send("/submit", body | {"completion": right.replace("3", "4")}).json()
    assert told["accepted"] is False and told["tests"][0]["exec_info"]["status"] == "Failed"


def inline(served, code, cases, **config):
    tests = [{"input": {"stdin": given}, "output": {"stdout": out}} for given, out in cases]
    config |= {"language": "python", "provided_data": {"id": 7, "test": tests}}
    body = {"dataset": "any", "id": 7, "completion": f"```python\n{code}\n```", "config": config}
    answer = served.send("/submit", body)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_a_submission_to_an_inline_task_stops_at_its_first_failure(sandboxed):
    cases = [("1", "2\n"), ("2", "4"), ("3", "4")]
    told = inline(sandboxed, "print(int(input()) + 1)", cases)
    assert told["id"] == 7 and told["accepted"] is False
    assert [test["passed"] for test in told["tests"]] == [True, False]
    told = inline(sandboxed, "print(int(input()) + 1)", cases, extra={"run_all_cases": True})
    assert [test["passed"] for test in told["tests"]] == [True, False, True]


def test_each_case_of_an_inline_task_has_the_time_of_a_case(sandboxed):
    code = "import time\ntime.sleep(float(input()))"
    told = inline(sandboxed, code, [("0.3", ""), ("0.3", ""), ("9", "")], run_timeout=0.5)
    assert [test["passed"] for test in told["tests"]] == [True, True, False]
    assert told["tests"][2]["exec_info"]["run_result"]["status"] == "TimeLimitExceeded"


def test_a_faulty_test_is_no_verdict_of_a_submission(serve):
    def breaks(pairs):
        raise SandboxError("the sandbox broke")

    body = {"dataset": "tiny", "id": "tiny/0", "completion": "x", "config": {}}
    answer = serve(stand_in=breaks).send("/submit", body)
    assert answer.status_code == 503 and "accepted" not in answer.text


@pytest.mark.parametrize(
    ("printed", "wanted", "same"),
    [
        ("Yes\n", "YES", True),
        (" 1 \n2\n", "1\n2", True),
        ("0.3333333", "0.33333333", True),
        ("1.001", "1.0", False),
        ("1", "1\n2", False),
        ("nan", "nan ", True),
        ("inf", "1e400", False),
        ("", "", True),
        ("0", "0.0", True),
        ("1e-11", "0", False),
    ],
)
def test_two_outputs_agree_line_by_line(printed, wanted, same):
    assert same_lines(printed, wanted) is same
