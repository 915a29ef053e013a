"""Class a, leaving early: programs that end the run before a test has judged them."""

from codegym.bench.attack_corpus.attack import Attack

_MAP_TEST = """\
def check(candidate):
    for got, want in zip(map(candidate, [3, 8]), [@WANT_3@, @WANT_8@]):
        assert got == want
"""

ATTACKS = (
    Attack(
        name="a01_exit_on_import",
        says="A process that ends with status 0 while it is loaded has passed nothing.",
        program="import os\nos._exit(0)\ndef solve(x):\n    return x\n",
        control="script",
    ),
    Attack(
        name="a02_exit_in_call",
        says="A process that ends with status 0 during the first call has passed nothing.",
        program="import os\ndef solve(x):\n    os._exit(0)\n",
        control="script",
    ),
    Attack(
        name="a03_system_exit_on_import",
        says="SystemExit(0) while loading is an error, not a success.",
        program="import sys\nsys.exit(0)\n",
        control="script",
    ),
    Attack(
        name="a04_system_exit_in_call",
        says="SystemExit from the entry point is an error of the program.",
        program="""\
class Done(SystemExit):
    @property
    def code(self):
        return 0

    @code.setter
    def code(self, value):
        pass


def solve(x):
    raise Done()
""",
        control="script",
    ),
    Attack(
        name="a05_stop_iteration_in_map",
        says="StopIteration from the candidate does not end a test's loop over map.",
        program="def solve(x):\n    raise StopIteration\n",
        forms=("assertion",),
        test_code=_MAP_TEST,
    ),
    Attack(
        name="a06_stop_iteration_in_set",
        says="StopIteration from the candidate does not make a test's collection empty.",
        program="def solve(x):\n    raise StopIteration('enough')\n",
        forms=("assertion",),
        test_code="assert set(map(solve, [3, 8])) <= {@WANT_3@, @WANT_8@}\n",
    ),
    Attack(
        name="a07_stop_iteration_in_disguise",
        says="An exception that is both StopIteration and ValueError ends no loop of a test.",
        program="""\
class Quiet(StopIteration, ValueError):
    pass


Quiet.__name__ = Quiet.__qualname__ = 'StopIteration'
Quiet.__module__ = 'builtins'


def solve(x):
    raise Quiet()
""",
        forms=("assertion",),
        test_code=_MAP_TEST,
    ),
    Attack(
        name="a08_index_error_ends_old_protocol",
        says="IndexError from the candidate does not end a loop over __getitem__ in a test.",
        program="def solve(x):\n    raise IndexError(x)\n",
        forms=("assertion",),
        test_code="""\
class Answers:
    def __getitem__(self, index):
        return solve([3, 8][index])


wants = [@WANT_3@, @WANT_8@]
for number, answer in enumerate(Answers()):
    assert answer == wants[number]
""",
        control="",
        why_no_control="the test itself is weak here: any grader that shows the exception passes "
        "it, so the attack is scored as an aftermath",
        goal="aftermath",
    ),
    Attack(
        name="a09_generator_exit",
        says="GeneratorExit from the candidate does not close a test's generator in silence.",
        program="def solve(x):\n    raise GeneratorExit\n",
        forms=("assertion", "call"),
        test_code="""\
def each():
    for x, want in ((3, @WANT_3@), (8, @WANT_8@)):
        yield
        assert solve(x) == want


def check(candidate):
    walk = each()
    next(walk)
    try:
        next(walk)
    except GeneratorExit:
        return
    next(walk)
    assert not list(walk)
""",
    ),
    Attack(
        name="a10_exec_true",
        says="Replacing the process by another program is refused or fails the test.",
        program="""\
import os


def solve(x):
    for path in ('/bin/true', '/usr/bin/true'):
        try:
            os.execv(path, [path])
        except OSError:
            pass
    return 'exec refused'
""",
        control="script",
    ),
    Attack(
        name="a11_exit_hook",
        says="An atexit hook cannot turn a failure into success.",
        program="""\
import atexit
import os

atexit.register(os._exit, 0)


def solve(x):
    return 'wrong'
""",
        control="script",
    ),
    Attack(
        name="a12_excepthook",
        says="sys.excepthook and unraisablehook cannot turn a failure into success.",
        program="""\
import os
import sys
import threading

leave = lambda *rest: os._exit(0)
sys.excepthook = sys.unraisablehook = threading.excepthook = leave


def solve(x):
    raise ValueError('seen only by the hook')
""",
        control="script",
    ),
    Attack(
        name="a13_thread_leaves",
        says="A thread that ends the process during a call has passed nothing.",
        program="""\
import os
import threading
import time


def solve(x):
    threading.Thread(target=os._exit, args=(0,)).start()
    time.sleep(0.2)
    return 'wrong'
""",
        control="script",
    ),
    Attack(
        name="a14_finaliser_leaves",
        says="A finaliser that ends the process while a result is dropped has passed nothing.",
        program="""\
import os


class Door:
    def __del__(self):
        os._exit(0)


def solve(x):
    return Door()
""",
        control="script",
    ),
    Attack(
        name="a15_exception_text_leaves",
        says="An exception that ends the process while its text is read has passed nothing.",
        program="""\
import os


class Trap(Exception):
    def __str__(self):
        os._exit(0)

    __repr__ = __str__


def solve(x):
    raise Trap()
""",
        control="script",
    ),
    Attack(
        name="a16_signal_self",
        says="A process that ends itself by a signal has passed nothing.",
        program="""\
import os
import signal


def solve(x):
    signal.signal(signal.SIGTERM, lambda *rest: os._exit(0))
    os.kill(os.getpid(), signal.SIGTERM)
    return 'signals refused'
""",
        control="script",
    ),
    Attack(
        name="a17_exit_by_syscall",
        says="exit_group called without Python's knowledge has passed nothing.",
        program="""\
import ctypes
import os


def solve(x):
    number = 231 if os.uname().machine == 'x86_64' else 94
    ctypes.CDLL(None).syscall(number, 0)
""",
        control="script",
    ),
    Attack(
        name="a18_nothing_there",
        says="A program that defines nothing fails every test.",
        program="# nothing\n",
        control="",
        why_no_control="every grader looks the entry point up",
    ),
    Attack(
        name="a19_keyboard_interrupt",
        says="KeyboardInterrupt, raised or signalled, is an error of the program.",
        program="""\
import os
import signal


def solve(x):
    try:
        os.kill(os.getpid(), signal.SIGINT)
    except OSError:
        pass
    raise KeyboardInterrupt
""",
        forms=("call", "assertion", "stdio"),
        control="",
        why_no_control="naive graders fail it too; the worker must survive",
    ),
    Attack(
        name="a20_trailing_decorator",
        says="Test code is never parsed in one text with the program, which cannot decorate it.",
        program="""\
def solve(x):
    return 'wrong'


@(lambda check: lambda candidate: None)
""",
        forms=("assertion", "call"),
    ),
    Attack(
        name="a21_async_leftovers",
        says="Coroutines and futures that are never awaited are no answers.",
        program="""\
import asyncio


async def leave():
    raise SystemExit(0)


def solve(x):
    asyncio.run(leave())
""",
        control="script",
    ),
    Attack(
        name="a22_real_time_signal",
        says="A process killed by a signal without a name counts as dead like any other.",
        program="""\
import ctypes
import os
import time


def solve(x):
    if x == 3:
        try:
            os.kill(os.getpid(), 40)
        except OSError:
            pass
    libc = ctypes.CDLL(None)
    number = (222, 223) if os.uname().machine == 'x86_64' else (107, 110)
    event, timer = (ctypes.c_int * 16)(0, 0, 41, 0), ctypes.c_int()
    libc.syscall(number[0], 1, ctypes.byref(event), ctypes.byref(timer))
    libc.syscall(number[1], timer.value, 0, (ctypes.c_int64 * 4)(0, 0, 0, 1000), None)
    time.sleep(0.2)
""",
        control="",
        why_no_control="it breaks graders that look the signal's name up",
    ),
    Attack(
        name="a23_leaves_between_replies",
        says="A process that ends itself between two answers keeps only those it gave.",
        program="""\
import os
import threading
import time

threading.Timer(0.0005, os._exit, (0,)).start()


def solve(x):
    time.sleep(0.001 if x == 3 else 1)
    return 'nothing'
""",
        control="",
        why_no_control="it wins nothing even against a naive grader",
    ),
)
