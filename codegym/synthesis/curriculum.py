"""Curriculum: difficulty that follows the success rate."""
