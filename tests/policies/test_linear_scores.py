"""Log-probabilities of a linear head in pieces: equal to the plain way, gradients included."""

import numpy as np
import pytest
import torch

from codegym.policies.decoding.linear_scores import ScoredActions, linear_scores
from codegym.policies.decoding.row_masks import NEVER

K, D, V = 7, 5, 12


@pytest.fixture
def drawn():
    rng = torch.Generator().manual_seed(0)
    hidden = torch.randn(K, D, generator=rng)
    # The model has a row more than the tokenizer has ids.
    weight, bias = torch.randn(V + 1, D, generator=rng), torch.randn(V + 1, generator=rng)
    actions = torch.tensor([1, 2, 3, 0, 5, 9, 11])
    temperatures = torch.rand(K, generator=rng) + 0.5
    allowed = torch.rand(K, V, generator=rng) > 0.3
    allowed[torch.arange(K), actions] = True
    return [hidden, weight, bias], actions, temperatures, allowed


def scored_of(drawn, *, rows, settings):
    _, actions, temperatures, allowed = drawn
    return ScoredActions(
        actions=actions,
        temperatures=temperatures if settings else None,
        allowed=np.packbits(allowed.numpy(), axis=1) if settings else None,
        size=V,
        blank=4 if settings else None,
        rows=rows,
    )


def plain(tensors, drawn, *, settings):
    hidden, weight, bias = tensors
    _, actions, temperatures, allowed = drawn
    scores = (hidden @ weight.T + bias)[:, :V]
    if settings:
        blank = torch.arange(V) == 4
        scores = (scores / temperatures[:, None]).masked_fill(blank | ~allowed, NEVER)
    log_all = scores.log_softmax(dim=-1)
    return log_all.gather(1, actions[:, None])[:, 0], -(log_all.exp() * log_all).sum(dim=-1)


@pytest.mark.parametrize("settings", [False, True])
@pytest.mark.parametrize("rows", [1, 3, 100])
@pytest.mark.parametrize("frozen", [False, True])
@pytest.mark.parametrize("used", [(True, False), (False, True), (True, True)])
def test_values_and_gradients_equal_the_plain_way(drawn, settings, rows, frozen, used):
    tensors = [
        tensor.clone().requires_grad_(not frozen or not at) for at, tensor in enumerate(drawn[0])
    ]
    trained = [tensor for tensor in tensors if tensor.requires_grad]
    factors = torch.randn(2, K, generator=torch.Generator().manual_seed(1))
    found = linear_scores(*tensors, scored_of(drawn, rows=rows, settings=settings))
    wanted = plain(tensors, drawn, settings=settings)
    gradients = []
    for pair in (found, wanted):
        loss = sum(
            (part * factor).sum()
            for part, factor, use in zip(pair, factors, used, strict=True)
            if use
        )
        gradients.append(torch.autograd.grad(loss, trained))
    for first, second in zip(found, wanted, strict=True):
        torch.testing.assert_close(first, second, atol=2e-6, rtol=2e-6)
    for first, second in zip(*gradients, strict=True):
        torch.testing.assert_close(first, second, atol=5e-6, rtol=1e-5)


def test_the_gradient_by_hand():
    """Two tokens with scores 0 and log 3: p = (1/4, 3/4), so d log p_0 / d z = (3/4, -3/4)."""
    hidden = torch.tensor([[1.0]], requires_grad=True)
    weight = torch.tensor([[0.0], [float(np.log(3.0))]], requires_grad=True)
    scored = ScoredActions(
        actions=torch.tensor([0]), temperatures=None, allowed=None, size=2, blank=None
    )
    log_probs, entropy = linear_scores(hidden, weight, None, scored)
    assert log_probs.item() == pytest.approx(np.log(0.25))
    assert entropy.item() == pytest.approx(-0.25 * np.log(0.25) - 0.75 * np.log(0.75))
    log_probs.sum().backward()
    np.testing.assert_allclose(weight.grad[:, 0], [0.75, -0.75], atol=1e-6)
    assert float(hidden.grad) == pytest.approx(-0.75 * np.log(3.0))


def test_an_id_that_the_model_does_not_know_is_never_written(drawn):
    scored = scored_of(drawn, rows=0, settings=False)
    scored.actions[2] = V
    log_probs, _ = linear_scores(*drawn[0], scored)
    assert float(log_probs[2]) == NEVER


def test_what_is_kept_for_the_backward_pass_does_not_grow_with_the_vocabulary():
    kept = []
    for size in (200, 2000):
        saved = []
        hidden = torch.randn(50, 4, requires_grad=True)
        weight = torch.randn(size, 4, requires_grad=True)
        scored = ScoredActions(
            actions=torch.zeros(50, dtype=torch.int64),
            temperatures=None,
            allowed=None,
            size=size,
            blank=None,
            rows=8,
        )
        with torch.autograd.graph.saved_tensors_hooks(
            lambda tensor, saved=saved: saved.append(tensor) or tensor, lambda tensor: tensor
        ):
            linear_scores(hidden, weight, None, scored)
        kept.append(sum(tensor.numel() for tensor in saved if tensor.shape != weight.shape))
    assert kept[0] == kept[1] > 0
