"""Key-value caches of the tiny transformer, so that a step reads one token.

Sampled rows advance together, so that a step writes the same column of all rows: rows of one prompt
share its keys (``SharedCache``), or each has its own copy (``AlignedCache``). Rows played in an
environment are at different positions, and each writes at its own (``RaggedCache``). Memory is
allocated once; reading it is most of the cost of a step.

In shapes, L is layers, B rows, U prompts, H heads, T positions, P the longest prompt, e the size of
a head.
"""

from typing import Protocol

import torch
from torch.nn import functional as F

# Below this many columns MKL's batched products take several times as long.
_LEAST_COLUMNS = 16


class KeyValueCache(Protocol):
    """The cache that the transformer reads and writes."""

    def fill(self, layer: int, key: torch.Tensor, value: torch.Tensor) -> None:
        """Store (B, H, T, e) keys and values of a prefill from position 0."""

    def attend(
        self, layer: int, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor
    ) -> torch.Tensor:
        """Store one token's (B, H, e) key and value; return its query's (B, H, e) attention."""


class PromptCache:
    """Keys and values of one prefill; it takes no steps."""

    def __init__(self) -> None:
        self.layers: list[tuple[torch.Tensor, torch.Tensor]] = []

    def fill(self, layer: int, key: torch.Tensor, value: torch.Tensor) -> None:
        """Keep one layer."""
        self.layers.append((key, value))

    def attend(
        self, layer: int, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor
    ) -> torch.Tensor:
        """Refuse: another cache takes the steps."""
        raise TypeError("a prompt cache takes no steps")


class SampledCache(Protocol):
    """A cache of rows that advance together."""

    def fill(self, layer: int, key: torch.Tensor, value: torch.Tensor) -> None:
        """Refuse: the prompts were taken over when the cache was made."""

    def attend(
        self, layer: int, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor
    ) -> torch.Tensor:
        """As of ``KeyValueCache``."""

    def advance(self) -> None:
        """Go to the next column, after every layer has attended."""

    def keep(self, rows: torch.Tensor) -> None:
        """Drop all rows but these, given in ascending order."""


def sampled_cache(
    prompt: PromptCache, lengths: torch.Tensor, rows: torch.Tensor, room: int
) -> SampledCache:
    """Make the cache that reads the least memory.

    Args:
        prompt: The prefill of U prompts, padded on the right.
        lengths: (U,) lengths of the prompts.
        rows: (B,) ascending: which prompt each row continues.
        room: How many steps will follow at most.
    """
    kind = AlignedCache if len(rows) < 2 * len(lengths) else SharedCache
    return kind(prompt, lengths, rows, room)


class AlignedCache:
    """Each row has its own copy of its prompt; all prompts end at the same column.

    Args:
        prompt: The prefill of U prompts, padded on the right.
        lengths: (U,) lengths of the prompts.
        rows: (B,) which prompt each row continues.
        room: How many steps will follow at most.
    """

    def __init__(
        self, prompt: PromptCache, lengths: torch.Tensor, rows: torch.Tensor, room: int
    ) -> None:
        key = prompt.layers[0][0]
        _, heads, width, size = key.shape
        shape = (len(prompt.layers), 2, len(rows), heads, width + room, size)
        self._pairs = key.new_empty(shape)
        shift = width - lengths[rows]
        columns = torch.arange(width, device=key.device)
        source = (columns - shift[:, None]).clamp_(min=0)[:, None, :, None]
        source = source.expand(-1, heads, -1, size)
        for layer, pair in enumerate(prompt.layers):
            for side, tensor in enumerate(pair):
                moved = torch.gather(tensor[rows], 2, source)
                self._pairs[layer, side, :, :, :width] = moved
        self._column = width
        self._mask: torch.Tensor | None = None
        if bool((shift > 0).any()):
            self._mask = key.new_zeros(len(rows), 1, 1, width + room)
            blank = (columns < shift[:, None])[:, None, None]
            self._mask[..., :width].masked_fill_(blank, -torch.inf)

    def fill(self, layer: int, key: torch.Tensor, value: torch.Tensor) -> None:
        """Refuse: the prompts were taken over when this cache was made."""
        raise TypeError("an aligned cache is filled when it is made")

    def attend(
        self, layer: int, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor
    ) -> torch.Tensor:
        """Write one column of every row and read all columns so far."""
        end = self._column + 1
        keys, values = self._pairs[layer, 0], self._pairs[layer, 1]
        keys[:, :, self._column] = key
        values[:, :, self._column] = value
        return F.scaled_dot_product_attention(
            query[:, :, None],
            keys[:, :, :end],
            values[:, :, :end],
            attn_mask=None if self._mask is None else self._mask[..., :end],
        )[:, :, 0]

    def advance(self) -> None:
        """Go to the next column, after every layer has attended."""
        self._column += 1

    def keep(self, rows: torch.Tensor) -> None:
        """Drop all rows but these."""
        self._pairs = _select_rows(self._pairs, rows, self._column)
        if self._mask is not None:
            self._mask = self._mask[rows]


class SharedCache:
    """Rows of one prompt read the same keys; each has its own keys only of the tokens it wrote.

    The queries of a prompt's rows are gathered into one matrix, so that its keys are read once
    for all of them; the scores of both parts then go through one softmax.

    Args:
        prompt: The prefill of U prompts, padded on the right.
        lengths: (U,) lengths of the prompts.
        rows: (B,) ascending: which prompt each row continues.
        room: How many steps will follow at most.
    """

    def __init__(
        self, prompt: PromptCache, lengths: torch.Tensor, rows: torch.Tensor, room: int
    ) -> None:
        key = prompt.layers[0][0]
        _, heads, width, size = key.shape
        self._prompt = torch.stack([torch.stack(pair) for pair in prompt.layers])
        # Zeros, not whatever was there: columns ahead are read with weight 0.
        shape = (len(prompt.layers), 2, len(rows), heads, room, size)
        self._written = key.new_zeros(shape)
        self._ahead = key.new_full((room, room), -torch.inf).triu_(1)
        self._column = 0
        self._scale = size**-0.5
        self._mask: torch.Tensor | None = None
        columns = torch.arange(width, device=key.device)
        blank = columns >= lengths[:, None]
        if bool(blank.any()):
            self._mask = key.new_zeros(blank.shape).masked_fill_(blank, -torch.inf)[:, None, None]
        self._arrange(rows)

    def _arrange(self, rows: torch.Tensor) -> None:
        """Give each row a slot beside the other rows of its prompt."""
        self._rows = rows
        count = self._prompt.shape[2]
        sizes = torch.bincount(rows, minlength=count)
        self._slots = int(sizes.max())
        first = sizes.cumsum(0) - sizes
        every = torch.arange(len(rows), device=rows.device)
        # Where every slot is taken, rows and slots are in the same order.
        self._slot: torch.Tensor | None = None
        if len(rows) != count * self._slots:
            self._slot = rows * self._slots + every - first[rows]
            self._row = torch.zeros(count * self._slots, dtype=torch.int64, device=rows.device)
            self._row[self._slot] = every

    def _to_slots(self, x: torch.Tensor) -> torch.Tensor:
        """Gather (B, H, w) into (U, H, slots, w)."""
        if self._slot is not None:
            x = x[self._row]
        return x.view(-1, self._slots, *x.shape[1:]).transpose(1, 2)

    def _to_rows(self, x: torch.Tensor) -> torch.Tensor:
        """Spread (U, H, slots, w) over (B, H, w)."""
        x = x.transpose(1, 2).flatten(0, 1)
        return x if self._slot is None else x[self._slot]

    def fill(self, layer: int, key: torch.Tensor, value: torch.Tensor) -> None:
        """Refuse: the prompts were taken over when this cache was made."""
        raise TypeError("a shared cache is filled when it is made")

    def attend(
        self, layer: int, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor
    ) -> torch.Tensor:
        """Write one column of every row; read the prompt and all columns so far."""
        width, end = self._prompt.shape[-2], max(self._column + 1, _LEAST_COLUMNS)
        keys, values = self._written[layer]
        keys[:, :, self._column] = key
        values[:, :, self._column] = value
        keys, values = keys[:, :, :end], values[:, :, :end]
        query = query * self._scale
        shared = self._to_slots(query) @ self._prompt[layer, 0].transpose(2, 3)
        if self._mask is not None:
            shared += self._mask
        own = query[:, :, None] @ keys.transpose(2, 3)
        if self._column + 1 < end:
            own += self._ahead[self._column, :end]
        weights = torch.cat((self._to_rows(shared), own[:, :, 0]), dim=-1).softmax(dim=-1)
        found = self._to_rows(self._to_slots(weights[..., :width]) @ self._prompt[layer, 1])
        written: torch.Tensor = (weights[:, :, None, width:] @ values)[:, :, 0]
        return found + written

    def advance(self) -> None:
        """Go to the next column, after every layer has attended."""
        self._column += 1

    def keep(self, rows: torch.Tensor) -> None:
        """Drop all rows but these, and the prompts that no row continues any more."""
        self._written = _select_rows(self._written, rows, self._column)
        left, renumbered = torch.unique(self._rows[rows], return_inverse=True)
        if len(left) < self._prompt.shape[2]:
            self._prompt = self._prompt[:, :, left]
            if self._mask is not None:
                self._mask = self._mask[left]
        self._arrange(renumbered)


def _select_rows(pairs: torch.Tensor, rows: torch.Tensor, written: int) -> torch.Tensor:
    """Return (L, 2, B, H, columns, e) with some rows, copying only the columns written so far."""
    shape = list(pairs.shape)
    shape[2] = len(rows)
    selected = pairs.new_zeros(shape)
    selected[..., :written, :] = pairs[:, :, rows, :, :written]
    return selected


class RaggedCache:
    """Rows at different positions, for acting in an env; column = position.

    Args:
        layers: Number L of layers.
        rows: Number B of rows.
        heads: Number H of heads.
        columns: Longest row M.
        size: Size e of a head.
    """

    def __init__(
        self,
        *,
        layers: int,
        rows: int,
        heads: int,
        columns: int,
        size: int,
        device: torch.device,
    ) -> None:
        self._pairs = torch.zeros(layers, 2, rows, heads, columns, size, device=device)
        self._rows = torch.arange(rows, device=device)
        self._columns = torch.arange(columns, device=device)
        self._positions = self._rows
        self._mask = self._pairs.new_zeros(0)

    def take(self, prompt: PromptCache, rows: torch.Tensor) -> None:
        """Write a prefill of some rows from position 0."""
        for layer, pair in enumerate(prompt.layers):
            for side, tensor in enumerate(pair):
                self._pairs[layer, side, rows, :, : tensor.shape[2]] = tensor

    def seek(self, positions: torch.Tensor) -> None:
        """Say where the next step writes in each row: (B,) positions."""
        self._positions = positions
        columns = self._columns[: int(positions.max()) + 1]
        later = (columns > positions[:, None])[:, None, None]
        self._mask = self._pairs.new_zeros(later.shape).masked_fill_(later, -torch.inf)

    def fill(self, layer: int, key: torch.Tensor, value: torch.Tensor) -> None:
        """Refuse: a prefill of some rows goes through ``take``."""
        raise TypeError("a ragged cache is filled by take")

    def attend(
        self, layer: int, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor
    ) -> torch.Tensor:
        """Write each row at its own position and read all positions up to it."""
        keys, values = self._pairs[layer, 0], self._pairs[layer, 1]
        keys[self._rows, :, self._positions] = key
        values[self._rows, :, self._positions] = value
        end = self._mask.shape[-1]
        return F.scaled_dot_product_attention(
            query[:, :, None], keys[:, :, :end], values[:, :, :end], attn_mask=self._mask
        )[:, :, 0]
