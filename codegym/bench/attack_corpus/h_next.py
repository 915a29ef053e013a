"""Class h, poisoning the next program: traces that a run leaves for the next run.

Each probe runs on the same worker right after its attack and returns MARK only if it finds the
mark that the attack left.
"""

from codegym.bench.attack_corpus.attack import NATIVE, Attack


def _poison(name: str, says: str, leave: str, find: str, **rest: object) -> Attack:
    """Make an attack that leaves something and a probe that looks for it.

    Args:
        name: See ``Attack``.
        says: See ``Attack``.
        leave: Statements that leave the mark; run while the program is loaded.
        find: Body of a function ``found()`` that returns whether the mark is there.
        **rest: Fields of ``Attack``.
    """
    body = "".join(f"    {line}\n" if line else "\n" for line in find.strip().split("\n"))
    head = NATIVE if "syscall(" in leave + find or "libc" in leave + find else ""
    return Attack(
        name=name,
        says=says,
        program=f"{head}{leave.strip()}\n\n\ndef solve(x):\n    return 'wrong'\n",
        probe=f"{head}def found():\n{body}\n\nFOUND = found()\n\n\n"
        "def solve(x):\n    return 'breached' if FOUND else 'clean'\n",
        goal="aftermath",
        **rest,  # type: ignore[arg-type]
    )


_OWN = {"control": "", "why_no_control": "the mark is gone with the naive grader's process"}

_WRITE_EVERYWHERE = """
import os

for at in ('.', '/tmp', '/dev/shm', '/var/tmp', '/run', '/', os.path.dirname(os.__file__)):
    try:
        with open(os.path.join(at, 'cg-poison'), 'w') as file:
            file.write('left')
    except OSError:
        pass
"""
_READ_EVERYWHERE = """
import os
places = ('.', '/tmp', '/dev/shm', '/var/tmp', '/run', '/', os.path.dirname(os.__file__))
return any(os.path.exists(os.path.join(at, 'cg-poison')) for at in places)
"""

ATTACKS = (
    _poison(
        "h01_builtins",
        "A name put into builtins is gone for the next program.",
        "import builtins\nbuiltins.cg_poison = True\nbuiltins.len = lambda items: 7",
        "import builtins\nreturn hasattr(builtins, 'cg_poison') or len('') == 7",
    ),
    _poison(
        "h02_modules",
        "A module put into sys.modules or on the import path is gone for the next program.",
        """
import sys
import types

sys.modules['cg_poison'] = types.ModuleType('cg_poison')
sys.modules['bisect'] = sys.modules['cg_poison']
sys.path.insert(0, '/cg-poison')
sys.path_importer_cache['/cg-poison'] = None
sys.meta_path.append(sys.modules['cg_poison'])
""",
        """
import sys
return ('cg_poison' in sys.modules or '/cg-poison' in sys.path
        or any(getattr(f, '__name__', '') == 'cg_poison' for f in sys.meta_path))
""",
    ),
    _poison(
        "h03_patched_library",
        "A patched library function is whole again for the next program.",
        """
import json
import math
import os
import random

for module, names in ((json, 'loads dumps'), (math, 'floor sqrt'), (random, 'seed random'),
                      (os, 'getcwd listdir')):
    for name in names.split():
        setattr(module, name, lambda *args, **kwargs: 'cg-poison')
""",
        """
import json
import math
import os
import random
return 'cg-poison' in (json.dumps(1), math.floor(1.5), random.random(), os.getcwd())
""",
    ),
    _poison(
        "h04_files",
        "A file left in any folder is gone for the next program.",
        _WRITE_EVERYWHERE,
        _READ_EVERYWHERE,
    ),
    _poison(
        "h05_system_v",
        "System V memory, semaphores and queues are gone for the next program.",
        """
segment, _ = syscall(29, 194, 0xC0DE, 4096, 0o1666)
syscall(64, 190, 0xC0DE, 1, 0o1666)
syscall(68, 186, 0xC0DE, 0o1666)
""",
        """
got = [syscall(29, 194, 0xC0DE, 4096, 0)[0], syscall(64, 190, 0xC0DE, 1, 0)[0],
       syscall(68, 186, 0xC0DE, 0)[0]]
for handle, numbers, command in ((got[0], (31, 195), 0), (got[2], (71, 187), 0)):
    if handle >= 0:
        syscall(*numbers, handle, command, None)
return any(handle >= 0 for handle in got)
""",
    ),
    _poison(
        "h06_posix_queues",
        "POSIX queues and named semaphores are gone for the next program.",
        """
got = syscall(240, 180, ctypes.c_char_p(b'cg-poison'), 0o102, 0o666, None)
try:
    open('/dev/shm/sem.cg-poison', 'w').close()
except OSError:
    pass
""",
        """
got = syscall(240, 180, ctypes.c_char_p(b'cg-poison'), 0, 0, None)[0]
return got >= 0 or os.path.exists('/dev/shm/sem.cg-poison')
""",
    ),
    _poison(
        "h07_keyrings",
        "A key put into a keyring is gone for the next program.",
        """
for ring in (-1, -2, -3, -4, -5):
    syscall(248, 217, ctypes.c_char_p(b'user'), ctypes.c_char_p(b'cg-poison'),
            ctypes.c_char_p(b'left'), 4, ring)
""",
        """
return syscall(249, 218, ctypes.c_char_p(b'user'), ctypes.c_char_p(b'cg-poison'), None, 0)[0] >= 0
""",
        control="",
        why_no_control="whether keys are allowed differs from kernel to kernel",
    ),
    _poison(
        "h08_daemon_listens",
        "A daemon on an abstract socket is gone for the next program.",
        """
import os
import socket
import time

try:
    line = socket.socket(socket.AF_UNIX)
    line.bind('\\0cg-poison')
    line.listen()
    if os.fork() == 0:
        if os.fork() == 0:
            os.setsid()
            time.sleep(5)
        os._exit(0)
    os.wait()
except OSError:
    pass
""",
        """
import socket
try:
    with socket.socket(socket.AF_UNIX) as line:
        line.connect('\\0cg-poison')
        return True
except OSError:
    return False
""",
    ),
    _poison(
        "h09_process_state",
        "Working folder, umask, limits and priority are the same for every program.",
        """
import os
import resource

for act in (
    lambda: os.umask(0o177),
    lambda: os.chdir('/usr'),
    lambda: os.nice(7),
    lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (17, 17)),
    lambda: resource.setrlimit(resource.RLIMIT_STACK, (1 << 20, 1 << 20)),
):
    try:
        act()
    except (OSError, ValueError):
        pass
""",
        """
import os
import resource
mask = os.umask(0o22)
return (mask == 0o177 or os.getcwd() == '/usr' or os.nice(0) >= 7
        or resource.getrlimit(resource.RLIMIT_FSIZE)[0] == 17
        or resource.getrlimit(resource.RLIMIT_STACK)[0] == 1 << 20)
""",
    ),
    _poison(
        "h10_environment",
        "Environment, locale and time zone are the same for every program.",
        """
import locale
import os
import time

os.environ['CG_POISON'] = 'left'
os.putenv('CG_POISON_TOO', 'left')
os.environ['TZ'] = 'XXX+7'
time.tzset()
try:
    locale.setlocale(locale.LC_ALL, 'C')
except locale.Error:
    pass
""",
        """
import os
import time
return 'CG_POISON' in os.environ or os.environ.get('TZ') == 'XXX+7' or time.timezone == 7 * 3600
""",
    ),
    _poison(
        "h11_signal_state",
        "Signal handlers, masks and timers are the same for every program.",
        """
import signal

signal.signal(signal.SIGUSR1, signal.SIG_IGN)
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
signal.signal(signal.SIGPIPE, lambda *rest: None)
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGUSR2})
signal.setitimer(signal.ITIMER_VIRTUAL, 1000)
""",
        """
import signal
return (signal.getsignal(signal.SIGUSR1) == signal.SIG_IGN
        or signal.SIGUSR2 in signal.pthread_sigmask(signal.SIG_BLOCK, ())
        or signal.getitimer(signal.ITIMER_VIRTUAL)[0] > 0)
""",
    ),
    _poison(
        "h12_descriptor_flags",
        "Flags set on inherited descriptors do not show in the next program.",
        """
import fcntl
import os

for fd in range(64):
    try:
        flags = fcntl.fcntl(fd, fcntl.F_GETFL)
        fcntl.fcntl(fd, fcntl.F_SETFL, flags | os.O_NONBLOCK | os.O_APPEND)
    except OSError:
        pass
""",
        """
import fcntl
import os
for fd in (0, 1, 2):
    try:
        if fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_APPEND:
            return True
    except OSError:
        pass
return False
""",
    ),
    _poison(
        "h13_descriptors_left_open",
        "A descriptor left open under a high number is closed for the next program.",
        """
import os

left, right = os.pipe()
for number in (50, 51, 60, 200):
    try:
        os.dup2(right, number)
        os.set_inheritable(number, True)
    except OSError:
        pass
""",
        """
import os
import stat
held = []
for fd in (50, 51, 60, 200):
    try:
        held.append(stat.S_ISFIFO(os.fstat(fd).st_mode))
    except OSError:
        pass
return any(held)
""",
    ),
    _poison(
        "h14_text_of_the_program",
        "No text of the program before can be found in memory.",
        "LEFT = ['cg-poison-' + 'text' * 3 + str(n) for n in range(2000)]\nKEEP = __builtins__",
        """
import gc
needle = 'cg-poison-' + 'text' * 3
here = found.__code__
for held in gc.get_objects():
    if type(held) is dict and 'LEFT' in held and 'solve' in held:
        return True
    if type(held) is list and held and type(held[0]) is str and held[0].startswith(needle):
        return True
return False
""",
    ),
    _poison(
        "h15_threads",
        "A thread of the program before does not run in the next one.",
        """
import threading
import time

threading.Thread(target=time.sleep, args=(30,), name='cg-poison', daemon=True).start()
""",
        "import threading\nreturn any(t.name == 'cg-poison' for t in threading.enumerate())",
    ),
    _poison(
        "h16_hooks",
        "Trace, profile, audit, exit and exception hooks are gone for the next program.",
        """
import atexit
import sys

FIRED = []
sys.settrace(lambda *rest: None)
sys.setprofile(lambda *rest: None)
sys.excepthook = sys.unraisablehook = sys.displayhook = lambda *rest: None
sys.setrecursionlimit(12_345)
sys.setswitchinterval(3.0)
atexit.register(FIRED.append, 1)
""",
        """
import sys
return (sys.getprofile() is not None or sys.gettrace() is not None
        or sys.getrecursionlimit() == 12_345 or sys.getswitchinterval() == 3.0
        or sys.excepthook is not sys.__excepthook__)
""",
    ),
    _poison(
        "h17_inherited_events",
        "Timers, counters and poll sets inherited from the worker cannot be disturbed.",
        """
spec = (ctypes.c_int64 * 4)(0, 1, 0, 1)
for fd in range(3, 64):
    syscall(286, 86, fd, 0, spec, None)
    syscall(233, 21, fd, 2, fd, None)
    syscall(233, 21, fd, 1, 0, (ctypes.c_int64 * 2)(1, 0))
    syscall(8, 62, fd, 0, 2)
    syscall(77, 46, fd, 0)
    syscall(73, 32, fd, 6)
    try:
        os.write(fd, (0xFFFF).to_bytes(8, 'little'))
    except OSError:
        pass
os._exit(0)
""",
        "return False",
        **_OWN,
    ),
    _poison(
        "h18_shared_mappings",
        "Memory mapped as shared by the worker, if any, cannot be written.",
        """
try:
    lines = open('/proc/self/maps').read().splitlines()
except OSError:
    lines = []
for line in lines:
    span, mode = line.split()[:2]
    if mode.startswith('rw') and mode.endswith('s'):
        low, high = (int(end, 16) for end in span.split('-'))
        ctypes.memset(low, 0xFF, high - low)
""",
        "return False",
        **_OWN,
    ),
    _poison(
        "h19_name_and_domain",
        "The name of the host or of the process is the same for every program.",
        """
syscall(170, 161, ctypes.c_char_p(b'cg-poison'), 9)
syscall(171, 162, ctypes.c_char_p(b'cg-poison'), 9)
libc.prctl(15, b'cg-poison', 0, 0, 0)
""",
        """
name = ctypes.create_string_buffer(32)
libc.prctl(16, name, 0, 0, 0)
return os.uname().nodename == 'cg-poison' or name.value == b'cg-poison'
""",
    ),
    _poison(
        "h20_byte_code",
        "No byte code left by one program is imported by the next.",
        """
import importlib.util
import os
import sys

sys.dont_write_bytecode = False
for at in ('.', '/tmp', '/dev/shm', os.path.dirname(os.__file__)):
    try:
        with open(os.path.join(at, 'cg_poison_module.py'), 'w') as file:
            file.write('LEFT = True\\n')
        cached = importlib.util.cache_from_source(os.path.join(at, 'cg_poison_module.py'))
        os.makedirs(os.path.dirname(cached), exist_ok=True)
        open(cached, 'wb').close()
    except OSError:
        pass
""",
        """
import sys
sys.path += ['.', '/tmp', '/dev/shm']
try:
    import cg_poison_module
except ImportError:
    return False
return cg_poison_module.LEFT
""",
    ),
    _poison(
        "h21_random_state",
        "Seeds and counters are the same for every program, whatever ran before.",
        """
import random

random.seed(99)
DRAWN = [random.random() for _ in range(50)]
random.setstate(random.Random(4).getstate())
""",
        "import random\nreturn random.random() == random.Random(4).random()",
    ),
    Attack(
        name="h22_locks_on_files",
        says="No lock is put on a file that later programs, or the host, use too.",
        program=NATIVE
        + """\
import fcntl
import struct
import sys


def solve(x):
    files = [os.open(path, os.O_RDONLY) for path in (os.__file__, sys.executable)]
    for fd in files:
        for number in ((73, 32),):
            if syscall(*number, fd, 1 | 4)[1] == 0:
                return 'breached'
        for command in (6, 7, 37, 38):
            lock = struct.pack('hhqqi', 0, 0, 0, 0, 0)
            try:
                fcntl.fcntl(fd, command, lock)
                return 'breached'
            except OSError:
                pass
    return 'refused'
""",
        goal="mark",
    ),
    Attack(
        name="h23_frozen_objects",
        says="Objects that all programs share, cached or frozen, are intact for the next program.",
        program="""\
import ctypes
import gc
import sys


def solve(x):
    small = ctypes.c_long.from_address(id(200) + 24)
    gc.unfreeze()
    try:
        ctypes.memset(id('cg') + sys.getsizeof('') - 1, 88, 1)
        small.value = 7
    except Exception:
        pass
    sys.intern('poison')
    return 'done'
""",
        goal="aftermath",
        probe="""\
def solve(x):
    spoilt = int('200') != 100 + 100 or [200][0] + 1 != 201 or 'cg'[0] != 'c'
    return 'breached' if spoilt else 'clean'
""",
        control="",
        why_no_control="what it spoils ends with the process of a naive grader",
    ),
)
