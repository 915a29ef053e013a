"""Mining, the part that runs foreign code: stages, tasks, settings, the command."""

import ast
import json

import pytest
from click.testing import CliRunner

import codegym
from codegym.checks.check_source import check_source
from codegym.cli.mine import command
from codegym.errors import ConfigError, TaskError, UnknownNameError
from codegym.mining.finding import find_candidates
from codegym.mining.funnel import KEPT, Funnel
from codegym.mining.inside.mutants import make, sites
from codegym.mining.log import Log
from codegym.mining.mining_config import MiningConfig
from codegym.mining.module_tree import find_modules
from codegym.mining.pipeline import Miner
from codegym.tasks.task import CallCase


@pytest.mark.parametrize(
    ("name", "stage", "reason"),
    [
        ("shout", KEPT, ""),
        ("vowels", KEPT, ""),
        ("vowels_again", "new", "the code of an earlier function"),
        ("count_vowels", "distinct", "behaves like an earlier function"),
        ("nothing", "informative", "always None"),
        ("constant", "informative", "always the same"),
        ("always_wrong", "runs", "only errors"),
        ("chance", "self-contained", "imports random"),
        ("unordered", "deterministic", "two runs differ"),
        ("remembers", "pure", "keeps state"),
        ("endless", "runs", "too many steps"),
        ("pick", "strong", "kills"),
    ],
)
def test_each_function_ends_at_its_stage(mined, name, stage, reason):
    fate, task = mined[name]
    assert fate.stage == stage, fate
    assert reason in fate.reason
    assert (task is not None) == (stage == KEPT)


def test_a_task_says_where_it_comes_from(mined, folder):
    task = mined["shout"][1]
    metadata = task.metadata
    code = (folder / "__init__.py").read_text()
    assert metadata["licence"] == "MIT"
    assert metadata["origin"]["module"] == "small"
    assert code.split("\n")[metadata["origin"]["line"] - 1].startswith("def shout(")
    assert metadata["types"] == {
        "parameters": ["str", "int"],
        "evidence": {"text": "annotation", "times": "annotation"},
    }
    assert metadata["branch_coverage"] == 1.0
    assert task.prompt.endswith('"""')
    assert task.canonical_solution.startswith("\n    if times < 0:")
    json.dumps(task.to_json())


def test_cases_hold_results_and_meant_exceptions(mined):
    cases = mined["shout"][1].tests.cases
    assert any(case.raises == "ValueError" for case in cases)
    assert sum(not case.raises for case in cases) >= 2
    for case in cases:
        assert isinstance(case, CallCase)
        text, *times = case.args
        if not case.raises:
            assert case.expected == text.upper() + "!" * (times[0] if times else 1)


def test_constants_are_carried_into_the_prompt(mined):
    assert mined["vowels"][1].prompt.startswith('VOWELS = "aeiou"\n')


def test_the_judge_kills_as_many_mutants_as_the_metadata_say(mined, sandbox):
    task = mined["vowels"][1]
    node = next(
        node
        for node in ast.parse(task.program(task.canonical_solution)).body
        if isinstance(node, ast.FunctionDef)
    )
    programs = {f'VOWELS = "aeiou"\n{ast.unparse(make(node, site).tree)}\n' for site in sites(node)}
    terminating = [program for program in programs if "while" not in program]
    verdicts = codegym.judge_many([(program, task) for program in terminating], sandbox=sandbox)
    killed = sum(not verdict.passed for verdict in verdicts)
    made = task.metadata["mutants"]
    assert made["made"] + made["equivalent"] <= len(sites(node))
    assert killed >= made["killed"]
    assert task.metadata["strength"] == pytest.approx(made["killed"] / made["made"], abs=1e-4)
    assert task.metadata["strength"] >= 0.9


def test_canonical_solutions_pass_and_idle_programs_do_not(mined, sandbox):
    tasks = [task for _, task in mined.values() if task is not None]
    right = codegym.judge_many([(task.canonical_solution, task) for task in tasks], sandbox=sandbox)
    assert all(verdict.passed for verdict in right)
    idle = [
        (f"def {task.entry_point}(*args, **kwargs):\n    return {value}\n", task)
        for task in tasks
        for value in ("None", "0", "args[0]", "''")
    ]
    assert not any(verdict.passed for verdict in codegym.judge_many(idle, sandbox=sandbox))


def test_the_same_seed_gives_the_same_tasks(mined, sandbox, folder):
    again = Miner(find_modules(str(folder)), sandbox, config=MiningConfig(window=2)).mine()
    first = [task.to_json() for _, task in mined.values() if task is not None]
    assert [task.to_json() for _, task in again if task is not None] == first
    other = Miner(find_modules(str(folder)), sandbox, config=MiningConfig(seed=9)).mine()
    assert [task.to_json() for _, task in other if task is not None] != first


def test_licences_are_a_filter(sandbox, folder):
    config = MiningConfig(licences=("BSD-3-Clause",))
    assert list(Miner(find_modules(str(folder)), sandbox, config=config).mine()) == []


def test_a_run_goes_on_where_it_stopped(sandbox, folder, tmp_path):
    modules, settings = find_modules(str(folder)), {"seed": 0}
    whole, parts = tmp_path / "whole.jsonl", tmp_path / "parts.jsonl"
    with Log(whole, settings) as log:
        for fate, task in Miner(modules, sandbox).mine():
            log.write(fate, task)
    with Log(parts, settings) as log:
        for count, (fate, task) in enumerate(Miner(modules, sandbox).mine()):
            log.write(fate, task)
            if count == 1:
                break
    with parts.open("a") as file:
        file.write('{"task_id": "mined/cut')  # a crash in the middle of a line
    with Log(parts, settings, resume=True) as log:
        assert len(log.done) == 2
        for fate, task in Miner(modules, sandbox, done=log.done).mine():
            log.write(fate, task)
    assert parts.read_text() == whole.read_text()


def test_the_command_writes_what_the_source_reads(folder, tmp_path, sandbox):
    out = tmp_path / "tasks.jsonl"
    arguments = [str(folder), "--out", str(out), "--benchmark", "humaneval", "--workers", "2"]
    done = CliRunner().invoke(command, arguments, catch_exceptions=False)
    assert done.exit_code == 0
    for word in ("found", "deterministic", "distinct", "in the sandbox", "MIT"):
        assert word in done.output
    report = check_source(f"mined:{out}", sandbox=sandbox)
    assert report.ok
    source = codegym.load_tasks(f"mined:{out}?licence=MIT,ISC&min_strength=0.9")
    assert "shout" in {task.entry_point for task in source}
    for options in ("licence=GPL-3.0", "max_prompt=5", "max_solution=5", "distribution=other"):
        with pytest.raises(TaskError, match="no task left"):
            codegym.load_tasks(f"mined:{out}?{options}")
    with pytest.raises(ConfigError, match="not a share"):
        codegym.load_tasks(f"mined:{out}?min_strength=90")
    with pytest.raises(ConfigError, match="max_solution is negative"):
        codegym.load_tasks(f"mined:{out}?max_solution=-1")
    with pytest.raises(UnknownNameError, match="did you mean 'train'"):
        codegym.load_tasks(f"mined:{out}?split=trian")


def test_funnels_count(mined):
    funnel = Funnel()
    for fate, _ in mined.values():
        funnel.add(fate)
    rows = list(funnel.rows())
    assert rows[0][:2] == ("found", 12)
    assert rows[-1][1] == funnel.kept == 2
    assert [row[1] for row in rows] == sorted((row[1] for row in rows), reverse=True)


def test_settings_are_checked(folder):
    assert len(list(find_candidates(find_modules(str(folder))[0]))) == 12
    with pytest.raises(ConfigError):
        MiningConfig(min_strength=1.5)
    with pytest.raises(ConfigError):
        MiningConfig(window=0)
