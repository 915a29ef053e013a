"""Behaviour: a function's results on fixed inputs, which identify the same function elsewhere.

Runs inside the sandbox.
"""

import itertools
import json
import zlib
from typing import Any

from codegym.mining.inside.instrument import OverBudget
from codegym.mining.inside.probe import Subject
from codegym.sandbox import wire

_SINGLES: tuple[Any, ...] = (
    0, 1, 2, 3, 5, 6, 10, 12, 17, 28, 100, 145, -4, 2.5, "", "a", "abc", "Hello World", "racecar",
    "1011", "aabbb c", "()(())", "12,7", "a_b-c", [], [1], [3, 1, 2], [1, 2, 2, 3], [5, -1, 4, 5],
    [1.5, 2.5], ["b", "a", "cc"], ["x", "x"], [[1, 2], [3, 4]], [[1], [2, 2]], [(1, 2), (0, 5)],
    (4, 2, 9), {"a": 1, "b": 2}, [True, False], "IV", "2 3",
)  # fmt: skip
_PAIRED: tuple[Any, ...] = (
    0, 1, 2, 3, 7, 12, 1.5, "", "a", "abc", "hello world", [], [1, 2, 3], [3, 4, 2, 2], ["a", "b"],
    [[1, 2], [3, 4]], (1, 2), {"a": 1},
)  # fmt: skip
_TRIPLED: tuple[Any, ...] = (0, 1, 2, 5, 10, "a", "abc", [1, 2, 3], [4, 2], ["a"])
PROBES: dict[int, list[tuple[Any, ...]]] = {
    1: [(value,) for value in _SINGLES],
    2: list(itertools.product(_PAIRED, repeat=2)),
    3: [row for row in itertools.product(_TRIPLED, repeat=3) if len(set(map(type, row))) < 3],
}
PROBE_STEPS, ALL_STEPS = 4000, 200_000


def behaviour(subject: Subject, arity: int) -> dict[int, str]:
    """Return a short digest of the result for every fixed input that gives a result.

    Args:
        subject: The program.
        arity: Number of arguments, 1 to 3.
    """
    found: dict[int, str] = {}
    steps = 0
    for number, row in enumerate(PROBES.get(arity, ())):
        try:
            run = subject.call([wire.encode(value) for value in row], {}, PROBE_STEPS)
        except OverBudget:
            continue
        steps += run.steps
        if run.kind == "r":
            text = json.dumps(_plain(run.result))
            found[number] = f"{zlib.crc32(text.encode()):08x}"
        if steps > ALL_STEPS:
            break
    return found


def _plain(tree: Any) -> Any:
    """Remove differences between versions of the same function: sequence types, rounding."""
    if isinstance(tree, bool):
        return int(tree)
    if isinstance(tree, float):
        return int(tree) if tree == int(tree) else float(f"{tree:.9g}")
    if isinstance(tree, list):
        return [_plain(item) for item in tree]
    if isinstance(tree, dict) and len(tree) == 1:
        ((tag, body),) = tree.items()
        if tag in ("t", "i", "q", "W"):
            return _plain(body)
        if tag in ("s", "z", "K", "d"):
            return {tag: sorted((_plain(item) for item in body), key=json.dumps)}
    return tree
