"""Numerics: everything beside a run's settings that the numbers of the run depend on.

The same operations in another order, or with other instructions, round otherwise: versions of the
libraries, the processor's vector instructions, the number of threads and a few variables of the
environment decide on them.
"""

import os
import platform
import re
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch

from codegym.errors import ConfigError
from codegym.sandbox import Sandbox
from codegym.version import __version__

# These are reported when they change; no number is known to depend on them.
REPORTED = ("cpu", "cores", "isolation", "workers")
# Restored when a run is resumed, so a change of the surroundings does not matter.
_RESTORED = ("threads",)
_PACKAGES = (
    "numpy", "numba", "llvmlite", "gymnasium", "stable-baselines3", "transformers", "tokenizers",
    "peft",
)  # fmt: skip
_VARIABLES = (
    "ATEN_CPU_CAPABILITY", "DNNL_MAX_CPU_ISA", "ONEDNN_MAX_CPU_ISA", "ONEDNN_DEFAULT_FPMATH_MODE",
    "MKL_CBWR", "MKL_DEBUG_CPU_TYPE", "MKL_DOMAIN_NUM_THREADS", "MKL_DYNAMIC",
    "MKL_ENABLE_INSTRUCTIONS", "OMP_DYNAMIC", "OMP_THREAD_LIMIT", "OPENBLAS_CORETYPE",
    "NPY_DISABLE_CPU_FEATURES", "NUMBA_CPU_FEATURES", "NUMBA_CPU_NAME", "NUMBA_DISABLE_JIT",
    "NUMBA_ENABLE_AVX", "NUMBA_LOOP_VECTORIZE", "NUMBA_OPT", "NUMBA_SLP_VECTORIZE",
    "CUBLAS_WORKSPACE_CONFIG", "NVIDIA_TF32_OVERRIDE", "GLIBC_TUNABLES",
)  # fmt: skip
_INSTRUCTIONS = ("sse", "avx", "amx", "fma", "f16c", "asimd", "sve", "sme", "bf16", "neon")


def numerics(sandbox: Sandbox | None = None) -> dict[str, Any]:
    """Return what this process's numbers depend on, as JSON values.

    Args:
        sandbox: The sandbox that judges programs, if any.
    """
    row: dict[str, Any] = {
        "codegym": __version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "math": _math_libraries(),
        "packages": {name: found for name in _PACKAGES if (found := _version(name))},
        "kernels": "compiled" if find_spec("numba") else "plain",
        "processor": platform.machine(),
        "capability": torch.backends.cpu.get_cpu_capability(),
        "instructions": _instructions(),
        "accelerator": torch.cuda.get_device_name() if torch.cuda.is_available() else "",
        "threads": torch.get_num_threads(),
        "matmul_precision": torch.get_float32_matmul_precision(),
        "flushes_denormals": _flushes_denormals(),
        "deterministic_algorithms": torch.are_deterministic_algorithms_enabled(),
        "variables": {name: os.environ[name] for name in _VARIABLES if name in os.environ},
        "cpu": _from_cpuinfo("model name"),
        "cores": len(os.sched_getaffinity(0)),
    }
    if sandbox is not None:
        workers = getattr(sandbox, "workers", ())
        row |= {"isolation": sandbox.isolation, "workers": len(workers)}
    return row


def changed(before: Mapping[str, Any], now: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Return what differs between two records of ``numerics``: name -> (before, now).

    Of groups such as ``packages`` only the differing entries are named, as ``packages.numpy``.
    """
    found: dict[str, tuple[Any, Any]] = {}
    for name in dict.fromkeys((*before, *now)):
        if name in _RESTORED or before.get(name) == now.get(name):
            continue
        old, new = before.get(name), now.get(name)
        if isinstance(old, Mapping) and isinstance(new, Mapping):
            entries = sorted(set(old.items()) ^ set(new.items()))
            found |= {f"{name}.{key}": (old.get(key), new.get(key)) for key, _ in entries}
        elif isinstance(old, list) and isinstance(new, list):
            found[name] = sorted(set(old) - set(new)), sorted(set(new) - set(old))
        else:
            found[name] = old, new
    return found


def serious_changes(
    before: Mapping[str, Any], now: Mapping[str, Any]
) -> dict[str, tuple[Any, Any]]:
    """Return what differs between two records and can change a number; see ``changed``."""
    return {name: pair for name, pair in changed(before, now).items() if name not in REPORTED}


def refuse_changes(
    before: Mapping[str, Any], now: Mapping[str, Any], *, folder: Path
) -> dict[str, tuple[Any, Any]]:
    """Require that a run is resumed where its numbers come out the same.

    Args:
        before: The run's record.
        now: The record of this process.
        folder: The run's folder, for the message.

    Returns:
        What differs and is not known to matter: name -> (before, now).

    Raises:
        ConfigError: Something differs that can change a number.
    """
    differing = changed(before, now)
    serious = serious_changes(before, now)
    if serious:
        raise ConfigError(
            "this run would go on with other numbers than it would have had",
            value={name: f"{old} -> {new}" for name, (old, new) in serious.items()},
            expected="what the run was begun with (numerics.jsonl)",
            cure=f"resume it there, or codegym train --resume {folder} --elsewhere, which "
            "records the change",
        )
    return differing


def _math_libraries() -> list[str]:
    """Return the names and versions of the libraries that torch multiplies matrices with."""
    text = torch.__config__.show()
    lines = [line.strip(" -") for line in text.splitlines() if line.strip(" -").startswith("Intel")]
    return [*lines, *re.findall(r"BLAS_INFO=\w+", text)]


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def _instructions() -> list[str]:
    """Return the processor's extensions for arithmetic; empty where the system does not say."""
    flags = (_from_cpuinfo("flags") or _from_cpuinfo("Features")).split()
    return sorted({flag for flag in flags if flag.startswith(_INSTRUCTIONS) and flag != "smep"})


def _from_cpuinfo(field: str) -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return ""
    values = (line.partition(":")[2].strip() for line in lines if line.startswith(field))
    return next(values, "")


def _flushes_denormals() -> bool:
    """Return whether numbers too small for an exponent count as 0 in this thread."""
    return not bool(torch.tensor([1e-39]) * torch.tensor([0.5]) > 0)
