"""Mutation: applies the changes that a candidate made to its arguments to the test's objects."""

from collections.abc import Callable
from typing import Any

from codegym.sandbox.inside.setup_objects import give, state

Decode = Callable[[Any], Any]
# Tags of dicts and their relatives; see ``wire``.
_PAIRS = frozenset("dCOG")


def patch_all(values: list[Any], trees: list[Any], decode: Decode) -> None:
    """Give each argument the content that the candidate left in it; see ``_patch``."""
    for value, tree in zip(values, trees, strict=False):
        _patch(value, tree, decode)


def _patch(value: Any, tree: Any, decode: Decode) -> None:
    """Give a mutable argument the content that the candidate left; inner objects stay the same."""
    kind = type(value)
    if kind is list and type(tree) is list:
        old = list(value)
        value[:] = [
            _patched(old[i] if i < len(old) else None, item, decode) for i, item in enumerate(tree)
        ]
    elif type(tree) is not dict:
        return
    elif isinstance(value, dict) and not _PAIRS.isdisjoint(tree):
        ((tag, body),) = tree.items()
        fresh = [(decode(key), item) for key, item in (body[1] if tag == "G" else body)]
        items = [(key, _patched(value.get(key), item, decode)) for key, item in fresh]
        value.clear()
        value.update(items)
    elif kind is set and "s" in tree:
        fresh_set = decode(tree)
        value.clear()
        value.update(fresh_set)
    elif kind.__name__ == "deque" and "q" in tree:
        items = [decode(item) for item in tree["q"]]
        value.clear()
        value.extend(items)
    elif kind is bytearray and "B" in tree:
        value[:] = decode(tree)
    elif "J" in tree:
        fresh_object = decode(tree)
        if type(fresh_object) is kind:
            give(value, state(fresh_object))
    elif kind is tuple and "t" in tree:
        patch_all(list(value), tree["t"], decode)


def _patched(old: Any, tree: Any, decode: Decode) -> Any:
    new = decode(tree)
    if type(old) is type(new) and type(old) in (list, dict, set, bytearray):
        _patch(old, tree, decode)
        return old
    return new
