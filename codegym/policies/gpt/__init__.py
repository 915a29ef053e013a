"""gpt: a tiny transformer, trained from fresh weights on a laptop."""
