"""The tiny transformer of ``gpt``: weights, the training pass, the prefill and the decode step.

A pre-norm decoder with rotary positions, a fused query-key-value projection and a tied head. It is
GPT-NeoX with sequential residuals, parameter for parameter and name for name, so that what it
saves opens in transformers and gives the same logits there. Nothing here draws random numbers
except ``initialize``.

In shapes, B is rows, T positions, H heads, d the width, e = d / H, V the vocabulary.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, ClassVar, cast

import torch
from torch import nn
from torch.nn import functional as F

from codegym.errors import ConfigError, UnknownNameError
from codegym.policies.decoding.row_masks import NEVER
from codegym.policies.gpt.kv_cache import KeyValueCache
from codegym.policies.gpt.packing import Packed, take


@dataclass(frozen=True, slots=True, kw_only=True)
class GPTConfig:
    """Shape of the transformer.

    Attributes:
        d_model: Width d.
        n_layers: Number of blocks.
        n_heads: Number of heads; divides ``d_model`` into an even size.
        max_tokens: Longest prompt plus program.
        rope_base: Base of the rotary frequencies.
        value_hidden: Units of the value head's hidden layer; 0 makes it one linear map.
    """

    PRESETS: ClassVar[dict[str, tuple[int, int, int]]] = {
        "tiny": (96, 3, 3),
        "small": (128, 4, 4),
        "base": (256, 6, 8),
    }

    d_model: int = 96
    n_layers: int = 3
    n_heads: int = 3
    max_tokens: int = 256
    rope_base: float = 10_000.0
    value_hidden: int = 0

    def __post_init__(self) -> None:
        for name in ("d_model", "n_layers", "n_heads", "max_tokens", "value_hidden"):
            value, least = getattr(self, name), int(name != "value_hidden")
            if isinstance(value, bool) or not isinstance(value, int) or value < least:
                expected = f"an integer >= {least}"
                raise ConfigError(f"{name} is unusable", value=value, expected=expected)
        if self.d_model % (2 * self.n_heads):
            raise ConfigError(
                "d_model does not divide into heads of even size",
                value=(self.d_model, self.n_heads),
                expected="d_model a multiple of 2 * n_heads",
            )

    @classmethod
    def preset(cls, name: str, *, max_tokens: int = 256) -> "GPTConfig":
        """Return a shape by name: ``tiny`` (0.36 M weights), ``small`` (0.83 M), ``base`` (4.8 M).

        Raises:
            UnknownNameError: No such preset.
        """
        if name not in cls.PRESETS:
            raise UnknownNameError("gpt preset", name, cls.PRESETS)
        d_model, n_layers, n_heads = cls.PRESETS[name]
        return cls(d_model=d_model, n_layers=n_layers, n_heads=n_heads, max_tokens=max_tokens)

    def to_transformers(self, *, vocab_size: int, end_id: int, pad_id: int) -> dict[str, Any]:
        """Return the fields of transformers' ``config.json`` for this model."""
        return {
            "architectures": ["GPTNeoXForCausalLM"],
            "model_type": "gpt_neox",
            "vocab_size": vocab_size,
            "hidden_size": self.d_model,
            "num_hidden_layers": self.n_layers,
            "num_attention_heads": self.n_heads,
            "intermediate_size": 4 * self.d_model,
            "max_position_embeddings": self.max_tokens,
            "rope_parameters": {
                "rope_type": "default",
                "rope_theta": self.rope_base,
                "partial_rotary_factor": 1.0,
            },
            "hidden_act": "gelu",
            "layer_norm_eps": LAYER_NORM_EPS,
            "use_parallel_residual": False,
            "attention_bias": False,
            "attention_dropout": 0.0,
            "hidden_dropout": 0.0,
            "tie_word_embeddings": True,
            "bos_token_id": None,
            "eos_token_id": end_id,
            "pad_token_id": pad_id,
            "dtype": "float32",
            "value_hidden": self.value_hidden,
        }

    @classmethod
    def from_transformers(cls, row: dict[str, Any]) -> "GPTConfig":
        """Read back what ``to_transformers`` returned.

        Raises:
            KeyError: A field is missing.
        """
        return cls(
            d_model=row["hidden_size"],
            n_layers=row["num_hidden_layers"],
            n_heads=row["num_attention_heads"],
            max_tokens=row["max_position_embeddings"],
            rope_base=row["rope_parameters"]["rope_theta"],
            value_hidden=row.get("value_hidden", 0),
        )


LAYER_NORM_EPS = 1e-5
_INIT_STD = 0.02


class Attention(nn.Module):
    """Causal self-attention; the rows of the fused projection are ordered head, then q, k, v."""

    def __init__(self, config: GPTConfig) -> None:
        super().__init__()
        self.n_heads = config.n_heads
        self.query_key_value = nn.Linear(config.d_model, 3 * config.d_model, bias=False)
        self.dense = nn.Linear(config.d_model, config.d_model, bias=False)

    def project(
        self, x: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return queries, keys and values, each (..., H, e), positions already rotated in.

        Args:
            x: (..., d).
            cos: (..., 1, 1, e), broadcast over heads and over queries and keys.
            sin: Like ``cos``, its first half negated.
        """
        return self.rotate(self.query_key_value(x), cos, sin)

    def rotate(
        self, fused: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Do what ``project`` does after the projection, from its (..., 3 d)."""
        fused = fused.reshape(*fused.shape[:-1], self.n_heads, 3, -1)
        both = fused[..., :2, :]
        low, high = both.chunk(2, dim=-1)
        both = torch.addcmul(both * cos, torch.cat((high, low), dim=-1), sin)
        return both[..., 0, :], both[..., 1, :], fused[..., 2, :]

    def merge(self, heads: torch.Tensor) -> torch.Tensor:
        """Return (..., d) from (..., H, e)."""
        merged: torch.Tensor = self.dense(heads.flatten(-2))
        return merged


class MLP(nn.Module):
    """Two linear maps around an exact GELU, which is faster on CPUs than its tanh form."""

    def __init__(self, config: GPTConfig) -> None:
        super().__init__()
        self.dense_h_to_4h = nn.Linear(config.d_model, 4 * config.d_model)
        self.dense_4h_to_h = nn.Linear(4 * config.d_model, config.d_model)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (..., d) to (..., d)."""
        narrow: torch.Tensor = self.dense_4h_to_h(F.gelu(self.dense_h_to_4h(x)))
        return narrow


class Block(nn.Module):
    """Attention, then MLP, each behind its own norm and added to the stream."""

    def __init__(self, config: GPTConfig) -> None:
        super().__init__()
        self.input_layernorm = nn.LayerNorm(config.d_model, eps=LAYER_NORM_EPS)
        self.attention = Attention(config)
        self.post_attention_layernorm = nn.LayerNorm(config.d_model, eps=LAYER_NORM_EPS)
        self.mlp = MLP(config)


class Transformer(nn.Module):
    """The decoder without its head, which is the embedding again.

    Args:
        config: Its shape.
        vocab_size: Number V of ids.
        pad_id: The id that is never written.
    """

    cos: torch.Tensor
    sin: torch.Tensor
    head_bias: torch.Tensor

    def __init__(self, config: GPTConfig, *, vocab_size: int, pad_id: int) -> None:
        super().__init__()
        self.config = config
        self.embed_in = nn.Embedding(vocab_size, config.d_model)
        self.layers = nn.ModuleList(Block(config) for _ in range(config.n_layers))
        self.final_layer_norm = nn.LayerNorm(config.d_model, eps=LAYER_NORM_EPS)
        e = config.d_model // config.n_heads
        frequencies = 1.0 / config.rope_base ** (torch.arange(0, e, 2).float() / e)
        angles = torch.outer(torch.arange(config.max_tokens).float(), frequencies)
        cos, sin = angles.cos(), angles.sin()
        self.register_buffer("cos", torch.cat((cos, cos), dim=-1), persistent=False)
        self.register_buffer("sin", torch.cat((-sin, sin), dim=-1), persistent=False)
        # Finite, so that 0 * log 0 stays 0 in the entropy.
        bias = torch.zeros(vocab_size)
        bias[pad_id] = NEVER
        self.register_buffer("head_bias", bias, persistent=False)

    def blocks(self) -> "Iterable[Block]":
        """Return the blocks, first to last."""
        return cast("Iterable[Block]", self.layers)

    @torch.no_grad()
    def initialize(self, rng: torch.Generator) -> None:
        """Draw fresh weights: normal of 0.02, smaller where a block adds to the stream."""
        residual = _INIT_STD / math.sqrt(2 * self.config.n_layers)
        for name, parameter in self.named_parameters():
            if "layernorm" in name or "layer_norm" in name:
                parameter.fill_(1.0 if name.endswith("weight") else 0.0)
            elif name.endswith("bias"):
                parameter.zero_()
            else:
                adds = name.endswith(("dense.weight", "dense_4h_to_h.weight"))
                parameter.normal_(std=residual if adds else _INIT_STD, generator=rng)

    def forward(self, ids: torch.Tensor, cache: KeyValueCache | None = None) -> torch.Tensor:
        """Return (B, T, d) last hidden states of (B, T) ids that start at position 0.

        Padding on the right needs no mask: no earlier position looks at it.

        Args:
            ids: (B, T).
            cache: Stores the keys and values of every layer, if given.
        """
        width = ids.shape[1]
        cos, sin = self.cos[:width, None, None], self.sin[:width, None, None]
        x = self.embed_in(ids)
        for number, block in enumerate(self.blocks()):
            parts = block.attention.project(block.input_layernorm(x), cos, sin)
            query, key, value = (part.transpose(1, 2) for part in parts)
            if cache is not None:
                cache.fill(number, key, value)
            heads = F.scaled_dot_product_attention(query, key, value, is_causal=True)
            x = x + block.attention.merge(heads.transpose(1, 2))
            x = x + block.mlp(block.post_attention_layernorm(x))
        hidden: torch.Tensor = self.final_layer_norm(x)
        return hidden

    def read(self, packed: Packed) -> torch.Tensor:
        """Return the (K, d) last hidden states from which the actions of a batch were drawn.

        What ``forward`` gives there, to rounding: tokens are read once and without padding, and the
        last layer ends where no action was drawn.
        """
        width = packed.rows.shape[1]
        cos, sin = self.cos[:width, None, None], self.sin[:width, None, None]
        x = take(self.embed_in.weight, packed.ids)
        for number, block in enumerate(self.blocks()):
            fused = block.attention.query_key_value(block.input_layernorm(x))
            parts = block.attention.rotate(packed.spread(fused), cos, sin)
            query, key, value = (part.transpose(1, 2) for part in parts)
            heads = F.scaled_dot_product_attention(query, key, value, is_causal=True)
            heads = packed.collect(heads.transpose(1, 2).flatten(2))
            if number == self.config.n_layers - 1:
                x, heads = take(x, packed.sources), take(heads, packed.sources)
            x = x + block.attention.dense(heads)
            x = x + block.mlp(block.post_attention_layernorm(x))
        return take(self.final_layer_norm(x), packed.actions)

    def step(
        self, ids: torch.Tensor, positions: torch.Tensor, cache: KeyValueCache
    ) -> torch.Tensor:
        """Read one more token of each row and return its (B, d) last hidden state.

        Args:
            ids: (B,) the new tokens.
            positions: (B,) their positions in the rows.
            cache: Holds all tokens before them; stores these.
        """
        cos, sin = self.cos[positions][:, None, None], self.sin[positions][:, None, None]
        x = self.embed_in(ids)
        for number, block in enumerate(self.blocks()):
            parts = block.attention.project(block.input_layernorm(x), cos, sin)
            x = x + block.attention.merge(cache.attend(number, *parts))
            x = x + block.mlp(block.post_attention_layernorm(x))
        hidden: torch.Tensor = self.final_layer_norm(x)
        return hidden

    def logits(self, hidden: torch.Tensor) -> torch.Tensor:
        """Return (..., V) scores of the next token; the pad id's excludes it."""
        return F.linear(hidden, self.embed_in.weight, self.head_bias)
