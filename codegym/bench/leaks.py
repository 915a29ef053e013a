"""Leaks: tests and programs that try to change the next run through the examiner.

Each program is judged on its test; afterwards an honest program of another task must pass.
"""

import random
from dataclasses import dataclass

from codegym.grading.verdict import Outcome
from codegym.sandbox.limits import Limits
from codegym.tasks.task import Task

LIMITS = Limits(wall_s=2.0, cpu_s=2.0, memory_bytes=128 << 20)
_ANY = (Outcome.PASSED, Outcome.FAILED, Outcome.RUNTIME_ERROR)


@dataclass(frozen=True, slots=True, kw_only=True)
class Leak:
    """One test with a program that uses it to leave something behind.

    Attributes:
        name: What is left.
        test: Test code.
        program: The program.
        outcomes: Outcomes that are right for the program.
    """

    name: str
    test: str
    program: str
    outcomes: tuple[Outcome, ...] = _ANY

    def task(self) -> Task:
        """Return the task of the test."""
        return Task.from_assertions("", "solve", self.test, limits=LIMITS)


def _given(name: str, test: str, body: str, *, outcomes: tuple[Outcome, ...] = _ANY) -> Leak:
    return Leak(name=name, test=test, program=f"def solve(x):\n    {body}\n", outcomes=outcomes)


_EXHAUSTS = (Outcome.MEMORY, Outcome.FAILED)
LEAKS = (
    _given(
        "a list of a module",
        "import keyword\nassert solve(keyword.kwlist) == 35",
        "x.clear(); return 35",
    ),
    _given(
        "a table of a module",
        "import keyword\nassert solve([keyword.kwlist, {}]) == 1",
        "x[0].clear(); return 1",
    ),
    _given(
        "sys.path",
        "import sys\nassert solve(sys.path) == 1",
        "x[:] = ['/nowhere']; return 1",
    ),
    _given(
        "builtins",
        "import builtins\nbuiltins.sorted = lambda items: solve(1)\nassert sorted([]) == 7",
        "return 7",
    ),
    _given(
        "a function of a module",
        "import math\nmath.isclose = lambda *a, **k: True\nmath.pi = solve(3)\nassert math.pi == 3",
        "return x",
    ),
    _given(
        "a class attribute",
        "import collections\ncollections.Counter.most_common = lambda self: solve(1)\n"
        "assert collections.Counter().most_common() == 1",
        "return x",
    ),
    _given(
        "modules",
        "import sys\nsys.modules['bisect'] = solve\nsys.modules.pop('heapq', None)\n"
        "assert solve(1) == 1",
        "return x",
    ),
    _given(
        "a recursion limit",
        "import sys\nsys.setrecursionlimit(solve(60))\nassert solve(1) == 1",
        "return x",
    ),
    _given(
        "the seed",
        "import random\nrandom.seed(solve(7))\nassert solve(1) == 1",
        "return x",
    ),
    _given(
        "a decimal context",
        "import decimal\ndecimal.getcontext().prec = solve(2)\nassert solve(1) == 1",
        "return x",
    ),
    _given(
        "a thread that calls",
        "import threading\n"
        "def again():\n"
        "    while True:\n"
        "        try:\n            solve(1)\n        except BaseException:\n            pass\n"
        "for _ in range(4):\n    threading.Thread(target=again, daemon=True).start()\n"
        "assert solve(1) == 1",
        "return x",
    ),
    _given(
        "a thread that is not joined",
        "import threading, time\n"
        "def later():\n    time.sleep(0.02)\n    solve(5)\n"
        "threading.Thread(target=later).start()\nassert solve(1) == 1",
        "return x",
    ),
    _given(
        "a profile function",
        "import sys\nsys.setprofile(lambda *a: None)\nassert solve(1) == 1",
        "return x",
    ),
    _given(
        "memory of a range",
        "held = []\nassert held.append(list(solve(1))) == 1",
        "return range(10 ** 8)",
        outcomes=_EXHAUSTS,
    ),
    _given(
        "memory of a text",
        "import sys\nsys.held = solve(1)\nassert sys.held * 10 ** 6 == ''",
        "return 'x' * 900_000",
        outcomes=_EXHAUSTS,
    ),
    _given(
        "the environment",
        "import os\nos.environ.clear()\nassert solve(dict(os.environ)) == 1",
        "return 1",
    ),
    _given(
        "warnings as errors",
        "import warnings\nwarnings.simplefilter('error')\nassert solve(warnings.filters) == 1",
        "return 1",
    ),
    _given(
        "functions of the grader",
        "import sys\nfor name, module in [*sys.modules.items()]:\n"
        "    if name.endswith('.wire'):\n        module.loads = lambda data: {'r': 1}\n"
        "    if name.endswith('.candidate_line'):\n        module.MAX_SIGNS = 0\n"
        "sys.modules.clear()\nassert solve(1) == 1",
        "return x",
    ),
    _given(
        "closed descriptors",
        "import os\nassert solve(1) == 1\n"
        "for fd in range(3, 64):\n"
        "    try:\n        os.close(fd)\n    except OSError:\n        pass",
        "return x",
    ),
    _given(
        "a timer",
        "import signal\nsignal.setitimer(signal.ITIMER_REAL, 0.02)\nassert solve(1) == 1",
        "return x",
    ),
    _given(
        "a signal handler",
        "import signal\nsignal.signal(signal.SIGPIPE, signal.SIG_DFL)\nassert solve(1) == 1",
        "return x",
    ),
    _given(
        "the end of the test",
        "import os\nassert solve(1) == 1\nos._exit(0)\nassert solve(2) == 2",
        "return x",
        outcomes=(Outcome.RUNTIME_ERROR, Outcome.FAILED),
    ),
)

# (program, test) of honest programs that rely on what the leaks change.
_HONEST = (
    ("def solve():\n    return 35\n", "import keyword\nassert solve() == len(keyword.kwlist)"),
    ("def solve(x):\n    return x + 1\n", "assert all(solve(x) == x + 1 for x in range(20))"),
    ("def solve(a):\n    return [1, 2]\n", "assert solve([2, 1]) == sorted([2, 1]) == [1, 2]"),
    ("def solve(x):\n    return x * 2\n", "import math\nassert not math.isclose(solve(1), 3)"),
    (
        "def solve(a):\n    return a\n",
        "import collections\nassert collections.Counter(solve('aab')).most_common(1) == [('a', 2)]",
    ),
    (
        "def solve(a):\n    return sorted(a)\n",
        "import bisect, heapq, textwrap\na = solve([3, 1])\nassert bisect.bisect(a, 2) == 1\n"
        "assert heapq.nsmallest(1, a) == [1]",
    ),
    (
        "def solve(n):\n    return n\n",
        "import random\na = random.random()\nassert solve(round(a, 6)) == 0.844422",
    ),
    (
        "def solve(n):\n    return 0 if n == 0 else solve(n - 1)\n",
        "def deep(n):\n    return 0 if n == 0 else deep(n - 1)\n"
        "assert solve(300) == deep(300) == 0",
    ),
    (
        "def solve(n):\n    return n\n",
        "import os, warnings\nwarnings.warn('harmless')\nassert 0 < solve(3) <= len(os.environ)",
    ),
    (
        "def solve():\n    return '0.3333333333333333333333333333'\n",
        "from decimal import Decimal\nassert str(Decimal(1) / Decimal(3)) == solve()",
    ),
    (
        "def solve(n):\n    return list(range(n))\n",
        "a = solve(90_000)\nassert len(a) == 90_000\nassert len(a * 20) == 1_800_000",
    ),
)


def honest_after(rng: random.Random) -> tuple[str, Task]:
    """Return an honest program and its task, drawn at random."""
    program, test = rng.choice(_HONEST)
    return program, Task.from_assertions("", "solve", test, limits=LIMITS)
