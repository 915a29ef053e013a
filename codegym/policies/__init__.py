"""Policies: write programs. ``gpt`` is ours, ``hf`` any causal LM, ``sb3`` an adapter."""
