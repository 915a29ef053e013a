"""Model folders: what is said of a folder before anything is loaded from it.

A folder that does not exist, that holds no model, whose weights are pickled, or whose model is too
large for the memory that is left is refused by a message that says so.
"""

import json
import os
import struct
from math import prod
from pathlib import Path
from typing import Any

from codegym.errors import ConfigError
from codegym.policies.checkpoint import refuse_pickles

_INDEX = "model.safetensors.index.json"
# Bytes of a number, by the names that safetensors and HFConfig use.
_BYTES = {
    "F64": 8, "I64": 8, "F32": 4, "I32": 4, "F16": 2, "BF16": 2, "I16": 2, "U8": 1, "I8": 1,
    "float32": 4, "bfloat16": 2, "float16": 2,
}  # fmt: skip
_CGROUP = Path("/sys/fs/cgroup")
_GB = 1e9


def check_folder(name: str, *, pickles: bool = False) -> bool:
    """Refuse a folder from which no model can be opened.

    Args:
        name: A folder, or a name on the hub.
        pickles: Whether pickled weights are accepted.

    Returns:
        Whether it is a folder; a name on the hub is not checked.

    Raises:
        ConfigError: It looks like a path and is no folder, holds no model, or its weights are
            pickled.
    """
    folder = Path(name).expanduser()
    if not folder.is_dir():
        if folder.exists():
            raise ConfigError("a model is a folder, not a file", value=name)
        if is_path(name):
            raise ConfigError(
                "there is no such folder",
                value=name,
                expected="a folder with config.json and model.safetensors, or a hub name such as "
                "Qwen/Qwen2.5-Coder-0.5B",
            )
        return False
    if not (folder / "config.json").is_file():
        found = sorted(path.name for path in folder.iterdir())
        if not (folder / "adapter_config.json").is_file():
            raise ConfigError(
                "the folder holds no model: config.json is missing",
                value=name,
                expected="config.json and model.safetensors, as save_pretrained writes them",
                cure=f"it holds {', '.join(found[:5])}" if found else "it is empty",
            )
        raise ConfigError(
            "the folder holds adapters without their model",
            value=name,
            cure="open the model that they belong to with hf:FOLDER?lora=RANK, or merge them",
        )
    if not pickles:
        refuse_pickles(folder)
    return True


def is_path(name: str) -> bool:
    """Return whether a name can only be a path: a hub name has at most one slash, inside."""
    return name.startswith(("/", ".", "~")) or name.endswith("/") or name.count("/") > 1


def weight_bytes(folder: Path, dtype: str) -> int:
    """Return how many bytes the weights take in a number format; 0 if the folder does not say.

    The headers of the safetensors files are read, or the index of their shards; no weight is.

    Args:
        folder: The model's folder.
        dtype: ``float32``, ``bfloat16`` or ``float16``.
    """
    files = sorted(folder.glob("*.safetensors"))
    index = folder / _INDEX
    if index.is_file():
        shards = _json(index.read_bytes()).get("weight_map", {})
        files = sorted({folder / str(name) for name in shards.values()})
    else:
        files = [file for file in files if file.name == "model.safetensors"] or files
    count = sum(_numbers(file) for file in files if file.is_file())
    return count * _BYTES[dtype]


def _numbers(file: Path) -> int:
    """Return how many numbers a safetensors file holds, by its header."""
    with file.open("rb") as opened:
        head = opened.read(8)
        if len(head) < 8:
            return 0
        size = struct.unpack("<Q", head)[0]
        if size > file.stat().st_size:
            return 0
        header = _json(opened.read(size))
    return sum(
        prod(entry["shape"])
        for entry in header.values()
        if isinstance(entry, dict) and isinstance(entry.get("shape"), list)
    )


def _json(text: bytes) -> dict[str, Any]:
    try:
        row = json.loads(text)
    except ValueError:
        return {}
    return row if isinstance(row, dict) else {}


def available_bytes() -> int | None:
    """Return how much memory this process may still take; None where the system does not say."""
    bounds = []
    try:
        for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
            if line.startswith("MemAvailable:"):
                bounds.append(int(line.split()[1]) * 1024)
        most = (_CGROUP / "memory.max").read_text(encoding="ascii").strip()
        used = int((_CGROUP / "memory.current").read_text(encoding="ascii"))
        if most.isdigit():
            bounds.append(int(most) - used)
    except (OSError, ValueError):
        pass
    if not bounds and hasattr(os, "sysconf"):
        names = os.sysconf_names
        if "SC_AVPHYS_PAGES" in names and "SC_PAGE_SIZE" in names:
            bounds.append(os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    return min(bounds, default=None)


def check_memory(folder: Path, dtype: str) -> None:
    """Refuse a model whose weights alone do not fit into the memory that is left.

    Args:
        folder: The model's folder.
        dtype: Number format that the weights are loaded in.

    Raises:
        ConfigError: They do not fit.
    """
    needed, left = weight_bytes(folder, dtype), available_bytes()
    if left is None or needed <= left:
        return
    smaller = "" if dtype != "float32" else "?dtype=bfloat16 takes half of it, or "
    raise ConfigError(
        f"the model's weights take {needed / _GB:.1f} GB in {dtype}, "
        f"and {left / _GB:.1f} GB of memory are left",
        value=str(folder),
        expected="a model that fits; training every weight takes four times its weights",
        cure=f"{smaller}a smaller model",
    )
