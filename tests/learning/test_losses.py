"""Losses and their gradients against numbers worked out by hand."""

import math

import pytest
import torch

from codegym.learning import losses


def test_policy_gradient_value_and_gradient() -> None:
    log_probs = torch.tensor([[-1.0, -2.0, 0.0]], requires_grad=True)
    advantages = torch.tensor([[0.5, -1.0, 0.0]])
    loss = losses.policy_gradient(log_probs, advantages, 2.0)
    assert loss.item() == pytest.approx(-((0.5 * -1) + (-1 * -2)) / 2)
    loss.backward()
    assert log_probs.grad is not None
    assert log_probs.grad.tolist() == [[-0.25, 0.5, 0.0]]


def test_clipped_surrogate_stops_the_gradient_outside_the_clip() -> None:
    old = torch.zeros(1, 4)
    # Ratios 1.5, 1.5, 0.5, 0.5 with advantages +, -, +, -.
    log_probs = torch.tensor([[math.log(1.5)] * 2 + [math.log(0.5)] * 2], requires_grad=True)
    advantages = torch.tensor([[1.0, -1.0, 1.0, -1.0]])
    loss = losses.clipped_surrogate(log_probs, old, advantages, 1.0, clip_low=0.2, clip_high=0.3)
    # min(1.5, 1.3) + min(-1.5, -1.3) + min(.5, .8) + min(-.5, -.8) = 1.3 - 1.5 + .5 - .8
    assert loss.item() == pytest.approx(0.5)
    loss.backward()
    assert log_probs.grad is not None
    assert log_probs.grad[0].tolist() == pytest.approx([0.0, 1.5, -0.5, 0.0])


def test_ratio_is_one_at_the_first_pass() -> None:
    log_probs = torch.tensor([[-0.3, -1.1]], requires_grad=True)
    advantages = torch.tensor([[2.0, -1.0]])
    clipped = losses.clipped_surrogate(
        log_probs, log_probs.detach(), advantages, 1.0, clip_low=0.2, clip_high=0.2
    )
    assert clipped.item() == pytest.approx(-1.0)
    (gradient,) = torch.autograd.grad(clipped, log_probs)
    (plain,) = torch.autograd.grad(losses.policy_gradient(log_probs, advantages, 1.0), log_probs)
    torch.testing.assert_close(gradient, plain)


def test_value_error_ignores_padding() -> None:
    values = torch.tensor([[1.0, 5.0]], requires_grad=True)
    loss = losses.value_error(
        values, torch.tensor([[3.0, 0.0]]), torch.tensor([[True, False]]), 1.0
    )
    assert loss.item() == pytest.approx(2.0)
    loss.backward()
    assert values.grad is not None
    assert values.grad.tolist() == [[-2.0, 0.0]]


def test_kl_is_zero_on_equal_and_positive_otherwise() -> None:
    mask = torch.ones(1, 2, dtype=torch.bool)
    equal = torch.tensor([[-1.0, -2.0]])
    assert losses.kl_to_reference(equal, equal, mask, 1.0).item() == 0.0
    # d = -1: exp(-1) + 1 - 1 = .36788; d = 1: e - 2 = .71828.
    got = losses.kl_to_reference(
        torch.tensor([[0.0, -1.0]]), torch.tensor([[-1.0, 0.0]]), mask, 1.0
    )
    assert got.item() == pytest.approx(math.exp(-1) + math.e - 2, rel=1e-5)
