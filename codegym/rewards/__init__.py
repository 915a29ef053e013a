"""Rewards: one file each, found by name, composed by + and *."""

from codegym.rewards.base import Reward

__all__ = ["Reward"]
