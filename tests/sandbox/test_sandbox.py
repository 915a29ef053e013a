"""Sandbox: every isolation runs programs, enforces its limits and cleans up."""

import contextlib
import os
import signal
import sys
import threading
import time
import warnings

import psutil
import pytest

from codegym.errors import (
    ConfigError,
    SandboxError,
    SandboxUnavailableError,
    UnknownNameError,
)
from codegym.sandbox import FakeSandbox, Job, make_sandbox, wire
from codegym.sandbox.inside.confine import landlock_version
from codegym.sandbox.job import ExecutionResult
from codegym.sandbox.limits import Limits

SHORT = Limits(wall_s=2.0, cpu_s=0.3)


def job(program, calls=((),), *, function="f", limits=SHORT):
    payload = {"function": function, "calls": [[list(args), {}] for args in calls]}
    return Job(program=program, mode="call", payload=wire.dumps(payload), limits=limits)


def made(isolation, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        return make_sandbox(isolation, **options)


@pytest.fixture(scope="module", params=["namespace", "landlock", "unsafe"])
def sandbox(request):
    if request.param == "landlock" and not landlock_version():
        pytest.skip("this kernel has no Landlock")
    with made(request.param, workers=1) as sandbox:
        yield sandbox


@pytest.fixture(scope="module", params=["namespace", "landlock"])
def confined(request):
    if request.param == "landlock" and not landlock_version():
        pytest.skip("this kernel has no Landlock")
    with made(request.param, workers=1) as sandbox:
        yield sandbox


@pytest.fixture(scope="module")
def pool():
    with made("auto", workers=2) as sandbox:
        yield sandbox


def values(result):
    return [wire.decode(wire.loads(reply)["r"]) for reply in result.replies]


def run(sandbox, program, **rest):
    return sandbox.run([job(program, **rest)])[0]


def test_calls_are_answered_in_order(sandbox):
    result = run(sandbox, "def f(x):\n    return x + 1\n", calls=[(1,), (2,), (3,)])
    assert values(result) == [2, 3, 4]
    assert result.exit_status == 0 and result.limit == ""
    assert result.wall_s > 0 and result.cpu_s > 0 and result.memory_bytes > 1 << 20


def test_the_interpreter_inside_is_the_callers(sandbox):
    program = "import sys\ndef f():\n    return sys.version, sys.flags.hash_randomization"
    assert values(run(sandbox, program)) == [(sys.version, 0)]


@pytest.mark.parametrize(
    ("program", "limit", "line"),
    [
        ("def f():\n    while True:\n        pass\n", "cpu", (2, 3)),
        ("x = 1\n9 ** 9 ** 9\n", "cpu", (2,)),
        ("import time\ndef f():\n    time.sleep(60)\n", "wall", (3,)),
        ("def f():\n    return 'x' * 5_000_000\n", "output", (None,)),
        ("while True:\n    print('x' * 100_000, flush=True)\n", "output", (None,)),
    ],
)
def test_limits_end_a_run(sandbox, program, limit, line):
    started = time.monotonic()
    limits = Limits(wall_s=0.6 if limit == "wall" else 20.0, cpu_s=0.3)
    result = run(sandbox, program, limits=limits)
    assert result.limit == limit and result.running_line in line
    assert time.monotonic() - started < 15


def test_memory_is_bounded_and_the_program_notices(sandbox):
    limits = Limits(wall_s=10, cpu_s=5, memory_bytes=200 << 20)
    result = run(sandbox, "def f():\n    return len(bytearray(10**9))\n", limits=limits)
    assert wire.loads(result.replies[0])["e"][0] == "MemoryError"


@pytest.mark.parametrize(
    ("program", "status"),
    [
        ("import os\nos._exit(3)\n", 3),
        ("import ctypes\nctypes.string_at(0)\n", -signal.SIGSEGV),
        ("import os\nos.abort()\n", None),
    ],
)
def test_a_crash_is_reported_and_the_next_program_runs(sandbox, program, status):
    result = run(sandbox, program)
    assert result.replies == () and result.limit == ""
    if status is not None:
        assert os.waitstatus_to_exitcode(result.exit_status) == status
    assert result.exit_status != 0
    assert values(run(sandbox, "def f():\n    return 7\n")) == [7]


def test_one_program_leaves_nothing_to_the_next(sandbox):
    dirty = (
        "import builtins, json, math, os, sys, random\n"
        "math.pi = 3\nbuiltins.len = lambda x: 0\nsys.modules['mine'] = 1\n"
        "os.environ['MINE'] = '1'\nrandom.seed(99)\nsys.setrecursionlimit(50)\n"
        "os.umask(0o777)\n"
        "def f():\n    return 1\n"
    )
    clean = (
        "import math, os, random, sys\n"
        "def f():\n"
        "    umask = os.umask(0)\n"
        "    return (math.pi > 3, len('ab'), 'mine' in sys.modules, 'MINE' in os.environ,\n"
        "            random.random(), sys.getrecursionlimit(), umask == 0o777)\n"
    )
    before = values(run(sandbox, clean))
    run(sandbox, dirty)
    assert values(run(sandbox, clean)) == before
    assert before[0][:4] == (True, 2, False, False) and before[0][6] is False


def test_a_process_left_behind_is_killed(sandbox):
    program = (
        "import os, time\ndef f():\n"
        "    try:\n        pid = os.fork()\n    except OSError:\n        return 'refused'\n"
        "    if pid == 0:\n        os.setsid()\n        time.sleep(300)\n"
        "    return 'forked'\n"
    )
    reply = values(run(sandbox, program))[0]
    assert reply == ("forked" if sandbox.isolation == "unsafe" else "refused")
    values(run(sandbox, "def f():\n    return 1\n"))
    zygote = psutil.Process(sandbox.workers[0].processes.zygote.pid)
    depth = 1 if sandbox.isolation == "namespace" else 0  # bwrap, then the zygote itself
    assert len(zygote.children(recursive=True)) == depth


CONFINED = [
    "open('/tmp/codegym-escape', 'w')",
    "open('/etc/passwd').read()",
    "os.listdir('/home')",
    "open('/proc/self/environ').read()",
    "socket.socket()",
    "os.fork()",
    "os.execv('/bin/true', ['true'])",
    "subprocess.run(['true'])",
    "os.pidfd_open(os.getppid())",
    "os.memfd_create('x')",
    "resource.prlimit(os.getppid(), resource.RLIMIT_CPU)",
    "open(next(iter(__import__('codegym').__path__)) + '/judge.py').read()",
    "resource.setrlimit(resource.RLIMIT_AS, (1 << 40, 1 << 40))",
]


@pytest.mark.parametrize("attempt", CONFINED)
def test_the_confined_modes_refuse(confined, attempt):
    program = f"import os, resource, socket, subprocess\ndef f():\n    {attempt}\n"
    reply = wire.loads(run(confined, program).replies[0])
    assert "e" in reply and reply["e"][1] in (
        "OSError", "PermissionError", "FileNotFoundError", "BlockingIOError", "ValueError",
        "ConnectionError", "ProcessLookupError",
    ), reply  # fmt: skip


def test_installed_packages_are_not_there(confined):
    folder = os.path.dirname(os.__file__) + "/site-packages"
    program = (
        f"import sys\ndef f():\n    sys.path.append({folder!r})\n"
        "    try:\n        import pip\n    except (ImportError, OSError):\n        return 'no'\n"
        "    return 'yes'\n"
    )
    assert values(run(confined, program)) == ["no"]


def test_the_zygote_is_out_of_reach(confined):
    program = (
        "import os, signal\ndef f():\n"
        "    for number in range(1, 65):\n"
        "        for pid in {1, os.getppid()}:\n"
        "            try:\n                os.kill(pid, number)\n"
        "            except OSError:\n                pass\n"
        "    return 'done'\n"
    )
    restarts = confined.restarts
    assert values(run(confined, program)) == ["done"]
    assert values(run(confined, "def f():\n    return 7\n")) == [7]
    assert confined.restarts == restarts


def test_packages_are_offered_by_name_only():
    program = "def f():\n    import numpy\n    return numpy.arange(3).sum().item()\n"
    with made("auto", workers=1, packages=("numpy",)) as sandbox:
        limits = Limits(wall_s=20, cpu_s=10, memory_bytes=2 << 30)
        assert values(run(sandbox, program, limits=limits)) == [3]
    with pytest.raises(ConfigError, match=r"not installed.*no_such_package"):
        make_sandbox(packages=("no_such_package",))


def test_a_job_that_needs_a_package_is_refused_where_it_is_not_offered(pool):
    with pytest.raises(ConfigError, match="packages"):
        pool.submit(Job(program="", mode="call", payload=b"{}", packages=("numpy",)))


def test_a_slow_program_does_not_delay_the_others(pool):
    slow = pool.submit(job("import time\ntime.sleep(3)\n", limits=Limits(wall_s=1.5)))
    quick = [pool.submit(job("def f():\n    return 1\n")) for _ in range(20)]
    order = []
    while len(order) < 21:
        order += [ticket for ticket, _ in pool.collect()]
    assert order[-1] == slow and sorted(order[:-1]) == quick
    assert pool.collect() == []


def test_channels_do_not_take_each_others_results(pool):
    with pool.channel() as first, pool.channel() as second:
        mine = first.submit(job("def f():\n    return 1\n"))
        theirs = second.submit(job("def f():\n    return 2\n"))
        assert [(t, values(r)) for t, r in first.collect()] == [(mine, [1])]
        assert [(t, values(r)) for t, r in second.collect()] == [(theirs, [2])]


def test_threads_share_a_sandbox(pool):
    answers = {}

    def ask(number):
        results = pool.run([job(f"def f():\n    return {number}\n")] * 10)
        answers[number] = [values(result) for result in results]

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == {number: [[number]] * 10 for number in range(6)}


def test_submit_blocks_while_the_queue_is_full(monkeypatch):
    monkeypatch.setattr("codegym.sandbox.pool.QUEUE_PER_WORKER", 2)
    with made("auto", workers=1) as sandbox:
        slow = job("import time\ntime.sleep(0.4)\ndef f():\n    return 1\n")
        started = time.monotonic()
        tickets = [sandbox.submit(slow) for _ in range(5)]
        assert time.monotonic() - started > 0.35
        done = []
        while len(done) < 5:
            done += sandbox.collect()
        assert sorted(ticket for ticket, _ in done) == tickets


def test_nothing_is_left_open_or_running():
    with made("auto", workers=1) as sandbox:
        sandbox.run(
            [job("def f():\n    return 1\n")]
        )  # descriptors that are opened only once are open now
    me = psutil.Process()
    fds, children = me.num_fds(), len(me.children(recursive=True))
    with made("auto", workers=2) as sandbox:
        sandbox.run([job("def f():\n    return 1\n")] * 30 + [job("import os\nos._exit(1)\n")] * 5)
        busy = me.num_fds()
        sandbox.run([job("def f():\n    return 1\n")] * 30)
        assert me.num_fds() == busy
    for _ in range(100):
        if (me.num_fds(), len(me.children(recursive=True))) == (fds, children):
            break
        time.sleep(0.05)
    assert (me.num_fds(), len(me.children(recursive=True))) == (fds, children)


def test_a_closed_sandbox_says_so():
    sandbox = made("auto", workers=1)
    sandbox.close()
    sandbox.close()
    with pytest.raises(SandboxError, match="closed"):
        sandbox.submit(job(""))


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_process_starts_zygotes_of_its_own(pool):
    assert values(run(pool, "def f():\n    return 1\n")) == [1]
    left, right = os.pipe()
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            os.write(right, str(values(run(pool, "def f():\n    return 41 + 1\n"))).encode())
            pool.close()
            code = 0
        finally:
            os._exit(code)
    os.close(right)
    reply = os.read(left, 100)
    os.close(left)
    assert (reply, os.waitpid(pid, 0)[1]) == (b"[42]", 0)
    assert values(run(pool, "def f():\n    return 2\n")) == [2]


DRIVER = """
import os, sys, time
from codegym.sandbox import Job, make_sandbox
sandbox = make_sandbox(workers=2)
payload = b'{"function": "f", "calls": [[[], {}]]}'
for _ in range(2):
    sandbox.submit(Job(program="while True: pass", mode="call", payload=payload))
time.sleep(0.5)
print("ready", flush=True)
%s
"""


@pytest.mark.parametrize("end", ["time.sleep(60)", "sys.exit(0)", "os.kill(os.getpid(), 15)"])
def test_no_process_outlives_the_driver(end):
    driver = psutil.Popen([sys.executable, "-c", DRIVER % end], stdout=-1)
    with driver:
        assert driver.stdout.readline() == b"ready\n"
        family = []
        with contextlib.suppress(psutil.NoSuchProcess):
            family = driver.children(recursive=True)
        if end == "time.sleep(60)":
            assert len(family) >= 4
            driver.kill()
        driver.wait(20)
    _, alive = psutil.wait_procs(family, timeout=10)
    assert [process for process in alive if process.status() != psutil.STATUS_ZOMBIE] == []


def test_unknown_names_and_bad_numbers():
    with pytest.raises(UnknownNameError, match="namespace"):
        make_sandbox("namespaces")
    with pytest.raises(ConfigError, match="workers"):
        make_sandbox(workers=0)
    with pytest.raises(ConfigError, match="not a sequence"):
        make_sandbox(packages="numpy")


def test_unsafe_warns_and_auto_never_chooses_it(monkeypatch):
    with pytest.warns(RuntimeWarning, match="unsafe"):
        make_sandbox("unsafe", workers=1).close()
    refused = SandboxUnavailableError("no", cure="none")

    def refuse(packages=()):
        raise refused

    monkeypatch.setattr("codegym.sandbox.bubblewrap.NamespaceLauncher", refuse)
    monkeypatch.setattr("codegym.sandbox.landlock.LandlockLauncher", refuse)
    with pytest.raises(SandboxUnavailableError, match=r"namespace: no.*landlock: no"):
        make_sandbox()


def test_the_fake_answers_without_a_sandbox():
    fake = FakeSandbox(lambda job: ExecutionResult(replies=(job.program.encode(),)))
    with fake.channel() as channel:
        ticket = channel.submit(job("a"))
        assert channel.collect() == [(ticket, ExecutionResult(replies=(b"a",)))]
    assert [result.replies for result in fake.run([job("b"), job("c")])] == [(b"b",), (b"c",)]
