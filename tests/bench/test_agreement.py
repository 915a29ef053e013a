"""bench agreement: mutants, reasons, and two graders side by side."""

import ast
import random
import sys

import pytest

from codegym.bench import agreement
from codegym.bench.agreement_functions import FUNCTIONS
from codegym.bench.agreement_mutants import mutants
from codegym.bench.agreement_reasons import REASONS
from codegym.bench.agreement_rows import samples
from codegym.sandbox.bubblewrap import find_bwrap

PROGRAM = "def f(x):\n    if x < 3:\n        return x + 1\n    return x\n"


def test_mutants_differ_from_the_program_and_from_each_other():
    found = mutants(PROGRAM, 50, random.Random(0))
    whole = {ast.dump(ast.parse(text)) for text in (*found, PROGRAM)}
    assert len(found) >= 6 and len(whole) == len(found) + 1
    assert mutants(PROGRAM, 2, random.Random(1)) == mutants(PROGRAM, 2, random.Random(1))


def test_each_reason_names_programs_that_exist():
    names = {sample.name for sample in samples()} | set(FUNCTIONS)
    named = {
        name
        for _, programs in REASONS.values()
        for name in programs
        if not name.startswith("HumanEval/")
    }
    assert named <= names
    assert len(samples()) >= 120


@pytest.mark.slow
@pytest.mark.skipif(find_bwrap() is None, reason="bubblewrap is not installed")
def test_the_rule_of_codecontests_is_ours():
    rows = agreement.compare(
        "codecontests",
        mutants_each=0,
        seed=0,
        python=sys.executable,
        source="",
        evalplus="",
    )
    assert len(rows) > 100 and all(row.same for row in rows)
