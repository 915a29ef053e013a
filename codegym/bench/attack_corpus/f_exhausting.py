"""Class f, exhausting resources: processes, memory, time, output, files, and the parsers above.

Programs that count stop by themselves slightly above the limits of a sandbox, so that their
positive controls do no harm.
"""

from codegym.bench.attack_corpus.attack import NATIVE, Attack

_STALLS = "it stalls a naive grader rather than passing it"

ATTACKS = (
    Attack(
        name="f01_processes",
        says="A program cannot start processes.",
        program="""\
import os
import signal
import time


def solve(x):
    children = []
    try:
        for _ in range(16):
            pid = os.fork()
            if pid == 0:
                time.sleep(20)
                os._exit(0)
            children.append(pid)
    except OSError:
        pass
    for pid in children:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    return 'breached' if children else 'refused'
""",
        goal="mark",
    ),
    Attack(
        name="f02_processes_by_other_calls",
        says="vfork, clone3 and posix_spawn start no process either.",
        program=NATIVE
        + """\
import signal


def solve(x):
    stack = ctypes.create_string_buffer(1 << 16)
    arguments = (ctypes.c_uint64 * 8)(0, 0, 0, 0, signal.SIGCHLD)
    for numbers, rest in (((57, None), ()), ((56, 220), (signal.SIGCHLD, 0)),
                          ((435, 435), (ctypes.byref(arguments), 64))):
        got, error = syscall(*numbers, *rest)
        if got == 0:
            libc._exit(0)
        if got > 0:
            os.waitpid(got, 0)
            return 'breached'
    try:
        os.waitpid(os.posix_spawn('/bin/true', ['true'], {}), 0)
        return 'breached'
    except OSError:
        return 'refused'
""",
        goal="mark",
    ),
    Attack(
        name="f03_threads",
        says="A program cannot hold a thousand threads at once.",
        program="""\
import _thread

_thread.stack_size(32768)


def wait(gate):
    with gate:
        pass


def solve(x):
    gate = _thread.allocate_lock()
    gate.acquire()
    started = 0
    try:
        while started < 1100:
            _thread.start_new_thread(wait, (gate,))
            started += 1
    except (RuntimeError, MemoryError):
        pass
    gate.release()
    return 'breached' if started > 1000 else started
""",
        goal="mark",
    ),
    Attack(
        name="f04_memory",
        says="A program cannot hold more memory than its limit.",
        program="""\
def solve(x):
    try:
        block = bytearray(320 << 20)
        block[::4096] = b'x' * len(block[::4096])
    except MemoryError:
        return 'refused'
    return 'breached'
""",
        goal="mark",
    ),
    Attack(
        name="f05_memory_in_pieces",
        says="Memory by many small objects is bounded too, and MemoryError can be survived.",
        program="""\
def solve(x):
    held = []
    try:
        while len(held) < 400:
            held.append(bytearray(1 << 20))
    except MemoryError:
        size = len(held)
        del held
        return size
    return 'breached'
""",
        goal="mark",
    ),
    Attack(
        name="f06_memory_files",
        says="Memory outside the address space (memfd, POSIX and System V shared) is refused.",
        program=NATIVE
        + """\
import mmap


def solve(x):
    for name in (b'a', b'b'):
        handle, error = syscall(319, 279, ctypes.c_char_p(name), 0)
        if handle >= 0:
            os.write(handle, bytes(1 << 20))
            return 'breached'
    segment, error = syscall(29, 194, 0, 16 << 20, 0o1600)
    if segment >= 0:
        syscall(31, 195, segment, 0, None)
        return 'breached'
    for at in ('/dev/shm', '/run', '/tmp', '/var/tmp', '.'):
        try:
            fd = os.open(at, os.O_TMPFILE | os.O_RDWR)
            os.pwrite(fd, bytes(4096), 64 << 20)
            return 'breached'
        except OSError:
            pass
    return 'refused'
""",
        goal="mark",
    ),
    Attack(
        name="f07_memory_in_pipes",
        says="Buffers of pipes and sockets do not hold 48 MiB for one program.",
        program="""\
import fcntl
import os
import socket


def solve(x):
    held, ends = 0, []
    try:
        for _ in range(200):
            left, right = os.pipe()
            ends += [left, right]
            try:
                fcntl.fcntl(right, 1031, 1 << 20)
            except OSError:
                pass
            os.set_blocking(right, False)
            try:
                while held <= 48 << 20:
                    held += os.write(right, bytes(65536))
            except BlockingIOError:
                pass
    except OSError:
        pass
    for end in ends:
        os.close(end)
    return 'breached' if held > 48 << 20 else held
""",
        goal="mark",
    ),
    Attack(
        name="f08_memory_locked",
        says="A program cannot lock much memory into place.",
        program=NATIVE
        + """\
import mmap


def solve(x):
    block = mmap.mmap(-1, 96 << 20)
    address = ctypes.addressof(ctypes.c_char.from_buffer(block))
    got, error = syscall(149, 228, address, 96 << 20)
    return 'breached' if got == 0 else errno.errorcode.get(error, error)
""",
        goal="mark",
        control="",
        why_no_control="an ordinary user has a small limit everywhere",
    ),
    Attack(
        name="f09_spin",
        says="An endless loop ends at the limit.",
        program="def solve(x):\n    while True:\n        pass\n",
        control="",
        why_no_control=_STALLS,
        hangs=True,
    ),
    Attack(
        name="f10_endless_call_in_c",
        says="A C call that never returns to the interpreter ends at the limit.",
        program="def solve(x):\n    return len(str(9 ** 9 ** 9))\n",
        control="",
        why_no_control=_STALLS,
        hangs=True,
    ),
    Attack(
        name="f11_regular_expression",
        says="Catastrophic backtracking ends at the limit.",
        program="import re\ndef solve(x):\n    return re.match('(a|aa)*(a|aa)*b', 'a' * 90)\n",
        control="",
        why_no_control=_STALLS,
        hangs=True,
    ),
    Attack(
        name="f12_digits",
        says="Quadratic conversion between integers and text ends at the limit.",
        program="""\
import sys

if hasattr(sys, 'set_int_max_str_digits'):
    sys.set_int_max_str_digits(0)


def solve(x):
    return str(7 ** 4_000_000)
""",
        control="",
        why_no_control=_STALLS,
        hangs=True,
    ),
    Attack(
        name="f13_swallowed_limits",
        says="A program that catches every exception and signal still ends at the limit.",
        program="""\
import signal
import time

for number in range(1, 65):
    try:
        signal.signal(number, lambda *rest: None)
    except (OSError, ValueError):
        pass


def solve(x):
    end = time.monotonic() + 1.5
    while time.monotonic() < end:
        try:
            while time.monotonic() < end:
                pass
        except BaseException:
            pass
    return 'breached'
""",
        goal="mark",
        hangs=True,
    ),
    Attack(
        name="f14_output_flood",
        says="Output on descriptors 1 and 2 beyond the limit is dropped or ends the run.",
        program="""\
import os


def solve(x):
    block = b'x' * 65536
    for fd in (2, 1):
        for _ in range(2000):
            try:
                os.write(fd, block)
            except OSError:
                break
    return 'wrong'
""",
        control="",
        why_no_control="it fills the memory of a grader that collects output",
        hangs=True,
    ),
    Attack(
        name="f15_reply_flood",
        says="A result of 60 MB ends at the output limit and costs the grader no memory.",
        program="def solve(x):\n    return 'x' * 60_000_000\n",
        control="",
        why_no_control="it fills the memory of a grader that reads whole results",
    ),
    Attack(
        name="f16_files",
        says="A program cannot write 64 MiB of files anywhere.",
        program="""\
import os


def solve(x):
    block = bytes(1 << 20)
    for at in ('.', '/tmp', '/dev/shm', '/var/tmp', '/run', '/dev', '/'):
        path = os.path.join(at, 'flood-%d' % os.getpid())
        try:
            file = open(path, 'wb')
        except OSError:
            continue
        try:
            for _ in range(66):
                file.write(block)
                file.flush()
            return 'breached'
        except OSError:
            pass
        finally:
            os.unlink(path)
    return 'refused'
""",
        goal="mark",
    ),
    Attack(
        name="f17_inodes",
        says="A program cannot make ten thousand files or folders anywhere.",
        program="""\
import os
import shutil


def solve(x):
    for at in ('/tmp', '/dev/shm', '/var/tmp', '.'):
        base = os.path.join(at, 'many-%d' % os.getpid())
        try:
            os.mkdir(base)
            for number in range(10_000):
                os.close(os.open('%s/%d' % (base, number), os.O_CREAT | os.O_WRONLY))
            return 'breached'
        except OSError:
            pass
        finally:
            shutil.rmtree(base, ignore_errors=True)
    return 'refused'
""",
        goal="mark",
    ),
    Attack(
        name="f18_descriptors",
        says="A program cannot hold thousands of descriptors, nor raise its own limit.",
        program="""\
import os
import resource


def solve(x):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    except (OSError, ValueError):
        pass
    held = 0
    try:
        while held < 900:
            os.dup(0)
            held += 1
    except OSError:
        pass
    os.closerange(64, 2000)
    return 'breached' if held >= 900 else held
""",
        goal="mark",
    ),
    Attack(
        name="f19_recursion",
        says="Running out of C stack is an error of the program.",
        program="""\
import sys

sys.setrecursionlimit(10 ** 9)


class Deep:
    def __repr__(self):
        return repr(self)

    __str__ = __hash__ = __eq__ = __call__ = lambda self, *rest: self(*rest)


def solve(x):
    return repr(Deep()) if x == 3 else Deep() == Deep()
""",
        control="",
        why_no_control="it crashes an in-process grader rather than passing it",
    ),
    Attack(
        name="f20_nested_source",
        says="Source nested too deeply for the compiler is a syntax error or an error.",
        program="x = " + "(" * 5000 + ")" * 5000 + "\ndef solve(x):\n    return x\n",
        control="",
        why_no_control="it crashes compilers rather than passing tests",
    ),
    Attack(
        name="f21_compile_bomb",
        says="Source that compiles to gigabytes ends at a limit, outside the grader's process.",
        program="def solve(x):\n    return " + "-" * 90_000 + "x\n"
        "TABLE = {x: y for x in ((1,) * 9_000_000 for _ in range(90)) for y in (x + x,)}\n",
        control="",
        why_no_control=_STALLS,
    ),
    Attack(
        name="f22_colliding_set",
        says="A result whose elements all hash alike is compared without hashing.",
        program="""\
def solve(x):
    modulus = (1 << 61) - 1
    return [{modulus * k for k in range(1200)} for _ in range(3)]
""",
        forms=("call", "assertion"),
        control="",
        why_no_control=_STALLS,
    ),
    Attack(
        name="f23_endless_generator",
        says="An endless iterator is read up to a bound.",
        program="""\
import itertools


def solve(x):
    return itertools.count() if x == 3 else iter(lambda: 'x' * 1000, None)
""",
        forms=("assertion", "call"),
        test_code="""\
def check(candidate):
    assert list(candidate(3)) == [@WANT_3@]
    assert list(candidate(8)) == [@WANT_8@]
""",
        control="",
        why_no_control=_STALLS,
        hangs=True,
    ),
    Attack(
        name="f24_exception_of_100_mb",
        says="An endless message, or a ring of causes, is reported in a few hundred characters.",
        program="""\
def solve(x):
    if x == 3:
        raise ValueError('x' * 100_000_000)
    first, second = ValueError('y'), KeyError('z')
    first.__cause__, second.__cause__ = second, first
    first.__context__, second.__context__ = second, first
    group = ExceptionGroup('g', [first])
    for _ in range(3000):
        group = ExceptionGroup('g', [group])
    raise group
""",
        forms=("call", "assertion"),
        control="",
        why_no_control="it fills the memory of a grader that keeps messages",
    ),
    Attack(
        name="f25_pending_signals",
        says="Queued signals and timers do not use up what later runs need.",
        program=NATIVE
        + """\
import signal


def solve(x):
    signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 65))
    info = (ctypes.c_int * 32)(34, 0, -1)
    for _ in range(50_000):
        if syscall(129, 138, os.getpid(), 34, ctypes.byref(info))[0]:
            break
    timer, event = ctypes.c_int(), (ctypes.c_int * 16)(0, 0, 34, 0)
    for _ in range(5_000):
        if syscall(222, 107, 1, ctypes.byref(event), ctypes.byref(timer))[0]:
            break
    return 'wrong'
""",
        goal="aftermath",
        control="",
        why_no_control="what it uses up is freed with the naive grader's process",
    ),
    Attack(
        name="f26_arguments_grow",
        says="A mutated argument of a gigabyte, or one nested without end, harms no test.",
        program="""\
def solve(x):
    if x and x[0] == 3:
        x.append(x)
        for _ in range(2000):
            x[:] = [list(x)]
    else:
        x.extend(['y' * 1000] * 200_000)
""",
        forms=("assertion",),
        test_code="""\
def check(candidate):
    for start, want in ((3, @WANT_3@), (8, @WANT_8@)):
        asked = [start]
        candidate(asked)
        assert asked == [want]
""",
        control="",
        why_no_control=_STALLS,
        hangs=True,
    ),
    Attack(
        name="f27_callback_ping_pong",
        says="A function handed in and called without end ends at a limit on both sides.",
        program="""\
def solve(give):
    while True:
        try:
            give(lambda value: give(value))
        except Exception:
            pass
""",
        forms=("assertion",),
        test_code="""\
def check(candidate):
    assert candidate(lambda back: back(lambda value: value)) == @WANT_3@
""",
        control="",
        why_no_control=_STALLS,
        hangs=True,
    ),
    Attack(
        name="f28_range_as_list",
        says="A small answer that a test makes a huge list of takes no memory of the host.",
        program="def solve(x):\n    return range(10 ** 9) if x == 3 else range(1 << 40)\n",
        forms=("assertion", "call"),
        test_code="""\
def check(candidate):
    assert list(candidate(3)) == [@WANT_3@]
    assert sorted(candidate(8)) == [@WANT_8@]
""",
        control="",
        why_no_control=_STALLS,
        hangs=True,
    ),
    Attack(
        name="f29_large_wrong_answers",
        says="Many large wrong answers fail their cases and break no report.",
        program="def solve(x):\n    return 'x' * 1_000_000\n",
        forms=("assertion",),
        test_code="def check(candidate):\n"
        + "".join(f"    assert candidate({x}) == @WANT_3@\n" for x in range(90)),
        control="",
        why_no_control="it fills the memory of a grader that keeps answers",
    ),
    Attack(
        name="f30_answer_that_keeps_the_test_busy",
        says="A test that loops on an answer ends at the limit, and its process is replaced.",
        program="def solve(x):\n    return 10 ** 18\n",
        forms=("assertion",),
        test_code="""\
def check(candidate):
    total = 0
    for step in range(candidate(3)):
        total += step
    assert total == @WANT_3@
""",
        control="",
        why_no_control=_STALLS,
        hangs=True,
    ),
    Attack(
        name="f31_large_items_for_ever",
        says="An endless iterator of large items takes no memory of the host.",
        program="""\
class Endless:
    def __iter__(self):
        return self

    def __next__(self):
        return 'x' * 1_000_000


def solve(x):
    return Endless()
""",
        forms=("assertion",),
        test_code="""\
def check(candidate):
    assert list(candidate(3)) == [@WANT_3@]
""",
        control="",
        why_no_control=_STALLS,
        hangs=True,
    ),
    Attack(
        name="f32_output_grown_by_other_calls",
        says="No call makes the file behind descriptor 1 larger than the limit on output.",
        program=NATIVE
        + """\
import mmap
import signal

FAR = 64 << 20


def attempts():
    yield lambda: os.ftruncate(1, FAR)
    yield lambda: os.pwrite(1, b'x', FAR)
    yield lambda: (os.lseek(1, FAR, 0), os.write(1, b'x'))
    yield lambda: os.pwritev(1, [b'x'], FAR)
    yield lambda: os.posix_fallocate(1, 0, FAR)
    yield lambda: mmap.mmap(1, FAR)


def solve(x):
    for number in (signal.SIGXFSZ,):
        signal.signal(number, signal.SIG_IGN)
    for attempt in attempts():
        try:
            attempt()
        except (OSError, ValueError):
            pass
        if os.fstat(1).st_size >= FAR:
            return 'breached'
    return 'refused'
""",
        goal="mark",
        control="",
        why_no_control="the output of a naive grader is often a pipe, which has no size",
    ),
    Attack(
        name="f33_compressed_bombs",
        says="A few bytes that unpack to gigabytes end at the limit on memory.",
        program="""\
import zlib


def unpacked():
    pack = zlib.compressobj(9, wbits=-15)
    block = pack.compress(bytes(1 << 20)) + pack.flush(zlib.Z_FULL_FLUSH)
    yield lambda: zlib.decompress(block * 320 + pack.flush(), wbits=-15)


def solve(x):
    for unpack in unpacked():
        try:
            if len(unpack()) > 256 << 20:
                return 'breached'
        except MemoryError:
            pass
    return 'refused'
""",
        goal="mark",
        control="",
        why_no_control="controls run inside a sandbox that bounds their memory too",
    ),
    Attack(
        name="f34_syntax_error_of_megabytes",
        says="A syntax error that quotes megabytes of the program is reported in part.",
        program="solve({0}=1, {0}=2)\n".format("n" * 1_200_000),
        control="",
        why_no_control=_STALLS,
    ),
    Attack(
        name="f35_names_of_megabytes",
        says="Names of classes and modules of any length are reported in part.",
        program="""\
LONG = 'n' * 3_000_000


def solve(x):
    kind = type(LONG, (Exception,), {'__module__': LONG, '__qualname__': LONG})
    if x == 3:
        raise kind(LONG)
    return type(LONG, (), {'__module__': LONG, '__qualname__': LONG})()
""",
        control="",
        why_no_control=_STALLS,
    ),
    Attack(
        name="f36_mappings_without_number",
        says="A process of sixty thousand mappings is ended and cleared away in time.",
        program="""\
import mmap

held = []


def solve(x):
    try:
        while len(held) < 60_000:
            held.append(mmap.mmap(-1, 4096, prot=1 + len(held) % 2))
    except (OSError, MemoryError, ValueError):
        pass
    while True:
        pass
""",
        hangs=True,
        control="",
        why_no_control=_STALLS,
    ),
)
