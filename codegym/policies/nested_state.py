"""Nested states: plain values, arrays, tensors and random generators as JSON plus tensors.

An optimizer's ``state_dict``, a task sampler and a training loop are resumed from them to the last
bit. Reading a state executes nothing: every type is rebuilt by name from a fixed list.
"""

import random
from typing import Any

import numpy as np
import torch

_BIT_GENERATORS = {
    "PCG64": np.random.PCG64,
    "PCG64DXSM": np.random.PCG64DXSM,
    "MT19937": np.random.MT19937,
    "Philox": np.random.Philox,
    "SFC64": np.random.SFC64,
}


def flatten(state: Any) -> tuple[Any, dict[str, torch.Tensor]]:
    """Split a state into a JSON tree and the tensors it refers to by name.

    The state may hold None, bool, int, float, str, bytes, list, tuple, dict with such keys, NumPy
    arrays and scalars, tensors (put on the CPU), ``random.Random``, ``numpy.random.Generator`` and
    ``torch.Generator`` of the CPU.

    Raises:
        TypeError: The state holds another type; the message says where.
    """
    tensors: dict[str, torch.Tensor] = {}
    return _flatten(state, tensors, "state"), tensors


def restore(tree: Any, tensors: dict[str, torch.Tensor]) -> Any:
    """Rebuild the state that ``flatten`` was given; generators come back as new objects.

    Raises:
        ValueError: ``flatten`` makes no such tree.
        KeyError: A tensor is missing.
    """
    if tree is None or isinstance(tree, bool | int | str):
        return tree
    if isinstance(tree, list):
        return [restore(item, tensors) for item in tree]
    if not isinstance(tree, dict) or len(tree) != 1:
        raise ValueError(f"not a nested state: {str(tree)[:80]}")
    ((tag, body),) = tree.items()
    if tag == "float":
        return float.fromhex(body)
    if tag == "bytes":
        return bytes.fromhex(body)
    if tag == "tuple":
        return tuple(restore(item, tensors) for item in body)
    if tag == "dict":
        return {restore(key, tensors): restore(value, tensors) for key, value in body}
    if tag == "tensor":
        return tensors[body]
    if tag == "array":
        return tensors[body].numpy().copy()
    if tag == "scalar":
        return tensors[body].numpy()[()]
    return _restore_generator(tag, body, tensors)


def _flatten(value: Any, tensors: dict[str, torch.Tensor], path: str) -> Any:
    if value is None or type(value) in (bool, int, str):
        return value
    if type(value) is float:
        return {"float": value.hex()}
    if isinstance(value, bytes):
        return {"bytes": value.hex()}
    if isinstance(value, list | tuple):
        items = [_flatten(item, tensors, f"{path}[{i}]") for i, item in enumerate(value)]
        return items if isinstance(value, list) else {"tuple": items}
    if isinstance(value, dict):
        pairs = [
            [_flatten(key, tensors, path), _flatten(item, tensors, f"{path}[{key!r}]")]
            for key, item in value.items()
        ]
        return {"dict": pairs}
    if isinstance(value, torch.Tensor):
        return {"tensor": _keep(value, tensors)}
    if isinstance(value, np.ndarray) and value.dtype != object:
        return {"array": _keep(torch.from_numpy(value.copy()), tensors)}
    if isinstance(value, np.generic):
        return {"scalar": _keep(torch.from_numpy(np.array(value)), tensors)}
    if isinstance(value, torch.Generator):
        return {"torch": _keep(value.get_state(), tensors)}
    if isinstance(value, np.random.Generator):
        return {"numpy": _flatten(dict(value.bit_generator.state), tensors, path)}
    if isinstance(value, random.Random):
        return {"random": _flatten(value.getstate(), tensors, path)}
    raise TypeError(f"{path} holds a {type(value).__qualname__}, which cannot be saved")


def _keep(tensor: torch.Tensor, tensors: dict[str, torch.Tensor]) -> str:
    name = str(len(tensors))
    # A copy: the file format refuses tensors that share memory.
    tensors[name] = tensor.detach().cpu().clone().contiguous()
    return name


def _restore_generator(tag: str, body: Any, tensors: dict[str, torch.Tensor]) -> Any:
    if tag == "torch":
        rng = torch.Generator()
        rng.set_state(tensors[body])
        return rng
    if tag == "numpy":
        state = restore(body, tensors)
        bits = _BIT_GENERATORS[state["bit_generator"]](0)
        bits.state = state
        return np.random.Generator(bits)
    if tag == "random":
        twister = random.Random()
        twister.setstate(restore(body, tensors))
        return twister
    raise ValueError(f"unknown tag {tag!r}")
