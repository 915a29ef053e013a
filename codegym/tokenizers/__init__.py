"""Tokenizers: one file each, found by name."""

from codegym.tokenizers.base import Tokenizer

__all__ = ["Tokenizer"]
