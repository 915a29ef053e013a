"""Key-value caches of transformers models, padded on the left so that all rows end together.

``HFDecoder`` reads for the decode loop; ``HFActState`` is the state that ``act`` carries from step
to step, where rows start anew at any time.

In shapes, B is rows, d the width.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F
from transformers import Cache, DynamicCache
from transformers.cache_utils import DynamicLayer

from codegym.policies.decoding.action_scores import row_lengths

Score = Callable[[torch.Tensor], tuple[torch.Tensor, torch.Tensor]]


class Trunk(Protocol):
    """A transformers model without its head."""

    def __call__(self, **inputs: Any) -> Any:
        """Return an output with ``last_hidden_state`` and ``past_key_values``."""


class RoomLayer(DynamicLayer):  # type: ignore[no-untyped-call]
    """The cache of one layer, in buffers with room for the tokens to come.

    A token is written in place, where the cache of transformers copies all tokens to append one.

    Args:
        room: Number of tokens that will follow those of the first reading.
    """

    def __init__(self, room: int) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._room = room
        self._buffers: list[torch.Tensor] = []

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *_: Any, **__: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Write the (B, h, T, d) keys and values of T tokens; return those of all tokens."""
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        start = self.get_seq_length()
        end = start + key_states.shape[2]
        if not self._buffers or end > self._buffers[0].shape[2]:
            self._move(None, start, end + self._room, like=(key_states, value_states))
        for buffer, fresh in zip(self._buffers, (key_states, value_states), strict=True):
            buffer[:, :, start:end] = fresh
        self.keys, self.values = (buffer[:, :, :end] for buffer in self._buffers)
        return self.keys, self.values

    def batch_select_indices(self, indices: torch.Tensor) -> None:
        """Keep, repeat or reorder rows."""
        length = self.get_seq_length()
        if length:
            self._move(indices, length, self._buffers[0].shape[2], like=self._buffers)
            self.keys, self.values = (buffer[:, :, :length] for buffer in self._buffers)

    def _move(
        self,
        rows: torch.Tensor | None,
        length: int,
        width: int,
        *,
        like: Sequence[torch.Tensor],
    ) -> None:
        """Put the first ``length`` tokens of some rows into new buffers of ``width`` tokens."""
        count = len(like[0]) if rows is None else len(rows)
        moved = []
        for number, tensor in enumerate(like):
            buffer = tensor.new_empty(count, tensor.shape[1], width, tensor.shape[3])
            if length:
                known = self._buffers[number][:, :, :length]
                buffer[:, :, :length] = known if rows is None else known[rows]
            moved.append(buffer)
        self._buffers = moved


class Reader:
    """Rows of one cache that end at a common column.

    Args:
        trunk: The model without its head.
        device: Where the model is.
        room: Number of tokens that will follow those of ``read``, where that is known.
    """

    def __init__(self, trunk: Trunk, device: torch.device, *, room: int = 0) -> None:
        self._trunk, self._device, self._room = trunk, device, room
        self._cache: Cache = DynamicCache()
        self._mask = torch.zeros(0, 0, dtype=torch.int64, device=device)

    def read(self, rows: Sequence[Sequence[int]]) -> torch.Tensor:
        """Read whole rows from their beginning; return the (B, d) last hidden states."""
        width = max(len(row) for row in rows)
        ids = np.zeros((len(rows), width), dtype=np.int64)
        mask = np.zeros((len(rows), width), dtype=np.int64)
        for number, row in enumerate(rows):
            if len(row):
                ids[number, -len(row) :] = row
                mask[number, -len(row) :] = 1
        self._mask = torch.from_numpy(mask).to(self._device)
        self._cache = DynamicCache()
        if self._room:
            layer: Any = partial(RoomLayer, self._room)
            self._cache = Cache(layer_class_to_replicate=layer)
        if width == 0:
            return torch.zeros(0, device=self._device)
        return self._run(torch.from_numpy(ids).to(self._device), width)

    def step(self, ids: torch.Tensor) -> torch.Tensor:
        """Read one more token of each row; return the (B, d) hidden states."""
        self._mask = F.pad(self._mask, (0, 1), value=1)
        return self._run(ids[:, None], 1)

    def _run(self, ids: torch.Tensor, width: int) -> torch.Tensor:
        positions = (self._mask.cumsum(dim=1) - 1).clamp_(min=0)[:, -width:]
        out = self._trunk(
            input_ids=ids,
            attention_mask=self._mask,
            position_ids=positions,
            past_key_values=self._cache,
            use_cache=True,
        )
        hidden: torch.Tensor = out.last_hidden_state[:, -1]
        return hidden

    def select(self, rows: torch.Tensor) -> None:
        """Keep, repeat or reorder rows."""
        self._mask = self._mask[rows]
        if self._cache.get_seq_length():
            self._cache.batch_select_indices(rows)

    def replace(self, rows: torch.Tensor, other: "Reader") -> None:
        """Replace these rows by the rows of another reader."""
        mine, theirs = self._mask.shape[1], other._mask.shape[1]
        width = max(mine, theirs)
        mask = F.pad(self._mask, (width - mine, 0))
        mask[rows] = F.pad(other._mask, (width - theirs, 0))
        # Leading columns that no row uses any more are dropped: the cache would only grow.
        used = mask.any(dim=0).nonzero()
        first = int(used[0]) if len(used) else width
        pairs = []
        for layer in range(max(len(self._layers()), len(other._layers()))):
            pair = []
            for side in range(2):
                known = (self._layers() or other._layers())[layer][side]
                joined = known.new_zeros(len(mask), known.shape[1], width, known.shape[3])
                if self._layers():
                    joined[:, :, width - mine :] = self._layers()[layer][side]
                if other._layers():
                    joined[rows, :, width - theirs :] = other._layers()[layer][side]
                pair.append(joined[:, :, first:])
            pairs.append(tuple(pair))
        self._mask = mask[:, first:]
        self._cache = DynamicCache(pairs) if first < width else DynamicCache()

    def _layers(self) -> list[tuple[torch.Tensor, torch.Tensor]]:
        if not self._cache.get_seq_length():
            return []
        layers: Any = self._cache.layers
        return [(layer.keys, layer.values) for layer in layers]


class HFDecoder:
    """Reads the rows of one chunk for the decode loop.

    Args:
        trunk: The model without its head.
        score: Hidden states -> scores and values.
        device: Where the model is.
    """

    def __init__(self, trunk: Trunk, score: Score, device: torch.device) -> None:
        self._trunk, self._device, self._score = trunk, device, score
        self._reader = Reader(trunk, device)

    def prefill(
        self, prompts: Sequence[Sequence[int]], rows: torch.Tensor, room: int
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Read each prompt once, then repeat its cache."""
        self._reader = Reader(self._trunk, self._device, room=room)
        hidden = self._reader.read(prompts)
        if len(rows) != len(prompts):
            self._reader.select(rows)
        return self._score(hidden[rows])

    def step(self, ids: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Read one more token of each row."""
        return self._score(self._reader.step(ids))

    def keep(self, rows: torch.Tensor) -> None:
        """Drop all rows but these."""
        self._reader.select(rows)


class HFActState:
    """The cache of ``act`` and the rows it holds.

    Args:
        trunk: The model without its head.
        device: Where the model is.
        stamp: Identifies the weights that fill the cache; compared by ``is``.
        rows: Number of rows.

    Attributes:
        stamp: Identifies the weights that fill the cache.
    """

    def __init__(self, trunk: Trunk, device: torch.device, *, stamp: object, rows: int) -> None:
        self._trunk, self._device = trunk, device
        self._reader: Reader | None = None
        self._rows: list[NDArray[np.int64]] = [np.zeros(0, dtype=np.int64)] * rows
        self.stamp = stamp

    def __len__(self) -> int:
        return len(self._rows)

    def read(self, obs: NDArray[np.integer[Any]], *, pad_id: int, max_tokens: int) -> torch.Tensor:
        """Read each row to its end; return the (B, d) last hidden states."""
        lengths = row_lengths(obs, pad_id=pad_id, max_tokens=max_tokens)
        rows = [row[:length].astype(np.int64) for row, length in zip(obs, lengths, strict=True)]
        fresh = [
            number
            for number, (row, known) in enumerate(zip(rows, self._rows, strict=True))
            if self._reader is None or not np.array_equal(row[:-1], known)
        ]
        if fresh:
            reader = Reader(self._trunk, self._device)
            reader.read([rows[number][:-1] for number in fresh])
            if self._reader is None or len(fresh) == len(rows):
                self._reader = reader
            else:
                self._reader.replace(torch.tensor(fresh, device=self._device), reader)
        assert self._reader is not None
        self._rows = rows
        last = np.array([row[-1] for row in rows])
        return self._reader.step(torch.from_numpy(last).to(self._device))
