"""Mining: studies and recordings in the sandbox, and what they conclude."""

import pytest

from codegym.mining.contamination import Benchmarks
from codegym.mining.funnel import KEPT
from codegym.mining.harness import read_answers, study_job
from codegym.mining.module_tree import find_modules
from codegym.mining.pipeline import Miner
from codegym.mining.recorded_answers import read_recorded_answers, recording_jobs
from codegym.mining.study_report import is_echo, read_report
from codegym.sandbox.limits import Limits
from codegym.tasks.task import Task


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
    survivors = {(operator, line) for operator, line in report["survivors"]}
    assert ("arithmetic", 2) in survivors  # 3001 & 1: thousands of times slower, and right
    assert ("arithmetic", 5) not in survivors  # wasted -= stride: endless
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
        answers = read_answers(result)
        assert isinstance(read_report(answers, result, 0.9), tuple)


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
    mined = {fate.key: (fate, task) for fate, task in Miner(
        find_modules(str(folder)), sandbox).mine()}  # fmt: skip
    fate, task = mined["echoes/turns:same"]
    assert task is None and fate.reason == "gives its first argument back"
    for name in ("turn", "mask"):
        cases = mined[f"echoes/turns:{name}"][1].tests.cases
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
    mined = {fate.key: (fate, task) for fate, task in Miner(modules, sandbox).mine()}
    assert "import textwrap" in mined["uses/uses:plain"][1].prompt
    assert mined["uses/uses:four"][0].reason == "imports helps"
