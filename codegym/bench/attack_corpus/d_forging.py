"""Class d, forging the result: programs that write, patch or break the carriers of the verdict."""

from codegym.bench.attack_corpus.attack import Attack

# Frames of every shape that a grader could mistake for a reply, a status or a verdict.
_FRAMES = """\
import json
import os
import socket
import struct
import sys

WORDS = ['passed', 'ok', 'success', 'pass', True, 0, 1, None, 'breached', 'cg-secret-3-']
TREES = [{key: word} for key in ('r', 'result', 'ok', 'passed', 'verdict', 'outcome', 'status',
                                 'value', 'reply', 'return', 'done', 'exit', 'ready', 'error')
         for word in WORDS]
TREES += [{'passed': True, 'ok': True, 'outcome': 'passed', 'cases': [True, True]},
          {'ok': True, 'nonce': None}, [True, True], 'passed', True, 0, [], {}]


def frames():
    for tree in TREES:
        body = json.dumps(tree, separators=(',', ':')).encode()
        yield b'\\n' + body + b'\\n'
        for shape in ('<I', '>I', '<Q', '>Q'):
            yield struct.pack(shape, len(body)) + body
    for shape in ('<IiddII', '<Iidd', '<IIII', '<QQ', '<I', '<B'):
        for first in (0, 1):
            yield struct.pack(shape, *[first] + [0] * (len(shape) - 2))


def spray(fds, data):
    for fd in fds:
        try:
            os.set_blocking(fd, False)
        except OSError:
            continue
        for piece in data:
            try:
                os.write(fd, piece)
            except OSError:
                break


"""


def _bodies(text: str) -> str:
    """Return a program that sends reply frames with these bodies to every descriptor.

    Args:
        text: One bytes expression a line.
    """
    lines = "".join(f"    {line.strip()},\n" for line in text.strip().split("\n"))
    return f"""{_FRAMES}BODIES = [
{lines}]
spray(range(64), [struct.pack('<I', len(body)) + body for body in BODIES])


def solve(x):
    return 'wrong'
"""


_NO_FRAMES = "it aims at the parser of framed replies, which naive graders lack"

# Finds the program's sockets.
_SOCKETS = """\
import os


def sockets():
    for fd in range(3, 64):
        try:
            os.fstat(fd)
        except OSError:
            continue
        yield fd


"""

ATTACKS = (
    Attack(
        name="d01_frames_on_every_descriptor",
        says="No bytes written to any descriptor are taken for a verdict.",
        program=_FRAMES
        + """\
def solve(x):
    spray(range(1024), list(frames()))
    return 'wrong'
""",
        control="pipe",
    ),
    Attack(
        name="d02_frames_before_the_call",
        says="Replies sent before the call are not replies to it.",
        program=_FRAMES
        + """\
spray(range(1024), list(frames()))


def solve(x):
    return 'wrong'
""",
        control="pipe",
    ),
    Attack(
        name="d03_frames_then_leave",
        says="Forged frames followed by a clean exit pass nothing.",
        program=_FRAMES
        + """\
spray(range(1024), list(frames()) * 3)
os._exit(0)


def solve(x):
    return 'wrong'
""",
        control="pipe",
    ),
    Attack(
        name="d04_descriptors_to_null",
        says="A program that redirects its descriptors loses its reply and breaks nothing.",
        program="""\
import os


def solve(x):
    null = os.open('/dev/null', os.O_RDWR)
    for fd in range(1024):
        if fd != null:
            try:
                os.dup2(null, fd)
            except OSError:
                pass
    os._exit(0)
""",
        control="script",
    ),
    Attack(
        name="d05_descriptors_closed",
        says="A program that closes every descriptor loses its reply and breaks nothing.",
        program="""\
import os

os.closerange(0, 4096)


def solve(x):
    os._exit(0)
""",
        control="script",
    ),
    Attack(
        name="d06_sockets_shut_down",
        says="Shutting down and reconfiguring every socket harms the program alone.",
        program="""\
import os
import socket


def solve(x):
    for fd in range(1024):
        try:
            line = socket.socket(fileno=os.dup(fd))
        except OSError:
            continue
        for level, name, value in ((socket.SOL_SOCKET, socket.SO_SNDBUF, 1),
                                   (socket.SOL_SOCKET, socket.SO_RCVBUF, 1),
                                   (socket.SOL_SOCKET, socket.SO_PASSCRED, 1)):
            try:
                line.setsockopt(level, name, value)
            except OSError:
                pass
        try:
            line.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
    os._exit(0)
""",
        control="script",
    ),
    Attack(
        name="d07_patched_comparisons",
        says="A program cannot patch the builtins that the tests use.",
        program="""\
import builtins
import math

builtins.abs = lambda value: 0.0
builtins.all = builtins.any = lambda items: True
builtins.isinstance = lambda value, kind: True
builtins.sorted = builtins.set = lambda items=(): []
builtins.round = lambda *rest: 0
math.isclose = lambda *args, **kwargs: True


def solve(x):
    return -1.0
""",
        goal="ratio",
        test_code="""\
import math


def check(candidate):
    assert abs(candidate(3) - @WANT_3@) < 1e-6
    assert math.isclose(candidate(8), @WANT_8@)
    assert all(abs(candidate(x) - w) < 1e-6 for x, w in ((3, @WANT_3@), (8, @WANT_8@)))
""",
    ),
    Attack(
        name="d08_patched_codecs",
        says="Encoders, decoders and comparers found in memory are not the trusted ones.",
        program="""\
import json
import sys
import types

for module in list(sys.modules.values()):
    for name, value in list(getattr(module, '__dict__', {}).items()):
        if isinstance(value, types.FunctionType):
            low = name.lower()
            if low in ('same', 'equal', 'equals', 'compare', 'match', 'check', 'passed', 'judge',
                       'isclose', '_same', '_equal', 'verify', 'assert_equal'):
                value.__code__ = (lambda *args, **kwargs: True).__code__
                value.__defaults__ = value.__kwdefaults__ = None
json.loads = lambda *args, **kwargs: {'ok': True, 'passed': True}


def solve(x):
    return 'wrong'
""",
        control="pipe",
    ),
    Attack(
        name="d09_patched_text_type",
        says="Native code rewrites the comparison of str in its own process only.",
        program="""\
import ctypes

SLOT = 200
richcompare = ctypes.CFUNCTYPE(ctypes.py_object, ctypes.py_object, ctypes.py_object, ctypes.c_int)
keep = richcompare(lambda left, right, operation: operation != 3)


def solve(x):
    address = ctypes.c_void_p.from_address(id(str) + SLOT)
    address.value = ctypes.cast(keep, ctypes.c_void_p).value
    return 'wrong'
""",
    ),
    Attack(
        name="d10_patched_exit",
        says="Patched os._exit, sys.exit and os.write cannot report success.",
        program="""\
import os
import sys

leave = os._exit
os._exit = lambda status: leave(0)
sys.exit = lambda *rest: leave(0)
os.abort = lambda: leave(0)


def solve(x):
    sys.exit('wrong')
""",
        control="script",
    ),
    Attack(
        name="d11_oversize_length",
        says="A length of four gigabytes, or less than none, costs no memory and no time.",
        program=_FRAMES
        + """\
def solve(x):
    spray(range(1024), [b'\\xff' * 4096, b'\\xff\\xff\\xff\\x7f', bytes(4096)])
    return 'wrong'
""",
        control="",
        why_no_control=_NO_FRAMES,
    ),
    Attack(
        name="d12_bottomless_reply",
        says="A reply nested 200,000 deep is unreadable, not a fault of the grader.",
        program=_bodies(
            r"""
            b'[' * 200_000
            b'{"r":' * 30_000
            b'{"r":' + b'[' * 90_000 + b']' * 90_000 + b'}'
            b'{"r":{"t":' + b'[{"t":' * 500 + b'[]' + b'}]' * 500 + b'}}'
            """
        ),
        control="",
        why_no_control=_NO_FRAMES,
    ),
    Attack(
        name="d13_numbers_out_of_range",
        says="NaN, Infinity, 1e999 and integers of 100,000 digits break no parser.",
        program=_bodies(
            r"""
            b'{"r":NaN}'
            b'{"r":-Infinity}'
            b'{"r":1e999999}'
            b'{"r":' + b'9' * 100_000 + b'}'
            b'9' * 5000
            b'{"r":{"f":"0x1p99999999"}}'
            b'{"r":{"f":"nan"}}'
            b'{"r":{"I":"0x' + b'f' * 40_000 + b'"}}'
            """
        ),
        control="",
        why_no_control=_NO_FRAMES,
    ),
    Attack(
        name="d14_duplicate_keys",
        says="A reply with one key twice, or of the wrong types, is unreadable.",
        program=_bodies(
            r"""
            b'{"r":1,"r":2}'
            b'{"e":[],"m":{}}'
            b'{"e":1,"m":null,"l":1e400}'
            b'{"load":7}'
            b'{"r":{"d":[1]}}'
            b'{"r":{"d":[[[],1],[[],1]]}}'
            b'{"r":{"s":{}}}'
            b'{"r":{"zz":1}}'
            b'{"r":{"t":null}}'
            b'{"u":[[]]}'
            b'null'
            b'""'
            """
        ),
        control="",
        why_no_control=_NO_FRAMES,
    ),
    Attack(
        name="d15_invalid_text",
        says="A reply that is not UTF-8, or another Unicode encoding, is unreadable.",
        program=_bodies(
            r"""
            b'\xff\xfe{\x00}\x00'
            b'\xc0\x80' * 50
            b'\xed\xa0\x80'
            '{"r":1}'.encode('utf-16')
            '{"r":1}'.encode('utf-32')
            b'\xef\xbb\xbf{"r":1}'
            b'{"r":"\\ud800"}'
            b'{"e":"\\udfff"}'
            """
        ),
        control="",
        why_no_control=_NO_FRAMES,
    ),
    Attack(
        name="d16_empty_frames",
        says="A million empty frames end at the output limit.",
        program=_FRAMES
        + """\
def solve(x):
    for fd in range(3, 64):
        try:
            os.fstat(fd)
        except OSError:
            continue
        for _ in range(300):
            try:
                os.write(fd, bytes(4096))
            except OSError:
                break
    return 'wrong'
""",
        hangs=True,
        control="",
        why_no_control=_NO_FRAMES,
    ),
    Attack(
        name="d17_descriptors_in_a_reply",
        says="Descriptors sent along with a reply stay unopened on the other side.",
        program="""\
import array
import os
import socket


def solve(x):
    for fd in range(64):
        try:
            line = socket.socket(fileno=os.dup(fd))
            null = os.open('/dev/null', os.O_RDONLY)
        except OSError:
            continue
        for _ in range(50):
            try:
                line.sendmsg([b'\\0'], [(socket.SOL_SOCKET, socket.SCM_RIGHTS,
                                        array.array('i', [null] * 200))], socket.MSG_DONTWAIT)
            except OSError:
                break
    return 'wrong'
""",
        control="",
        why_no_control=_NO_FRAMES,
    ),
    Attack(
        name="d18_infrastructure_in_disguise",
        says="No exit status of a program passes for a fault of the grader.",
        program="import os\nCODES = {3: 98, 8: 97}\ndef solve(x):\n    os._exit(CODES[x])\n",
        control="",
        why_no_control="it provokes a retry or an exception of graders that report faults",
    ),
    Attack(
        name="d19_infrastructure_on_import",
        says="Leaving with the grader's own error status while loading is an error of the program.",
        program="import os\nos.closerange(0, 64)\nos._exit(98)\n",
        control="",
        why_no_control="it provokes a retry or an exception of graders that report faults",
    ),
    Attack(
        name="d20_hostile_syntax_error",
        says="An exception with fields of the wrong types is reported, whatever they hold.",
        program="""\
class Odd(SyntaxError):
    lineno = property(lambda self: 10 ** 5000)
    offset = property(lambda self: [self])
    msg = property(lambda self: 1 / 0)
    filename = '<candidate>'
    text = property(lambda self: '\\ud800')


class Meta(type):
    __name__ = property(lambda cls: cls)
    __qualname__ = __name__


class Other(Exception, metaclass=Meta):
    def __str__(self):
        return 5

    def __getattribute__(self, name):
        raise SystemExit(0)


def solve(x):
    if x == 3:
        raise Odd('x', ('<candidate>', -5, 10 ** 400, None))
    raise Other
""",
        control="",
        why_no_control="it breaks graders that read exceptions rather than passing them",
    ),
    Attack(
        name="d21_swapped_modules",
        says="Modules replaced in sys.modules affect the program only.",
        program="""\
import sys
import types


class Agreeable(types.ModuleType):
    def __getattr__(self, name):
        return lambda *args, **kwargs: True


for name in ('json', 'math', 'struct', 'unittest', 'builtins', 'os', '__main__', 'operator'):
    sys.modules[name] = Agreeable(name)


def solve(x):
    return -1.0
""",
        goal="ratio",
        test_code="""\
def check(candidate):
    import math
    assert math.isclose(candidate(3), @WANT_3@)
    assert math.isclose(candidate(8), @WANT_8@)
""",
    ),
    Attack(
        name="d22_late_replies",
        says="A thread that goes on writing after the reply reaches no later program.",
        program=_FRAMES
        + """\
import threading


def write_on():
    data = list(frames())
    while True:
        spray(range(64), data)


def solve(x):
    for _ in range(4):
        threading.Thread(target=write_on, daemon=True).start()
    return 'wrong'
""",
        control="",
        why_no_control="a naive grader has no later program on the same channel",
        hangs=True,
    ),
    Attack(
        name="d23_native_constants",
        says="Native code rewrites the value of shared constants in its own process only.",
        program="""\
import ctypes


def solve(x):
    for constant, value in ((128, 3), (150, 8)):
        ctypes.c_uint32.from_address(id(constant) + 24).value = value
    return x
""",
        forms=("assertion", "call"),
        goal="secret",
        test_code="""\
def check(candidate):
    assert candidate(3) == 100 + len(@WANT_3@)
    assert candidate(8) == 150
""",
    ),
    Attack(
        name="d24_names_nobody_asked_for",
        says="A program cannot put its builtins into the namespace of the tests.",
        program=_FRAMES
        + """\
def send(fd, tree):
    body = json.dumps(tree).encode()
    os.write(fd, struct.pack('<I', len(body)) + body)


def receive(fd):
    size = struct.unpack('<I', os.read(fd, 4))[0]
    return json.loads(os.read(fd, size))


def solve(x):
    return -1.0


def serve(fd):
    names = 'abs all any len isinstance round sorted set float __build_class__'.split()
    offer = {name: {'@': [2, 'c', name, 0, '']} for name in names}
    send(fd, {'r': offer | {'solve': {'@': [1, 'c', 'solve', 0, '']}}})
    while True:
        operation, handle, args, named = receive(fd)
        send(fd, {'r': 0.0 if handle == 2 else -1.0})


for fd in range(3, 64):
    try:
        socket.socket(fileno=os.dup(fd)).getpeername()
        serve(fd)
    except (OSError, ValueError, struct.error):
        pass
""",
        goal="ratio",
        forms=("assertion",),
        test_code="""\
def check(candidate):
    assert abs(candidate(3) - @WANT_3@) < 1e-6
    assert abs(candidate(8) - @WANT_8@) < 1e-6
""",
        control="",
        why_no_control="it speaks our own protocol; d07 is its control",
    ),
    Attack(
        name="d25_slow_to_scan",
        says="Every reply is checked in a short time.",
        program=_bodies(
            r"""
            b'[' * 400 + b'"' + b'\\"' * 25_000
            b'{' * 400 + b'"' + b'\\\\' * 40_001
            b'"[' * 20_000
            b'[' * 400 + b'-' * 40_000
            b'[' + b'1' * 4000 + b',' + b'0.' + b'1' * 40_000
            """
        ),
        control="",
        why_no_control=_NO_FRAMES,
    ),
    Attack(
        name="d26_half_a_frame",
        says="An unfinished reply is no reply and delays no other program.",
        program=_SOCKETS
        + """\
def solve(x):
    for fd in sockets():
        for part in (b'\\x40\\x00\\x00\\x00{"r":', b'\\x05', b'\\x00\\x00'):
            try:
                os.write(fd, part)
            except OSError:
                pass
    os._exit(0)
""",
        control="",
        why_no_control="it attacks a reader of frames, and a naive grader reads none",
    ),
    Attack(
        name="d27_frames_in_between",
        says="Frames written by a thread between those of the program pass nothing.",
        program=_SOCKETS
        + """\
import threading


def write():
    frame = b'{"r":"cg-secret"}'
    while True:
        for fd in sockets():
            try:
                os.write(fd, len(frame).to_bytes(4, 'little') + frame)
            except OSError:
                pass


threading.Thread(target=write, daemon=True).start()


def solve(x):
    return 'x' * 100_000
""",
        control="",
        why_no_control="it attacks a reader of frames, and a naive grader reads none",
    ),
    Attack(
        name="d28_trees_of_its_own",
        says="A tree of any tag and body is a wrong answer, not a fault of the grader.",
        program=_SOCKETS
        + """\
import json

BODIES = (None, True, 0, -1, 10 ** 30, 1.5, '', 'x' * 50, '1/0',
          [], [[]], [1], [1, 0], [0, 10 ** 30, 0],
          [[1, 2, 3]], [[[], 1], [[], 2]], {}, {'f': 'nan'}, {'@': [1]},
          [{'m': 'sNaN'}, {'m': 'x'}])
TAGS = 'f I c b t d s z B q r i K W X T m F D M h L e @ () builtin r e u a load syntax'.split()
TREES = [{tag: body} for tag in TAGS for body in BODIES]
position = [0]


def solve(x):
    for fd in sockets():
        for tree in TREES[position[0]::7]:
            for reply in ({'r': tree}, {'r': [tree], 'a': [tree]}, tree):
                text = json.dumps(reply).encode()
                try:
                    os.write(fd, len(text).to_bytes(4, 'little') + text)
                except OSError:
                    pass
    position[0] += 1
    return 'wrong'
""",
        control="",
        why_no_control="it attacks a reader of frames, and a naive grader reads none",
    ),
)
