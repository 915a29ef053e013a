"""A third party's policy, written from the contract alone, passes its check; agents train it."""

import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import numpy as np
import pytest

from codegym import registry
from codegym.checks.check_policy import check_policy
from codegym.errors import ConformanceError
from codegym.tokenizers.lexemes import LexemeTokenizer
from codegym.trajectory import Trajectory

PATH = Path(__file__).parents[2] / "examples" / "bigram_policy.py"


@pytest.fixture(scope="module")
def bigram():
    spec = spec_from_file_location("bigram_policy", PATH)
    module = module_from_spec(spec)
    sys.modules["bigram_policy"] = module
    spec.loader.exec_module(module)
    return module.BigramPolicy


def test_it_keeps_the_contract(bigram):
    check_policy(lambda: bigram(LexemeTokenizer(), seed=7, max_tokens=64))


def test_one_that_forgets_to_renormalise_does_not(bigram):
    class Wrong(bigram):
        def evaluate(self, batch, **settings):
            scored = super().evaluate(batch, **settings)
            return type(scored)(
                log_probs=scored.log_probs * 1.01,
                entropy=scored.entropy,
                values=scored.values,
                hidden=scored.hidden,
            )

    with pytest.raises(ConformanceError, match="generate and evaluate disagree"):
        check_policy(lambda: Wrong(LexemeTokenizer(), seed=7, max_tokens=64))


@pytest.mark.parametrize("name", ["rloo", "actor_critic"])
def test_agents_train_it(bigram, name):
    """Reward one token in eight after the prompt; they must become more probable."""
    policy = bigram(LexemeTokenizer(), seed=0, max_tokens=64)
    kind = registry.get("agents", name)
    agent = kind(policy, kind.config_class(lr=0.5), seed=0)
    prompt = policy.tokenizer.encode("def f(x):\n")
    good = policy.tokenizer.encode("return")[0]
    for _ in range(20):
        written = policy.generate([prompt] * 16, n=4, budget=1, temperature=1.0)
        agent.update(
            [
                Trajectory(
                    task_id=str(row // 4),
                    prompt=np.array(prompt),
                    actions=actions,
                    log_probs=written.log_probs[row],
                    values=written.values[row],
                    reward=float(actions[0] % 8 == good % 8),
                    credit=np.array([actions[0] % 8 == good % 8], np.float32),
                    finished=False,
                    program="",
                )
                for row, actions in enumerate(written.actions)
            ]
        )
    final = policy.generate([prompt], n=200, budget=1)
    assert np.mean([actions[0] % 8 == good % 8 for actions in final.actions]) > 0.25
