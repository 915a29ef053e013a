"""verl's own client function, from its newest wheel, against a service."""

import importlib.util
import json
import subprocess
import sys
import zipfile
from pathlib import Path
from types import ModuleType

import pytest

pytest.importorskip("fastapi", reason="the extra serve is not installed")
pytest.importorskip("requests", reason="requests, which verl's client needs, is not installed")

from codegym.errors import SandboxError
from codegym.sandbox.job import FakeSandbox

pytestmark = pytest.mark.slow
FOLDER = Path(__file__).parents[2] / "build" / "verl"
PLACE = "verl/utils/reward_score/sandbox_fusion/"


@pytest.fixture(scope="module")
def verl() -> ModuleType:
    """verl's package ``sandbox_fusion`` alone; nothing else of verl is imported."""
    if not any(FOLDER.glob("verl-*.whl")):
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "verl"]
        done = subprocess.run([*command, "--dest", FOLDER], capture_output=True, text=True)
        if done.returncode:
            pytest.skip(f"verl cannot be downloaded: {done.stderr.strip()[-200:]}")
    (wheel,) = FOLDER.glob("verl-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(FOLDER, [n for n in archive.namelist() if n.startswith(PLACE)])
    folder = FOLDER / PLACE
    spec = importlib.util.spec_from_file_location(
        "sandbox_fusion", folder / "__init__.py", submodule_search_locations=[str(folder)]
    )
    assert spec is not None and spec.loader is not None
    module = sys.modules["sandbox_fusion"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def check(verl, address, program, cases, **rest):
    """Return verl's results and statuses for a program."""
    tests = {"inputs": [given for given, _ in cases], "outputs": [out for _, out in cases]}
    url = f"http://127.0.0.1:{address[1]}/run_code"
    results, told = verl.check_correctness(url, tests | rest, program, timeout=1)
    return results, [case["status"] for case in told]


@pytest.mark.parametrize(
    ("program", "result", "status"),
    [
        ("print(int(input()) + 1)", True, "success"),
        ("print(int(input()) - 1)", False, "wrong_answer"),
        ("print(1 // 0)", -2, "runtime_error"),
        ("print(", -2, "runtime_error"),
        ("import sys; sys.exit(1)", -2, "runtime_error"),
        ("while True: pass", -3, "timeout"),
    ],
)
def test_each_status(verl, sandboxed, program, result, status):
    with sandboxed.running() as (_, address):
        found = check(verl, address, program, [("1", "2"), ("5", "6")])
    assert found == ([result] * 2, [status] * 2)


def test_a_function_is_called_by_verls_own_wrapper(verl, sandboxed):
    program = "def add(a, b):\n    return a + b\n"
    with sandboxed.running() as (_, address):
        cases = [("1\n2", "3"), ("3\n4", "8")]
        found, _ = check(verl, address, program, cases, fn_name="add")
    assert found == [True, False]


def test_a_broken_sandbox_is_verls_sandbox_error(verl, serve):
    def breaks(job):
        raise SandboxError("the sandbox broke")

    with serve(sandbox=FakeSandbox(breaks)).running() as (_, address):
        assert check(verl, address, "print(1)", [("", "1")]) == ([-1], ["sandbox_error"])


def test_verl_asks_again_where_the_queue_is_full(verl, serve):
    served = serve(most_waiting=0)
    with served.running() as (_, address):
        results, _ = check(verl, address, "print(1)", [("", "1")])
    assert results == [-1]
    assert 'path="/run_code",status="504"} 3.0' in served.service.metrics_text().decode()


def test_the_score_of_an_answer(verl, sandboxed):
    answer = "Here it is:\n```python\nprint(int(input()) + 1)\n```"
    tests = json.dumps({"inputs": ["1", "2", "3", "4"], "outputs": ["2", "3", "4", "6"]})
    with sandboxed.running() as (_, address):
        url = f"http://127.0.0.1:{address[1]}/run_code"
        score, _ = verl.compute_score(url, None, 1024, answer, tests)
    assert score == 0.75


def test_the_password_of_a_url_is_the_token(verl, sandboxed):
    token, tests = "a-token-of-enough-characters", {"inputs": [""], "outputs": ["1"]}
    with sandboxed.running(token) as (_, address):
        places = f"codegym:{token}@127.0.0.1:{address[1]}", f"127.0.0.1:{address[1]}"
        urls = [f"http://{place}/run_code" for place in places]
        found = [verl.check_correctness(url, tests, "print(1)", timeout=2)[0] for url in urls]
    assert found == [[True], [-1]]
