"""Benchmarks: every performance claim as a ratio against a baseline taken in the same run."""
