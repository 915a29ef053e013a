"""bench service: what it counts, and a small run of it."""

import json

import pytest
from click.testing import CliRunner

pytest.importorskip("fastapi", reason="the extra serve is not installed")

from codegym.bench import service_load
from codegym.bench.service_load import Load, Programs
from codegym.grading.verdict import CaseResult, Outcome, Verdict

PASSED = Verdict.from_cases([CaseResult(outcome=Outcome.PASSED)])
FAILED = Verdict.from_cases([CaseResult(outcome=Outcome.FAILED)])


def test_every_fifth_program_is_wrong_and_no_two_are_alike():
    made = Programs()
    texts = [program for program, _ in (*made.next(10), *made.next(10))]
    assert sum("x - 1" in text for text in texts) == 4
    assert len(set(texts)) == 20


def test_lost_and_unexpected_verdicts_are_counted():
    pairs = Programs().next(5)  # the first is wrong
    load = Load(rss_bytes=[1, 1])
    load.count(pairs, [FAILED, PASSED, PASSED, PASSED, PASSED])
    assert load.good and load.programs == 5
    load.count(pairs, [PASSED, None, PASSED, PASSED, PASSED])
    assert (load.wrong, load.lost, load.good) == (1, 1, False)


def test_memory_that_grows_is_no_good():
    assert Load(rss_bytes=[100 << 20, 101 << 20]).good
    assert not Load(rss_bytes=[100 << 20, 120 << 20]).good


@pytest.mark.slow
def test_a_small_run_loses_nothing_while_a_worker_is_killed():
    words = ["--programs", "600", "--turn", "100", "--kills", "2", "--json"]
    done = CliRunner().invoke(service_load.command, words)
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    assert told["kills"] == 2 and told["lost"] == told["wrong"] == 0
