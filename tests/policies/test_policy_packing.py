"""Packing: evaluating reads distinct tokens once, and finds what the plain pass over rows finds."""

import numpy as np
import pytest
import torch

from codegym.policies.decoding.action_scores import gather_actions
from codegym.policies.gpt.gpt_policy import GPTConfig, GPTPolicy
from codegym.policies.gpt.packing import Packed
from codegym.tokenizers.bytes import ByteTokenizer
from codegym.trajectory import Batch, Trajectory

A, B = [7, 8, 9], [7, 8]  # B is the beginning of A


def batch_of(*rows):
    return Batch.from_trajectories(
        [
            Trajectory(
                task_id="",
                prompt=np.array(prompt),
                actions=np.array(actions),
                log_probs=np.zeros(len(actions), np.float32),
                values=np.zeros(len(actions), np.float32),
                reward=0.0,
                credit=np.zeros(len(actions), np.float32),
                finished=True,
                program="",
            )
            for prompt, actions in rows
        ],
        pad_id=0,
    )


def test_distinct_tokens_are_kept_once_and_found_again():
    batch = batch_of((A, [20, 1]), (B, [9, 21, 22, 1]), (A, [1]), (A, [20, 23, 1]))
    packed = Packed.of(batch, torch.device("cpu"))
    # Two prompts, and what each row writes but its last token.
    assert packed.ids.tolist() == [7, 8, 9, 20, 7, 8, 9, 21, 22, 20, 23]
    assert packed.rows.tolist() == [
        [0, 1, 2, 3, 0],
        [4, 5, 6, 7, 8],
        [0, 1, 2, 0, 0],
        [0, 1, 2, 9, 10],
    ]
    assert packed.ids[packed.rows].flatten()[packed.places].tolist() == packed.ids.tolist()
    assert packed.sources[packed.actions].tolist() == [2, 3, 5, 6, 7, 8, 2, 2, 9, 10]
    assert packed.sources.tolist() == [2, 3, 5, 6, 7, 8, 9, 10]


@pytest.mark.parametrize("layers", [1, 3])
def test_states_and_gradients_are_those_of_the_plain_pass(layers):
    shape = GPTConfig(d_model=32, n_layers=layers, n_heads=2, max_tokens=64)
    policy = GPTPolicy(ByteTokenizer(), shape, seed=3)
    transformer = policy.module.transformer
    rng = np.random.default_rng(0)
    with torch.no_grad():
        for weight in transformer.parameters():
            weight.mul_(3 if weight.dim() > 1 else 1)
    prompts = [rng.integers(2, 258, length).tolist() for length in (5, 12, 5, 1)]
    rows = [(prompts[row % 4], rng.integers(1, 258, rng.integers(1, 20))) for row in range(11)]
    batch = batch_of(*rows)
    pull = torch.from_numpy(rng.normal(size=(batch.n_tokens, 32)).astype(np.float32))

    def found(hidden):
        transformer.zero_grad()
        (hidden * pull).sum().backward()
        return hidden.detach(), [weight.grad.clone() for weight in transformer.parameters()]

    plain, gradients = found(gather_actions(transformer(torch.from_numpy(batch.tokens)), batch))
    packed, others = found(transformer.read(Packed.of(batch, torch.device("cpu"))))
    torch.testing.assert_close(packed, plain, atol=1e-5, rtol=1e-5)
    for plain_gradient, gradient in zip(gradients, others, strict=True):
        torch.testing.assert_close(gradient, plain_gradient, atol=1e-4, rtol=1e-4)
