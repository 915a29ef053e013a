"""The newest release of each trainer, installed into a virtual environment and run.

What is installed here (torch, transformers, codegym) is lent to those environments. They need PyPI
and minutes: `make test-integrations`. Where CODEGYM_VENVS names a folder, they are kept there, and
brought up to date by the next run.
"""

import json
import os
import subprocess
import sys
import venv
from pathlib import Path

import pytest

from tests.integrations.fake_model import served
from tests.integrations.stand_ins import write_faulty_tasks

ROOT = Path(__file__).parents[2]
LIVE, PAGE = Path(__file__).parent / "live", ROOT / "docs" / "integrations.md"
TASKS = "composites?domain=small&depth=1-2&split=train"
PATIENCE_S = 900
pytestmark = [pytest.mark.slow, pytest.mark.timeout(2 * PATIENCE_S)]


class Fresh:
    """A virtual environment that borrows what is installed here, and installs the rest."""

    def __init__(self, name, folder, *packages):
        self.folder = Path(os.environ.get("CODEGYM_VENVS", folder)).resolve() / name
        self.bin = self.folder / "bin"
        self.python = self.bin / "python"
        if not self.python.exists():
            venv.create(self.folder, with_pip=True)
            lent = [path for path in sys.path if any(Path(path).glob("*.dist-info"))]
            (lib,) = (self.folder / "lib").glob("python*/site-packages")
            lines = [f"import site; site.addsitedir({path!r})\n" for path in lent]
            (lib / "lent.pth").write_text("".join(lines))
        if packages:
            self.pip("install", "--upgrade", *packages)

    def pip(self, *arguments):
        done = subprocess.run(
            [self.python, "-m", "pip", "--quiet", "--disable-pip-version-check", *arguments],
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
        )
        assert done.returncode == 0, done.stderr[-2000:]

    def run(self, *command, cwd, **environment):
        """Run a program of it; return the JSON of the last line that it printed."""
        path = f"{self.bin}:{os.environ['PATH']}"
        done = subprocess.run(
            [str(part) for part in command],
            capture_output=True,
            text=True,
            cwd=cwd,
            timeout=PATIENCE_S,
            env=os.environ | {"PATH": path} | environment,
        )
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
        return done.stdout

    def live(self, name, *arguments, cwd):
        out = self.run(self.python, LIVE / name, *arguments, cwd=cwd)
        return json.loads(out.strip().splitlines()[-1])

    def package(self, name):
        """Return the folder of a package."""
        code = f"from importlib.util import find_spec; print(find_spec({name!r}).origin)"
        return Path(self.run(self.python, "-c", code, cwd=self.folder).strip()).parent


@pytest.fixture
def faulty(tmp_path):
    folder = tmp_path / "with a blank"
    folder.mkdir()
    return write_faulty_tasks(folder / "tasks.jsonl")


def unpacked(fresh, package, folder):
    """Download a wheel without what it needs, and unpack it."""
    fresh.pip("download", "--no-deps", "--dest", folder, package)
    (wheel,) = folder.glob("*.whl")
    fresh.run(fresh.python, "-m", "zipfile", "-e", wheel, folder / "unpacked", cwd=folder)
    return folder / "unpacked"


def test_trl_trains_on_the_example_of_the_page(tmp_path):
    pytest.importorskip("torch")
    fresh = Fresh("trl-venv", tmp_path, "trl", "datasets")
    write = ROOT / "examples" / "tiny_model.py"
    fresh.run(fresh.python, write, tmp_path / "runs" / "tiny", cwd=tmp_path)
    log = fresh.live("docs_snippet.py", PAGE, "TRL", "trainer.state.log_history", cwd=tmp_path)
    name = "codegym_pass_rate-0.1_length"
    assert [row["step"] for row in log[:3]] == [1, 2, 3]
    assert all(-0.1 <= row[f"rewards/{name}/mean"] <= 1 for row in log[:3])
    assert all(row[f"{name}/no_verdict"] == 0 for row in log[:3])
    # Verdicts are lost, and the training goes on.
    call = 'reward(TASKS, "pass_rate - 0.1*length"'
    changes = ["TASKS =", "from lost_verdicts import judge\nTASKS =", call, f"{call}, judge=judge"]
    log = fresh.live(
        "docs_snippet.py", PAGE, "TRL", "trainer.state.log_history", *changes, cwd=tmp_path
    )
    assert any(row[f"{name}/no_verdict"] > 0 for row in log[:3])
    # A number that is not finite is not equal to itself.
    assert all(row["loss"] == row["loss"] for row in log[:3])
    template = fresh.package("trl") / "chat_templates" / "qwen3.jinja"
    fresh.run(fresh.python, write, tmp_path / "tools", "--template", template, cwd=tmp_path)
    row = fresh.live("trl_tools.py", tmp_path / "tools", TASKS, tmp_path / "out", cwd=tmp_path)
    assert row["tools/call_frequency"] == 2 and row["tools/failure_frequency"] == 0
    assert row["rewards/codegym_binary-0.25/mean"] == 0.75


def test_the_reward_managers_of_verl_alone(tmp_path, faulty):
    pytest.importorskip("torch")
    fresh = Fresh("verl-venv", tmp_path, "omegaconf", "pyarrow")
    wheel = unpacked(fresh, "verl", tmp_path)
    found = fresh.live("verl_managers.py", wheel, TASKS, faulty, cwd=tmp_path)
    assert found["naive"] == {"right": 1.0, "wrong": 0.0, "no verdict": "FaultyTestError"}
    # Why docs/integrations.md says not to use it.
    assert found["rate_limited"]["no verdict"] == 0.0
    written = fresh.live(
        "docs_snippet.py", PAGE, "verl", "__import__('pyarrow').parquet.read_table("
        "'train.parquet').num_rows", "count=4096", "count=9", cwd=tmp_path
    )  # fmt: skip
    assert written == 9


def test_the_executors_of_openrlhf_alone(tmp_path, faulty):
    pytest.importorskip("torch")
    fresh = Fresh("openrlhf-venv", tmp_path, "aiohttp")
    wheel = unpacked(fresh, "openrlhf", tmp_path)
    (agent,) = wheel.rglob("openrlhf/utils/agent.py")
    found = fresh.live("openrlhf_executors.py", agent.parents[1], TASKS, faulty, cwd=tmp_path)
    assert found == {
        "single": [1.0, 0.0, None],
        "agent": [1.0, 0.0, "FaultyTestError"],
        "nan": True,
    }
    file = fresh.live("docs_snippet.py", PAGE, "OpenRLHF", "openrlhf.__file__", "count=4096",
                      "count=2", cwd=tmp_path)  # fmt: skip
    assert file.endswith("openrlhf.py") and (tmp_path / "train.jsonl").exists()


def test_vf_eval_of_the_taskset(tmp_path, faulty):
    fresh = Fresh("verifiers-venv", tmp_path, "verifiers", "uv", "hatchling")
    fresh.pip("install", "--no-deps", "--no-build-isolation", ROOT / "examples/verifiers_codegym")

    def traces(tasks, count):
        with served(tasks) as url:
            fresh.run(
                fresh.bin / "vf-eval", "codegym-programs", "-n", count, "-m", "fake",
                "--client.base-url", url, "--client.api-key-var", "FAKE_KEY",
                "--env.agent.harness.id", "null", "--env.agent.runtime.type", "subprocess",
                "--no-push", "--no-rich", "--env.taskset.tasks", tasks, "-o", tmp_path / "out",
                cwd=tmp_path, FAKE_KEY="none", HOME=str(tmp_path),
            )  # fmt: skip
        (file,) = (tmp_path / "out").rglob("traces.jsonl")
        rows = [json.loads(line) for line in file.read_text().splitlines()]
        file.unlink()
        return [
            (trace["rewards"]["verdict"], [error["type"] for error in trace["errors"]])
            for row in sorted(rows, key=lambda row: row["task"]["data"]["idx"])
            for trace in row["traces"]
        ]

    right, wrong = ({"score": score, "weight": 1.0} for score in (1.0, 0.0))
    assert traces(TASKS, 4) == [(right, []), (wrong, [])] * 2
    assert traces(faulty, 2) == [(right, []), (None, ["TaskError"])]


def test_openenv_plays_eight_sessions_side_by_side(tmp_path, faulty):
    fresh = Fresh("openenv-venv", tmp_path, "openenv-core", "uvicorn")
    found = fresh.live("openenv_sessions.py", TASKS, faulty, cwd=tmp_path)
    assert found["plays"] == [[0.0, False, 1.0, True, 2]] * 8
    assert [kind for kind, _ in found["errors"]] == ["TaskError", "FaultyTestError"]


def test_inspect_ai_evaluates_the_task(tmp_path, faulty):
    fresh = Fresh("inspect_ai-venv", tmp_path, "inspect-ai", "openai")
    with served(TASKS) as url, served(faulty) as faulty_url:
        found = fresh.live(
            "inspect_samples.py", TASKS, faulty, url, faulty_url, tmp_path / "logs", cwd=tmp_path
        )
    assert sorted(found["tasks"][1]) == [[0.0, False]] * 2 + [[1.0, False]] * 2
    assert sorted(found["faulty"][1], key=str) == [[1.0, False], [None, True]]


def test_the_environment_of_skyrl_gym(tmp_path):
    fresh = Fresh("skyrl_gym-venv", tmp_path, "skyrl-gym")
    out = fresh.run(fresh.python, ROOT / "examples" / "skyrl_programs.py", cwd=tmp_path)
    assert "\n0.0 False" in out and "\n1.0 True" in out


@pytest.mark.skipif(sys.version_info < (3, 12), reason="NeMo-Gym needs Python 3.12")
def test_the_resources_server_of_nemo_gym(tmp_path, faulty):
    fresh = Fresh("nemo_gym-venv", tmp_path, "nemo-gym", "httpx")
    folder = ROOT / "examples" / "nemo_gym_codegym"
    right, wrong, missing, unknown = fresh.live(
        "nemo_verify.py", folder, TASKS, faulty, cwd=tmp_path
    )
    assert right[:3] == [200, 1.0, False] and wrong[:3] == [200, 0.0, False]
    assert missing[:3] == [200, 0.0, True] and missing[3].startswith("FaultyTestError")
    assert unknown[0] == 422 and unknown[4].startswith("TaskError")
