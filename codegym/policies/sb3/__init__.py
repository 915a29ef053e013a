"""sb3: any Policy as a policy of stable-baselines3, with a buffer and a vector environment."""
