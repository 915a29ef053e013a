"""The judge: verdicts of all three forms of test, their feedback, and what cannot be forged."""

import dataclasses
import json
import threading

import pytest

import codegym
from codegym import CallCase, Limits, Outcome, StdioCase, Task
from codegym.errors import ConfigError, SandboxError, TaskError
from codegym.grading import surroundings
from codegym.grading.judge import Judge, default_sandbox, repeat
from codegym.grading.run_plan import plan_for
from codegym.grading.verdict_cache import VerdictCache
from codegym.sandbox import FakeSandbox
from codegym.sandbox.job import ExecutionResult

LIMITS = Limits(wall_s=5.0, cpu_s=0.4)


@pytest.fixture(scope="module")
def sandbox():
    with codegym.make_sandbox(workers=2) as sandbox:
        yield sandbox


def task(*cases, **rest):
    return Task.from_calls("def f(x):\n", "f", cases, limits=LIMITS, **rest)


ADD_ONE = task(((1,), 2), ((5,), 6))


def test_a_right_program_passes_whole_or_as_a_continuation(sandbox):
    for program in ("def f(x):\n    return x + 1\n", "    return x + 1\n", "f = lambda x: x + 1"):
        verdict = codegym.judge(program, ADD_ONE, sandbox=sandbox)
        assert verdict.passed and verdict.pass_rate == 1.0 and verdict.error_type == ""
        assert verdict.usage.cpu_s > 0 and verdict.usage.memory_bytes > 0


@pytest.mark.parametrize(
    ("program", "outcome", "error_type", "line"),
    [
        ("    return x\n", Outcome.FAILED, "", None),
        ("    return str(x + 1)\n", Outcome.FAILED, "", None),
        ("    return x + 1.5\n", Outcome.FAILED, "", None),
        ("    return object()\n", Outcome.FAILED, "UnencodableError", None),
        ("    return lambda: 1\n", Outcome.FAILED, "UnencodableError", None),
        ("    y = 1\n    return y / 0\n", Outcome.RUNTIME_ERROR, "ZeroDivisionError", 3),
        ("    return g(x)\n", Outcome.RUNTIME_ERROR, "NameError", 2),
        ("    raise SystemExit\n", Outcome.RUNTIME_ERROR, "SystemExit", 2),
        ("    raise AssertionError('no')\n", Outcome.RUNTIME_ERROR, "AssertionError", 2),
        ("    return f(x)\n", Outcome.RUNTIME_ERROR, "RecursionError", 2),
        ("    import os; os._exit(0)\n", Outcome.RUNTIME_ERROR, "ProcessDied", None),
        ("    return bytearray(10**10)\n", Outcome.MEMORY, "MemoryError", 2),
        ("    while x:\n        x += 1\n", Outcome.TIMEOUT, "TimeLimit", 3),
        ("    return 'x' * 10**7\n", Outcome.OUTPUT_LIMIT, "OutputLimit", None),
        ("def f(x):\n    return x +\n", Outcome.SYNTAX_ERROR, "SyntaxError", 2),
        ("def f(x):\nreturn x\n", Outcome.SYNTAX_ERROR, "IndentationError", 2),
        ("def f(x):\n    return x\0\n", Outcome.SYNTAX_ERROR, None, None),
        ("def f(x):\n    return '\ud800'\n", Outcome.SYNTAX_ERROR, "UnicodeEncodeError", None),
        ("def g(x):\n    return x\nf2 = g", Outcome.SYNTAX_ERROR, "IndentationError", None),
        ("import nothing_like_it\nf = 1", Outcome.RUNTIME_ERROR, "ModuleNotFoundError", 1),
        ("raise ValueError('at once')\ndef f(x): pass", Outcome.RUNTIME_ERROR, "ValueError", 1),
        ("f = 3", Outcome.RUNTIME_ERROR, "TypeError", None),
        ("", Outcome.NO_PROGRAM, "", None),
        (" \n\t\n", Outcome.NO_PROGRAM, "", None),
    ],
)
def test_every_outcome_has_its_name_and_line(sandbox, program, outcome, error_type, line):
    verdict = codegym.judge(program, ADD_ONE, sandbox=sandbox)
    assert verdict.outcome is outcome, verdict
    assert error_type is None or verdict.error_type == error_type, verdict
    assert line is None or verdict.error_line in (line, line - 1), verdict
    assert len(verdict.cases) == 2 and not verdict.passed


def test_a_syntax_error_has_line_and_offset(sandbox):
    verdict = codegym.judge("def f(x):\n    return (x + 1\n", ADD_ONE, sandbox=sandbox)
    assert (verdict.error_line, verdict.error_offset) == (2, 12)
    assert "was never closed" in verdict.error_message


def test_a_missing_entry_point_is_a_name_error(sandbox):
    words = Task.from_calls("Add one to x.", "f", [((1,), 2)])
    verdict = codegym.judge("def g(x):\n    return x + 1\n", words, sandbox=sandbox)
    assert (verdict.outcome, verdict.error_type) == (Outcome.RUNTIME_ERROR, "NameError")


def test_passed_cases_count_though_a_later_one_crashes(sandbox):
    many = task(((1,), 1), ((2,), 2), ((3,), 3), ((4,), 4))
    program = "    import os\n    return x if x < 3 else os._exit(0)\n"
    verdict = codegym.judge(program, many, sandbox=sandbox)
    assert [case.passed for case in verdict.cases] == [True, True, False, False]
    assert verdict.pass_rate == 0.5 and verdict.outcome is Outcome.RUNTIME_ERROR
    assert "status 0" in verdict.error_message


def test_what_came_back_is_shown(sandbox):
    verdict = codegym.judge("    return [x, (None,)]\n", ADD_ONE, sandbox=sandbox)
    assert verdict.cases[0].got == "[1, (None,)]"


def test_expected_exceptions(sandbox):
    wanted = task(CallCase(args=(0,), raises="ValueError"), ((1,), 1))
    good = "    if not x:\n        raise ValueError(x)\n    return x\n"
    subclass = "    if not x:\n        raise type('Mine', (ValueError,), {})\n    return x\n"
    for program in (good, subclass):
        assert codegym.judge(program, wanted, sandbox=sandbox).passed
    other = codegym.judge("    return x or [][0]\n", wanted, sandbox=sandbox)
    assert (other.cases[0].outcome, other.cases[0].error_type) == (
        Outcome.RUNTIME_ERROR,
        "IndexError",
    )
    silent = codegym.judge("    return x\n", wanted, sandbox=sandbox)
    assert silent.cases[0].outcome is Outcome.FAILED
    assert silent.cases[0].error_message == "expected ValueError to be raised"
    every = "    raise type('E', (ValueError, KeyError), {})\n"
    assert not codegym.judge(
        every, task(CallCase(raises="KeyError", args=(1,))), sandbox=sandbox
    ).passed


def test_keyword_arguments(sandbox):
    named = task(CallCase(args=(1,), kwargs={"by": 5}, expected=6))
    program = "def f(x, *, by):\n    return x + by\n"
    assert codegym.judge(program, named, sandbox=sandbox).passed


def test_a_generator_answers_with_its_items(sandbox):
    items = task(((3,), iter([0, 1, 2])))
    for _ in range(2):  # the expected iterator is not used up
        assert codegym.judge("    yield from range(x)\n", items, sandbox=sandbox).passed
    assert not codegym.judge("    return list(range(x))\n", items, sandbox=sandbox).passed
    endless = codegym.judge("    while True:\n        yield x\n", items, sandbox=sandbox)
    assert endless.error_type == "UnencodableError" and "10000" in endless.error_message


LIARS = [
    "class Yes:\n    def __eq__(self, other):\n        return True\n"
    "    __hash__ = None\ndef f(x):\n    return Yes()\n",
    "class Yes(int):\n    def __eq__(self, other):\n        return True\n"
    "    __hash__ = int.__hash__\ndef f(x):\n    return Yes()\n",
    "import json, codegym.sandbox.wire as wire\n"
    "wire.encode = lambda *a: 2\nwire.dumps = lambda tree: b'{}'\ndef f(x):\n    return 2\n",
    "import os, struct\nfor body in (b'{\"r\":true}', b'{\"passed\":true}'):\n"
    "    for fd in range(64):\n        try:\n"
    "            os.write(fd, struct.pack('<I', len(body)) + body)\n"
    "        except OSError:\n            pass\ndef f(x):\n    return None\n",
    "import sys\nframe = sys._getframe()\nwhile frame:\n    frame.f_locals.update(expected=None)\n"
    "    frame = frame.f_back\ndef f(x):\n    return None\n",
    "import os\nfor fd in range(3, 64):\n    try:\n        os.close(fd)\n"
    "    except OSError:\n        pass\ndef f(x):\n    return x + 1\n",
    "import builtins\nbuiltins.type = lambda *a: int\ndef f(x):\n    return None\n",
]


@pytest.mark.parametrize("program", LIARS)
def test_lies_do_not_pass_and_the_worker_stays_fit(program):
    with codegym.make_sandbox(workers=1) as sandbox:
        for wanted in (ADD_ONE, ASSERTED):
            assert not codegym.judge(program, wanted, sandbox=sandbox).passed
            assert codegym.judge("def f(x):\n    return x + 1\n", wanted, sandbox=sandbox).passed
            assert not codegym.judge("def f(x):\n    return x\n", wanted, sandbox=sandbox).passed


ASSERTED = Task.from_assertions(
    "Add one.", "f", "assert f(1) == 2\nassert f(5) == 6", limits=LIMITS
)

SUM = Task.from_stdio(
    "Print the sum.",
    [("1 2\n", "3\n"), StdioCase(stdin="5 5", expected_stdout="10")],
    limits=LIMITS,
)


TOTAL = "sum(map(int, input().split()))"
RIGHT_SCRIPTS = [
    f"print({TOTAL})",
    "import sys\nprint(sum(map(int, sys.stdin.read().split())), end='')\nsys.exit()",
    "import os\nos.write(1, b'%d' % sum(map(int, os.read(0, 99).split())))\nos._exit(0)",
    f"print({TOTAL})\nexit()",
    f"def main():\n    print({TOTAL})\n    quit(0)\nmain()",
    "\ufeffimport fileinput\nprint(sum(map(int, next(fileinput.input()).split())))",
    f"import sys\nassert len(sys.argv) == 1 and 'ctl' not in repr(sys.orig_argv)\nprint({TOTAL})",
    "if __name__ == '__main__':\n    print(sum(map(int, open(0).read().split())))",
    f"import atexit\natexit.register(lambda: print({TOTAL}))",
    f"import threading\nthreading.Thread(target=lambda: print({TOTAL})).start()",
    f"import io\nw = io.TextIOWrapper(io.FileIO(1, 'w', closefd=False))\nw.write(str({TOTAL}))",
    f"import sys, io\nold, sys.stdout = sys.stdout, io.StringIO()\nprint({TOTAL})\n"
    "old.write(sys.stdout.getvalue())",
]


@pytest.mark.parametrize("program", RIGHT_SCRIPTS)
def test_right_scripts(sandbox, program):
    verdict = codegym.judge(program, SUM, sandbox=sandbox)
    assert verdict.passed, verdict


@pytest.mark.parametrize(
    ("program", "outcome", "rate"),
    [
        ("print(3)", Outcome.FAILED, 0.5),
        (f"print({TOTAL})\nraise SystemExit(1)", Outcome.RUNTIME_ERROR, 0.0),
        ("a, b = map(int, input().split())\nprint(a + b, [][a])", Outcome.RUNTIME_ERROR, 0.0),
        ("print(input() + input())", Outcome.RUNTIME_ERROR, 0.0),
        ("while True:\n    print('x' * 100)", Outcome.OUTPUT_LIMIT, 0.0),
        ("while True:\n    pass", Outcome.TIMEOUT, 0.0),
        (f"print({TOTAL}", Outcome.SYNTAX_ERROR, 0.0),
        ("x = bytearray(10**10)", Outcome.MEMORY, 0.0),
    ],
)
def test_scripts(sandbox, program, outcome, rate):
    verdict = codegym.judge(program, SUM, sandbox=sandbox)
    assert (verdict.outcome, verdict.pass_rate) == (outcome, rate), verdict


def test_a_script_runs_anew_for_every_case(sandbox):
    twice = Task.from_stdio("", [("", "1\n"), ("", "1\n")])
    program = "import math\nmath.n = getattr(math, 'n', 0) + 1\nprint(math.n)"
    assert codegym.judge(program, twice, sandbox=sandbox).passed


def test_a_script_that_is_slow_once_keeps_the_cases_before(sandbox):
    program = f"n = {TOTAL}\nprint(n)\nwhile n > 5: pass"
    verdict = codegym.judge(program, SUM, sandbox=sandbox)
    assert [case.outcome for case in verdict.cases] == [Outcome.PASSED, Outcome.TIMEOUT]
    assert verdict.error_line == 3


def test_many_are_judged_in_the_order_given(sandbox):
    pairs = [(f"    return x + {number % 3}\n", ADD_ONE) for number in range(30)]
    verdicts = codegym.judge_many(iter(pairs), sandbox=sandbox)
    assert [verdict.passed for verdict in verdicts] == [number % 3 == 1 for number in range(30)]


def test_submit_and_collect_overlap(sandbox):
    judge = Judge(sandbox)
    sleepy = dataclasses.replace(ADD_ONE, tests=dataclasses.replace(
        ADD_ONE.tests, limits=Limits(case_s=4.0)))  # fmt: skip
    slow = judge.submit("    import time; time.sleep(1); return x + 1\n", sleepy)
    quick = judge.submit("    return x + 1\n", ADD_ONE)
    blank = judge.submit("", ADD_ONE)
    seen = []
    while judge.under_way:
        seen += [(ticket, verdict.outcome) for ticket, verdict in judge.collect()]
    assert set(seen) == {
        (blank, Outcome.NO_PROGRAM), (quick, Outcome.PASSED), (slow, Outcome.PASSED)
    }  # fmt: skip
    assert seen[-1][0] == slow and judge.collect() == []


def counting(reply=b'{"r":2}'):
    jobs = []

    def answer(job):
        jobs.append(job)
        return ExecutionResult(replies=(reply, b'{"r":6}'))

    return FakeSandbox(answer), jobs


def test_twins_are_run_once():
    fake, jobs = counting()
    judge = Judge(fake)
    tickets = [judge.submit("    return x + 1\n", ADD_ONE) for _ in range(5)]
    done = judge.collect()
    assert sorted(ticket for ticket, _ in done) == tickets and len(jobs) == 1
    assert all(verdict.passed for _, verdict in done)


def test_a_broken_sandbox_is_raised_with_the_judges_ticket():
    class Broken(FakeSandbox):
        def channel(self):
            return self

        def collect(self, timeout_s=None):
            done = super().collect(timeout_s)
            if not done:
                return []
            error = SandboxError("broke")
            error.ticket = done[0][0]
            raise error

    judge = Judge(Broken(lambda job: ExecutionResult()))
    judge.submit("", ADD_ONE)
    ticket = judge.submit("    return 1\n", ADD_ONE)
    with pytest.raises(SandboxError) as caught:
        judge.collect()
    assert caught.value.ticket == ticket
    assert [verdict.outcome for _, verdict in judge.collect()] == [Outcome.NO_PROGRAM]
    assert judge.under_way == 0


@pytest.mark.parametrize(
    "reply",
    [
        b"", b"\xff\xfe", b"[]", b"3", b"{}", b'{"r":', b"[" * 200_000, b'{"e":[1,2,3,4]}',
        b'{"e":["ValueError","ValueError"]}', b'{"load":3}', b'{"syntax":[]}', b'{"r":{"I":"zz"}}',
        b'{"r":NaN}', b'{"r":{"t":{"t":1}}}', b'{"syntax":["SyntaxError","m",-1,1e999]}',
        b'{"e":["A","B","c",true]}', b'{"r":1e999,"passed":true}', b"9" * 5000,
    ],
)  # fmt: skip
def test_forged_replies_are_failures_never_errors(reply):
    fake, _ = counting(reply)
    verdict = codegym.judge("    return 1\n", ADD_ONE, sandbox=fake)
    assert not verdict.passed and len(verdict.cases) == 2
    assert json.loads(json.dumps(verdict.to_json()))["outcome"] == verdict.outcome


def test_the_cache_answers_for_programs_seen_before(tmp_path):
    fake, jobs = counting()
    file = tmp_path / "verdicts.sqlite"
    for number in range(3):  # memory, then a new cache over the same file
        cache = VerdictCache(file)
        for _ in range(2):
            verdict = codegym.judge_many(
                [("    return x + 1\n", ADD_ONE)], sandbox=fake, cache=cache
            )
            assert verdict[0].passed
        assert len(jobs) == 2 and (cache.hits, cache.misses) == ((1, 1) if number == 0 else (2, 0))
        cache.close()
    other = task(((1,), 2), ((5,), 6), float_tolerance=0.5)
    cache = VerdictCache(file)
    codegym.judge_many(
        [("    return x + 1\n", other), ("    return 1+x\n", ADD_ONE)], sandbox=fake, cache=cache
    )
    assert len(jobs) == 6
    cache.close()


def test_what_may_vary_is_not_cached(tmp_path):
    cache = VerdictCache()
    pair = ("    return 1\n", ADD_ONE)
    timing_out = FakeSandbox(lambda job: ExecutionResult(limit="wall"))
    codegym.judge_many([pair], sandbox=timing_out, cache=cache)
    slow = FakeSandbox(lambda job: ExecutionResult(replies=(b'{"r":2}', b'{"r":6}'), cpu_s=0.3))
    assert codegym.judge_many([pair], sandbox=slow, cache=cache)[0].passed
    assert len(cache) == 0
    fake, jobs = counting()
    codegym.judge_many([pair], sandbox=fake, cache=cache)
    assert len(cache) == 1 and [job.reseeded for job in jobs] == [False, True]
    (tmp_path / "text").write_text("not a data base, not a data base, not a data base")
    with pytest.raises(ConfigError, match="not a verdict cache"):
        VerdictCache(tmp_path / "text")


def test_a_verdict_that_a_second_run_does_not_confirm_is_never_filed(tmp_path):
    file = tmp_path / "verdicts.sqlite"
    cache, jobs = VerdictCache(file), []

    def lucky(job):
        jobs.append(job)
        return ExecutionResult(replies=(b'{"r":2}', b'{"r":7}' if job.reseeded else b'{"r":6}'))

    for runs in (2, 3):  # once it is known to vary, it is not confirmed again
        verdicts = codegym.judge_many(
            [("    return 1\n", ADD_ONE)], sandbox=FakeSandbox(lucky), cache=cache
        )
        assert verdicts[0].passed and len(cache) == 0 and len(jobs) == runs
    cache.close()
    assert len(VerdictCache(file)) == 0


def test_a_confirmation_that_breaks_leaves_the_verdict():
    class Half(FakeSandbox):
        def channel(self):
            return self

        def collect(self, timeout_s=None):
            done = super().collect(timeout_s)
            if done and done[0][1].exit_status:
                error = SandboxError("broke")
                error.ticket = done[0][0]
                raise error
            return done

    cache = VerdictCache()
    half = Half(
        lambda job: ExecutionResult(
            replies=(b'{"r":2}', b'{"r":6}'), exit_status=256 * job.reseeded
        )
    )
    assert codegym.judge_many([("    return 1\n", ADD_ONE)], sandbox=half, cache=cache)[0].passed
    assert len(cache) == 0


def test_a_task_says_whether_its_verdicts_are_filed():
    fake, jobs = counting()
    cache = VerdictCache()
    never = dataclasses.replace(ADD_ONE, metadata={"verdict_cache": "never"})
    for _ in range(2):
        codegym.judge_many([("    return 1\n", never)], sandbox=fake, cache=cache)
    assert len(jobs) == 2 and len(cache) == 0
    unknown = dataclasses.replace(ADD_ONE, metadata={"verdict_cache": "once"})
    with pytest.raises(ConfigError, match="verdict_cache"):
        codegym.judge_many([("    return 1\n", unknown)], sandbox=fake, cache=cache)


LUCKY = {
    "entropy": "import random\ndef f(x):\n    random.Random().random()\n    return x + 1\n",
    "system": "import random\ndef f(x):\n    getattr(random, 'System' + 'Random')().random()\n"
    "    return x + 1\n",
    "reseeded": "import random\ndef f(x):\n    random.seed()\n    return x + 1\n",
    "process": "import os\ndef f(x):\n    return x + 1 + 0 * os.getpid()\n",
    "clock": "now = getattr(__import__('ti' + 'me'), 'perf_counter_' + 'ns')\n"
    "def f(x):\n    return x + 1 + 0 * now()\n",
    "calendar": "import datetime\ndef f(x):\n    datetime.date.today()\n    return x + 1\n",
    "file name": "import tempfile\ndef f(x):\n    next(tempfile._get_candidate_names())\n"
    "    return x + 1\n",
    "usage": "import resource\ndef f(x):\n    resource.getrusage(0)\n    return x + 1\n",
    "times of a file": "import os\ndef f(x):\n    return x + 1 + 0 * os.fstat(1).st_mtime_ns\n",
    "times by another name": "import posix\ndef f(x):\n    posix.stat('/')\n    return x + 1\n",
    "address": "def f(x):\n    return x + 1 + 0 * id([])\n",
    "thread": "import threading\ndef f(x):\n    threading.Thread(target=int).start()\n"
    "    return x + 1\n",
}


@pytest.mark.parametrize("form", ["call", "stdio", "assertion"])
def test_the_cache_files_no_luck(sandbox, form):
    wide = Limits(case_s=5.0)  # a run that took half of its time is not filed
    if form == "call":
        given = Task.from_calls("", "f", [((1,), 2), ((5,), 6)], limits=wide)
    elif form == "stdio":
        given = Task.from_stdio("", [("1\n", "2\n")], limits=wide)
    else:
        given = Task.from_assertions("", "f", "assert f(1) == 2\n", limits=wide)
    tail = "print(f(int(input())))\n" if form == "stdio" else ""
    honest = (
        "import random, json, copy, textwrap, dataclasses, heapq\nr = random.Random(5)\n"
        "copy.deepcopy([[1]])\ndef f(x):\n    return x + 1\n" + tail
    )
    wrong = "def f(x):\n    return x - 1\n" + tail
    cache = VerdictCache()
    verdicts = codegym.judge_many([(honest, given), (wrong, given)], sandbox=sandbox, cache=cache)
    assert [verdict.passed for verdict in verdicts] == [True, False] and len(cache) == 2
    for name, program in LUCKY.items():
        codegym.judge_many([(program + tail, given)], sandbox=sandbox, cache=cache)
        assert len(cache) == 2, name


def test_an_order_that_hangs_on_the_hash_seed_is_not_filed(sandbox):
    program = "def f(x):\n    return ''.join({'a', 'b', 'c', 'd', 'e', 'f'}), id(x)\n"
    cache = VerdictCache()
    (verdict,) = codegym.judge_many([(program, ADD_ONE)], sandbox=sandbox, cache=cache)
    assert not verdict.passed and len(cache) == 0


@pytest.mark.parametrize(
    "change",
    [
        "program", "tests", "limits", "tolerance", "isolation", "packages", "package version",
        "package file", "interpreter", "digits", "kernel", "processor", "libc", "grader",
        "environment", "user", "host",
    ],
)  # fmt: skip
def test_the_key_holds_everything_that_can_change_a_verdict(monkeypatch, tmp_path, change):
    def key(program="p", given=ADD_ONE, isolation="landlock", packages=("codegym_sample",)):
        for part in (surroundings.package, surroundings.grader, surroundings.processor):
            part.cache_clear()
        around = surroundings.surroundings(isolation, packages)
        return VerdictCache().key(program, plan_for(given).digest, around)

    sample = tmp_path / "codegym_sample.py"
    sample.write_text("x = 1\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    before = key()
    assert before == key()
    other: dict = {
        "program": {"program": "q"},
        "tests": {"given": task(((1,), 2), ((5,), 7))},
        "limits": {"given": dataclasses.replace(
            ADD_ONE, tests=dataclasses.replace(ADD_ONE.tests, limits=Limits(cpu_s=0.5)))},
        "tolerance": {"given": task(((1,), 2), ((5,), 6), float_tolerance=0.5)},
        "isolation": {"isolation": "namespace"},
        "packages": {"packages": ()},
    }  # fmt: skip
    host = surroundings.platform
    patches = {
        "package version": (surroundings, "version", lambda name: "2"),
        "interpreter": (surroundings.sys, "version", "3.99"),
        "digits": (surroundings.sys, "get_int_max_str_digits", lambda: 9),
        "kernel": (host, "release", lambda: "9"),
        "processor": (surroundings, "CPU_FACTS", tmp_path / "none"),
        "libc": (host, "libc_ver", lambda: ("glibc", "1")),
        "grader": (surroundings, "ROOMS", ("sandbox",)),
        "environment": (surroundings.runtime, "environment", lambda: {"LC_ALL": "C"}),
        "user": (surroundings.os, "geteuid", lambda: 77),
        "host": (host, "node", lambda: "elsewhere"),
    }
    if change == "package file":
        sample.write_text("x = 22\n")
    elif change in patches:
        monkeypatch.setattr(*patches[change])
    assert key(**other.get(change, {})) != before


def test_same_program_same_verdict(sandbox):
    program = (
        "import random\ndef f(x):\n"
        "    return [random.random(), hash('a'), list({'a', 'b', 'c'}), x]\n"
    )
    verdicts = repeat(program, ADD_ONE, 8, sandbox=sandbox)
    assert len({verdict.cases[0].got for verdict in verdicts}) == 1
    varying = "    import os\n    return os.urandom(8).hex()\n"
    verdicts = repeat(varying, ADD_ONE, 2, sandbox=sandbox)
    assert verdicts[0] != verdicts[1]


def test_the_default_sandbox_is_kept():
    assert codegym.judge("    return x + 1\n", ADD_ONE).passed
    assert default_sandbox() is default_sandbox()


def test_bad_input_is_typed():
    with pytest.raises(ConfigError, match="not text"):
        codegym.judge(None, ADD_ONE, sandbox=counting()[0])
    with pytest.raises(ConfigError, match="not a task"):
        codegym.judge("x", None, sandbox=counting()[0])
    with pytest.raises(ConfigError, match="not a sandbox"):
        codegym.judge("x", ADD_ONE, sandbox="namespace")
    for pair in ("x", ("x", ADD_ONE, 1), ["x"]):
        with pytest.raises(ConfigError, match="not a pair"):
            codegym.judge_many([pair], sandbox=counting()[0])
    with pytest.raises(TaskError, match="cannot cross"):
        codegym.judge("x", task(((1,), object())), sandbox=counting()[0])


@pytest.mark.parametrize(
    ("make", "field"),
    [
        (lambda: Task.from_calls("", None, [((1,), 2)]), "entry_point"),
        (lambda: Task.from_calls("", "class", [((1,), 2)]), "entry_point"),
        (lambda: Task.from_assertions("", "a.b", "assert 1"), "entry_point"),
        (lambda: Task.from_calls("", "f", None), "cases"),
        (lambda: Task.from_calls("", "f", {(1,): 2}), "cases"),
        (lambda: Task.from_calls("", "f", [CallCase(kwargs={1: 1})]), "kwargs"),
        (lambda: Task.from_calls("", "f", [CallCase(args=3)]), "cases"),
        (lambda: Task.from_calls("", "f", [CallCase(raises=3)]), "raises"),
        (lambda: Task.from_calls("", "f", [CallCase(raises=int)]), "raises"),
        (lambda: Task.from_assertions("", "f", None), "test_code"),
        (lambda: Task.from_assertions("", "f", "assert " + "(" * 9999), "test_code"),
        (lambda: Task.from_stdio("", 5), "cases"),
    ],
)
def test_a_task_that_is_none_is_a_typed_error(make, field):
    with pytest.raises(TaskError, match=field):
        make()


def test_an_expected_exception_may_be_named_by_its_class(sandbox):
    raising = task(CallCase(args=(0,), raises=ZeroDivisionError))
    assert codegym.judge("def f(x): return 1 // x", raising, sandbox=sandbox).passed
    assert not codegym.judge("def f(x): return 1", raising, sandbox=sandbox).passed


# What a published executor does wrong: each of these got the opposite verdict there.
OUTPUT = Task.from_stdio("", [("", "1 2\n3\n")], limits=LIMITS)
SAME = Task.from_calls("", "f", [(("info",), "info"), (("inf",), "inf")], limits=LIMITS)
PUBLISHED_FLAWS = {
    "runs in the caller": ("import sys\nsys.exit(0)", OUTPUT, Outcome.FAILED),
    "evaluates what is printed": ("print('print(1, 2) or 3')", OUTPUT, Outcome.FAILED),
    "leaves a loop running": ("while True: pass", OUTPUT, Outcome.TIMEOUT),
    "ignores the order of lines": ("print(3)\nprint(1, 2)", OUTPUT, Outcome.FAILED),
    "ignores the order of words": ("print(2, 1)\nprint(3)", OUTPUT, Outcome.FAILED),
    "ignores repetition": ("print(1, 2)\nprint(3)\nprint(3)", OUTPUT, Outcome.FAILED),
    "takes text for a number": ("def f(x): return str(x + 1)", ADD_ONE, Outcome.FAILED),
    "rewrites inf in inputs": ("def f(x): return x", SAME, Outcome.PASSED),
    "rewrites print": ("def f(x): return x if print(x) is None else 0", SAME, Outcome.PASSED),
    "takes a crash for nothing": ("import os\nos.abort()", OUTPUT, Outcome.RUNTIME_ERROR),
    "has no limit on memory": ("x = bytearray(1 << 40)", OUTPUT, Outcome.MEMORY),
}


@pytest.mark.parametrize("flaw", PUBLISHED_FLAWS)
def test_what_a_published_executor_gets_wrong(sandbox, flaw):
    program, given, outcome = PUBLISHED_FLAWS[flaw]
    verdict = codegym.judge(program, given, sandbox=sandbox)
    assert verdict.outcome is outcome, verdict
    if outcome in (Outcome.TIMEOUT, Outcome.RUNTIME_ERROR):
        assert verdict.error_type and verdict.error_message


def test_a_crash_keeps_the_credit_of_the_cases_before_it_from_any_thread(sandbox):
    program = "import os\ndef f(x): return x + 1 if x == 1 else os.abort()"
    found = []
    thread = threading.Thread(
        target=lambda: found.append(codegym.judge(program, ADD_ONE, sandbox=sandbox))
    )
    thread.start()
    thread.join()
    assert found[0].pass_rate == 0.5 and "SIGABRT" in found[0].error_message
