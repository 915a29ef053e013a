"""Advantages: how rewards become weights of actions. Formulas that several agents share, each once.

NumPy only. In shapes, B is the number of episodes, T the longest number of actions; ``mask`` is
True on the policy's actions: False on padding, and on what an environment wrote in between.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Mask = NDArray[np.bool_]


def gae(
    credit: Floats, values: Floats, mask: Mask, *, gamma: float = 1.0, gae_lambda: float = 1.0
) -> tuple[Floats, Floats]:
    """Return generalised advantage estimates and the returns that values regress to.

    Every episode ends in a terminal state, so nothing is bootstrapped after its last action. With
    ``gamma = gae_lambda = 1`` and the reward on the last action this is ``R - V_t``. Time passes
    only at the policy's actions: what the environment wrote is skipped.

    Args:
        credit: (B, T) reward received after each action.
        values: (B, T) estimated return before each action.
        mask: (B, T).
        gamma: Discount per action.
        gae_lambda: 1 trusts the return alone, 0 the critic alone.

    Returns:
        ``(advantages, returns)``, both (B, T), 0 where ``mask`` is False.

    Source: Schulman et al. 2016 (1506.02438), equation 16.
    """
    advantages = np.zeros_like(values)
    carry = np.zeros(len(values), dtype=values.dtype)
    next_value = np.zeros(len(values), dtype=values.dtype)
    for t in range(values.shape[1] - 1, -1, -1):
        delta = credit[:, t] + gamma * next_value - values[:, t]
        present = (delta + gamma * gae_lambda * carry).astype(values.dtype)
        carry = np.where(mask[:, t], present, carry)
        next_value = np.where(mask[:, t], values[:, t], next_value)
        advantages[:, t] = np.where(mask[:, t], carry, 0.0)
    return advantages, np.where(mask, advantages + values, 0.0).astype(values.dtype)


def soft_overlong_punishment(lengths: NDArray[np.int64], *, longest: int, cache: int) -> Floats:
    """Return what is added to the rewards of long programs: 0, then falling to -1.

    0 up to ``longest - cache`` tokens, then ``(longest - cache - length) / cache``, -1 from
    ``longest`` on.

    Args:
        lengths: (B,) tokens of each program.
        longest: Length from which the punishment is -1.
        cache: Number of tokens over which it falls from 0 to -1.

    Source: DAPO, Yu et al. 2025 (2503.14476), equation 13.
    """
    return np.clip((longest - cache - lengths) / cache, -1.0, 0.0).astype(np.float32)


def standardise(advantages: Floats, mask: Mask, *, centre: bool, eps: float = 1e-6) -> Floats:
    """Divide by the root mean square over the policy's actions, after centring if ``centre``.

    With ``centre`` this is the division by the standard deviation. Without it every advantage keeps
    its sign: what beat the critic stays positive.
    """
    real = advantages[mask]
    shift = real.mean() if centre else np.float32(0.0)
    scale = np.sqrt(np.square(real - shift).mean()) + eps
    return np.where(mask, (advantages - shift) / scale, 0.0).astype(np.float32)


def damp(advantages: Floats, negative_scale: float) -> Floats:
    """Multiply negative advantages by a factor of at most 1.

    A program that fails holds tokens the policy itself finds unlikely, and the gradient of their
    log-probability is much longer than that of a passing program's tokens. So the baseline of least
    variance, ``E[R |g|^2] / E[|g|^2]`` with ``g`` the gradient of the log-probability (Greensmith
    et al. 2004), lies near the reward of failing, not near the mean reward. A factor below 1 goes
    there without the norms having to be known.
    """
    damped = np.where(advantages < 0, advantages * np.float32(negative_scale), advantages)
    return damped.astype(np.float32)


def spread(per_episode: Floats, mask: Mask) -> Floats:
    """Give every action of an episode the episode's advantage: (B,) -> (B, T)."""
    return np.where(mask, per_episode[:, None], 0.0).astype(np.float32)


def group_sums(
    values: NDArray[np.floating[Any]], groups: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return, for each episode, the sum of the values in its group and the group's size.

    Args:
        values: (B,).
        groups: (B,) number of each episode's group.
    """
    _, inverse = np.unique(groups, return_inverse=True)
    sums = np.bincount(inverse, weights=values).astype(np.float64)
    counts = np.bincount(inverse).astype(np.int64)
    return sums[inverse], counts[inverse]


def explained_variance(predicted: Floats, target: Floats) -> float:
    """Return ``1 - Var(target - predicted) / Var(target)``; nan where the target is constant."""
    variance = float(np.var(target))
    return float("nan") if variance == 0 else 1.0 - float(np.var(target - predicted)) / variance
