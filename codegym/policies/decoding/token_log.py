"""TokenLog: what each step of the decode loop drew, until a chunk of programs is written.

In shapes, R is the rows of a chunk, T the longest program, V the vocabulary.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, kw_only=True)
class WrittenChunk:
    """The programs of one chunk.

    Attributes:
        actions: (R, T) int64 tokens.
        log_probs: (R, T) float32.
        values: (R, T) float32.
        lengths: (R,) int64 lengths of the programs, the end token included.
        finished: (R,) bool, whether the end token was written.
        masks: (R, T, ceil(V / 8)) bits of what was allowed; None where everything was.
    """

    actions: NDArray[np.int64]
    log_probs: NDArray[np.float32]
    values: NDArray[np.float32]
    lengths: NDArray[np.int64]
    finished: NDArray[np.bool_]
    masks: NDArray[np.uint8] | None


class TokenLog:
    """Collects what each step drew; rows leave it when they are dropped.

    Args:
        rows: Number R of rows.
        room: Longest program T.
        device: Where the tokens are.
    """

    def __init__(self, rows: int, room: int, device: torch.device) -> None:
        self._tokens = torch.zeros(rows, room, dtype=torch.int64, device=device)
        # Log-probability of the token, value, log-probability the end token had.
        self._floats = torch.zeros(3, rows, room, device=device)
        self._rows = torch.arange(rows, device=device)
        self._cuts = np.full(rows, -1, dtype=np.int64)
        self._pending: list[tuple[torch.Tensor, ...]] = []
        self._start = 0

    def add(self, *columns: torch.Tensor) -> None:
        """Add one step: the tokens of the rows left, their log-probabilities and values.

        Where stop sequences are looked for, the end token's log-probabilities follow.
        """
        self._pending.append(columns)

    def cut(self, at: NDArray[np.int64]) -> None:
        """Note how many tokens of each row come before a stop sequence, -1 for none."""
        rows = self._rows.cpu().numpy()
        first = (at >= 0) & (self._cuts[rows] < 0)
        self._cuts[rows[first]] = at[first]

    def keep(self, rows: torch.Tensor) -> None:
        """Drop all rows but these."""
        self._flush()
        self._rows = self._rows[rows]

    def _flush(self) -> None:
        end = self._start + len(self._pending)
        tokens, *floats = zip(*self._pending, strict=True)
        self._tokens[self._rows, self._start : end] = torch.stack(tokens, dim=1)
        for plane, columns in zip(self._floats, floats, strict=False):
            plane[self._rows, self._start : end] = torch.stack(columns, dim=1)
        self._pending, self._start = [], end

    def close(
        self, rooms: NDArray[np.int64], end_id: int, masks: NDArray[np.uint8] | None
    ) -> WrittenChunk:
        """Return the programs, cut at their end.

        Args:
            rooms: (R,) how many tokens each row may write.
            end_id: Ends a program.
            masks: What was allowed.
        """
        if self._pending:
            self._flush()
        actions = self._tokens[:, : self._start].cpu().numpy()
        floats = self._floats[:, :, : self._start].cpu().numpy()
        stopped = np.flatnonzero(self._cuts >= 0)
        actions[stopped, self._cuts[stopped]] = end_id
        floats[0, stopped, self._cuts[stopped]] = floats[2, stopped, self._cuts[stopped]]
        ends = actions == end_id
        first = np.where(ends.any(axis=1), ends.argmax(axis=1) + 1, self._start + 1)
        return WrittenChunk(
            actions=actions,
            log_probs=floats[0],
            values=floats[1],
            lengths=np.minimum(first, rooms),
            finished=first <= rooms,
            masks=masks,
        )
