"""Rollout: a policy plays an environment, and the episodes become judged trajectories."""
