"""ActState: the rows that ``act`` has read, from one step to the next.

In shapes, B is rows, T the longest row, d the width.
"""

from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from codegym.policies.decoding.action_scores import row_lengths

Ints = NDArray[np.int64]


class RowReader(Protocol):
    """Reads rows that are played in an environment, each at its own position."""

    def read(self, obs: NDArray[np.integer[Any]], first: Ints, lengths: Ints) -> torch.Tensor:
        """Read each row from ``first`` to its end; return the (B, d) last hidden states.

        Args:
            obs: (B, T) ids.
            first: (B,) how many tokens of each row were read before, fewer than the row has.
            lengths: (B,) of the rows.
        """


class ActState:
    """The rows that were read, and the reader that holds their cache.

    Args:
        reader: Holds the cache.
        rows: Number of rows.
        max_tokens: Longest row.
        pad_id: Fills rows on the right.
        stamp: Identifies the weights that fill the cache; compared by ``==``.

    Attributes:
        stamp: Identifies the weights that fill the cache.
    """

    def __init__(
        self, reader: RowReader, *, rows: int, max_tokens: int, pad_id: int, stamp: object
    ) -> None:
        self.stamp = stamp
        self._reader = reader
        self._pad_id = pad_id
        self._ids = np.full((rows, max_tokens), pad_id, dtype=np.int64)
        self._lengths = np.zeros(rows, dtype=np.int64)

    def __len__(self) -> int:
        return len(self._lengths)

    def read(self, obs: NDArray[np.integer[Any]]) -> torch.Tensor:
        """Read each row to its end; return the (B, d) last hidden states."""
        lengths = row_lengths(obs, pad_id=self._pad_id, max_tokens=self._ids.shape[1])
        longest = int(lengths.max())
        differs = obs[:, :longest] != self._ids[:, :longest]
        common = np.where(differs.any(axis=1), differs.argmax(axis=1), longest)
        # The last token is read again even where it is known: the caller wants its hidden state.
        first = np.minimum(common, np.minimum(self._lengths, lengths - 1))
        hidden = self._reader.read(obs, first, lengths)
        self._ids[:, :longest] = obs[:, :longest]
        self._lengths = lengths
        return hidden
