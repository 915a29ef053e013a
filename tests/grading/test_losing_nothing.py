"""Losing nothing: a broken job, a copied judge and many callers cost nobody a verdict."""

import copy
import pickle

import pytest

import codegym
from codegym import Task
from codegym.errors import MissingVerdictsError, NotCopiedError, SandboxError
from codegym.grading.judge import Judge
from codegym.sandbox import wire
from codegym.sandbox.job import ExecutionResult, FakeSandbox

TASK = Task.from_calls("def f(x):\n", "f", [((1,), 2)])


def answer(job):
    if "broken" in job.program:
        raise SandboxError("broke")
    value = 2 if "+ 1" in job.program else 3
    return ExecutionResult(replies=(wire.dumps({"r": value}),))


PAIRS = [("    return x + 1", TASK), ("    return broken", TASK), ("    return 3", TASK)]


def test_a_broken_job_loses_no_other_verdict():
    verdicts = codegym.judge_many(PAIRS, sandbox=FakeSandbox(answer), missing="none")
    assert verdicts[1] is None and verdicts[0].passed and not verdicts[2].passed
    with pytest.raises(MissingVerdictsError, match="1 of 3") as caught:
        codegym.judge_many(iter(PAIRS), sandbox=FakeSandbox(answer))
    assert caught.value.verdicts == verdicts and list(caught.value.errors) == [1]
    again = pickle.loads(pickle.dumps(caught.value))
    assert again.verdicts == verdicts and str(again) == str(caught.value)


def test_a_sandbox_that_closes_under_a_batch_raises_one_typed_error():
    with codegym.make_sandbox(workers=1) as sandbox:
        good = codegym.judge_many(PAIRS[:1], sandbox=sandbox)[0]
    assert good.passed
    with pytest.raises(MissingVerdictsError, match="closed"):
        codegym.judge_many(PAIRS, sandbox=sandbox)
    assert codegym.judge_many(PAIRS, sandbox=sandbox, missing="none") == [None] * 3


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, pickle.dumps])
def test_judges_and_sandboxes_are_made_by_each_worker(copied):
    sandbox = codegym.make_sandbox(workers=1)
    for made in (sandbox, sandbox.channel(), Judge(), Judge(sandbox)):
        with pytest.raises(NotCopiedError, match="one per worker"):
            copied(made)
    sandbox.close()
