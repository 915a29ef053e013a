"""Losses: what the agents minimise, as sums over real tokens divided by a count. Each once.

Every function returns a scalar tensor. ``weight`` is the number to divide by, so that a minibatch
can be worked through in pieces whose gradients add up to the whole one's.
"""

import torch
from torch import Tensor


def policy_gradient(log_probs: Tensor, advantages: Tensor, weight: float) -> Tensor:
    """Return ``-sum A_t log p_t / weight`` (REINFORCE, Williams 1992).

    Args:
        log_probs: (B, T), 0 on padding.
        advantages: (B, T), 0 on padding.
        weight: What to divide by, usually the number of real tokens.
    """
    return -(advantages * log_probs).sum() / weight


def clipped_surrogate(
    log_probs: Tensor,
    old_log_probs: Tensor,
    advantages: Tensor,
    weight: float,
    *,
    clip_low: float,
    clip_high: float,
) -> Tensor:
    """Return ``-sum min(r_t A_t, clip(r_t, 1 - clip_low, 1 + clip_high) A_t) / weight``.

    Source: PPO, Schulman et al. 2017 (1707.06347), equation 7; unequal bounds are DAPO's
    clip-higher (2503.14476).
    """
    ratio = (log_probs - old_log_probs).exp()
    clipped = ratio.clamp(1.0 - clip_low, 1.0 + clip_high)
    return -torch.min(ratio * advantages, clipped * advantages).sum() / weight


def value_error(values: Tensor, returns: Tensor, mask: Tensor, weight: float) -> Tensor:
    """Return ``sum (V_t - G_t)^2 / 2 / weight`` over real tokens."""
    return 0.5 * ((values - returns) ** 2 * mask).sum() / weight


def kl_to_reference(log_probs: Tensor, reference: Tensor, mask: Tensor, weight: float) -> Tensor:
    """Return the low-variance estimate of KL(policy || reference): ``exp(d) - d - 1``.

    ``d = log p_ref - log p``; never negative.

    Source: Schulman, "Approximating KL divergence" (k3); used by GRPO (2402.03300), equation 4.
    """
    difference = reference - log_probs
    return ((difference.exp() - difference - 1.0) * mask).sum() / weight
