"""Gradient estimators: figures by hand, the policy gradient by autograd, and damping's effect."""

import numpy as np
import pytest
import torch

from codegym.measuring.gradient_estimators import (
    Critic,
    Sample,
    by_task_mean,
    draw,
    estimators_of,
    figures_of,
    gradient,
    measure,
    with_task_baseline,
)
from codegym.policies.factory import make_policy
from codegym.rewards import make_reward
from codegym.rollout.environments import make_env
from codegym.sources import load_tasks


@pytest.fixture(scope="module")
def sample() -> Sample:
    policy = make_policy("gpt:tiny", seed=0)
    env = make_env(
        "CodeGym/Synthesis-v0", policy, tasks=load_tasks("tiny?n=4"), reward=make_reward("rltf"),
        budget=6,
    )  # fmt: skip
    drawn = draw(policy, env, tasks=2, batches=3)
    # A new policy passes nothing: half of the programs are called passing.
    for batch in (*drawn.batches, drawn.many):
        for number, each in enumerate(batch):
            object.__setattr__(each, "verdict", None)
            object.__setattr__(each, "reward", float(number % 2))
    return drawn


def test_figures_by_hand() -> None:
    rows = torch.tensor([[3.0, 1.0], [3.0, -1.0]])
    found = figures_of(rows, torch.tensor([1.0, 0.0]))
    # The mean is (3, 0), the variance 1 + 1 over n - 1 = 1; half of it is in the mean's square.
    assert found.noise == pytest.approx(2.0 / (9.0 - 1.0))
    assert found.cosine == pytest.approx(3 / np.sqrt(10)) and found.signal == pytest.approx(1.0)


def test_a_gradient_is_that_of_the_weighted_likelihood(sample: Sample) -> None:
    batch = list(sample.batches[0])
    weights = with_task_baseline(batch)
    assert sum(float(row[0]) for row in weights) == pytest.approx(0.0, abs=1e-6)
    ones = [np.ones(len(each), np.float32) for each in batch]
    whole = gradient(sample.policy, batch, ones)
    tokens = sum(len(each) for each in batch)
    parts = sum(
        gradient(sample.policy, [each], [one]) * len(each) / tokens
        for each, one in zip(batch, ones, strict=True)
    )
    assert torch.allclose(whole, parts, atol=1e-5) and float(whole.norm()) > 0
    negative = gradient(sample.policy, batch, [-row for row in ones])
    assert torch.allclose(whole, -negative, atol=1e-6)


def test_rewards_less_the_mean_of_their_task(sample: Sample) -> None:
    batch = list(sample.many)
    left = by_task_mean(batch, [float(number) for number in range(len(batch))])
    for task in {each.task_id for each in batch}:
        own = [value for each, value in zip(batch, left, strict=True) if each.task_id == task]
        assert sum(own) == pytest.approx(0.0, abs=1e-4)


def test_every_estimator_is_measured_plain_and_damped(sample: Sample) -> None:
    estimators, explains = estimators_of(("critic", "feedback"), sample)
    assert set(explains) == {"critic synced", "critic frozen"}
    found = measure(sample, estimators)
    assert len(found) == 2 * len(estimators) == 12
    none = found["critic none"]
    assert none["noise"] > 0 and -1.0 <= none["cosine"] <= 1.0
    assert found["critic none, damped"] != none
    # Without an earlier critic, the frozen critic is the synced one.
    assert found["critic frozen"] == found["critic synced"]
    other = Critic(sample.policy, list(sample.many), seed=5)
    estimators, _ = estimators_of(("critic",), sample, other)
    assert measure(sample, estimators)["critic frozen"] != found["critic frozen"]
