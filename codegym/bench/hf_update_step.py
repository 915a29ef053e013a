"""A GRPO update of an hf policy on given prompts and programs; run by ``codegym bench hf-update``.

It runs in a process without anything else, so that the peak of its memory is the update's.
"""

import json
import resource
import sys
import time
from typing import Any

import numpy as np
import torch

from codegym.agents.grpo import GRPO, GRPOConfig
from codegym.policies.hf.hf_config import HFConfig
from codegym.policies.hf.hf_policy import HFPolicy
from codegym.trajectory import Batch, Trajectory


def main(model: str, episodes: str, options: str) -> None:
    """Take the updates that ``options`` asks for and print what they cost, as JSON.

    Args:
        model: Folder of the model.
        episodes: JSON file with ``prompts``, ``programs`` and ``rewards``.
        options: JSON with ``steps``, ``lr``, ``threads``, ``checkpointing``, ``samples``.
    """
    settings = json.loads(options)
    with open(episodes, encoding="utf-8") as file:
        rows = json.load(file)
    torch.set_num_threads(settings["threads"])
    config = HFConfig(max_tokens=2048, gradient_checkpointing=settings["checkpointing"])
    policy = HFPolicy.open(model, config, seed=0)
    agent = GRPO(policy, _settings(settings, len(rows["programs"])), seed=0)
    trajectories = _trajectories(policy, rows)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    costs, metrics = [], []
    for _ in range(settings["steps"]):
        cpu, elapsed = time.process_time(), time.perf_counter()
        metrics.append(agent.update(trajectories))
        costs.append((time.process_time() - cpu, time.perf_counter() - elapsed))
    report = {
        "cpu_s": min(cost[0] for cost in costs[1:] or costs),
        "elapsed_s": min(cost[1] for cost in costs[1:] or costs),
        "before_bytes": before * 1024,
        "peak_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        "loss": metrics[0]["loss"],
        "grad_norm": metrics[0]["grad_norm"],
    }
    print(json.dumps(report))


def _settings(settings: dict[str, Any], count: int) -> GRPOConfig:
    """Return TRL's defaults in our words: the mean over tokens, clipped at .2, no divergence."""
    return GRPOConfig(
        lr=settings["lr"],
        average="token",
        kl_coef=0.0,
        samples=settings["samples"],
        tasks=count // settings["samples"],
    )


def _trajectories(policy: HFPolicy, rows: dict[str, Any]) -> list[Trajectory]:
    """Return the episodes, with the log-probabilities they would have been sampled with."""
    found = []
    for prompt, program, reward in zip(
        rows["prompts"], rows["programs"], rows["rewards"], strict=True
    ):
        blank = np.zeros(len(program), dtype=np.float32)
        episode = Trajectory(
            task_id=str(hash(tuple(prompt))),
            prompt=np.array(prompt, dtype=np.int64),
            actions=np.array(program, dtype=np.int64),
            log_probs=blank,
            values=blank,
            reward=reward,
            credit=blank,
            finished=True,
            program="",
        )
        found.append(episode)
    drawn = Batch.from_trajectories(found, pad_id=policy.tokenizer.pad_id)
    for row, episode in enumerate(found):
        with torch.no_grad():
            part = policy.evaluate(drawn.select(np.array([row]))).log_probs[0].numpy()
        episode.log_probs[:] = part[: len(episode)]
    return found


if __name__ == "__main__":
    main(*sys.argv[1:4])
