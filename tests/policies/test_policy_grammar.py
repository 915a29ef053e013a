"""Programs written under the grammar mask parse, and are scored under the masks they had."""

import ast

import numpy as np
import pytest
import torch

from codegym.errors import ConfigError
from codegym.grading.judge import Judge
from codegym.grading.verdict import Verdict
from codegym.learning.agent import Request
from codegym.policies.gpt.gpt_policy import GPTConfig, GPTPolicy, SamplingConfig
from codegym.policies.hf.hf_policy import HFPolicy
from codegym.policy import Constraint
from codegym.rollout.collect import Decoding, collect
from codegym.rollout.environments import make_env
from codegym.sources import load_tasks
from codegym.tokenizers.lexemes import LexemeTokenizer
from codegym.trajectory import Batch

pytest.importorskip("lark")
SHAPE = GPTConfig(d_model=32, n_layers=1, n_heads=2, max_tokens=128)


def gpt():
    return GPTPolicy(LexemeTokenizer(), SHAPE, seed=0)


def rollout(policy, *, grammar=True, temperature=1.0, greedy=False, top_p=1.0):
    """Write programs for four tasks; each is found wrong without being run."""
    source = load_tasks("tiny")
    judge = Judge(stand_in=lambda pairs: [Verdict.no_program(n_cases=1) for _ in pairs])
    env = make_env("CodeGym/Synthesis-v0", policy, tasks=source, budget=24, judge=judge)
    return collect(
        env,
        policy,
        Request(samples=3, temperature=temperature, greedy=greedy),
        tasks=[source[index] for index in range(4)],
        decoding=Decoding(grammar=grammar, top_p=top_p),
        rng=torch.Generator().manual_seed(0),
    )


@pytest.mark.parametrize("make", [gpt, lambda: HFPolicy.specimen(seed=0)])
@pytest.mark.parametrize("settings", [{}, {"temperature": 3.0}, {"greedy": True, "top_p": 0.9}])
def test_every_program_parses_and_ends(make, settings):
    episodes = rollout(make(), **settings)
    assert len(episodes) == 4 * (4 if settings.get("greedy") else 3)
    for episode in episodes:
        ast.parse(episode.program)
        assert episode.finished


def test_log_probs_are_of_the_masked_distribution():
    policy = gpt()
    batch = Batch.from_trajectories(rollout(policy), pad_id=policy.tokenizer.pad_id)
    scored = policy.evaluate(batch).log_probs.detach().numpy()
    np.testing.assert_allclose(scored, batch.log_probs, atol=1e-4)
    rows = np.arange(len(batch))[::-2].copy()
    part = policy.evaluate(batch.select(rows)).log_probs.detach().numpy()
    np.testing.assert_allclose(part, scored[rows][:, : part.shape[1]], atol=1e-5)
    bare = Batch.from_trajectories(rollout(policy, grammar=False), pad_id=policy.tokenizer.pad_id)
    assert bare.masks is None


def test_free_and_masked_episodes_share_a_batch():
    policy = gpt()
    masked, free = rollout(policy)[0], rollout(policy, grammar=False)[0]
    batch = Batch.from_trajectories([masked, free], pad_id=policy.tokenizer.pad_id)
    scored = policy.evaluate(batch).log_probs.detach().numpy()
    np.testing.assert_allclose(scored, batch.log_probs, atol=1e-4)


def test_chunks_and_workers_change_nothing():
    programs = []
    for settings in ({"workers": 1}, {"chunk_rows": 3, "workers": 2, "keep_share": 1.0}):
        policy = gpt()
        policy.sampling_config = SamplingConfig(**settings)
        programs.append([episode.program for episode in rollout(policy)])
    assert programs[0] == programs[1]


def test_what_cannot_be_kept_to_a_grammar_is_refused():
    class Free(GPTPolicy):
        def generate(self, prompts, *, n=1, budget, temperature, top_p, deterministic, rng):
            raise AssertionError

    with pytest.raises(ConfigError, match="cannot be kept to a grammar"):
        rollout(Free(LexemeTokenizer(), SHAPE, seed=0))
    policy = gpt()
    with pytest.raises(ConfigError, match="a state for each prompt"):
        policy.generate([[5], [6]], budget=3, constraint=Constraint(mask=None, states=[0]))
