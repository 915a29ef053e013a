"""Programs written under the grammar mask parse, and are scored under the masks they had."""

import ast

import numpy as np
import pytest
import torch

from codegym.errors import ConfigError
from codegym.grading.verdict import Verdict
from codegym.policies.gpt.gpt_policy import GPTConfig, GPTPolicy, SamplingConfig
from codegym.policies.hf.hf_policy import HFPolicy
from codegym.policy import Constraint
from codegym.rewards import make_reward
from codegym.rollout.collect import Sampling, collect
from codegym.sources import load_tasks
from codegym.tokenizers.lexemes import LexemeTokenizer
from codegym.trajectory import Batch

pytest.importorskip("lark")
SHAPE = GPTConfig(d_model=32, n_layers=1, n_heads=2, max_tokens=128)


class NoJudge:
    """Finds every program wrong without running it."""

    def __init__(self):
        self._tickets = []

    def submit(self, program, task):
        self._tickets.append(len(self._tickets))
        return self._tickets[-1]

    def collect(self):
        done, self._tickets = self._tickets, []
        return [(ticket, Verdict.no_program(n_cases=1)) for ticket in done]


def gpt():
    return GPTPolicy(LexemeTokenizer(), SHAPE, seed=0)


def rollout(policy, **settings):
    source = load_tasks("tiny")
    return collect(
        policy,
        [source[index] for index in range(4)],
        judge=NoJudge(),
        reward=make_reward("binary"),
        sampling=Sampling(**{"n": 3, "budget": 24, "grammar": True} | settings),
        rng=torch.Generator().manual_seed(0),
    )


@pytest.mark.parametrize("make", [gpt, lambda: HFPolicy.specimen(seed=0)])
@pytest.mark.parametrize("settings", [{}, {"temperature": 3.0}, {"greedy": True, "top_p": 0.9}])
def test_every_program_parses_and_ends(make, settings):
    for one in rollout(make(), **settings):
        ast.parse(one.program)
        assert one.finished


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
        programs.append([one.program for one in rollout(policy)])
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
