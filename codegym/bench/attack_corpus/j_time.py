"""Class j, time: false clocks, programs that outwait limits, endings that never finish."""

from codegym.bench.attack_corpus.attack import NATIVE, Attack

_STALLS = "it stalls a naive grader rather than passing it"

ATTACKS = (
    Attack(
        name="j01_patched_clock",
        says="Patched clocks do not stretch the limit.",
        program="""\
import time

real, slow = time.monotonic, time.sleep
time.time = time.monotonic = time.perf_counter = time.process_time = lambda: 0.0


def solve(x):
    end = real() + 1.5
    while real() < end:
        pass
    return 'breached'
""",
        goal="mark",
        hangs=True,
        control="",
        why_no_control="the naive graders measure time by signals, not by Python's clocks",
    ),
    Attack(
        name="j02_timers_switched_off",
        says="Switching timers and their signals off does not lift the limit.",
        program="""\
import faulthandler
import signal
import time

for timer in (signal.ITIMER_REAL, signal.ITIMER_VIRTUAL, signal.ITIMER_PROF):
    signal.setitimer(timer, 0)
signal.alarm(0)
for number in (signal.SIGALRM, signal.SIGXCPU, signal.SIGTERM, signal.SIGVTALRM, signal.SIGPROF):
    signal.signal(number, signal.SIG_IGN)
faulthandler.disable()
faulthandler.cancel_dump_traceback_later()


def solve(x):
    time.sleep(1.5)
    return 'breached'
""",
        goal="mark",
        hangs=True,
    ),
    Attack(
        name="j03_signals_blocked",
        says="Blocking every signal does not lift the limit.",
        program="""\
import signal
import time

signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 65))


def solve(x):
    end = time.monotonic() + 1.5
    while time.monotonic() < end:
        pass
    return 'breached'
""",
        goal="mark",
        hangs=True,
    ),
    Attack(
        name="j04_asleep_beyond_the_limit",
        says="Sleeping costs wall time though no processor time.",
        program="import time\ndef solve(x):\n    time.sleep(1.5)\n    return 'breached'\n",
        goal="mark",
        hangs=True,
        control="script",
    ),
    Attack(
        name="j05_many_short_naps",
        says="The limit applies to all cases together, not to each case.",
        program="import time\ndef solve(x):\n    time.sleep(0.25)\n    return 'breached'\n",
        goal="mark",
        hangs=True,
        test_code="""\
def check(candidate):
    for x in range(6):
        assert candidate(x) == 'breached'
""",
        forms=("assertion",),
        control="script",
    ),
    Attack(
        name="j06_stopped",
        says="A program that stops itself ends at the limit.",
        program="""\
import os
import signal


def solve(x):
    os.kill(os.getpid(), signal.SIGSTOP)
    return 'signals refused'
""",
        control="",
        why_no_control=_STALLS,
        hangs=True,
    ),
    Attack(
        name="j07_processor_limit_raised",
        says="The limit on processor time cannot be raised.",
        program="""\
import resource


def solve(x):
    hard = resource.getrlimit(resource.RLIMIT_CPU)[1]
    for limit in ((-1, -1), (hard, -1), (10 ** 6, 10 ** 6)):
        try:
            resource.setrlimit(resource.RLIMIT_CPU, limit)
            if resource.getrlimit(resource.RLIMIT_CPU)[1] != hard:
                return 'breached'
        except (OSError, ValueError):
            pass
    for name in ('AS', 'NOFILE', 'FSIZE', 'NPROC', 'CORE', 'DATA', 'STACK', 'MEMLOCK'):
        what = getattr(resource, 'RLIMIT_' + name)
        hard = resource.getrlimit(what)[1]
        if hard == -1:
            continue
        try:
            resource.setrlimit(what, (hard + 1, hard + 1))
            return 'breached'
        except (OSError, ValueError):
            pass
    return 'refused'
""",
        goal="mark",
        control="",
        why_no_control="an ordinary user cannot raise hard limits anywhere",
    ),
    Attack(
        name="j08_many_threads_of_work",
        says="Threads that burn processor time are counted together.",
        program="""\
import hashlib
import threading


def burn():
    while True:
        hashlib.pbkdf2_hmac('sha256', b'x', b'y', 2_000_000)


def solve(x):
    threads = [threading.Thread(target=burn) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
""",
        control="",
        why_no_control=_STALLS,
        hangs=True,
    ),
    Attack(
        name="j09_endless_exit",
        says="An exit hook, finaliser or thread that never ends delays no later run.",
        program="""\
import atexit
import threading
import time


class Slow:
    def __del__(self):
        while True:
            time.sleep(1)


keep = Slow()
atexit.register(time.sleep, 1000)
threading.Thread(target=time.sleep, args=(1000,)).start()


def solve(x):
    global keep
    if x == 8:
        keep = None
    return 'wrong'
""",
        goal="aftermath",
        control="",
        why_no_control=_STALLS,
        hangs=True,
    ),
    Attack(
        name="j10_endless_import",
        says="Loading that never ends, ends at the limit.",
        program="import time\nwhile True:\n    time.sleep(1)\n",
        control="",
        why_no_control=_STALLS,
        hangs=True,
    ),
    Attack(
        name="j11_waiting_for_input",
        says="Reading from every descriptor for ever ends at the limit.",
        program="""\
import os
import sys


def solve(x):
    while True:
        for fd in range(64):
            try:
                os.set_blocking(fd, True)
                os.read(fd, 1 << 16)
            except (OSError, EOFError):
                pass
""",
        control="",
        why_no_control=_STALLS,
        hangs=True,
    ),
    Attack(
        name="j12_signal_storm",
        says="A storm of timer signals in the program disturbs nobody else.",
        program="""\
import signal
import time


def again(*rest):
    raise ValueError('storm')


signal.signal(signal.SIGALRM, again)
signal.setitimer(signal.ITIMER_REAL, 1e-6, 1e-6)


def solve(x):
    end = time.monotonic() + 1.5
    while time.monotonic() < end:
        try:
            time.sleep(0.5)
        except ValueError:
            pass
    return 'breached'
""",
        goal="mark",
        hangs=True,
        control="",
        why_no_control="a storm may hit a naive grader's own code as well, at random",
    ),
    Attack(
        name="j13_priority_raised",
        says="A program cannot take the processor from others by its class or priority.",
        program="""\
import os


def solve(x):
    for act in (
        lambda: os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(50)),
        lambda: os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1)),
        lambda: os.setpriority(os.PRIO_PROCESS, 0, -10),
    ):
        try:
            act()
            return 'breached'
        except OSError:
            pass
    return 'refused'
""",
        goal="mark",
        control="",
        why_no_control="an ordinary user cannot do it anywhere",
    ),
    Attack(
        name="j14_waiting_for_a_lock",
        says="A deadlock, in Python or in C, ends at the limit.",
        program=NATIVE
        + """\
import threading


def solve(x):
    if x == 3:
        word = ctypes.c_int(0)
        syscall(202, 98, ctypes.byref(word), 0, 0, None)
    lock = threading.Lock()
    lock.acquire()
    lock.acquire()
""",
        control="",
        why_no_control=_STALLS,
        hangs=True,
    ),
    Attack(
        name="j15_time_stamp_trap",
        says="Making the processor's clock trap harms the program alone.",
        program=NATIVE
        + """\
import time


def solve(x):
    libc.prctl(26, 2, 0, 0, 0)
    time.monotonic()
    return 'wrong'
""",
        goal="aftermath",
        control="",
        why_no_control="it ends the naive grader's process",
    ),
    Attack(
        name="j16_slow_writer",
        says="Output that drips for ever does not put the limit off.",
        program="""\
import os
import time


def solve(x):
    end = time.monotonic() + 1.5
    while time.monotonic() < end:
        for fd in (1, 2):
            try:
                os.write(fd, b'.')
            except OSError:
                pass
        time.sleep(0.02)
    return 'breached'
""",
        goal="mark",
        hangs=True,
        control="script",
    ),
    Attack(
        name="j17_leader_gone",
        says="A process whose first thread has ended goes on no longer than the limit.",
        program=NATIVE
        + """\
import threading
import time


def solve(x):
    threading.Thread(target=time.sleep, args=(60,)).start()
    syscall(60, 93, 0)
""",
        control="",
        why_no_control=_STALLS,
        hangs=True,
    ),
    Attack(
        name="j18_clock_seen_from_inside",
        says="Signals at the moment of the limit, caught or not, do not lift it.",
        program="""\
import signal


def again(number, frame):
    while True:
        try:
            signal.pause()
        except BaseException:
            pass


for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
    try:
        signal.signal(number, again)
    except (OSError, ValueError):
        pass


def solve(x):
    again(0, None)
""",
        hangs=True,
        control="",
        why_no_control="it stalls a naive grader rather than passing it",
    ),
)
