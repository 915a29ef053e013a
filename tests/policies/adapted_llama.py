"""A tiny Llama as a folder from elsewhere, and hf policies with adapters on it."""

import numpy as np
import torch

from codegym.policies.hf.hf_policy import HFConfig, HFPolicy
from codegym.policies.hf.prompting import Prompting
from codegym.trajectory import Batch, Trajectory

NO_STOPS = Prompting(stops=())


def adapted(base, *, moved=False, **settings):
    config = HFConfig(max_tokens=64, prompting=NO_STOPS, **{"lora_rank": 2} | settings)
    policy = HFPolicy.open(str(base), config, seed=2)
    if moved:
        move(policy)
    return policy


def move(policy, by=0.3):
    rng = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for weight in policy.module.parameters():
            if weight.requires_grad:
                weight.add_(torch.randn(weight.shape, generator=rng), alpha=by)
    policy.mark_updated()


def batch_of(policy, seed=0, texts=("def f(x):", "a = [1, 2", "x")):
    prompts = [policy.tokenizer.encode(text) for text in texts]
    written = policy.generate(prompts, n=2, budget=12, rng=torch.Generator().manual_seed(seed))
    return Batch.from_trajectories(
        [
            Trajectory(
                task_id="",
                prompt=np.array(prompts[row // 2]),
                actions=actions,
                log_probs=written.log_probs[row],
                values=written.values[row],
                reward=0.0,
                credit=np.zeros(len(actions), np.float32),
                finished=True,
                program="",
            )
            for row, actions in enumerate(written.actions)
        ],
        pad_id=policy.tokenizer.pad_id,
    )


def log_probs_of(policy, batch):
    return policy.evaluate(batch).log_probs.detach().numpy()
