"""sb3: any Policy as a stable-baselines3 policy, with the buffer and the vector env it needs."""
