"""Class i, the kernel's surface: system calls that no honest program needs.

A call is reached if it succeeds, or fails for another reason than a refusal (EPERM, EACCES,
ENOSYS): if the kernel notices a wrong argument, the kernel's code was entered.
"""

from codegym.bench.attack_corpus.attack import NATIVE, Attack

_ROOT_ONLY = "kernels refuse it to ordinary users in any case"


def _calls(name: str, says: str, calls: str, **rest: object) -> Attack:
    """Make an attack that tries system calls: lines of ``('name', x86_64, aarch64, *args)``."""
    body = "".join(f"        {line.strip()}\n" for line in calls.strip().split("\n"))
    return Attack(
        name=name,
        says=says,
        program=f"{NATIVE}def solve(x):\n    room = ctypes.create_string_buffer(4096)\n"
        f"    return reached(\n{body}    )\n",
        goal="mark",
        **rest,  # type: ignore[arg-type]
    )


# Machine code is mapped writable, then executable; a filter that refuses this blocks the attack.
_MACHINE_CODE = """\
import mmap


def run(code):
    page = mmap.mmap(-1, 4096, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | 0x40,
                     mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    page.write(code)
    address = ctypes.addressof(ctypes.c_char.from_buffer(page))
    return ctypes.CFUNCTYPE(ctypes.c_int)(address)()


"""

ATTACKS = (
    _calls(
        "i01_namespaces",
        "No new namespace can be made or entered.",
        """
        ('unshare user', 272, 97, 0x10000000),
        ('unshare mount', 272, 97, 0x00020000),
        ('unshare net', 272, 97, 0x40000000),
        ('setns', 308, 268, 0, 0),
        """,
    ),
    _calls(
        "i02_mounts",
        "No call that mounts, unmounts or moves a file system is reached.",
        """
        ('mount', 165, 40, None, None, None, 0, None),
        ('umount2', 166, 39, None, 0),
        ('pivot_root', 155, 41, None, None),
        ('chroot', 161, 51, None),
        """,
    ),
    _calls(
        "i03_new_mount_interface",
        "The newer mount calls are not reached.",
        """
        ('open_tree', 428, 428, -1, None, 0xFFFF),
        ('move_mount', 429, 429, -1, None, -1, None, 0xFFFF),
        ('fsopen', 430, 430, None, 0xFF),
        ('fsconfig', 431, 431, -1, 0, None, None, 0),
        ('fsmount', 432, 432, -1, 0xFF, 0),
        ('fspick', 433, 433, -1, None, 0xFF),
        ('mount_setattr', 442, 442, -1, None, 0xFFFF, None, 0),
        """,
    ),
    _calls(
        "i04_bpf_and_perf",
        "Neither bpf nor perf_event_open is reached.",
        """
        ('bpf', 321, 280, 0, room, 9999),
        ('perf_event_open', 298, 241, None, 0, -1, -1, 0),
        """,
    ),
    _calls(
        "i05_io_uring",
        "io_uring, which would pass by every filter, is not reached.",
        """
        ('io_uring_setup', 425, 425, 1, room),
        ('io_uring_enter', 426, 426, -1, 0, 0, 0, None, 0),
        ('io_uring_register', 427, 427, -1, 0, None, 0),
        """,
    ),
    _calls(
        "i06_userfaultfd",
        "userfaultfd, the usual helper of kernel exploits, is not reached.",
        """
        ('userfaultfd', 323, 282, 1),
        ('userfaultfd', 323, 282, 0xFFFF),
        """,
    ),
    _calls(
        "i07_tracing",
        "No tracing or inspection of processes, not even of oneself, is reached.",
        """
        ('ptrace', 101, 117, 0, 0, 0, 0),
        ('process_vm_readv', 310, 270, 1, None, 1, None, 1, 0),
        ('process_madvise', 440, 440, -1, None, 0, 0, 0),
        ('kcmp', 312, 272, 1, 1, 99, 0, 0),
        ('pidfd_getfd', 438, 438, -1, 0, 0),
        """,
    ),
    _calls(
        "i08_personality",
        "The execution domain cannot be changed (READ_IMPLIES_EXEC, no address randomising).",
        "('personality', 135, 92, 0x0440000),",
    ),
    _calls(
        "i09_modules_and_boot",
        "Calls that load modules, boot kernels or swap are not reached.",
        """
        ('init_module', 175, 105, None, 0, None),
        ('finit_module', 313, 273, -1, None, 0),
        ('delete_module', 176, 106, None, 0),
        ('kexec_load', 246, 104, 0, 99, None, 0),
        ('reboot', 169, 142, 1, 2, 3, None),
        ('swapon', 167, 224, None, 0),
        ('acct', 163, 89, room),
        ('quotactl', 179, 60, 0, None, 0, None),
        ('syslog', 103, 116, 3, room, 0),
        """,
    ),
    _calls(
        "i10_clocks",
        "No clock of the system can be set or adjusted.",
        """
        ('settimeofday', 164, 170, 1, None),
        ('clock_settime', 227, 112, 0, None),
        ('adjtimex', 159, 171, None),
        ('clock_adjtime', 305, 266, 0, None),
        """,
    ),
    Attack(
        name="i11_x32",
        says="System calls of the x32 interface are refused.",
        program=NATIVE
        + """\
def solve(x):
    if not X86:
        return 'not here'
    said = [syscall(0x40000000 | number, None) for number in (39, 102, 318, 520, 534)]
    return 'breached' if any(error not in REFUSED for _, error in said) else repr(said)
""",
        goal="mark",
        control="",
        why_no_control="kernels of today are built without it",
    ),
    Attack(
        name="i12_interrupt_0x80",
        says="System calls of the 32-bit interface are refused or end the program.",
        program=NATIVE
        + _MACHINE_CODE
        + """\
def solve(x):
    if not X86:
        return 'not here'
    # push rbx; mov eax, 20 (getpid); int 0x80; pop rbx; ret
    got = run(b'\\x53\\xb8\\x14\\x00\\x00\\x00\\xcd\\x80\\x5b\\xc3')
    return 'breached' if got == os.getpid() else got
""",
        goal="mark",
    ),
    _calls(
        "i13_high_bits",
        "A call's number with bits set above the 32nd is the same call, and is refused.",
        """
        ('unshare', 272 | 1 << 32, 97 | 1 << 32, 0x10000000),
        ('mount', 165 | 1 << 40, 40 | 1 << 40, None, None, None, 0, None),
        ('ptrace', 101 | 1 << 63, 117 | 1 << 62, 0, 0, 0, 0),
        """,
    ),
    _calls(
        "i14_descriptor_tables",
        "Calls that alter segments and ports are not reached.",
        """
        ('modify_ldt', 154, None, 0, room, 4096),
        ('iopl', 172, None, 9),
        ('ioperm', 173, None, 0, 0xFFFFFF, 1),
        """,
    ),
    _calls(
        "i15_secret_and_executable_memory",
        "Memory that files or the kernel hide (memfd, memfd_secret, remap) is not reached.",
        """
        ('memfd_create', 319, 279, room, 0),
        ('memfd_secret', 447, 447, 0xFFFF),
        ('remap_file_pages', 216, 234, 1, 0, 0, 0, 0),
        """,
    ),
    _calls(
        "i16_exec_of_descriptors",
        "No form of exec is reached.",
        """
        ('execve', 59, 221, None, None, None),
        ('execveat', 322, 281, -1, None, None, None, 0),
        ('uselib', 134, None, None),
        """,
    ),
    _calls(
        "i17_handles_and_watches",
        "File handles and watches on the host's files are not reached.",
        """
        ('open_by_handle_at', 304, 265, -1, None, 0),
        ('fanotify_init', 300, 262, 0xFFFFFFF, 0),
        ('lookup_dcookie', 212, 18, 0, None, 0),
        """,
    ),
    _calls(
        "i18_numa_and_pages",
        "Calls that move the pages of processes are not reached.",
        """
        ('mbind', 237, 235, 1, 0, 99, None, 0, 0),
        ('set_mempolicy', 238, 237, 99, None, 0),
        ('migrate_pages', 256, 238, 0, 0, None, None),
        ('move_pages', 279, 239, 0, 1, None, None, None, 0),
        """,
    ),
    _calls(
        "i19_asynchronous_io",
        "The old asynchronous calls and zero-copy splicing are not reached.",
        """
        ('io_setup', 206, 0, 0, None),
        ('vmsplice', 278, 75, -1, None, 1, 0xFF),
        ('splice', 275, 76, -1, None, -1, None, 1, 0),
        ('tee', 276, 77, -1, -1, 1, 0),
        """,
    ),
    _calls(
        "i20_queues_and_system_v",
        "System V and POSIX message calls are not reached.",
        """
        ('shmget', 29, 194, 0, 0, 0o1600),
        ('semget', 64, 190, 0, 0, 0o1600),
        ('msgget', 68, 186, 1, 0),
        ('mq_open', 240, 180, None, 0, 0, None),
        """,
    ),
    _calls(
        "i21_filters_of_its_own",
        "A program cannot install filters of its own, nor be told of another's calls.",
        """
        ('seccomp', 317, 277, 99, 0, None),
        ('prctl seccomp', 157, 167, 22, 99, None, 0, 0),
        ('landlock', 444, 444, None, 0, 1),
        """,
    ),
    _calls(
        "i22_identity",
        "No identity but the program's own can be taken.",
        """
        ('setuid 0', 105, 146, 0) if os.getuid() else ('', None, None),
        ('capset', 126, 91, None, None),
        ('setgroups', 116, 159, 0x7FFFFFFF, None),
        ('prctl keepcaps', 157, 167, 8, 1, 0, 0, 0),
        """,
    ),
    Attack(
        name="i23_odd_controls",
        says="No ioctl is reached that sends signals, pushes characters or reads queues.",
        program=NATIVE
        + """\
import socket


def solve(x):
    try:
        ends = [end.detach() for end in socket.socketpair()]
    except OSError:
        ends = []
    room = ctypes.create_string_buffer((os.getpid()).to_bytes(8, 'little'), 4096)
    for fd in (*ends, 0, 1, 2):
        # FIOSETOWN, SIOCSPGRP, FIOASYNC, SIOCOUTQ, TIOCSTI, TIOCLINUX, FS_IOC_SETFLAGS
        for request in (0x8901, 0x8902, 0x5452, 0x5411, 0x5412, 0x541C, 0x40086602):
            for high in (0, 1 << 32):
                if syscall(16, 29, fd, request | high, room)[0] == 0:
                    return 'breached'
    for fd in ends:
        os.close(fd)
    return 'refused'
""",
        goal="mark",
    ),
    _calls(
        "i24_newest_calls",
        "Calls newer than the filter (futex2, cachestat, statmount, lsm, mseal) are refused.",
        """
        ('quotactl_fd', 443, 443, -1, 0, 0, None),
        ('process_mrelease', 448, 448, -1, 0),
        ('set_mempolicy_home_node', 450, 450, 0, 0, 0, 0),
        ('cachestat', 451, 451, -1, None, None, 0xFF),
        ('map_shadow_stack', 453, 453, 0, 0, 0xFF),
        ('statmount', 457, 457, None, None, 0, 0),
        ('listmount', 458, 458, None, None, 0, 0),
        ('lsm_list_modules', 461, 461, None, None, 0),
        ('one not yet made', 900, 900, 0),
        """,
    ),
    Attack(
        name="i25_memory_of_others",
        says="Calls that advise on, release or compare the memory of processes are not reached.",
        program=NATIVE
        + """\
def solve(x):
    return reached(
        ('process_madvise', 440, 440, -1, 0, 0, 8, 0),
        ('process_mrelease', 448, 448, -1, 0),
        ('kcmp', 312, 272, os.getpid(), os.getpid(), 0, 0, 0),
        ('pidfd_send_signal', 424, 424, -1, 0, 0, 0),
        ('pidfd_getfd', 438, 438, -1, 0, 0),
        ('set_mempolicy_home_node', 450, 450, 0, 0, 0, 0),
    )
""",
        goal="mark",
    ),
)
