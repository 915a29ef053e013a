"""Mining, the part that runs foreign code: studies, recordings, tasks, resuming, the command."""

import ast
import json

import pytest
from click.testing import CliRunner

import codegym
from codegym.checks.check_source import check_source
from codegym.cli.mine import command
from codegym.errors import ConfigError, TaskError, UnknownNameError
from codegym.mining.contamination import Benchmarks
from codegym.mining.finding import find_candidates
from codegym.mining.funnel import KEPT, Funnel
from codegym.mining.harness import read_answers, study_job
from codegym.mining.inside.mutants import make, sites
from codegym.mining.log import Log
from codegym.mining.mining_config import MiningConfig
from codegym.mining.module_tree import find_modules
from codegym.mining.pipeline import Miner
from codegym.mining.recorded_answers import read_recorded_answers, recording_jobs
from codegym.mining.study_report import is_echo, read_report
from codegym.sandbox.limits import Limits
from codegym.tasks.task import CallCase, Task

CODE = '''"""Small functions.

>>> shout("hey", 2)
'HEY!!'
"""
import random
import time

VOWELS = "aeiou"
seen = {}


def shout(text: str, times: int = 1) -> str:
    """Return the text in capitals with exclamation marks.

    >>> shout("a b")
    'A B!'
    """
    if times < 0:
        raise ValueError("times must not be negative")
    return text.upper() + "!" * times


def vowels(text: str) -> int:
    """Count the vowels of a text."""
    total = 0
    for letter in text.lower():
        if letter in VOWELS:
            total += 1
    return total


def count_vowels(word: str) -> int:
    """Count how many letters of a word are vowels."""
    return len([letter for letter in word.lower() if letter in "aeiou"])


def vowels_again(string: str) -> int:
    """Count the vowels of a text once more."""
    number = 0
    for char in string.lower():
        if char in VOWELS:
            number += 1
    return number


def nothing(text: str) -> str:
    """Return nothing whatever the text."""
    if text is None:
        return text
    return None


def constant(text: str) -> int:
    """Return the answer whatever the text is."""
    return len(text) * 0 + 42


def always_wrong(number: int) -> int:
    """Return what cannot be computed at all."""
    return number.real.nothing


def chance(number: int) -> float:
    """Return a random share of a number."""
    return number * random.random()


def unordered(words: list[str]) -> list[str]:
    """Return the distinct words in any order, without the empty one."""
    found = []
    for word in {*words}:
        if word != "":
            found.append(word + "s")
    return found


def remembers(number: int, memory: list[int] = []) -> list[int]:
    """Return a number and those before it."""
    memory.append(number)
    return memory[-3:]


def endless(number: int) -> int:
    """Count for ever and ever."""
    while number != 0.5:
        number += 1
    return number


def pick(numbers: list[int]) -> list[int]:
    """Return the numbers, more or less, whatever they may be."""
    unused = [number + 3 for number in numbers if number > 1]
    other = [number * 2 for number in unused if number < 5]
    third = [number - 2 for number in other if number != 7]
    return [number for number in numbers]
'''


@pytest.fixture(scope="module")
def sandbox():
    with codegym.make_sandbox(workers=2) as made:
        yield made


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("tree") / "small"
    path.mkdir()
    (path / "__init__.py").write_text(CODE)
    (path / "LICENSE").write_text("Permission is hereby granted, free of charge, to any person")
    return path


@pytest.fixture(scope="module")
def mined(sandbox, folder):
    miner = Miner(find_modules(str(folder)), sandbox)
    rows = list(miner.mine())
    assert miner.costs.cpu_s > 0
    return {fate.key.partition(":")[2]: (fate, task) for fate, task in rows}


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


def test_a_task_says_where_it_comes_from(mined):
    task = mined["shout"][1]
    told = task.metadata
    assert told["licence"] == "MIT"
    assert told["origin"]["module"] == "small"
    assert CODE.split("\n")[told["origin"]["line"] - 1].startswith("def shout(")
    assert told["types"] == {
        "parameters": ["str", "int"],
        "evidence": {"text": "annotation", "times": "annotation"},
    }
    assert told["branch_coverage"] == 1.0
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


def test_no_two_tasks_share_a_prompt(sandbox, tmp_path):
    for name, factor in (("one", 2), ("two", 3), ("three", 5)):
        docs = '"""About two."""\n' if name == "two" else ""
        text = f'def f(n: int) -> int:\n    """Scale the number."""\n    return n * {factor}\n'
        (tmp_path / f"{name}.py").write_text(docs + text)
    rows = list(Miner(find_modules(str(tmp_path)), sandbox).mine())
    assert [(fate.stage, fate.reason) for fate, _ in rows] == [
        (KEPT, ""),
        ("new", "the prompt of an earlier function"),
        (KEPT, ""),
    ]
    prompts = [task.prompt for _, task in rows if task is not None]
    assert prompts[1] == '"""About two.\n"""\n\n\n' + prompts[0]


def test_mutants_that_compile_to_the_same_code_do_not_count(sandbox):
    job = {"seed": 0, "params": ["int"], "required": 1, "rest": None, "keywords": {},
           "examples": [], "literals": [], "patterns": [], "given": [], "loose": []}  # fmt: skip
    text = "def f(n):\n    a = +n\n    while True:\n        return a + 1\n"
    (result,) = sandbox.run([study_job([["load", text, "f"], ["explore", job], ["strength"]])])
    report = read_answers(result)[2]
    assert report["equivalent"] >= 1
    assert report["killed"] == report["mutants"] - len(report["survivors"])


def test_slow_mutants_are_no_wrong_mutants(sandbox):
    job = {"seed": 0, "params": ["int"], "required": 1, "rest": None, "keywords": {},
           "examples": ["3"], "literals": [], "patterns": [], "given": [], "loose": []}  # fmt: skip
    text = (
        "def f(n):\n    stride = 3001 | 1\n    wasted = 0\n    while wasted < 3000:\n"
        "        wasted += stride\n    return n + 7\n"
    )
    (result,) = sandbox.run([study_job([["load", text, "f"], ["explore", job], ["strength"]])])
    report = read_answers(result)[2]
    told = {(operator, line) for operator, line in report["survivors"]}
    assert ("arithmetic", 2) in told  # 3001 & 1: thousands of times slower, and right
    assert ("arithmetic", 5) not in told  # wasted -= stride: endless
    assert report["killed"] < report["mutants"]


def test_a_benchmark_is_recognised_by_its_behaviour(sandbox, folder):
    prompt = "def number_of_vowels(s):\n"
    body = "    return sum(map(s.lower().count, 'aeiou'))\n"
    known = Benchmarks()
    task = Task.from_calls(
        prompt, "number_of_vowels", [(("a",), 1)], task_id="known/7", canonical_solution=body
    )
    known.add([task], sandbox)
    rows = list(Miner(find_modules(str(folder)), sandbox, benchmarks=known).mine())
    fates = {fate.key.partition(":")[2]: fate for fate, _ in rows}
    assert fates["vowels"].stage == "new"
    assert fates["vowels"].reason == "in a benchmark: behaviour of known/7"
    assert fates["shout"].stage == KEPT


@pytest.mark.parametrize(
    ("body", "verdict"),
    [
        ("import random\ndef f(n):\n    return random.random()\n", "two runs differ"),
        ("calls = []\ndef f(n):\n    calls.append(n)\n    return len(calls)\n", "two runs differ"),
        ("def f(n):\n    return list({'b', 'c', str(n)})\n", "two runs differ"),
        ("import os\ndef f(n):\n    os._exit(0)\n", "stopped (died)"),
        ("def f(n):\n    return f\n", "a result that cannot cross"),
        ("def f(n):\n    return sorted({'b', 'c', str(n)})\n", None),
        ("def f(n):\n    return {n, 2} | {3}\n", None),
        ("def f(n):\n    return 1 // (n - 1)\n", None),
    ],
)
def test_recording_sees_what_is_not_steady(sandbox, body, verdict):
    calls = [([1], {}), ([2], {}), ([3], {})]
    first, second = sandbox.run(recording_jobs(body, "f", calls))
    replies = read_recorded_answers(first, second, 3)
    assert replies == verdict if verdict else isinstance(replies, list)
    if "//" in body:
        assert replies == [("e", "ZeroDivisionError"), ("r", 1), ("r", 0)]


def test_a_study_outlives_hostile_code(sandbox):
    job = {"seed": 0, "params": ["int"], "required": 1, "rest": None, "keywords": {},
           "examples": [], "literals": [], "patterns": [], "given": [], "loose": []}  # fmt: skip
    for text in (
        "import os\ndef f(n):\n    os._exit(3)\n",
        "def f(n):\n    return sum(range(10 ** 15))\n",
        "raise SystemExit\ndef f(n): ...\n",
        "def f(n):\n    return [0] * 10 ** 12\n",
    ):
        operations = [["load", text, "f"], ["explore", job], ["strength"]]
        (result,) = sandbox.run([study_job(operations, limits=Limits(wall_s=5.0, cpu_s=0.4))])
        told = read_answers(result)
        assert isinstance(read_report(told, result, 0.9), tuple)


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


def test_giving_the_first_argument_back_passes_no_task(sandbox, tmp_path):
    folder = tmp_path / "echoes"
    folder.mkdir()
    (folder / "turns.py").write_text(
        "def turn(matrix: list[list[int]]) -> list[list[int]]:\n"
        '    """Turn the matrix clockwise by a quarter."""\n'
        "    return [list(row) for row in zip(*matrix[::-1])]\n\n\n"
        "def mask(mode: int) -> int:\n"
        '    """Return the part of the mode that can be set."""\n'
        "    return mode & 0o7777\n\n\n"
        "def same(text: str) -> str:\n"
        '    """Return the text letter by letter."""\n'
        "    out = ''\n"
        "    for letter in text:\n"
        "        out += letter\n"
        "    return out\n"
    )
    told = {fate.key: (fate, task) for fate, task in Miner(
        find_modules(str(folder)), sandbox).mine()}  # fmt: skip
    fate, task = told["echoes/turns:same"]
    assert task is None and fate.reason == "gives its first argument back"
    for name in ("turn", "mask"):
        cases = told[f"echoes/turns:{name}"][1].tests.cases
        assert 2 * sum(case.expected == case.args[0] for case in cases) < len(cases)


def test_a_number_given_back_as_a_float_is_an_echo_too():
    """The grader takes 1 where 1.0 is expected, so a function that floats it tells nothing."""
    assert is_echo(([1], {}), ("r", 1.0)) and is_echo(([0], {}), ("r", -0.0))
    assert not is_echo(([1.0], {}), ("r", 1)) and not is_echo(([1], {}), ("r", 2.0))


def test_code_is_carried_within_a_distribution_only(sandbox, tmp_path):
    """Mined side by side, a package must not draw in the code of another that it imports."""
    packages = {
        "helps": "S = []\n\n\ndef twice(x: int) -> int:\n    S.append(x)\n    return 2 * x\n",
        "textwrap": "def dedent(text: str) -> str:\n    return text\n",  # stdlib is mined too
        "uses": "import textwrap\nfrom helps import twice\n\n\n"
        "def plain(text: str) -> str:\n    'Take the margin off.'\n"
        "    return textwrap.dedent(text).strip() + '.'\n\n\n"
        "def four(x: int) -> int:\n    'Take it four times.'\n    return twice(twice(x))\n",
    }
    for name, code in packages.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text(code)
    modules = [module for name in packages
               for module in find_modules(str(tmp_path / name))]  # fmt: skip
    told = {fate.key: (fate, task) for fate, task in Miner(modules, sandbox).mine()}
    assert "import textwrap" in told["uses/uses:plain"][1].prompt
    assert told["uses/uses:four"][0].reason == "imports helps"
