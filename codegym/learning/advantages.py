"""Advantages: how the reward of an episode becomes credit for its actions. Each formula once.

NumPy only. In shapes, B is the number of episodes, T the longest number of actions; ``mask`` is
True on real actions. Groups are episodes of one task.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Mask = NDArray[np.bool_]


def gae(
    token_rewards: Floats,
    values: Floats,
    mask: Mask,
    *,
    gamma: float = 1.0,
    gae_lambda: float = 1.0,
) -> tuple[Floats, Floats]:
    """Return generalised advantage estimates and the returns they regress to.

    Every episode ends in a terminal state, so nothing is bootstrapped after its last action. With
    ``gamma = gae_lambda = 1`` and the reward on the last token this is ``R - V_t``.

    Args:
        token_rewards: (B, T) reward received after each action.
        values: (B, T) estimated return before each action.
        mask: (B, T).
        gamma: Discount per token.
        gae_lambda: 1 trusts the return alone, 0 the critic alone.

    Returns:
        ``(advantages, returns)``, both (B, T), 0 where ``mask`` is False.

    Source: Schulman et al. 2016 (1506.02438), equation 16.
    """
    advantages = np.zeros_like(values)
    carry = np.zeros(len(values), dtype=values.dtype)
    next_value = np.zeros(len(values), dtype=values.dtype)
    for t in range(values.shape[1] - 1, -1, -1):
        delta = token_rewards[:, t] + gamma * next_value - values[:, t]
        carry = np.where(mask[:, t], delta + gamma * gae_lambda * carry, 0.0).astype(values.dtype)
        next_value = np.where(mask[:, t], values[:, t], 0.0).astype(values.dtype)
        advantages[:, t] = carry
    return advantages, np.where(mask, advantages + values, 0.0).astype(values.dtype)


def leave_one_out(rewards: Floats, groups: NDArray[np.int64]) -> Floats:
    """Return each reward less the mean of the others in its group; 0 for a group of one.

    Args:
        rewards: (B,).
        groups: (B,) number of each episode's group.

    Source: Kool et al. 2019; RLOO, Ahmadian et al. 2024 (2402.14740), equation 8.
    """
    sums, counts = _group_sums(rewards, groups)
    others = np.maximum(counts - 1, 1)
    result = np.where(counts > 1, rewards - (sums - rewards) / others, 0.0)
    return result.astype(np.float32)


def group_relative(
    rewards: Floats, groups: NDArray[np.int64], *, scale: bool = True, eps: float = 1e-4
) -> Floats:
    """Return each reward less its group's mean, divided by its group's standard deviation.

    Args:
        rewards: (B,).
        groups: (B,) number of each episode's group.
        scale: False leaves out the division (Dr. GRPO, 2503.20783).
        eps: Keeps the division finite.

    Source: GRPO, Shao et al. 2024 (2402.03300), section 4.1.2.
    """
    sums, counts = _group_sums(rewards, groups)
    centred = rewards - sums / counts
    if not scale:
        return centred.astype(np.float32)
    squares, _ = _group_sums(centred**2, groups)
    # The sample deviation (n - 1), as the published code has it.
    deviation = np.sqrt(squares / np.maximum(counts - 1, 1))
    return (centred / (deviation + eps)).astype(np.float32)


def soft_overlong_punishment(lengths: NDArray[np.int64], *, longest: int, cache: int) -> Floats:
    """Return what is added to the rewards of long programs: 0, then falling to -1.

    0 up to ``longest - cache`` tokens, then ``(longest - cache - length) / cache``, -1 from
    ``longest`` on.

    Args:
        lengths: (B,) tokens of each program.
        longest: Tokens from which the whole 1 is taken off.
        cache: Tokens over which it is reached.

    Source: DAPO, Yu et al. 2025 (2503.14476), equation 13.
    """
    return np.clip((longest - cache - lengths) / cache, -1.0, 0.0).astype(np.float32)


def standardise(advantages: Floats, mask: Mask, *, centre: bool, eps: float = 1e-6) -> Floats:
    """Divide by the standard deviation over real actions; subtract their mean if ``centre``.

    Leaving the mean in keeps the sign of every advantage: what beat the critic stays positive.
    """
    real = advantages[mask]
    shifted = advantages - real.mean() if centre else advantages
    return np.where(mask, shifted / (real.std() + eps), 0.0).astype(np.float32)


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
    """Give every real action of an episode the episode's own advantage: (B,) -> (B, T)."""
    return np.where(mask, per_episode[:, None], 0.0).astype(np.float32)


def explained_variance(predicted: Floats, target: Floats) -> float:
    """Return ``1 - Var(target - predicted) / Var(target)``; nan where the target is constant."""
    variance = float(np.var(target))
    return float("nan") if variance == 0 else 1.0 - float(np.var(target - predicted)) / variance


def _group_sums(
    values: NDArray[np.floating[Any]], groups: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    _, inverse = np.unique(groups, return_inverse=True)
    sums = np.bincount(inverse, weights=values).astype(np.float64)
    counts = np.bincount(inverse).astype(np.int64)
    return sums[inverse], counts[inverse]
