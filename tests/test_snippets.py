"""The Python snippets of README and CONTRIBUTING run as printed, with smaller numbers."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

# What is made smaller in a snippet; the text on the left has to occur.
SMALLER = {
    "minutes=2": "updates=1, warm_start_programs=0, max_new_tokens=8, eval_count=2, "
    "curve_points=0, workers=1, threads=1, track='none', "
    "agent_settings={'tasks': 2, 'samples': 2}",
    "ks=(1, 10)": "ks=(1, 10), count=2, budget=8",
    "tasks=16, samples=8": "tasks=2, samples=2",
    "range(10)": "range(2)",
}
# What the plug-ins of CONTRIBUTING.md are used for, after all of them were defined.
USED = """
import codegym
from codegym.checks.check_reward import check_reward
from codegym.checks.check_source import check_source
from codegym.training.task_sampler import make_sampler

assert check_source("my_source?size=10", judge=False).checked == 10
check_reward(registry.get("rewards", "my_reward"))
source = codegym.load_tasks("my_source?size=10")
sampler = make_sampler("my_sampler?every=5", source)
drawn = sampler.draw(20, __import__("numpy").random.default_rng(0))
assert {task.task_id for task in drawn} == {"my_source/0", "my_source/5"}
policy = codegym.make_policy("gpt:tiny@128")
agent = codegym.make_agent("my_agent", policy, tasks=2, samples=2)
assert agent.config.lr == 3e-4
env = codegym.make_env(
    "CodeGym/Synthesis-v0", policy, tasks=source, reward="0.5*my_reward + binary", budget=8
)
assert {"loss", "grad_norm"} <= agent.update(codegym.collect(env, policy, agent.request())).keys()
loud = codegym.make_env("Mine/Loud-v0", policy, num_envs=2)
episodes = codegym.collect(loud, policy, codegym.Request(tasks=2))
assert [episode.reward for episode in episodes] == [
    float(episode.program.isupper()) for episode in episodes
]
print("used")
"""


def snippets(file: str) -> list[str]:
    return re.findall(r"^```python\n(.*?)^```$", (ROOT / file).read_text(), re.M | re.S)


def smaller(snippet: str) -> str:
    for text, less in SMALLER.items():
        snippet = snippet.replace(text, less)
    return snippet


@pytest.mark.parametrize("number", range(len(snippets("README.md"))))
def test_the_readme_runs(number: int, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    code = smaller(snippets("README.md")[number])
    exec(compile(code, f"README.md, snippet {number}", "exec"), {})


def test_what_is_made_smaller_is_there() -> None:
    text = "".join(snippets("README.md"))
    assert not [wanted for wanted in SMALLER if wanted not in text]


def test_readers_import_nothing_that_lies_deep() -> None:
    deep = r"^\s*(?:from|import) (\w+(?:\.\w+){3,})"
    assert not re.findall(deep, "".join(snippets("README.md")), re.M)


def test_the_plug_ins_of_contributing_work(tmp_path) -> None:
    # In a process that ends: what is registered here would stay for the other tests.
    code = "\n".join([*snippets("CONTRIBUTING.md"), USED])
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path
    )
    assert done.stdout.strip().endswith("used"), done.stderr
