"""The wire codec: plain Python values as JSON trees with type tags, and back.

It carries arguments and results across the sandbox line and tasks into files. Nothing here calls,
hashes, evaluates or unpickles what it reads. Imports the standard library only: the same file is
loaded inside the sandbox.
"""

import json
from typing import Any

MAX_DEPTH = 90


class UnencodableError(TypeError):
    """A value of a type that cannot cross; the message is the type's name."""


def encode(value: Any, depth: int = 0) -> Any:
    """Turn a plain value into a JSON tree.

    ``None, bool, str`` and small ``int`` stand for themselves, ``list`` is a JSON array; everything
    else is an object with one key, the tag.

    Raises:
        UnencodableError: ``value`` holds something that cannot cross.
    """
    kind = type(value)
    if value is None or kind is bool or kind is str:
        return value
    if kind is int:
        return value if -(1 << 4000) < value < (1 << 4000) else {"I": hex(value)}
    if kind is float:
        return {"f": value.hex()}
    if depth > MAX_DEPTH:
        raise UnencodableError("nested too deeply")
    if kind is list:
        return [encode(item, depth + 1) for item in value]
    if kind is tuple:
        return {"t": [encode(item, depth + 1) for item in value]}
    if kind is dict:
        return {"d": [[encode(k, depth + 1), encode(v, depth + 1)] for k, v in value.items()]}
    if kind is set:
        return {"s": [encode(item, depth + 1) for item in value]}
    if kind is frozenset:
        return {"z": [encode(item, depth + 1) for item in value]}
    if kind is bytes:
        return {"b": value.hex()}
    raise UnencodableError(f"{kind.__module__}.{kind.__qualname__}")


def decode(tree: Any, depth: int = 0) -> Any:
    """Build the value that ``encode`` was given.

    Raises:
        ValueError: ``tree`` is not one that ``encode`` makes.
    """
    kind = type(tree)
    if tree is None or kind in (bool, int, str):
        return tree
    if depth > MAX_DEPTH + 1:
        raise ValueError("nested too deeply")
    if kind is list:
        return [decode(item, depth + 1) for item in tree]
    if kind is dict and len(tree) == 1:
        ((tag, body),) = tree.items()
        if tag == "f":
            return float.fromhex(body)
        if tag == "I":
            return int(body, 16)
        if tag == "t":
            return tuple(decode(item, depth + 1) for item in body)
        if tag == "d":
            return {decode(k, depth + 1): decode(v, depth + 1) for k, v in body}
        if tag == "s":
            return {decode(item, depth + 1) for item in body}
        if tag == "z":
            return frozenset(decode(item, depth + 1) for item in body)
        if tag == "b":
            return bytes.fromhex(body)
    raise ValueError(f"not a wire tree: {str(tree)[:80]}")


def dumps(tree: Any) -> bytes:
    """Write a tree as compact JSON bytes."""
    return json.dumps(tree, separators=(",", ":")).encode()


def loads(data: bytes) -> Any:
    """Read a tree from JSON bytes."""
    return json.loads(data)
