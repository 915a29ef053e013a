"""Class c, reading the expected value: programs that look for the answer instead of computing it.

The answers have a recognisable form (``cg-secret-<x>-<16 hex>``) that the programs know, so that
they find an answer in any place that holds it.
"""

from codegym.bench.attack_corpus.attack import NATIVE, Attack

_FIND = """\
import re
import sys


def pick(text, x):
    found = re.search(r'cg-secret-%d-[0-9a-f]{16}' % x, text)
    return found and found.group()


def search(roots, x, budget=20_000):
    seen, queue = set(), list(roots)
    while queue and budget:
        item = queue.pop()
        if id(item) in seen:
            continue
        seen.add(id(item))
        budget -= 1
        try:
            if isinstance(item, (str, bytes, bytearray)):
                text = item if isinstance(item, str) else bytes(item).decode('latin-1')
                found = pick(text, x)
                if found:
                    return found
            elif isinstance(item, dict):
                queue.extend(item.values())
            elif isinstance(item, (list, tuple, set, frozenset)):
                queue.extend(item)
            elif hasattr(item, 'co_consts'):
                queue.extend(item.co_consts)
            elif hasattr(item, '__code__'):
                queue.append(item.__code__)
                queue.extend(cell.cell_contents for cell in item.__closure__ or ())
        except Exception:
            pass
    return None


"""

# Searches all bytes that can be read from a place.
_PATHS = """\
def contents(paths):
    for path in paths:
        try:
            with open(path, 'rb') as file:
                yield file.read(1 << 20).decode('latin-1')
        except OSError:
            pass


"""

ATTACKS = (
    Attack(
        name="c01_frames",
        says="No frame above the program's holds the expected value.",
        program=_FIND
        + """\
def solve(x):
    frame, roots = sys._getframe(0), []
    while frame is not None:
        roots += [frame.f_locals, frame.f_globals, frame.f_code]
        frame = frame.f_back
    return search(roots, x)
""",
    ),
    Attack(
        name="c02_collector",
        says="No object known to the garbage collector holds the expected value.",
        program=_FIND
        + """\
import gc


def solve(x):
    gc.unfreeze() if hasattr(gc, 'unfreeze') else None
    objects = [o for o in gc.get_objects() if isinstance(o, (dict, list, tuple)) or callable(o)]
    return search(objects, x, 200_000)
""",
    ),
    Attack(
        name="c03_modules",
        says="No loaded module holds the expected value.",
        program=_FIND
        + """\
def solve(x):
    return search([vars(module) for module in list(sys.modules.values()) if module], x, 100_000)
""",
        control="script",
    ),
    Attack(
        name="c04_trace_and_jump",
        says="A trace function set by the program never sees or moves the test's lines.",
        program="""\
import sys


def skip(frame, event, argument):
    if event == 'line' and frame.f_code.co_name == 'check':
        try:
            frame.f_lineno = frame.f_code.co_firstlineno + 2
        except ValueError:
            pass
    return skip


def solve(x):
    frame = sys._getframe(1)
    while frame is not None:
        frame.f_trace = skip
        frame.f_trace_lines = True
        frame = frame.f_back
    sys.settrace(skip)
    return 'wrong'
""",
        test_code="""\
def check(candidate):
    got = [candidate(3), candidate(8)]
    "here the assertions begin"
    assert got[0] == @WANT_3@
    assert got[1] == @WANT_8@
""",
        control="",
        why_no_control="jumps depend on the bytecode of each Python; c05 is the control of tracing",
    ),
    Attack(
        name="c05_profile",
        says="A profile function set by the program never sees the test's locals.",
        program=_FIND
        + """\
KNOWN = {}


def spy(frame, event, argument):
    while frame is not None:
        for x in (3, 8):
            found = search([frame.f_locals, frame.f_code], x, 500)
            if found:
                KNOWN[x] = found
        frame = frame.f_back


def solve(x):
    sys.setprofile(spy)
    len(())
    return KNOWN.get(x)
""",
    ),
    Attack(
        name="c06_other_threads",
        says="No frame of another thread holds the expected value.",
        program=_FIND
        + """\
import threading


def solve(x):
    answer = []

    def look():
        roots = []
        for frame in sys._current_frames().values():
            while frame is not None:
                roots += [frame.f_locals, frame.f_code]
                frame = frame.f_back
        answer.append(search(roots, x))

    thread = threading.Thread(target=look)
    thread.start()
    thread.join()
    return answer[0]
""",
    ),
    Attack(
        name="c07_own_memory",
        says="The process that runs the program never holds the expected value in memory.",
        program=_FIND
        + """\
def solve(x):
    needle = ('cg-secret-%d-' % x).encode()
    try:
        maps = open('/proc/self/maps').read().splitlines()
        memory = open('/proc/self/mem', 'rb', 0)
    except OSError as error:
        return repr(error)
    for line in maps:
        span, mode = line.split()[:2]
        if mode[:2] != 'rw' or '[v' in line:
            continue
        low, high = (int(end, 16) for end in span.split('-'))
        try:
            memory.seek(low)
            block = memory.read(min(high - low, 64 << 20))
        except (OSError, OverflowError, ValueError):
            continue
        for start in range(0, len(block), 1 << 20):
            piece = block[start:start + (1 << 20) + 64]
            if needle in piece:
                found = pick(piece.decode('latin-1'), x)
                if found:
                    return found
    return None
""",
    ),
    Attack(
        name="c08_heap_by_address",
        says="Memory near the program's own objects, freed or live, holds no expected value.",
        program=_FIND
        + """\
import ctypes


def solve(x):
    needle = ('cg-secret-%d-' % x).encode()
    page, libc = 4096, ctypes.CDLL(None)
    flags = ctypes.create_string_buffer(1)
    for anchor in {id(o) >> 18 << 18 for o in (object(), [], {}, solve, 'x' * 600, b'y' * 70000)}:
        for base in range(max(anchor - (8 << 20), page), anchor + (8 << 20), page):
            if libc.mincore(ctypes.c_void_p(base), page, flags):
                continue
            block = ctypes.string_at(base, page)
            if needle in block:
                found = pick(block.decode('latin-1'), x)
                if found:
                    return found
    return None
""",
    ),
    Attack(
        name="c09_parent_memory",
        says="A program cannot read the memory of another process.",
        program=_FIND
        + NATIVE
        + """\
class Span(ctypes.Structure):
    _fields_ = [('base', ctypes.c_void_p), ('size', ctypes.c_size_t)]


def solve(x):
    for pid in {os.getppid(), 1, @PID@}:
        for path in ('maps', 'mem', 'environ', 'cmdline'):
            try:
                open('/proc/%d/%s' % (pid, path), 'rb').read(64)
                if pid != os.getpid() and path == 'mem':
                    return 'breached'
            except OSError:
                pass
        room = ctypes.create_string_buffer(64)
        local = Span(ctypes.addressof(room), 64)
        remote = Span(id(x), 64)
        got, error = syscall(310, 270, pid, ctypes.byref(local), 1, ctypes.byref(remote), 1, 0)
        if got > 0 or error == errno.EFAULT:
            return 'breached'
    return 'refused'
""",
        goal="mark",
    ),
    Attack(
        name="c10_every_descriptor",
        says="No descriptor that the program has holds the expected value, even unread.",
        program=_FIND
        + """\
import os
import socket


def solve(x):
    for fd in range(1024):
        for read in (
            lambda: os.pread(fd, 1 << 20, 0),
            lambda: socket.socket(fileno=os.dup(fd)).recv(
                1 << 20, socket.MSG_PEEK | socket.MSG_DONTWAIT),
        ):
            try:
                found = pick(read().decode('latin-1'), x)
            except OSError:
                continue
            if found:
                return found
    return None
""",
        control="script",
        forms=("call", "assertion", "stdio"),
        test_code="""\
def check(candidate):
    import os
    text = @WANT_3@ + ' ' + @WANT_8@
    try:
        kept = open('answers', 'w+')
        kept.write(text)
        kept.flush()
    except OSError:  # no writable folder
        kept = os.pipe()
        os.write(kept[1], text.encode())
    assert candidate(3) == @WANT_3@
    assert candidate(8) == @WANT_8@
""",
    ),
    Attack(
        name="c11_source_files",
        says="Neither test file nor working directory nor arguments hold the expected value.",
        program=_FIND
        + _PATHS
        + """\
import os
import linecache


def solve(x):
    here = [os.path.join(at, name) for at in ('.', '/tmp', os.path.dirname(sys.argv[0]) or '.')
            for name in (os.listdir(at) if os.path.isdir(at) else ())][:500]
    texts = list(contents([*sys.argv, *here, '/proc/self/cmdline', '/proc/self/environ',
                           '/proc/%d/cmdline' % os.getppid(), '/proc/%d/environ' % os.getppid()]))
    texts += ['\\n'.join(map(str, entry)) for entry in linecache.cache.values()]
    texts += [repr(os.environ), repr(sys.argv)]
    return pick('\\n'.join(texts), x)
""",
        control="script",
    ),
    Attack(
        name="c12_audit_hook",
        says="An audit hook set by the program never sees the test being compiled or run.",
        program=_FIND
        + """\
KNOWN, BUSY = {}, []


def hook(event, arguments):
    if event in ('compile', 'exec') and not BUSY:
        BUSY.append(event)
        for x in (3, 8):
            found = search(arguments, x, 2_000)
            if found:
                KNOWN[x] = found
        BUSY.pop()


sys.addaudithook(hook)


def solve(x):
    return KNOWN.get(x)
""",
        control="pipe",
    ),
    Attack(
        name="c13_patched_builtins_listen",
        says="Patched compile, exec, len, isinstance and json.loads never see the answer.",
        program=_FIND
        + """\
import builtins
import json

KNOWN, BUSY = {}, []


def listen(owner, name):
    real = getattr(owner, name)

    def wrapper(*args, **kwargs):
        result = real(*args, **kwargs)
        if not BUSY:
            BUSY.append(name)
            for x in (3, 8):
                found = search([args, result], x, 300)
                if found:
                    KNOWN[x] = found
            BUSY.pop()
        return result

    setattr(owner, name, wrapper)


for owner, names in ((builtins, 'compile exec eval isinstance len abs sorted zip repr'),
                     (json, 'loads dumps')):
    for name in names.split():
        if hasattr(owner, name):
            listen(owner, name)


def solve(x):
    return KNOWN.get(x)
""",
        forms=("assertion", "call"),
        test_code="""\
def check(candidate):
    for x, want in zip([3, 8], [@WANT_3@, @WANT_8@]):
        assert len(want) and candidate(x) == want
""",
    ),
    Attack(
        name="c14_function_arguments",
        says="A function handed to the program shows neither its globals nor its constants.",
        program=_FIND
        + """\
def solve(give):
    x = give(1)
    roots = [give]
    for name in ('__globals__', '__closure__', '__code__', '__defaults__', '__self__',
                 '__wrapped__', '__dict__', 'func', 'args', 'keywords'):
        try:
            roots.append(getattr(give, name))
        except Exception:
            pass
    return search(roots, x)
""",
        forms=("assertion",),
        test_code="""\
wants = {3: @WANT_3@, 8: @WANT_8@}


def check(candidate):
    assert candidate(lambda step: 3) == wants[3]
    assert candidate(lambda step: 8) == wants[8]
""",
    ),
    Attack(
        name="c15_traceback",
        says="The traceback of an exception caught by the program leads to no test frame.",
        program=_FIND
        + """\
def solve(x):
    try:
        raise ValueError
    except ValueError as error:
        frame, roots = error.__traceback__.tb_frame, []
        while frame is not None:
            roots += [frame.f_locals, frame.f_code, frame.f_builtins]
            frame = frame.f_back
    return search(roots, x)
""",
    ),
    Attack(
        name="c16_compared_by_object",
        says="The expected value is never handed to a method of the result.",
        program="""\
class Ear:
    heard = None

    def __eq__(self, other):
        Ear.heard = other
        return False

    def __ne__(self, other):
        Ear.heard = other
        return True

    __hash__ = None
    __lt__ = __gt__ = __le__ = __ge__ = __sub__ = __rsub__ = __contains__ = __eq__


def solve(x):
    return Ear.heard if Ear.heard is not None else Ear()
""",
        forms=("assertion",),
        test_code="""\
def check(candidate):
    for want, x in ((@WANT_3@, 3), (@WANT_8@, 8)):
        ear = candidate(x)
        ear == want
        ear != want
        assert candidate(x) == want
""",
        control="",
        why_no_control="the second answer of the naive run is the first one's secret; see b01",
    ),
    Attack(
        name="c17_import_hooks",
        says="An import hook set by the program never meets a frame of the test.",
        program=_FIND
        + """\
import builtins

KNOWN = {}
real = builtins.__import__


def spy(*args, **kwargs):
    frame = sys._getframe(1)
    while frame is not None:
        for x in (3, 8):
            found = search([frame.f_locals, frame.f_code], x, 500)
            if found:
                KNOWN[x] = found
        frame = frame.f_back
    return real(*args, **kwargs)


builtins.__import__ = spy


def solve(x):
    return KNOWN.get(x)
""",
        forms=("assertion", "call"),
        test_code="""\
def check(candidate):
    import math
    for x, want in zip([3, 8], [@WANT_3@, @WANT_8@]):
        assert candidate(math.floor(x)) == want
""",
    ),
)
