"""Packing: the distinct tokens of a batch, each read once, without padding.

Programs written for one prompt begin with the same tokens, and rows are of different lengths. The
operations of a transformer on single tokens run on the packed tokens; only attention needs rows.

In shapes, N is packed tokens, (B, L) the rows of the batch without their last token, which is only
predicted, K the policy's actions, M the distinct tokens from which they were drawn.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

from codegym.trajectory import Batch


@dataclass(frozen=True, slots=True, kw_only=True)
class Packed:
    """The places of a batch's tokens, packed and in rows.

    Attributes:
        ids: (N,) tokens.
        rows: (B, L) number of the packed token at each place; 0 on padding, which no token of a row
            looks at.
        places: (N,) place of each packed token in ``rows``, flattened; in the first of the rows
            that share it.
        sources: (M,) the packed tokens from which actions were drawn, ascending.
        actions: (K,) for each action, row by row, which of ``sources`` it was drawn from.
    """

    ids: torch.Tensor
    rows: torch.Tensor
    places: torch.Tensor
    sources: torch.Tensor
    actions: torch.Tensor

    @classmethod
    def of(cls, batch: Batch, device: torch.device) -> "Packed":
        """Pack a batch; rows share the tokens of a prompt that they have in common."""
        prompts, counts = batch.prompt_lengths, batch.lengths
        width = int((prompts + counts).max()) - 1
        first: dict[bytes, int] = {}
        owners = np.array(
            [
                first.setdefault(batch.tokens[row, : prompts[row]].tobytes(), row)
                for row in range(len(batch))
            ]
        )
        columns = np.arange(width)
        real = columns < (prompts + counts - 1)[:, None]
        shared = (columns < prompts[:, None]) & (owners != np.arange(len(batch)))[:, None]
        rows = np.zeros(real.shape, dtype=np.int64)
        own = real & ~shared
        rows[own] = np.arange(own.sum())
        rows = np.where(shared, rows[owners], rows)
        # An action is drawn from the token before it; what the environment wrote is only read.
        episodes, steps = np.nonzero(batch.mask)
        drawn = episodes, prompts[episodes] - 1 + steps
        sources, actions = np.unique(rows[drawn], return_inverse=True)

        def tensor(array: NDArray[np.int64]) -> torch.Tensor:
            return torch.from_numpy(array).to(device)

        return cls(
            ids=tensor(batch.tokens[:, :width][own]),
            rows=tensor(rows),
            places=tensor(np.flatnonzero(own)),
            sources=tensor(sources),
            actions=tensor(actions),
        )

    def spread(self, packed: torch.Tensor) -> torch.Tensor:
        """Return (B, L, w) from (N, w)."""
        return take(packed, self.rows)

    def collect(self, spread: torch.Tensor) -> torch.Tensor:
        """Return (N, w) from (B, L, w)."""
        return take(spread.flatten(0, 1), self.places)


def take(x: torch.Tensor, index: torch.Tensor) -> torch.Tensor:
    """Return ``x[index]``; as an embedding, which has the fastest backward pass."""
    return F.embedding(index, x)
