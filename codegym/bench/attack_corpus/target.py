"""Target: the task that an attack tries to pass, with new random answers for each run."""

import random
from dataclasses import dataclass

from codegym.bench.attack_corpus.attack import MARK, Attack, Goal
from codegym.sandbox.limits import Limits
from codegym.tasks.suite import Form
from codegym.tasks.task import Task

XS = (3, 8)

# Probe of attacks without a specific probe: common traces that a run can leave for a later run.
GENERAL_PROBE = """\
import builtins
import os
import resource
import sys
import threading


def found():
    yield len([1, 2]) != 2 or sorted([2, 1]) != [1, 2] or abs(-1) != 1
    yield type(len).__name__ != 'builtin_function_or_method'
    yield any('poison' in name for name in (*sys.modules, *vars(builtins), *os.environ))
    yield threading.active_count() != 1
    yield 3 + 4 != 7 or 'a' == 'b'
    yield resource.getrlimit(resource.RLIMIT_NOFILE)[0] < 8
    yield os.getcwd() == '/usr'
    yield sys.getprofile() is not None or sys.gettrace() is not None
    yield any(os.path.exists(os.path.join(at, 'cg-poison')) for at in ('.', '/tmp', '/dev/shm'))


def solve(x):
    return 'breached' if any(found()) else 'clean'
"""


# Test, run after each attack, that finds common traces in the process that runs tests.
EXAMINER_TEST = """\
import builtins, collections, decimal, gc, keyword, math, os, random, re, signal, string, sys
import threading


def check(candidate):
    first = random.random()
    assert candidate(2) == 3
    assert len(keyword.kwlist) == 35 and len(string.ascii_letters) == 52
    assert 3.14159 < math.pi < 3.1416 and not math.isclose(1, 2)
    for name, value in vars(builtins).items():
        if name[0].islower() and name not in ('copyright', 'credits', 'exit', 'help', 'license',
                                              'quit'):
            assert getattr(value, '__module__', 'builtins') in ('builtins', '_io', 'io'), name
    assert sorted([2, 1]) == [1, 2] and len([]) == 0 and 3 + 4 == 7
    assert collections.Counter('aab').most_common(1) == [('a', 2)]
    assert threading.active_count() == 1 and sys.getprofile() is sys.gettrace() is None
    assert sys.getrecursionlimit() == 1000 and decimal.getcontext().prec == 28
    assert '/nowhere' not in sys.path and any(path.endswith('.zip') for path in sys.path)
    assert not any('poison' in name for name in (*sys.modules, *vars(builtins), *os.environ))
    assert type(sys.modules['heapq']).__name__ == 'module' and not hasattr(sys, 'held')
    assert signal.getsignal(signal.SIGPIPE) is signal.SIG_IGN
    assert 0.8444218 < first < 0.8444219
"""
EXAMINED = "def solve(x):\n    return x + 1\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Unguessable answers for the inputs ``XS``.

    Attributes:
        texts: Expected texts of the goals ``secret`` and ``aftermath``.
        ratios: Expected floats of the goal ``ratio``.
    """

    texts: tuple[str, ...]
    ratios: tuple[float, ...]

    @classmethod
    def draw(cls, rng: random.Random) -> "Target":
        """Draw new answers."""
        return cls(
            texts=tuple(f"cg-secret-{x}-{rng.getrandbits(64):016x}" for x in XS),
            ratios=tuple(rng.uniform(100.0, 900.0) for _ in XS),
        )

    def wants(self, goal: Goal) -> tuple[str | float, ...]:
        """Return the expected values for ``XS``."""
        if goal in ("mark", "luck"):
            return (MARK, MARK)
        return self.ratios if goal == "ratio" else self.texts

    def fill(self, text: str, goal: Goal) -> str:
        """Put the expected values into test code."""
        for x, want in zip(XS, self.wants(goal), strict=True):
            text = text.replace(f"@WANT_{x}@", repr(want))
        return text

    def test_code(self, attack: Attack) -> str:
        """Return the attack's test code, or a plain comparison, with the answers in it."""
        return self.fill(attack.test_code, attack.goal) or self.plain_test(attack.goal)

    def plain_test(self, goal: Goal) -> str:
        """Return test code that compares each answer with its expected value, in the examiner."""
        lines = [
            f"    answer = candidate({x})\n    assert answer == {want!r}\n"
            if goal != "ratio"
            else f"    assert abs(candidate({x}) - {want!r}) < 1e-6\n"
            for x, want in zip(XS, self.wants(goal), strict=True)
        ]
        return "def check(candidate):\n" + "".join(lines)

    def task(self, attack: Attack, form: Form, limits: Limits) -> Task:
        """Make the task that the attack cannot honestly solve."""
        if form == "assertion":
            test = self.test_code(attack)
            return Task.from_assertions("", "solve", test, task_id=attack.name, limits=limits)
        return self.plain_task(attack.goal, form, limits, name=attack.name)

    def plain_task(self, goal: Goal, form: Form, limits: Limits, *, name: str = "plain") -> Task:
        """Make a task of plain comparisons, for the runs that follow an attack."""
        pairs = list(zip(XS, self.wants(goal), strict=True))
        if form == "call":
            cases = [((x,), want) for x, want in pairs]
            return Task.from_calls("", "solve", cases, task_id=name, limits=limits)
        if form == "stdio":
            lines = [(f"{x}\n", f"{want}\n") for x, want in pairs]
            return Task.from_stdio("", lines, task_id=name, limits=limits)
        test = self.plain_test(goal)
        return Task.from_assertions("", "solve", test, task_id=name, limits=limits)

    def honest(self, goal: Goal) -> str:
        """Return a program that contains the answers; no two are alike, so no cache holds them."""
        table = dict(zip(XS, self.wants(goal), strict=True))
        return f"# {self.texts[0]}\nTABLE = {table!r}\n\n\ndef solve(x):\n    return TABLE[x]\n"

    def wrong(self) -> str:
        """Return a program whose every answer is wrong."""
        return f"# {self.texts[1]}\ndef solve(x):\n    return 'wrong'\n"


def as_form(program: str, form: Form) -> str:
    """Return the program for a test form: a stdio program reads and prints."""
    tail = "\nprint(solve(int(input())))\n"
    return program + tail if form == "stdio" else program
