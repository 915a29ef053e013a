"""Class e, attacking the parent: signals, tracing and limits aimed at the processes above."""

from codegym.bench.attack_corpus.attack import NATIVE, Attack

_OTHERS = """\
def others():
    return sorted({os.getppid(), 1, @PID@} - {os.getpid(), 0})


"""

_KILLS_ITS_RUNNER = "the naive grader is what it kills"

ATTACKS = (
    Attack(
        name="e01_every_signal_to_the_parent",
        says="No signal from the program ends, stops or slows the worker.",
        program="""\
import os


def solve(x):
    for number in range(1, 65):
        for target in (os.getppid(), 1):
            if target != os.getpid():
                try:
                    os.kill(target, number)
                except OSError:
                    pass
    return 'wrong'
""",
        goal="aftermath",
        control="",
        why_no_control=_KILLS_ITS_RUNNER,
    ),
    Attack(
        name="e02_kill_everything",
        says="kill(-1) and killpg reach nothing that a later run needs.",
        program="""\
import os


def solve(x):
    for number in (19, 15, 9):
        for target in (-1, -os.getpgrp(), 0):
            try:
                os.kill(target, number)
            except OSError:
                pass
    return 'wrong'
""",
        goal="aftermath",
        forms=("call", "assertion"),
        control="",
        why_no_control=_KILLS_ITS_RUNNER,
        hangs=True,
    ),
    Attack(
        name="e03_signal_reaches_driver",
        says="The process that drives the grader cannot be signalled, not even with signal 0.",
        program="""\
import os
import signal


def solve(x):
    try:
        os.kill(@PID@, 0)
    except OSError as error:
        return repr(error)
    return 'breached'
""",
        goal="mark",
    ),
    Attack(
        name="e04_other_processes_seen",
        says="No process outside the sandbox can be found by its number.",
        program="""\
import os


def solve(x):
    for pid in range(2, 60000):
        if pid not in (os.getpid(), os.getppid()):
            try:
                os.kill(pid, 0)
            except PermissionError:
                continue
            except OSError:
                continue
            return 'breached'
    return 'alone'
""",
        goal="mark",
    ),
    Attack(
        name="e05_trace_the_parent",
        says="No other process can be traced or stopped by ptrace.",
        program=NATIVE
        + _OTHERS
        + """\
def solve(x):
    said = []
    for pid in others():
        for request in (16, 0x4206):
            got, error = syscall(101, 117, request, pid, 0, 0)
            said.append(error)
            if got == 0:
                syscall(101, 117, 17, pid, 0, 0)
                return 'breached'
    return repr(said)
""",
        goal="mark",
    ),
    Attack(
        name="e06_limits_of_the_parent",
        says="Resource limits of no other process can be set or read.",
        program=NATIVE
        + _OTHERS
        + """\
def solve(x):
    pair = (ctypes.c_uint64 * 2)()
    for pid in others():
        got, error = syscall(302, 261, pid, 7, None, ctypes.byref(pair))
        if got == 0:
            return 'breached'
    return 'refused'
""",
        goal="mark",
    ),
    Attack(
        name="e07_limits_of_the_worker_lowered",
        says="A program cannot starve its worker of memory, files or time.",
        program=NATIVE
        + """\
def solve(x):
    low = (ctypes.c_uint64 * 2)(4, 4)
    for pid in {os.getppid(), 1} - {os.getpid(), 0}:
        for what in (7, 9, 0, 3, 6, 2, 12):
            syscall(302, 261, pid, what, ctypes.byref(low), None)
    return 'wrong'
""",
        goal="aftermath",
        control="",
        why_no_control=_KILLS_ITS_RUNNER,
    ),
    Attack(
        name="e08_priority_of_the_parent",
        says="Priority, affinity and scheduling class of no other process can be changed.",
        program=NATIVE
        + _OTHERS
        + """\
def solve(x):
    for pid in others():
        for act in (
            lambda: os.setpriority(os.PRIO_PROCESS, pid, os.getpriority(os.PRIO_PROCESS, pid)),
            lambda: os.sched_setaffinity(pid, os.sched_getaffinity(pid)),
            lambda: os.sched_setscheduler(pid, os.SCHED_OTHER, os.sched_param(0)),
        ):
            try:
                act()
                return 'breached'
            except OSError:
                pass
        if syscall(251, 30, 1, pid, 3 << 13)[0] == 0:
            return 'breached'
    return 'refused'
""",
        goal="mark",
    ),
    Attack(
        name="e09_priority_of_the_user",
        says="Priorities of all processes of a user or group are out of reach.",
        program="""\
import os


def solve(x):
    for which in (os.PRIO_PGRP, os.PRIO_USER):
        for who in (0, os.getuid(), os.getppid(), 1):
            try:
                os.setpriority(which, who, 19)
            except OSError:
                pass
    try:
        slowed = os.getpriority(os.PRIO_PROCESS, os.getppid())
    except OSError:
        return 'refused'
    return 'breached' if slowed == 19 else 'unchanged'
""",
        goal="mark",
    ),
    Attack(
        name="e10_write_the_parents_memory",
        says="A program cannot write the memory of another process.",
        program=NATIVE
        + _OTHERS
        + """\
class Span(ctypes.Structure):
    _fields_ = [('base', ctypes.c_void_p), ('size', ctypes.c_size_t)]


def solve(x):
    local, remote = Span(id(x), 8), Span(16, 8)
    for pid in others():
        got, error = syscall(311, 271, pid, ctypes.byref(local), 1, ctypes.byref(remote), 1, 0)
        if got > 0 or error == errno.EFAULT:
            return 'breached'
        try:
            open('/proc/%d/mem' % pid, 'r+b')
            return 'breached'
        except OSError:
            pass
    return 'refused'
""",
        goal="mark",
    ),
    Attack(
        name="e11_steal_descriptors",
        says="No descriptor of another process can be taken through a pidfd or /proc.",
        program=NATIVE
        + _OTHERS
        + """\
def solve(x):
    for pid in others():
        handle, error = syscall(434, 434, pid, 0)
        if handle >= 0:
            if syscall(438, 438, handle, 0, 0)[0] >= 0:
                return 'breached'
            if syscall(424, 424, handle, 0, None, 0)[0] == 0:
                return 'breached'
        try:
            if os.listdir('/proc/%d/fd' % pid):
                return 'breached'
        except OSError:
            pass
    return 'refused'
""",
        goal="mark",
    ),
    Attack(
        name="e12_owner_of_a_descriptor",
        says="F_SETOWN cannot make the kernel signal the worker or the driver.",
        program=NATIVE
        + """\
import fcntl
import signal


def solve(x):
    for target in (os.getppid(), 1, @PID@, -os.getppid()):
        if target in (0, -0, os.getpid()):
            continue
        left, right = os.pipe()
        for fd in (left, right, *range(3, 64)):
            for number in (signal.SIGKILL, signal.SIGSTOP, signal.SIGTERM):
                try:
                    fcntl.fcntl(fd, fcntl.F_SETOWN, target)
                    fcntl.fcntl(fd, 10, number)
                    fcntl.fcntl(fd, fcntl.F_SETFL, os.O_ASYNC | os.O_NONBLOCK)
                except (OSError, ValueError):
                    continue
        os.write(right, b'x')
        os.read(left, 1)
        os.close(left)
        os.close(right)
    return 'wrong'
""",
        goal="aftermath",
        control="",
        why_no_control=_KILLS_ITS_RUNNER,
    ),
    Attack(
        name="e13_queued_signals",
        says="Thread-directed and queued signals do not leave the program's process.",
        program=NATIVE
        + _OTHERS
        + """\
def solve(x):
    info = (ctypes.c_int * 32)(0, 0, -1)
    for pid in others():
        for got, error in (
            syscall(200, 130, pid, 0),
            syscall(234, 131, pid, pid, 0),
            syscall(129, 138, pid, 0, ctypes.byref(info)),
            syscall(297, 240, pid, pid, 0, ctypes.byref(info)),
        ):
            if got == 0 and pid == @PID@:
                return 'breached'
    return 'refused'
""",
        goal="mark",
    ),
    Attack(
        name="e14_session_and_group",
        says="Joining another process group or leaving the session changes nothing outside.",
        program="""\
import os


def solve(x):
    for act in (
        lambda: os.setpgid(0, os.getppid()),
        lambda: os.setpgid(os.getppid(), 0),
        lambda: os.setpgid(0, 1),
        os.setsid,
        lambda: os.tcsetpgrp(0, os.getpgrp()),
    ):
        try:
            act()
        except OSError:
            pass
    return 'wrong'
""",
        goal="aftermath",
        control="",
        why_no_control="harmless to a grader that runs one program",
    ),
    Attack(
        name="e15_forged_control_messages",
        says="Messages on inherited sockets are not mistaken for messages of the worker.",
        program="""\
import array
import os
import socket
import struct


def solve(x):
    for fd in range(64):
        try:
            line = socket.socket(fileno=os.dup(fd))
        except OSError:
            continue
        line.setblocking(False)
        for size in range(0, 129):
            for data in (bytes(size), b'\\x01' + bytes(size), struct.pack('<I', 1) * (size // 4)):
                try:
                    line.send(data, socket.MSG_NOSIGNAL)
                except OSError:
                    break
    os._exit(0)
""",
        control="script",
    ),
    Attack(
        name="e16_orphan_reparented",
        says="A child that outlives its parent is not left behind with the worker.",
        program="""\
import os
import time


def solve(x):
    try:
        pid = os.fork()
    except OSError as error:
        return repr(error)
    if pid == 0:
        if os.fork() == 0:
            time.sleep(60)
        os._exit(0)
    os.waitpid(pid, 0)
    return 'breached'
""",
        goal="mark",
    ),
    Attack(
        name="e17_out_of_memory_score",
        says="The program cannot exempt itself from the kernel's memory killer.",
        program="""\
def solve(x):
    try:
        with open('/proc/self/oom_score_adj', 'w') as file:
            file.write('0')
        return 'breached'
    except OSError as error:
        return repr(error)
""",
        goal="mark",
    ),
    Attack(
        name="e18_leases_on_files",
        says="No lease or notification is put on a file that others use.",
        program="""\
import fcntl
import os


def solve(x):
    fd = os.open(os.__file__, os.O_RDONLY)
    for command, argument in ((1024, fcntl.F_RDLCK), (1026, 0x80000001), (fcntl.F_SETOWN, 1)):
        try:
            fcntl.fcntl(fd, command, argument)
            return 'breached'
        except OSError:
            pass
    return 'refused'
""",
        goal="mark",
        control="",
        why_no_control="a lease needs the file's owner, whom the naive grader is not",
    ),
    Attack(
        name="e19_pidfd_of_the_peer",
        says="The handle of the process at a socket's other end is useless.",
        program=NATIVE
        + """\
import signal


def solve(x):
    for fd in range(64):
        handle, size = ctypes.c_int(-1), ctypes.c_int(4)
        if libc.getsockopt(fd, 1, 77, ctypes.byref(handle), ctypes.byref(size)):
            continue
        if handle.value < 0:
            continue
        for got, error in (
            syscall(424, 424, handle.value, 0, None, 0),
            syscall(438, 438, handle.value, 0, 0),
            syscall(308, 268, handle.value, 0x10000000),
            syscall(16, 29, handle.value, 0xC040FF0B, ctypes.create_string_buffer(256)),
        ):
            if got >= 0:
                return 'breached'
    return 'refused'
""",
        goal="mark",
        control="",
        why_no_control="the naive graders have no socket to another process",
    ),
    Attack(
        name="e20_timers_at_others",
        says="No timer can be made to signal another process.",
        program=NATIVE
        + """\
def solve(x):
    parent, me = os.getppid(), os.getpid()
    for other in {parent, 1, 2} - {me, 0}:
        event = (ctypes.c_int * 16)(0, 0, 9, 4, other)
        timer = ctypes.c_int(0)
        if syscall(222, 107, 1, ctypes.byref(event), ctypes.byref(timer))[1] == 0:
            return 'breached'
    return 'refused'
""",
        goal="mark",
        control="",
        why_no_control="the kernel aims timers at threads of the caller only",
    ),
    Attack(
        name="e21_lock_lists_of_others",
        says="A program cannot read or replace another process's list of locks.",
        program=NATIVE
        + """\
def solve(x):
    parent = os.getppid() or 1
    head, size = ctypes.c_void_p(0), ctypes.c_size_t(0)
    got, error = syscall(274, 100, parent, ctypes.byref(head), ctypes.byref(size))
    return 'breached' if error == 0 else 'refused'
""",
        goal="mark",
    ),
)
