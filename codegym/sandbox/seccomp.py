"""System-call filters: two filters in classic BPF, for x86_64 and aarch64.

The base filter confines a whole zygote: it is an allow list, and every other call fails with
EPERM. Each forked child adds the child filter before untrusted code runs: no new process, no exec,
no further filter, no descriptor passing. This module only assembles the filters; the launchers and
``codegym.sandbox.inside`` install them.

Source: the kernel's ``Documentation/userspace-api/seccomp_filter.rst`` and
``include/uapi/linux/{filter,seccomp,audit}.h``; numbers from ``asm/unistd_64.h`` and
``asm-generic/unistd.h``.
"""

import platform
import struct
from dataclasses import dataclass

from codegym.errors import SandboxUnavailableError

_LOAD, _JUMP_EQUAL, _JUMP_AT_LEAST, _JUMP_SET, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_NUMBER, _ARCHITECTURE, _ARGUMENTS = 0, 4, 16
ALLOW = 0x7FFF0000
KILL_PROCESS = 0x80000000
_ERRNO = 0x00050000
EPERM, EAGAIN, ENOTTY, ENOSYS = 1, 11, 25, 38
CLONE_THREAD = 0x00010000
# CLONE_NEW{NS,CGROUP,UTS,IPC,USER,PID,NET,TIME}
_CLONE_NEW = 0x7E020000 | 0x00000080
_X32_BIT = 0x40000000


@dataclass(frozen=True, slots=True)
class Architecture:
    """The audit word and the system-call numbers of one kind of machine."""

    name: str
    audit: int
    numbers: dict[str, int]


# fmt: off
_X86_64 = Architecture("x86_64", 0xC000003E, {
    "read": 0, "write": 1, "open": 2, "close": 3, "stat": 4, "fstat": 5, "lstat": 6, "poll": 7,
    "lseek": 8, "mmap": 9, "mprotect": 10, "munmap": 11, "brk": 12, "rt_sigaction": 13,
    "rt_sigprocmask": 14, "rt_sigreturn": 15, "ioctl": 16, "pread64": 17, "pwrite64": 18,
    "readv": 19, "writev": 20, "access": 21, "pipe": 22, "select": 23, "sched_yield": 24,
    "mremap": 25, "msync": 26, "mincore": 27, "madvise": 28, "dup": 32, "dup2": 33, "pause": 34,
    "nanosleep": 35, "getitimer": 36, "alarm": 37, "setitimer": 38, "getpid": 39, "sendto": 44,
    "recvfrom": 45, "recvmsg": 47, "shutdown": 48, "getsockname": 51,
    "getpeername": 52, "socketpair": 53, "getsockopt": 55, "clone": 56, "fork": 57, "vfork": 58,
    "execve": 59, "exit": 60, "wait4": 61, "kill": 62, "uname": 63, "fcntl": 72, 
    "fsync": 74, "fdatasync": 75, "ftruncate": 77, "getcwd": 79, "chdir": 80, "fchdir": 81,
    "readlink": 89, "umask": 95, "gettimeofday": 96, "getrlimit": 97, "getrusage": 98,
    "sysinfo": 99, "times": 100, "getuid": 102, "getgid": 104, "geteuid": 107, "getegid": 108,
    "getppid": 110, "getpgrp": 111, "getgroups": 115, "getresuid": 118, "getresgid": 120,
    "getpgid": 121, "getsid": 124, "capget": 125, "rt_sigpending": 127, "rt_sigtimedwait": 128,
    "rt_sigsuspend": 130, "sigaltstack": 131, "statfs": 137, "fstatfs": 138, "getpriority": 140,
    "sched_getparam": 143, "sched_getscheduler": 145, "prctl": 157, "arch_prctl": 158,
    "setrlimit": 160, "gettid": 186, "time": 201, "futex": 202, "sched_getaffinity": 204,
    "getdents64": 217, "set_tid_address": 218, "restart_syscall": 219, "fadvise64": 221,
    "timer_create": 222, "timer_settime": 223, "timer_gettime": 224, "timer_getoverrun": 225,
    "timer_delete": 226, "clock_gettime": 228, "clock_getres": 229, "clock_nanosleep": 230,
    "exit_group": 231, "epoll_wait": 232, "epoll_ctl": 233, "tgkill": 234, "waitid": 247,
    "openat": 257, "newfstatat": 262, "readlinkat": 267, "faccessat": 269, "pselect6": 270,
    "ppoll": 271, "set_robust_list": 273, "epoll_pwait": 281,
    "eventfd2": 290, "epoll_create1": 291, "dup3": 292, "pipe2": 293, "preadv": 295,
    "pwritev": 296, "prlimit64": 302, "getcpu": 309, "seccomp": 317, "getrandom": 318,
    "membarrier": 324, "copy_file_range": 326, "statx": 332, "rseq": 334, "pidfd_open": 434,
    "clone3": 435, "close_range": 436, "faccessat2": 439, "epoll_pwait2": 441,
})
_AARCH64 = Architecture("aarch64", 0xC00000B7, {
    "getcwd": 17, "eventfd2": 19, "epoll_create1": 20, "epoll_ctl": 21, "epoll_pwait": 22,
    "dup": 23, "dup3": 24, "fcntl": 25, "ioctl": 29, "statfs": 43, "fstatfs": 44,
    "ftruncate": 46, "faccessat": 48, "chdir": 49, "fchdir": 50, "openat": 56, "close": 57,
    "pipe2": 59, "getdents64": 61, "lseek": 62, "read": 63, "write": 64, "readv": 65,
    "writev": 66, "pread64": 67, "pwrite64": 68, "preadv": 69, "pwritev": 70, "pselect6": 72,
    "ppoll": 73, "readlinkat": 78, "newfstatat": 79, "fstat": 80, "fsync": 82, "fdatasync": 83,
    "capget": 90, "exit": 93, "exit_group": 94, "waitid": 95, "set_tid_address": 96, "futex": 98,
    "set_robust_list": 99, "nanosleep": 101, "getitimer": 102,
    "setitimer": 103, "timer_create": 107, "timer_gettime": 108, "timer_getoverrun": 109,
    "timer_settime": 110, "timer_delete": 111, "clock_gettime": 113, "clock_getres": 114,
    "clock_nanosleep": 115, "sched_getscheduler": 120, "sched_getparam": 121,
    "sched_getaffinity": 123, "sched_yield": 124, "restart_syscall": 128, "kill": 129,
    "tgkill": 131, "sigaltstack": 132, "rt_sigsuspend": 133, "rt_sigaction": 134,
    "rt_sigprocmask": 135, "rt_sigpending": 136, "rt_sigtimedwait": 137, "rt_sigreturn": 139,
    "getpriority": 141, "getresuid": 148, "getresgid": 150, "times": 153, "getpgid": 155,
    "getsid": 156, "getgroups": 158, "uname": 160, "getrlimit": 163, "setrlimit": 164,
    "getrusage": 165, "umask": 166, "prctl": 167, "getcpu": 168, "gettimeofday": 169,
    "getpid": 172, "getppid": 173, "getuid": 174, "geteuid": 175, "getgid": 176, "getegid": 177,
    "gettid": 178, "sysinfo": 179, "socketpair": 199, "getsockname": 204, "getpeername": 205,
    "sendto": 206, "recvfrom": 207, "getsockopt": 209, "shutdown": 210,
    "recvmsg": 212, "brk": 214, "munmap": 215, "mremap": 216, "clone": 220, "execve": 221,
    "mmap": 222, "fadvise64": 223, "mprotect": 226, "msync": 227, "mincore": 232,
    "madvise": 233, "wait4": 260, "prlimit64": 261, "seccomp": 277, "getrandom": 278,
    "membarrier": 283, "copy_file_range": 285, "statx": 291, "rseq": 293, "pidfd_open": 434,
    "clone3": 435, "close_range": 436, "faccessat2": 439, "epoll_pwait2": 441,
})
# fmt: on
ARCHITECTURES = {"x86_64": _X86_64, "aarch64": _AARCH64, "arm64": _AARCH64}

# System calls that are allowed with certain arguments only: argument index, accepted values, error.
_TERMINAL_IOCTLS = (0x5401, 0x541B, 0x5421, 0x5450, 0x5451)  # TCGETS FIONREAD FIO{NBIO,NCLEX,CLEX}
# PR_SET_PDEATHSIG, PR_{GET,SET}_DUMPABLE, PR_{SET,GET}_NAME, PR_SET_SECCOMP, PR_SET_NO_NEW_PRIVS,
# PR_SET_VMA (malloc names its arenas by it)
_PRCTLS = (1, 3, 4, 15, 16, 22, 38, 0x53564D41)
# Duplicate, read and set flags, ask for the size of a pipe: no locks, leases, owners or signals.
_FCNTLS = (0, 1, 2, 3, 4, 1030, 1032, 1034)
_BY_ARGUMENT = {
    "fcntl": (1, _FCNTLS, EPERM),
    "prlimit64": (0, (0,), EPERM),
    "socketpair": (0, (1,), EPERM),
    "ioctl": (1, _TERMINAL_IOCTLS, ENOTTY),
    "prctl": (0, _PRCTLS, EPERM),
}
_CHILD_DENIED = (
    "fork",
    "vfork",
    "execve",
    "seccomp",
    "pidfd_open",
    "prctl",
    "wait4",
    "waitid",
)
_SIGNALS = ("kill", "tgkill")
# What differs from run to run: entropy, process numbers, clocks, usage, and the order of threads.
_LUCK = (
    "getrandom getpid getppid gettid getpgid getpgrp getsid clock_gettime clock_getres "
    "gettimeofday time times getrusage sysinfo getcpu getitimer setitimer alarm timer_create "
    "timer_settime timer_gettime timer_getoverrun mincore sched_getaffinity clone"
).split()


def architecture(machine: str | None = None) -> Architecture:
    """Return the table of a machine, by default of this machine.

    Raises:
        SandboxUnavailableError: There is no table for the machine.
    """
    name = machine or platform.machine()
    if name not in ARCHITECTURES:
        raise SandboxUnavailableError(
            "there is no system-call filter for this processor",
            value=name,
            expected="x86_64 or aarch64",
            cure="run on one of these, or ask for isolation='unsafe'",
        )
    return ARCHITECTURES[name]


def base_filter(arch: Architecture) -> bytes:
    """Assemble the allow list around a zygote; unknown calls fail with EPERM."""
    numbers = arch.numbers
    program = _head(arch)
    # ENOSYS makes the C library fall back to clone, whose flags a filter can read.
    program += _case(numbers["clone3"], [_return(_ERRNO | ENOSYS)])
    program += _case(
        numbers["clone"],
        [
            _load(_ARGUMENTS),
            _jump(_JUMP_SET, _CLONE_NEW, 0, 1),
            _return(_ERRNO | EPERM),
            _return(ALLOW),
        ],
    )
    # sendto may not name an address: it could then reach sockets of the host.
    program += _case(
        numbers["sendto"],
        [
            _load(_ARGUMENTS + 8 * 4),
            _jump(_JUMP_EQUAL, 0, 0, 2),
            _load(_ARGUMENTS + 8 * 4 + 4),
            _jump(_JUMP_EQUAL, 0, 1, 0),
            _return(_ERRNO | EPERM),
            _return(ALLOW),
        ],
    )
    for name, (index, accepted, error) in _BY_ARGUMENT.items():
        body = [_load(_ARGUMENTS + 8 * index)]
        for position, value in enumerate(accepted):
            body.append(_jump(_JUMP_EQUAL, value, len(accepted) - position, 0))
        body += [_return(_ERRNO | error), _return(ALLOW)]
        program += _case(numbers[name], body)
    for name, number in sorted(numbers.items(), key=lambda item: item[1]):
        if name not in _BY_ARGUMENT and name not in ("clone", "clone3", "sendto"):
            program += _case(number, [_return(ALLOW)])
    program.append(_return(_ERRNO | EPERM))
    return b"".join(program)


def child_filters(arch: Architecture, *, signals: bool) -> tuple[bytes, bytes]:
    """Assemble the child filter without and with a penalty for luck; see ``child_filter``."""
    return child_filter(arch, signals=signals), child_filter(arch, signals=signals, luck=False)


def child_filter(arch: Architecture, *, signals: bool, luck: bool = True) -> bytes:
    """Assemble the deny list that each child adds before untrusted code runs.

    Args:
        arch: The machine.
        signals: Whether the child may send signals; True only in a separate process namespace.
        luck: Whether the child may use what differs from run to run; if not, that kills it.
    """
    numbers = arch.numbers
    program = _head(arch)
    for name in () if luck else _LUCK:
        if name in numbers:
            program += _case(numbers[name], [_return(KILL_PROCESS)])
    program += _case(
        numbers["clone"],
        [
            _load(_ARGUMENTS),
            _jump(_JUMP_SET, CLONE_THREAD, 0, 1),
            _return(ALLOW),
            _return(_ERRNO | EAGAIN),
        ],
    )
    for name in _CHILD_DENIED + (() if signals else _SIGNALS):
        if name in numbers:
            program += _case(numbers[name], [_return(_ERRNO | EPERM)])
    program.append(_return(ALLOW))
    return b"".join(program)


def _head(arch: Architecture) -> list[bytes]:
    head = [
        _load(_ARCHITECTURE),
        _jump(_JUMP_EQUAL, arch.audit, 1, 0),
        _return(KILL_PROCESS),
        _load(_NUMBER),
    ]
    if arch.name == "x86_64":  # the x32 entry shares the audit word
        head += [_jump(_JUMP_AT_LEAST, _X32_BIT, 0, 1), _return(_ERRNO | ENOSYS)]
    return head


def _case(number: int, body: list[bytes]) -> list[bytes]:
    return [_jump(_JUMP_EQUAL, number, 0, len(body)), *body]


def _load(offset: int) -> bytes:
    return struct.pack("=HBBI", _LOAD, 0, 0, offset)


def _jump(code: int, value: int, if_true: int, if_false: int) -> bytes:
    return struct.pack("=HBBI", code, if_true, if_false, value)


def _return(value: int) -> bytes:
    return struct.pack("=HBBI", _RETURN, 0, 0, value)
