"""Key-value caches of the tiny transformer: what it has read, so that a step reads one token.

Two shapes of the same idea. While sampling all rows advance together, so prompts end at one common
column and a step writes one column of every row. While acting in an env rows are at different
positions, so each row writes at its own. Memory is allocated once.

In shapes, L is layers, B rows, H heads, M columns, T positions, e the size of a head.
"""

from typing import Protocol

import torch


class KeyValueCache(Protocol):
    """What the transformer asks of a cache."""

    def fill(self, layer: int, key: torch.Tensor, value: torch.Tensor) -> None:
        """Take up (B, H, T, e) keys and values of a prefill from position 0."""

    def append(
        self, layer: int, key: torch.Tensor, value: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor | None]:
        """Take up (B, H, 1, e) of one step; return all keys, values and the additive mask."""


class PromptCache:
    """Keys and values of one prefill, as they come; it takes no steps."""

    def __init__(self) -> None:
        self.layers: list[tuple[torch.Tensor, torch.Tensor]] = []

    def fill(self, layer: int, key: torch.Tensor, value: torch.Tensor) -> None:
        """Keep one layer."""
        self.layers.append((key, value))

    def append(
        self, layer: int, key: torch.Tensor, value: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor | None]:
        """Refuse: another cache takes the steps."""
        raise TypeError("a prompt cache takes no steps")


class AlignedCache:
    """Rows whose prompts end at the same column, for sampling.

    Args:
        prompt: The prefill of U prompts, padded on the right to P.
        lengths: (U,) lengths of the prompts.
        rows: (B,) which prompt each row continues; repeated prompts are read once and copied.
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

    def append(
        self, layer: int, key: torch.Tensor, value: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor | None]:
        """Write one column of every row."""
        column, end = self._column, self._column + 1
        keys, values = self._pairs[layer, 0], self._pairs[layer, 1]
        keys[:, :, column] = key[:, :, 0]
        values[:, :, column] = value[:, :, 0]
        mask = None if self._mask is None else self._mask[..., :end]
        return keys[:, :, :end], values[:, :, :end], mask

    def advance(self) -> None:
        """Go to the next column, after every layer has written."""
        self._column += 1

    def keep(self, rows: torch.Tensor) -> None:
        """Drop all rows but these."""
        # Columns not yet written are left out of the copy: half of it at the start.
        written, column = self._pairs[..., : self._column, :], self._column
        shape = list(self._pairs.shape)
        shape[2] = len(rows)
        self._pairs = self._pairs.new_empty(shape)
        self._pairs[..., :column, :] = written[:, :, rows]
        if self._mask is not None:
            self._mask = self._mask[rows]


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

    def append(
        self, layer: int, key: torch.Tensor, value: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor | None]:
        """Write each row at its own position."""
        keys, values = self._pairs[layer, 0], self._pairs[layer, 1]
        keys[self._rows, :, self._positions] = key[:, :, 0]
        values[self._rows, :, self._positions] = value[:, :, 0]
        end = self._mask.shape[-1]
        return keys[:, :, :end], values[:, :, :end], self._mask
