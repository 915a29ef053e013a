"""Random model: a folder with a Qwen2-like model of fresh weights and a tokenizer, for bench."""

import sys
import sysconfig
from pathlib import Path
from typing import Any

import torch
from transformers import Qwen2Config, Qwen2ForCausalLM

from codegym.policies.hf.hf_model import quiet
from codegym.tokenizers.hf import HFTokenizer

# Qwen2.5-Coder-0.5B has an MLP of 5.4 times its width, heads of 64, and 7 queries to a key.
_HEAD, _MLP = 64, 5.5


def build_random_model(
    folder: Path, *, width: int = 256, layers: int = 4, words: int = 32_000, seed: int = 0
) -> None:
    """Write a model folder in the layout of transformers.

    The tokenizer learns its vocabulary from Python's standard library. What that does not fill is
    filled with tokens that no text holds, so that the vocabulary has exactly ``words`` ids.

    Args:
        folder: Where to.
        width: Size of the hidden states; heads have 64 units, two queries share a key.
        layers: Number of layers.
        words: Size of the vocabulary, the end token included.
        seed: Seed of the weights.
    """
    tokenizer = _tokenizer(words)
    heads = max(1, width // _HEAD)
    shape: Any = Qwen2Config(
        vocab_size=words,
        hidden_size=width,
        intermediate_size=int(_MLP * width),
        num_hidden_layers=layers,
        num_attention_heads=heads,
        num_key_value_heads=max(1, heads // 2),
        max_position_embeddings=2048,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=tokenizer.end_id,
        pad_token_id=None,
    )
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        model: Any = Qwen2ForCausalLM(shape)
    with quiet():
        model.save_pretrained(folder)
    tokenizer.save(folder)


def _tokenizer(words: int) -> HFTokenizer:
    library = Path(sysconfig.get_paths()["stdlib"])
    files = sorted(library.glob("*.py")) + sorted(library.glob("*/*.py"))
    files = [file for file in files if "site-packages" not in file.parts][:600]
    texts = [file.read_text(encoding="utf-8", errors="replace") for file in files]
    tokenizer = HFTokenizer.train(texts, vocab_size=words)
    missing = words - tokenizer.model_size
    backend = tokenizer.backend
    backend.add_tokens([f"<|unused_{number}|>" for number in range(missing)])
    return HFTokenizer(backend, config=tokenizer.config)


if __name__ == "__main__":
    build_random_model(Path(sys.argv[1]))
