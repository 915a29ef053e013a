"""REINFORCE in one file, on the public interface alone: ``import codegym`` and torch.

The policy first imitates reference solutions, then learns from the rewards of its own programs,
``loss = - sum_i (R_i - mean R) sum_t log p(w_it)``, divided by the number of tokens.

    python examples/own_loop.py
"""

import argparse

import numpy as np
import torch

import codegym

TRAIN = "composites?domain=small&depth=2&split=train"
TEST = "composites?domain=small&depth=2&split=test"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--demonstrations", type=int, default=6_144)
    parser.add_argument("--updates", type=int, default=60)
    parser.add_argument("--count", type=int, default=300, help="held-out tasks")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    torch.set_num_threads(1)
    policy = codegym.make_policy("gpt:tiny", seed=options.seed)
    env = codegym.make_env("CodeGym/Synthesis-v0", policy, tasks=TRAIN, reward="binary", budget=64)
    adam = torch.optim.AdamW(policy.module.parameters(), betas=(0.9, 0.95))
    shuffle = np.random.default_rng(options.seed)
    rng = torch.Generator().manual_seed(options.seed)

    def learn(episodes: list[codegym.Trajectory], *, baseline: float, rows: int, lr: float) -> None:
        batch = codegym.Batch.from_trajectories(episodes, pad_id=policy.tokenizer.pad_id)
        adam.param_groups[0]["lr"] = lr
        for part in batch.minibatches(len(batch) // rows, shuffle):
            advantages = torch.from_numpy(part.rewards - baseline)[:, None]
            loss = -(advantages * policy.evaluate(part).log_probs).sum() / part.n_tokens
            adam.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(policy.module.parameters(), 1.0)
            adam.step()
            policy.mark_updated()  # drops what the policy has cached of its old weights

    def report(when: str) -> None:
        measured = codegym.evaluate(policy, TEST, count=options.count, seed=options.seed)
        print(f"{when}: sampled pass@1 {measured.pass_at[1]}", flush=True)

    rounds = options.demonstrations // 256
    for number in range(rounds):
        shown = codegym.collect(env, policy, codegym.Request(demonstrations=256), rng=rng)
        learn(shown, baseline=0.0, rows=8, lr=3e-3 * (1 - number / rounds))
    report("after the demonstrations")
    for number in range(options.updates):
        written = codegym.collect(env, policy, codegym.Request(tasks=64, samples=4), rng=rng)
        mean = float(np.mean([episode.reward for episode in written]))
        learn(written, baseline=mean, rows=128, lr=3e-4 * min(1.0, (number + 1) / 8))
        if number % 10 == 9:
            print(f"update {number + 1}: mean reward {mean:.3f}", flush=True)
    report("after REINFORCE")


if __name__ == "__main__":
    main()
