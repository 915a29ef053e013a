"""FastDecoder: reads rows of the tiny transformer on a CPU, with the kernels of ``kernels``.

The same numbers as ``Transformer.step`` gives, to rounding. Matrix products are torch's; everything
between them is one kernel each, on memory that is allocated once. What prompts hold is read once
per prompt, without padding, and the last layer of a prompt only where a program begins.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from codegym.policies.drawing import compiles
from codegym.policies.transformer import LAYER_NORM_EPS, Block

if TYPE_CHECKING:
    from codegym.policies.gpt import GPTModule

Floats = NDArray[np.float32]


def can_read(module: "GPTModule") -> bool:
    """Return whether a module's rows can be read this way: on a CPU, in float32, with numba."""
    weight = module.value_head.weight
    plain = weight.device.type == "cpu" and weight.dtype == torch.float32
    return plain and compiles()


class FastDecoder:
    """Reads the rows of one chunk for the decode loop.

    Args:
        module: Whose weights; ``can_read`` has allowed it.
    """

    def __init__(self, module: "GPTModule") -> None:
        from codegym.policies import kernels

        self._kernels = kernels
        self._value_head = module.value_head
        self._transformer = module.transformer
        config = module.transformer.config
        self._heads, self._size = config.n_heads, config.d_model // config.n_heads
        self._cos, self._sin = _array(module.transformer.cos), _array(module.transformer.sin)
        self._layers = [_Layer(block) for block in module.transformer.blocks()]
        self._norms = [layer.first_norm for layer in self._layers[1:]]
        self._norms.append(_norm(module.transformer.final_layer_norm))
        self._last_position = config.max_tokens - 1

    def prefill(
        self, prompts: Sequence[Sequence[int]], rows: torch.Tensor, room: int
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Read each prompt once; row r continues prompt ``rows[r]``, for ``room`` steps at most."""
        lengths = np.array([len(prompt) for prompt in prompts], dtype=np.int64)
        starts = np.concatenate(([0], lengths.cumsum()))
        ids = np.fromiter((token for prompt in prompts for token in prompt), np.int64, starts[-1])
        self._lengths, self._owners = lengths, rows.numpy()
        shape = (len(self._layers), 2, len(prompts), int(lengths.max()), self._heads, self._size)
        self._prompts = np.empty(shape, dtype=np.float32)
        last = self._read_prompts(ids, starts)[rows]
        self._positions = lengths[self._owners]
        self._column = 0
        shape = (len(self._layers), 2, len(rows), room, self._heads, self._size)
        self._written = np.empty(shape, dtype=np.float32)
        self._scratch = _Scratch(len(rows), self._heads, self._size)
        return self._transformer.logits(last), self._value_head(last)

    def _read_prompts(self, ids: NDArray[np.int64], starts: NDArray[np.int64]) -> torch.Tensor:
        """Fill the prompts' keys and values; return the (U, d) states of their last tokens."""
        x = self._transformer.embed_in(torch.from_numpy(ids))
        blocks = list(self._transformer.blocks())
        for number, block in enumerate(blocks):
            fused = block.attention.query_key_value(block.input_layernorm(x))
            heads = torch.empty_like(x)
            keys, values = self._prompts[number]
            self._kernels.read_prompts(
                _array(fused).reshape(-1, self._heads, 3, self._size), starts, self._cos, self._sin,
                keys, values, _array(heads).reshape(-1, self._heads, self._size),
            )  # fmt: skip
            if number == len(blocks) - 1:
                x, heads = x[starts[1:] - 1], heads[starts[1:] - 1]
            x = x + block.attention.dense(heads)
            x = x + block.mlp(block.post_attention_layernorm(x))
        hidden: torch.Tensor = self._transformer.final_layer_norm(x)
        return hidden

    def step(self, ids: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Read one more token of each row."""
        # A row past its room is still carried along until it is dropped; what it reads is unused.
        np.minimum(self._positions, self._last_position, out=self._positions)
        kernels, at = self._kernels, self._scratch
        torch.index_select(self._transformer.embed_in.weight, 0, ids, out=at.stream)
        at.branch.zero_()
        self._add_and_norm(*self._layers[0].first_norm)
        for number, layer in enumerate(self._layers):
            torch.mm(at.normed, layer.query_key_value, out=at.fused)
            kernels.attend(
                at.split, self._positions, self._cos, self._sin,
                self._owners, self._lengths, *self._prompts[number], *self._written[number],
                self._column, at.spread,
            )  # fmt: skip
            torch.mm(at.heads, layer.dense, out=at.branch)
            self._add_and_norm(*layer.second_norm)
            torch.addmm(layer.wide_bias, at.normed, layer.widen, out=at.wide)
            torch.ops.aten.gelu.out(at.wide, out=at.wide)
            torch.addmm(layer.narrow_bias, at.wide, layer.narrow, out=at.branch)
            self._add_and_norm(*self._norms[number])
        self._column += 1
        self._positions += 1
        return self._transformer.logits(at.normed), self._value_head(at.normed)

    def keep(self, rows: torch.Tensor) -> None:
        """Drop all rows but these."""
        kept = rows.numpy()
        shape = list(self._written.shape)
        shape[2] = len(kept)
        written = np.empty(shape, dtype=np.float32)
        written[:, :, :, : self._column] = self._written[:, :, kept, : self._column]
        self._written = written
        self._positions, self._owners = self._positions[kept], self._owners[kept]
        self._scratch = _Scratch(len(kept), self._heads, self._size)

    def _add_and_norm(self, weight: Floats, bias: Floats) -> None:
        self._kernels.add_and_norm(*self._scratch.sums, weight, bias, LAYER_NORM_EPS)


class _Layer:
    """One block's weights as the step wants them."""

    def __init__(self, block: Block) -> None:
        attention, mlp = block.attention, block.mlp
        self.first_norm = _norm(block.input_layernorm)
        self.second_norm = _norm(block.post_attention_layernorm)
        self.query_key_value = attention.query_key_value.weight.t()
        self.dense = attention.dense.weight.t()
        self.widen, self.wide_bias = mlp.dense_h_to_4h.weight.t(), mlp.dense_h_to_4h.bias
        self.narrow, self.narrow_bias = mlp.dense_4h_to_h.weight.t(), mlp.dense_4h_to_h.bias


class _Scratch:
    """What a step writes, for a number of rows: tensors, and arrays of the same memory."""

    def __init__(self, rows: int, heads: int, size: int) -> None:
        width = heads * size
        self.stream, self.branch, self.normed, self.heads = torch.empty(4, rows, width)
        self.fused = torch.empty(rows, 3 * width)
        self.wide = torch.empty(rows, 4 * width)
        self.sums = _array(self.stream), _array(self.branch), _array(self.normed)
        self.split = _array(self.fused).reshape(rows, heads, 3, size)
        self.spread = _array(self.heads).reshape(rows, heads, size)


def _norm(norm: torch.nn.LayerNorm) -> tuple[Floats, Floats]:
    return _array(norm.weight), _array(norm.bias)


def _array(tensor: torch.Tensor) -> Floats:
    array: Floats = tensor.detach().numpy()
    return array
