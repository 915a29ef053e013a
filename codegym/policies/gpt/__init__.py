"""gpt: the tiny transformer, trained from nothing on a laptop."""
