"""Rewards: a file for each reward, found by name, composed by + and *."""

from codegym.rewards._expression import make_reward
from codegym.rewards.reward import Reward

__all__ = ["Reward", "make_reward"]
