"""Confinement: system calls by which a process confines itself (prctl, seccomp, Landlock).

Source: ``Documentation/userspace-api/landlock.rst`` (system calls 444 to 446 on every machine).
"""

import contextlib
import ctypes
import os
import resource

_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_SET_CHILD_SUBREAPER = 1, 4, 36
_PR_SET_SECCOMP, _PR_SET_NO_NEW_PRIVS, _SECCOMP_MODE_FILTER = 22, 38, 2
_LANDLOCK_CREATE_RULESET, _LANDLOCK_ADD_RULE, _LANDLOCK_RESTRICT_SELF = 444, 445, 446
_WRITE_FILE, _READ_FILE, _READ_DIR, _TRUNCATE = 1 << 1, 1 << 2, 1 << 3, 1 << 14
_ALL_FILES_ABI_1 = (1 << 13) - 1
# Rights that later ABIs of Landlock can remove: refer, truncate, ioctl on devices.
_LATER_RIGHTS = {2: 1 << 13, 3: _TRUNCATE, 5: 1 << 15}

_M_ARENA_MAX = -8
_SIG_UNBLOCK, _SIGNAL_SET_BYTES = 1, 128
_libc = ctypes.CDLL(None, use_errno=True)
# Calls in a new fork: each page that a fork writes costs a page fault, and the usual way into the
# C library (argument types, errno, the lock of the interpreter; the modules resource and signal)
# writes four times as many.
_quick = ctypes.PyDLL(None)
_DIE_WITH_PARENT = tuple(ctypes.c_ulong(each) for each in (_PR_SET_PDEATHSIG, 9, 0, 0, 0))
_pair = (ctypes.c_ulong * 2)()
_REHEARSALS = 40
_pair_at = ctypes.c_void_p(ctypes.addressof(_pair))
_libc.prctl.argtypes = [ctypes.c_int] + [ctypes.c_ulong] * 4


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_void_p))


class _PathBeneath(ctypes.Structure):
    _pack_ = 1
    _layout_ = "ms"
    _fields_ = (("allowed", ctypes.c_uint64), ("fd", ctypes.c_int32))


def _prctl(option: int, first: int, second: int = 0) -> None:
    if _libc.prctl(option, first, second, 0, 0):
        error = ctypes.get_errno()
        raise OSError(error, f"prctl {option}: {os.strerror(error)}")


def _quick_prctl(arguments: tuple[ctypes.c_ulong, ...]) -> None:
    if _quick.prctl(*arguments):
        raise OSError(f"the kernel refuses prctl {arguments[0].value}")


def die_with_parent() -> None:
    """Ask the kernel to kill this process when its parent dies."""
    _quick_prctl(_DIE_WITH_PARENT)


def set_limit(kind: int, soft: int, hard: int) -> None:
    """Set a resource limit of this process, a new fork.

    Raises:
        OSError: The kernel refuses.
    """
    _pair[0], _pair[1] = soft, hard
    if _quick.setrlimit(kind, _pair_at):
        raise OSError(f"the kernel refuses limit {kind}: {soft}, {hard}")


class SignalSet:
    """A set of signals, laid out in memory in advance.

    Args:
        numbers: The signals.
    """

    def __init__(self, *numbers: int) -> None:
        bits = sum(1 << (number - 1) for number in numbers)
        self._bits = ctypes.create_string_buffer(
            bits.to_bytes(_SIGNAL_SET_BYTES, "little"), _SIGNAL_SET_BYTES
        )
        self._at = ctypes.c_void_p(ctypes.addressof(self._bits))

    def unblock(self) -> None:
        """Let this process, a new fork, receive the signals."""
        _quick.pthread_sigmask(_SIG_UNBLOCK, self._at, None)


def rehearse() -> None:
    """Make the calls of a new fork in a zygote; see ``candidate.rehearse``."""
    nothing = SignalSet()
    for _ in range(_REHEARSALS):
        nothing.unblock()
        die_with_parent()  # holds for the zygote already
        soft, hard = resource.getrlimit(resource.RLIMIT_CORE)
        set_limit(resource.RLIMIT_CORE, soft, hard)


def adopt_orphans() -> None:
    """Become the parent of descendants whose parent dies, so that they can be reaped."""
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def forbid_tracing() -> None:
    """Keep processes of the same user from tracing this one or reading its memory."""
    _prctl(_PR_SET_DUMPABLE, 0)


class Filter:
    """A seccomp filter, laid out in memory in advance so that its installation is a single call."""

    def __init__(self, program: bytes) -> None:
        self._code = ctypes.create_string_buffer(program, len(program))
        self._program = _Program(len(program) // 8, ctypes.addressof(self._code))
        address = ctypes.addressof(self._program)
        numbers = (_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, address, 0, 0)
        self._arguments = tuple(ctypes.c_ulong(number) for number in numbers)

    def install(self) -> None:
        """Add the filter to this process and its descendants.

        Raises:
            OSError: The kernel refuses.
        """
        _quick_prctl(self._arguments)


class Lock:
    """Confinement of each fork, beside its limits.

    Args:
        locked: The system-call filter that the fork installs before untrusted code runs, if any.
        isolation: Name of the isolation; decides how to clean up after a fork.
        clockless: Whether reading a clock, the times of a file or an address ends the fork.
    """

    def __init__(self, locked: Filter | None, isolation: str, *, clockless: bool) -> None:
        self._filter = locked
        self.isolation = isolation
        self._clockless = clockless

    def follow(self, parent: int) -> bool:
        """Make this process, a new fork, die with its parent; return False if that is dead.

        Args:
            parent: The parent's process id.
        """
        if parent == 1:  # its death ends the namespace
            return True
        die_with_parent()  # a fork does not inherit this
        return os.getppid() == parent

    def close(self) -> None:
        """Confine this process, a new fork."""
        if self._clockless:
            # Imported only here: the forks of an ordinary zygote do not need it.
            from codegym.sandbox.inside.clockless import forbid_luck

            forbid_luck()
        if self._filter is not None:
            self._filter.install()


def share_one_arena() -> None:
    """Let all threads allocate from one arena; each arena reserves 64 MiB of address space."""
    with contextlib.suppress(AttributeError):  # a C library without arenas
        _libc.mallopt(_M_ARENA_MAX, 1)


def no_new_privileges() -> None:
    """Disable new privileges by exec; the kernel requires this for unprivileged filters."""
    _prctl(_PR_SET_NO_NEW_PRIVS, 1)


def landlock_version() -> int:
    """Return the kernel's Landlock ABI, 0 if it has none."""
    version: int = _libc.syscall(_LANDLOCK_CREATE_RULESET, None, ctypes.c_size_t(0), 1)
    return max(0, version)


def landlock(readable: list[str], listable: list[str]) -> int:
    """Forbid access to files, TCP and signals to other processes, except reading some paths.

    Args:
        readable: Files and folders that may be read, folders with everything below them.
        listable: Folders whose entries may be listed.

    Returns:
        The ABI that was used. Below ABI 4 only the system-call filter refuses TCP, below ABI 6
        only it refuses signals.

    Raises:
        OSError: The kernel has no Landlock, or refuses.
    """
    abi = landlock_version()
    if abi < 1:
        raise OSError("no Landlock in this kernel")
    files = _ALL_FILES_ABI_1
    for version, right in _LATER_RIGHTS.items():
        files |= right if abi >= version else 0
    attributes = (ctypes.c_uint64 * 3)(files, 3 if abi >= 4 else 0, 3 if abi >= 6 else 0)
    size = 24 if abi >= 6 else 16 if abi >= 4 else 8
    ruleset = _call(_LANDLOCK_CREATE_RULESET, ctypes.byref(attributes), ctypes.c_size_t(size), 0)
    for path in readable:
        _allow(ruleset, path, _READ_FILE | _READ_DIR)
    for path in listable:
        _allow(ruleset, path, _READ_DIR)
    _allow(ruleset, "/dev/null", (_READ_FILE | _WRITE_FILE | _TRUNCATE) & files)
    no_new_privileges()
    _call(_LANDLOCK_RESTRICT_SELF, ruleset, 0)
    os.close(ruleset)
    return abi


def _allow(ruleset: int, path: str, rights: int) -> None:
    try:
        fd = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        rights = rights if os.path.isdir(path) else rights & ~_READ_DIR
        rule = _PathBeneath(rights, fd)
        _call(_LANDLOCK_ADD_RULE, ruleset, 1, ctypes.byref(rule), 0)
    finally:
        os.close(fd)


def _call(number: int, *arguments: object) -> int:
    result: int = _libc.syscall(number, *arguments)
    if result < 0:
        error = ctypes.get_errno()
        raise OSError(error, f"system call {number}: {os.strerror(error)}")
    return result
