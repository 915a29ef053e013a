"""System-call filters of both machines, run by a small interpreter of classic BPF."""

import re
import struct
from pathlib import Path

import pytest

from codegym.errors import SandboxUnavailableError
from codegym.sandbox import seccomp

MACHINES = ["x86_64", "aarch64"]
ERRNO = 0x00050000


def verdict(program, audit, number, *arguments):
    """Run a filter on one system call; return its action."""
    words = [*arguments, *[0] * (6 - len(arguments))]
    data = struct.pack("=iIQ6Q", number, audit, 0, *words)
    steps = list(struct.iter_unpack("=HBBI", program))
    accumulator, position = 0, 0
    while True:
        code, if_true, if_false, value = steps[position]
        position += 1
        if code == 0x20:
            accumulator = struct.unpack_from("=I", data, value)[0]
        elif code == 0x06:
            return value
        else:
            tests = {0x15: accumulator == value, 0x35: accumulator >= value,
                     0x45: bool(accumulator & value)}  # fmt: skip
            position += if_true if tests[code] else if_false


@pytest.fixture(params=MACHINES)
def base(request):
    arch = seccomp.architecture(request.param)
    program = seccomp.base_filter(arch)
    return lambda name, *arguments: verdict(
        program, arch.audit, arch.numbers[name] if isinstance(name, str) else name, *arguments
    )


@pytest.fixture(params=[(machine, signals) for machine in MACHINES for signals in (True, False)])
def child(request):
    machine, signals = request.param
    arch = seccomp.architecture(machine)
    program = seccomp.child_filter(arch, signals=signals)
    return signals, lambda name, *arguments: verdict(
        program, arch.audit, arch.numbers[name], *arguments
    )


def test_the_zygote_may_work(base):
    for name in ("read", "write", "mmap", "futex", "execve", "wait4", "kill", "exit_group"):
        assert base(name) == seccomp.ALLOW
    assert base("clone", 17) == seccomp.ALLOW  # fork: SIGCHLD alone
    assert base("prlimit64", 0) == seccomp.ALLOW
    assert base("prctl", 22) == seccomp.ALLOW
    assert base("socketpair", 1) == seccomp.ALLOW


def test_everything_unknown_is_refused(base):
    for number in (*range(442, 600), 1000, 0x3FFFFFFF):
        assert base(number) == ERRNO | seccomp.EPERM


# socket, sendmsg, sendmmsg, flock, ptrace, mount, unshare, bpf, memfd_create, io_uring_setup,
# userfaultfd, keyctl, shmget,
# perf_event_open, process_vm_readv, setns, personality, pidfd_getfd
REFUSED = {
    "x86_64": (
        41,
        46,
        307,
        73,
        101,
        165,
        272,
        321,
        319,
        425,
        323,
        250,
        29,
        298,
        310,
        308,
        135,
        438,
    ),
    "aarch64": (
        198,
        211,
        269,
        32,
        117,
        40,
        97,
        280,
        279,
        425,
        282,
        219,
        194,
        241,
        270,
        268,
        92,
        438,
        100,  # get_robust_list: an address in another process
    ),
}


HEADERS = {
    "x86_64": ("/usr/include/x86_64-linux-gnu/asm/unistd_64.h", "/usr/include/asm/unistd_64.h"),
    "aarch64": ("/usr/include/asm-generic/unistd.h",),
}


@pytest.mark.parametrize("machine", MACHINES)
def test_the_numbers_are_the_kernels(machine):
    found = [Path(path) for path in HEADERS[machine] if Path(path).is_file()]
    if not found:
        pytest.skip("the kernel's headers are not installed")
    words = re.findall(r"#define\s+__NR(?:3264)?_(\w+)\s+(\d+)", found[0].read_text())
    kernels = {name: int(number) for name, number in words}
    kernels.setdefault("newfstatat", kernels.get("fstatat", -1))
    ours = seccomp.architecture(machine).numbers
    assert len(kernels) > 250 and ours == {name: kernels[name] for name in ours}


@pytest.mark.parametrize("machine", MACHINES)
def test_the_dangerous_calls_are_refused(machine):
    arch = seccomp.architecture(machine)
    program = seccomp.base_filter(arch)
    for number in REFUSED[machine]:
        assert verdict(program, arch.audit, number) == ERRNO | seccomp.EPERM


def test_arguments_are_looked_at(base):
    for flag in (0x10000000, 0x20000000, 0x40000000, 0x00020000, 0x08000000, 0x80):
        assert base("clone", 17 | flag) == ERRNO | seccomp.EPERM
    assert base("prlimit64", 1) == ERRNO | seccomp.EPERM
    assert base("socketpair", 2) == ERRNO | seccomp.EPERM
    assert base("prctl", 36) == ERRNO | seccomp.EPERM
    assert base("ioctl", 0, 0x5401) == seccomp.ALLOW
    assert base("ioctl", 0, 0x5412) == ERRNO | seccomp.ENOTTY  # TIOCSTI
    for command in (6, 8, 10, 15, 1024, 1026):  # locks, owners, signals, leases, notifications
        assert base("fcntl", 0, command) == ERRNO | seccomp.EPERM
    assert base("fcntl", 0, 3) == base("fcntl", 0, 1030) == seccomp.ALLOW
    assert base("sendto", 3, 0x1000, 5, 0, 0, 0) == seccomp.ALLOW
    for address in (0x1000, 0x7F00_0000_0000):
        assert base("sendto", 3, 0x1000, 5, 0, address, 16) == ERRNO | seccomp.EPERM
    assert base("clone3") == ERRNO | seccomp.ENOSYS


def test_a_foreign_architecture_kills():
    for machine, other in (("x86_64", 0x40000003), ("aarch64", 0x40000028)):
        program = seccomp.base_filter(seccomp.architecture(machine))
        assert verdict(program, other, 0) == seccomp.KILL_PROCESS
    x86 = seccomp.architecture("x86_64")
    assert verdict(seccomp.base_filter(x86), x86.audit, 0x40000000) == ERRNO | seccomp.ENOSYS


def test_a_child_may_start_threads_and_nothing_else(child):
    signals, call = child
    assert call("clone", 0x3D0F00) == seccomp.ALLOW
    assert call("clone", 17) == ERRNO | seccomp.EAGAIN
    for name in ("execve", "seccomp", "prctl", "pidfd_open", "wait4"):
        assert call(name) == ERRNO | seccomp.EPERM
    assert call("kill") == (seccomp.ALLOW if signals else ERRNO | seccomp.EPERM)
    assert call("read") == seccomp.ALLOW


def test_jumps_fit_their_eight_bits():
    for machine in MACHINES:
        arch = seccomp.architecture(machine)
        assert len(seccomp.base_filter(arch)) // 8 < 4096
        assert set(arch.numbers) >= set(seccomp._BY_ARGUMENT)


def test_another_processor_is_refused_with_a_cure():
    with pytest.raises(SandboxUnavailableError, match=r"riscv64.*x86_64 or aarch64"):
        seccomp.architecture("riscv64")
