"""Programs written under the grammar mask parse, and are scored under the masks they had."""

import ast

import numpy as np
import pytest
import torch

from codegym.errors import ConfigError
from codegym.grammar import shared_mask
from codegym.policies.gpt.gpt_policy import GPTConfig, GPTPolicy, SamplingConfig
from codegym.policies.hf.hf_policy import HFPolicy
from codegym.policy import Constraint
from codegym.tokenizers.lexemes import LexemeTokenizer
from codegym.trajectory import Batch, Trajectory

pytest.importorskip("lark")
SHAPE = GPTConfig(d_model=32, n_layers=1, n_heads=2, max_tokens=128)
PROMPTS = [f"{'# note' * (k > 1)}\ndef f(x):\n" for k in range(4)]
N = 3


def gpt():
    return GPTPolicy(LexemeTokenizer(), SHAPE, seed=0)


def written(policy, *, grammar=True, **settings):
    """Return episodes: N programs of each prompt, of at most 24 tokens."""
    prompts = [policy.tokenizer.encode(text) for text in PROMPTS]
    constraint = None
    if grammar:
        mask = shared_mask(policy.tokenizer)
        constraint = Constraint(mask=mask, states=[mask.start(text) for text in PROMPTS])
    generation = policy.generate(
        prompts,
        n=N,
        budget=24,
        constraint=constraint,
        rng=torch.Generator().manual_seed(0),
        **settings,
    )
    return [
        Trajectory(
            task_id="",
            prompt=np.array(prompts[row // N]),
            actions=actions,
            log_probs=generation.log_probs[row],
            values=generation.values[row],
            reward=0.0,
            credit=np.zeros(len(actions), np.float32),
            finished=bool(generation.finished[row]),
            program=PROMPTS[row // N] + policy.tokenizer.decode(actions.tolist()),
            temperature=settings.get("temperature", 1.0),
            masks=None if generation.masks is None else generation.masks[row],
        )
        for row, actions in enumerate(generation.actions)
    ]


def scored(policy, batch):
    return policy.evaluate(batch, temperature=batch.temperatures).log_probs.detach().numpy()


@pytest.mark.parametrize("make", [gpt, lambda: HFPolicy.specimen(seed=0)])
@pytest.mark.parametrize(
    "settings", [{}, {"temperature": 3.0}, {"deterministic": True, "top_p": 0.9}]
)
def test_every_program_parses_and_ends(make, settings):
    for episode in written(make(), **settings):
        ast.parse(episode.program)
        assert episode.finished


@pytest.mark.parametrize("temperature", [1.0, 0.7])
def test_log_probs_are_of_the_masked_distribution(temperature):
    policy = gpt()
    episodes = written(policy, temperature=temperature)
    batch = Batch.from_trajectories(episodes, pad_id=policy.tokenizer.pad_id)
    whole = scored(policy, batch)
    np.testing.assert_allclose(whole, batch.log_probs, atol=1e-4)
    rows = np.arange(len(batch))[::-2].copy()
    part = scored(policy, batch.select(rows))
    np.testing.assert_allclose(part, whole[rows][:, : part.shape[1]], atol=1e-5)
    bare = Batch.from_trajectories(written(policy, grammar=False), pad_id=policy.tokenizer.pad_id)
    assert bare.masks is None


def test_free_and_masked_episodes_share_a_batch():
    policy = gpt()
    masked, free = written(policy)[0], written(policy, grammar=False)[0]
    batch = Batch.from_trajectories([masked, free], pad_id=policy.tokenizer.pad_id)
    np.testing.assert_allclose(scored(policy, batch), batch.log_probs, atol=1e-4)


def test_chunks_and_workers_change_nothing():
    programs = []
    for settings in ({"workers": 1}, {"chunk_rows": 3, "workers": 2, "keep_share": 1.0}):
        policy = gpt()
        policy.sampling_config = SamplingConfig(**settings)
        programs.append([episode.program for episode in written(policy)])
    assert programs[0] == programs[1]


def test_a_constraint_needs_a_state_for_each_prompt():
    with pytest.raises(ConfigError, match="a state for each prompt"):
        gpt().generate([[5], [6]], budget=3, constraint=Constraint(mask=None, states=[0]))
