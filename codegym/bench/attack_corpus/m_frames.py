"""Class m, frames before parsing: replies that cost their reader far more than their bytes.

The program finds its own sockets and writes frames of up to its output limit to them. Judging may
take no noticeable processor time of the driver; see ``DRIVER_CPU_S`` in ``codegym.bench.attacks``.
"""

from codegym.bench.attack_corpus.attack import Attack

_WRITE = """\
import os


def solve(x):
    return 'wrong'


DATA = {data}
for fd in range(3, 20):
    try:
        os.set_blocking(fd, True)
        view = memoryview({head} + DATA)
        while view:
            view = view[os.write(fd, view):]
    except OSError:
        continue
"""
_LENGTH = "len(DATA).to_bytes(4, 'little')"


def _frame(name: str, says: str, data: str, head: str = _LENGTH) -> Attack:
    return Attack(
        name=name,
        says=f"{says} costs the driver no noticeable time.",
        program=_WRITE.format(data=data, head=head),
        control="",
        why_no_control="a naive grader reads no replies",
    )


ATTACKS = (
    _frame("m01_empty_lists", "A frame of empty lists", "b'[' + b'[],' * 340_000 + b'0]'"),
    _frame(
        "m02_lists_in_a_reply",
        "A reply of empty lists",
        "b'{\"r\":[' + b'[],' * 340_000 + b'0]}'",
    ),
    _frame("m03_tables", "A frame of empty tables", "b'{\"r\":[' + b'{},' * 340_000 + b'0]}'"),
    _frame("m04_numbers", "A frame of numbers", "b'{\"r\":[' + b'1234,' * 200_000 + b'0]}'"),
    _frame("m05_texts", "A frame of texts", "b'{\"r\":[' + b'\"\",' * 340_000 + b'0]}'"),
    _frame("m06_deep_lists", "A deep frame", "b'{\"r\":' + b'[' * 500_000 + b']' * 500_000 + b'}'"),
    _frame("m07_empty_frames", "A flood of empty frames", "bytes(1_000_000)", "b''"),
    _frame("m08_small_frames", "A flood of small frames", "b'\\1\\0\\0\\0x' * 200_000", "b''"),
    _frame(
        "m09_an_error_of_lists",
        "An exception described by lists",
        "b'{\"e\":[' + b'[],' * 340_000 + b'0]}'",
    ),
    _frame(
        "m10_a_syntax_error_of_lists",
        "A syntax error described by lists",
        "b'{\"syntax\":[' + b'[],' * 340_000 + b'0]}'",
    ),
)
