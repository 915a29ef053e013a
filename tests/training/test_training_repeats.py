"""Unbroken runs, repeated in fresh environments: the same weights, bit for bit.

Each cell of the matrix is trained in two new processes. The first has the usual environment, the
second an empty cache of compiled kernels, another hash seed, another number of threads around it,
other places in memory and two sandbox workers in place of one.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from codegym import registry
from codegym.policies.hf.hf_policy import HFPolicy

SMALL = {"tasks": 8, "samples": 4}
AGENTS: dict[str, dict[str, Any]] = {
    "sft": {"demonstrations": 16, "batch_size": 8},
    "actor_critic": SMALL | {"critic_updates": 1, "replay": 16, "replayed": 8},
    "coderl": SMALL | {"capacity": 16, "critic_steps": 2, "batch_size": 8},
    "grpo": SMALL | {"kl_coef": 0.1, "drop_even_groups": False},
    "ppo": SMALL | {"minibatches": 2},
    "rltf": SMALL | {"capacity": 24, "minimum_fill": 8, "batch_size": 8},
    "sb3_ppo": SMALL | {"batch_size": 8},
}
# Trains every cell that is given, and prints the hash of its weights and of its log.
DRIVER = """
import hashlib, json, sys, tempfile
from pathlib import Path
from codegym.bench.training_soak import TIMES
from codegym.training import session
from codegym.training.run_folder import RunFolder

# Moves what is allocated later, by the length of an argument that differs between processes.
shift = [bytearray(len(sys.argv[2]) + 1000 * number) for number in range(50)]
for settings in json.loads(sys.argv[1]):
    with tempfile.TemporaryDirectory() as path:
        session.train(settings | {"workers": int(sys.argv[3])}, out=Path(path, "run"))
        weights = sorted(Path(path, "run", "checkpoint").glob("*.safetensors"))
        digest = hashlib.sha256(b"".join(file.read_bytes() for file in weights))
        for row in RunFolder(Path(path, "run")).rows("metrics"):
            digest.update(repr([pair for pair in row.items() if pair[0] not in TIMES]).encode())
        print(digest.hexdigest(), flush=True)
"""


def cell(agent: str, **settings: Any) -> dict[str, Any]:
    return {
        "agent": agent, "warm_start_programs": 0 if agent == "sft" else 64, "reward": "rltf",
        "warm_start_settings": {} if agent == "sft" else AGENTS["sft"], "updates": 4,
        "eval_count": 4, "curve_points": 0, "max_new_tokens": 48, "track": "none", "threads": 1,
        "agent_settings": AGENTS.get(agent, SMALL), "guard": False, "seed": 3,
    } | settings  # fmt: skip


def weights(cells: list[dict[str, Any]], workers: int, shift: str, **variables: str) -> list[str]:
    """Train cells in a new process; return a hash of each."""
    done = subprocess.run(
        [sys.executable, "-c", DRIVER, json.dumps(cells), shift, str(workers)],
        env=os.environ | variables, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def repeat(cells: list[dict[str, Any]], folder: Path, *, threads: int = 1) -> None:
    """Compare cells trained in the usual environment with the same in a fresh one."""
    cells = [each | {"threads": threads} for each in cells]
    usual = weights(cells, 1, "")
    cache = folder / "kernels"
    cache.mkdir()
    fresh = weights(
        cells, 2, "x" * 777, NUMBA_CACHE_DIR=str(cache), PYTHONHASHSEED="77", OMP_NUM_THREADS="3",
        MALLOC_MMAP_THRESHOLD_="4096", MALLOC_ARENA_MAX="1", COLUMNS="x" * 333,
    )  # fmt: skip
    differing = [each for each, one, two in zip(cells, usual, fresh, strict=True) if one != two]
    assert len(usual) == len(cells) and not differing, differing


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("agent", registry.names("agents"))
def test_every_agent_repeats(agent: str, tmp_path: Path) -> None:
    repeat([cell(agent, ahead=ahead) for ahead in (0, 1)], tmp_path)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_every_sampler_curriculum_and_grammar_repeats(tmp_path: Path) -> None:
    two_depths = "composites?domain=small&depth=1-2&split=train"
    repeat(
        [
            cell("grpo", task_sampler="success"),
            cell("grpo", task_sampler="curriculum?window=8", tasks=two_depths),
            cell("rltf", prefix_curriculum="success?window=8"),
            cell("ppo", prefix_curriculum="progress"),
            cell("rloo", grammar=True),
            cell("rft", grammar=True, ahead=1, task_sampler="success"),
        ],
        tmp_path,
    )


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_two_threads_repeat(tmp_path: Path) -> None:
    repeat([cell("grpo"), cell("rltf", ahead=1)], tmp_path, threads=2)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_language_models_repeat(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    HFPolicy.specimen(seed=1).save(folder)
    for name in ("codegym.json", "codegym_hf.json", "value_head.safetensors"):
        (folder / name).unlink()
    tiny = {"tasks": "tiny", "eval_tasks": "tiny", "warm_start_programs": 0, "eval_count": 2}
    repeat(
        [
            cell(agent, policy=f"hf:{folder}{options}", max_new_tokens=24, **tiny)
            for agent in ("grpo", "rltf")
            for options in ("", "?lora=2")
        ],
        tmp_path,
    )
