"""Reading rows of the tiny transformer on a CPU, with the compiled kernels.

The numbers are those of ``Transformer``, to rounding. Matrix products are torch's; each operation
between them is one kernel. Padding is never read, and the last layer of each row only at its last
token.

In shapes, N is tokens, B rows, L layers, H heads, e the size of a head, d the width, V the
vocabulary.
"""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from codegym.policies.decoding.token_sampling import kernels_available
from codegym.policies.gpt.network import GPTModule
from codegym.policies.gpt.transformer import LAYER_NORM_EPS, Block

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]


def can_read(module: GPTModule) -> bool:
    """Return whether a module's rows can be read this way: on a CPU, in float32, with numba."""
    weight = module.transformer.embed_in.weight
    plain = weight.device.type == "cpu" and weight.dtype == torch.float32
    return plain and kernels_available()


class CompiledReader:
    """Reads packed tokens; the caller says what they attend to.

    Args:
        module: The weights; ``can_read`` is True of it.
    """

    def __init__(self, module: GPTModule) -> None:
        from codegym.policies import kernels

        self.kernels = kernels
        transformer = module.transformer
        config = transformer.config
        self.last_position = config.max_tokens - 1
        self.heads, self.size = config.n_heads, config.d_model // config.n_heads
        self.cos, self.sin = _array(transformer.cos), _array(transformer.sin)
        self._embedding = transformer.embed_in.weight
        self._layers = [_Layer(block) for block in transformer.blocks()]
        self._norms = [layer.first_norm for layer in self._layers[1:]]
        self._norms.append(_norm(transformer.final_layer_norm))

    def cache(self, rows: int, columns: int) -> Floats:
        """Return memory for the (L, 2, rows, columns, H, e) keys and values of rows."""
        shape = (len(self._layers), 2, rows, columns, self.heads, self.size)
        return np.empty(shape, dtype=np.float32)

    def scratch(self, tokens: int) -> "Scratch":
        """Return memory for N tokens that are read at once."""
        return Scratch(tokens, self.heads, self.size)

    def read_rows(
        self, ids: NDArray[np.integer], starts: Ints, first: Ints, pairs: Floats
    ) -> torch.Tensor:
        """Read some tokens of each row; return the (B, d) last hidden states of the rows.

        Args:
            ids: (N,) the tokens, row after row.
            starts: (B + 1,) where each row's tokens start in ``ids``; every row has some.
            first: (B,) position of the first of them in its row; the cache holds those before.
            pairs: The cache, column = position.
        """

        def attend(layer: int, at: Scratch) -> None:
            self.kernels.read_rows(
                at.split, starts, first, self.cos, self.sin, *pairs[layer], at.spread
            )

        tokens = torch.from_numpy(ids.astype(np.int64))
        ends = torch.from_numpy(starts[1:] - 1) if len(ids) > len(first) else None
        return self.read(tokens, self.scratch(len(ids)), attend, ends)

    def read(
        self,
        ids: torch.Tensor,
        at: "Scratch",
        attend: "Callable[[int, Scratch], None]",
        ends: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Take (N,) tokens through all layers; return (N, d) last hidden states.

        Args:
            ids: The tokens.
            at: Memory for N tokens; it holds the hidden states until it is used again.
            attend: Called in each layer, to fill ``spread`` from ``split``.
            ends: (B,) the tokens whose hidden states are wanted; None for all.
        """
        torch.index_select(self._embedding, 0, ids, out=at.stream)
        at.branch.zero_()
        self._add_and_norm(at, *self._layers[0].first_norm)
        for number, layer in enumerate(self._layers):
            torch.mm(at.normed, layer.query_key_value, out=at.fused)
            attend(number, at)
            if ends is not None and number == len(self._layers) - 1:
                at = self._at(ends, at)
            torch.mm(at.heads, layer.dense, out=at.branch)
            self._add_and_norm(at, *layer.second_norm)
            torch.addmm(layer.wide_bias, at.normed, layer.widen, out=at.wide)
            torch.ops.aten.gelu.out(at.wide, out=at.wide)
            torch.addmm(layer.narrow_bias, at.wide, layer.narrow, out=at.branch)
            self._add_and_norm(at, *self._norms[number])
        return at.normed

    def _at(self, ends: torch.Tensor, before: "Scratch") -> "Scratch":
        at = self.scratch(len(ends))
        torch.index_select(before.stream, 0, ends, out=at.stream)
        torch.index_select(before.heads, 0, ends, out=at.heads)
        return at

    def _add_and_norm(self, at: "Scratch", weight: Floats, bias: Floats) -> None:
        self.kernels.add_and_norm(*at.sums, weight, bias, LAYER_NORM_EPS)


class CompiledDecoder:
    """Reads the rows of one chunk for the decode loop; a prompt is read once for all its rows.

    Args:
        module: The weights; ``can_read`` is True of it.
    """

    def __init__(self, module: GPTModule) -> None:
        self._reader = CompiledReader(module)
        self._value_head, self._transformer = module.value_head, module.transformer

    def prefill(
        self, prompts: Sequence[Sequence[int]], rows: torch.Tensor, room: int
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Read each prompt once; row r continues prompt ``rows[r]``, for ``room`` steps at most."""
        reader = self._reader
        lengths = np.array([len(prompt) for prompt in prompts], dtype=np.int64)
        starts = np.concatenate(([0], lengths.cumsum()))
        ids = np.fromiter((token for prompt in prompts for token in prompt), np.int64, starts[-1])
        self._lengths, self._owners = lengths, rows.numpy()
        self._prompts = reader.cache(len(prompts), int(lengths.max()))
        last = reader.read_rows(ids, starts, np.zeros_like(lengths), self._prompts)[rows]
        self._positions = lengths[self._owners]
        self._column = 0
        self._written = reader.cache(len(rows), room)
        self._scratch = reader.scratch(len(rows))
        return self._transformer.logits(last), self._value_head(last)

    def step(self, ids: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Read one more token of each row."""
        # A row past its room is still carried along until it is dropped; what it reads is unused.
        np.minimum(self._positions, self._reader.last_position, out=self._positions)
        hidden = self._reader.read(ids, self._scratch, self._attend)
        self._column += 1
        self._positions += 1
        return self._transformer.logits(hidden), self._value_head(hidden)

    def _attend(self, layer: int, at: "Scratch") -> None:
        reader = self._reader
        reader.kernels.attend(
            at.split, self._positions, reader.cos, reader.sin,
            self._owners, self._lengths, *self._prompts[layer], *self._written[layer],
            self._column, at.spread,
        )  # fmt: skip

    def keep(self, rows: torch.Tensor) -> None:
        """Drop all rows but these."""
        kept = rows.numpy()
        written = self._reader.cache(len(kept), self._written.shape[3])
        written[:, :, :, : self._column] = self._written[:, :, kept, : self._column]
        self._written = written
        self._positions, self._owners = self._positions[kept], self._owners[kept]
        self._scratch = self._reader.scratch(len(kept))


class CompiledRows:
    """Reads rows that are played in an environment: each is at its own position, some begin anew.

    The new tokens of all rows go through the layers at once: a step of some rows, a prompt of
    others.

    Args:
        module: The weights; ``can_read`` is True of it.
        rows: Number B of rows.
    """

    def __init__(self, module: GPTModule, rows: int) -> None:
        self._reader = CompiledReader(module)
        self._pairs = self._reader.cache(rows, self._reader.last_position + 1)

    def read(self, obs: NDArray[np.integer], first: Ints, lengths: Ints) -> torch.Tensor:
        """Read each row from ``first`` to its end; return the (B, d) last hidden states.

        Args:
            obs: (B, T) ids.
            first: (B,) how many tokens of each row the cache holds, fewer than the row has.
            lengths: (B,) of the rows.
        """
        columns = np.arange(int(lengths.max()))
        new = (columns >= first[:, None]) & (columns < lengths[:, None])
        starts = np.concatenate(([0], (lengths - first).cumsum()))
        return self._reader.read_rows(obs[:, : len(columns)][new], starts, first, self._pairs)


class _Layer:
    """One block's weights, laid out for the matrix products."""

    def __init__(self, block: Block) -> None:
        attention, mlp = block.attention, block.mlp
        self.first_norm = _norm(block.input_layernorm)
        self.second_norm = _norm(block.post_attention_layernorm)
        self.query_key_value = attention.query_key_value.weight.t()
        self.dense = attention.dense.weight.t()
        self.widen, self.wide_bias = mlp.dense_h_to_4h.weight.t(), mlp.dense_h_to_4h.bias
        self.narrow, self.narrow_bias = mlp.dense_4h_to_h.weight.t(), mlp.dense_4h_to_h.bias


class Scratch:
    """Memory for the intermediate results of N tokens: tensors, and arrays of the same memory.

    Attributes:
        stream, branch, normed, heads: (N, d).
        fused: (N, 3 d) queries, keys and values.
        wide: (N, 4 d).
        sums: Arrays of the first three.
        split: (N, H, 3, e) array of ``fused``.
        spread: (N, H, e) array of ``heads``.
    """

    stream: torch.Tensor
    branch: torch.Tensor
    normed: torch.Tensor
    heads: torch.Tensor

    def __init__(self, tokens: int, heads: int, size: int) -> None:
        width = heads * size
        self.stream, self.branch, self.normed, self.heads = torch.empty(4, tokens, width)
        self.fused = torch.empty(tokens, 3 * width)
        self.wide = torch.empty(tokens, 4 * width)
        self.sums = _array(self.stream), _array(self.branch), _array(self.normed)
        self.split = _array(self.fused).reshape(tokens, heads, 3, size)
        self.spread = _array(self.heads).reshape(tokens, heads, size)


def _norm(norm: torch.nn.LayerNorm) -> tuple[Floats, Floats]:
    return _array(norm.weight), _array(norm.bias)


def _array(tensor: torch.Tensor) -> Floats:
    array: Floats = tensor.detach().numpy()
    return array
