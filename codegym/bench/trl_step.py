"""A GRPO step of TRL on given prompts and programs; run by ``codegym bench hf-update``.

The file needs torch, transformers and trl, not codegym: it runs by any interpreter that has them.
The trainer is TRL's own; what is timed is what its training step does with a batch that has been
generated and rewarded: loss, backward pass, clipping, optimiser.
"""

import json
import resource
import sys
import tempfile
import time
from typing import Any


def main(model: str, episodes: str, options: str) -> None:
    """Take the steps that ``options`` asks for and print what they cost, as JSON.

    Args:
        model: Folder of the model.
        episodes: JSON file with ``prompts``, ``programs`` and ``advantages``.
        options: JSON with ``rows``, ``steps``, ``lr``, ``checkpointing`` and ``padding``: whether
            the head scores prompts and padding too, as TRL does on a CPU, or programs alone, as it
            does on a GPU.
    """
    import torch
    from trl.trainer import utils

    settings = json.loads(options)
    rows = json.loads(open(episodes, encoding="utf-8").read())
    if not settings["padding"]:
        utils._use_triton = lambda device: True
    torch.set_num_threads(settings["threads"])
    with tempfile.TemporaryDirectory() as folder:
        trainer = _trainer(model, folder, settings, len(rows["programs"]))
        batches = _batches(rows, settings["rows"])
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        costs, found = [], []
        for _ in range(settings["steps"]):
            cpu, wall = time.process_time(), time.perf_counter()
            found.append(_step(trainer, batches))
            costs.append((time.process_time() - cpu, time.perf_counter() - wall))
    report = {
        "cpu_s": min(cost[0] for cost in costs[1:] or costs),
        "elapsed_s": min(cost[1] for cost in costs[1:] or costs),
        "before_bytes": before * 1024,
        "peak_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        "loss": found[0][0],
        "grad_norm": found[0][1],
    }
    print(json.dumps(report))


def _trainer(model: str, folder: str, settings: dict[str, Any], count: int) -> Any:
    from datasets import Dataset
    from transformers import AutoTokenizer
    from trl import GRPOConfig, GRPOTrainer

    tokenizer = AutoTokenizer.from_pretrained(model)
    tokenizer.pad_token = tokenizer.eos_token
    config = GRPOConfig(
        output_dir=folder,
        use_cpu=True,
        bf16=False,
        gradient_checkpointing=settings["checkpointing"],
        per_device_train_batch_size=settings["rows"],
        gradient_accumulation_steps=count // settings["rows"],
        num_generations=settings["samples"],
        learning_rate=settings["lr"],
        lr_scheduler_type="constant",
        report_to=[],
        disable_tqdm=True,
    )
    trainer: Any = GRPOTrainer(
        model=model,
        reward_funcs=lambda completions, **_: [0.0] * len(completions),
        args=config,
        train_dataset=Dataset.from_dict({"prompt": ["x"] * count}),
        processing_class=tokenizer,
    )
    trainer.create_optimizer()
    trainer.model.train()
    trainer.current_gradient_accumulation_steps = count // settings["rows"]
    return trainer


def _batches(rows: dict[str, Any], size: int) -> list[dict[str, Any]]:
    """Return the episodes in batches: prompts padded on the left, programs on the right."""
    import torch

    prompts, programs = rows["prompts"], rows["programs"]
    longest, width = max(map(len, prompts)), max(map(len, programs))
    total = torch.tensor(sum(map(len, programs)))
    batches = []
    for start in range(0, len(programs), size):
        shown, written = prompts[start : start + size], programs[start : start + size]
        batch = {
            "prompt_ids": torch.tensor([[0] * (longest - len(p)) + p for p in shown]),
            "prompt_mask": torch.tensor([[0] * (longest - len(p)) + [1] * len(p) for p in shown]),
            "completion_ids": torch.tensor([c + [0] * (width - len(c)) for c in written]),
            "completion_mask": torch.tensor(
                [[1] * len(c) + [0] * (width - len(c)) for c in written]
            ),
            "advantages": torch.tensor(rows["advantages"][start : start + size]),
            "num_items_in_batch": total,
        }
        # TRL cuts the columns that are padding in all rows of a batch.
        kept = (
            int(batch["prompt_mask"].any(dim=0).sum()),
            int(batch["completion_mask"].sum(1).max()),
        )
        for name in ("prompt_ids", "prompt_mask"):
            batch[name] = batch[name][:, longest - kept[0] :]
        for name in ("completion_ids", "completion_mask"):
            batch[name] = batch[name][:, : kept[1]]
        batches.append(batch)
    return batches


def _step(trainer: Any, batches: list[dict[str, Any]]) -> tuple[float, float]:
    """Take one step of the optimiser; return the loss and the gradient's norm."""
    import torch

    total = 0.0
    for batch in batches:
        loss = trainer.compute_loss(trainer.model, batch)
        total += float(loss.detach())
        loss.backward()
    norm = torch.nn.utils.clip_grad_norm_(trainer.model.parameters(), 1.0)
    trainer.optimizer.step()
    trainer.optimizer.zero_grad(set_to_none=True)
    return total, float(norm)


if __name__ == "__main__":
    main(*sys.argv[1:4])
