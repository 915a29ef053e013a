"""Every agent on a Hugging Face model, whole and with LoRA, on a file of every form of test."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from codegym import registry
from codegym.policies.checkpoint import load_policy
from codegym.policies.hf.hf_policy import HFPolicy
from codegym.tasks.task import Task
from codegym.training.config import TrainConfig
from codegym.training.run_folder import RunFolder
from codegym.training.run_record import Update
from codegym.training.trainer import Trainer

TINY: dict[str, dict[str, Any]] = {
    "sft": {"demonstrations": 4, "batch_size": 2},
    "coderl": {
        "tasks": 2,
        "samples": 2,
        "capacity": 4,
        "critic_steps": 2,
        "batch_size": 2,
        "supervised": "own",
    },
    "grpo": {"tasks": 2, "samples": 2, "kl_coef": 0.1, "drop_even_groups": False},
    "ppo": {"tasks": 2, "samples": 2, "minibatches": 2, "epochs": 1, "kl_coef": 0.1},
    "rltf": {
        "tasks": 2,
        "samples": 2,
        "capacity": 6,
        "minimum_fill": 2,
        "batch_size": 2,
        "supervised": "own",
    },
    "sb3_ppo": {"tasks": 2, "samples": 2, "batch_size": 2},
}
PLAIN = {"tasks": 2, "samples": 2}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a tiny Llama of random weights, as it would come from elsewhere."""
    from transformers import LlamaConfig, LlamaForCausalLM

    folder = tmp_path_factory.mktemp("model") / "llama"
    policy = HFPolicy.specimen(seed=1)
    policy.save(folder)
    shape = LlamaConfig.from_pretrained(folder, max_position_embeddings=1024)
    with torch.random.fork_rng(devices=[]):
        LlamaForCausalLM(shape).save_pretrained(folder)
    for name in ("codegym.json", "codegym_hf.json", "value_head.safetensors"):
        (folder / name).unlink()
    return folder


@pytest.fixture(scope="module")
def tasks(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Twenty tasks: calls, stdin and assertions."""
    rows = []
    for number in range(7):
        rows.append(Task.from_calls(
            f"def add{number}(x):\n", f"add{number}", [((1,), 1 + number), ((2,), 2 + number)],
            task_id=f"call/{number}", canonical_solution=f"    return x + {number}\n",
        ))  # fmt: skip
        rows.append(Task.from_stdio(
            f"Print {number}.", [("", f"{number}\n")], task_id=f"stdio/{number}",
            canonical_solution=f"print({number})\n",
        ))  # fmt: skip
        rows.append(
            Task.from_assertions(
                f"def mul{number}(x):\n",
                f"mul{number}",
                f"assert mul{number}(2) == {2 * number}\nassert mul{number}(3) == {3 * number}\n",
                task_id=f"assert/{number}",
                canonical_solution=f"    return x * {number}\n",
            )
        )
    path = tmp_path_factory.mktemp("tasks") / "twenty.jsonl"
    path.write_text("".join(json.dumps(row.to_json()) + "\n" for row in rows[:20]))
    return f"jsonl:{path}"


@pytest.mark.parametrize(
    ("agent", "lora"),
    [
        pytest.param(agent, lora, marks=[] if (agent, lora) == ("rft", True) else pytest.mark.slow)
        for agent in registry.names("agents")
        for lora in (True, False)
    ],
)
def test_an_agent_trains_a_language_model_and_resumes(
    agent: str, lora: bool, model: Path, tasks: str, tmp_path: Path
) -> None:
    asked = TrainConfig.from_mapping(
        {
            "agent": agent,
            "policy": f"hf:{model}" + ("?lora=2" if lora else ""),
            "tasks": tasks,
            "eval_tasks": tasks,
            "task_sampler": "success",
            "reward": "rltf",
            "updates": 3,
            "eval_count": 2,
            "curve_points": 0,
            "max_new_tokens": 8,
            "workers": 1,
            "track": "none",
            "agent_settings": TINY.get(agent, PLAIN),
        }
    )
    policies = []
    for name, stop_after in (("whole", 0), ("split", 2)):
        folder = RunFolder(tmp_path / name)
        folder.create(asked.to_mapping())
        seen = 0

        def watch(update: Update) -> None:
            nonlocal seen
            seen += 1
            if seen == stop_after:  # noqa: B023
                trainer.stop()  # noqa: B023

        trainer = Trainer(asked, folder, watch=watch)
        assert trainer.run() == (not stop_after)
        if stop_after:
            assert Trainer(asked, folder).run(resume=True)
        policies.append(load_policy(folder.checkpoint))
        assert [row["moment"] for row in folder.rows("curve")] == ["before", "after"]
    weights = [list(policy.module.parameters()) for policy in policies]
    assert all(torch.equal(left, right) for left, right in zip(*weights, strict=True))
