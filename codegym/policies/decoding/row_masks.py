"""RowMasks: which tokens each row of the decode loop may write next.

A ``Constraint`` of ``codegym.policy`` says what is allowed; its states follow the rows of a chunk,
and the masks are kept in bits, so that ``evaluate`` scores under the same masks.

In shapes, R is the rows still written, T the longest program, V the vocabulary.
"""

from threading import Lock

import numpy as np
import torch
from numpy.typing import NDArray

from codegym.policy import Constraint

# Score of a token that is never written. It is finite, so that 0 * log 0 stays 0 in the entropy.
NEVER = -1e9


class RowMasks:
    """The masks of one chunk.

    Args:
        constraint: What is allowed.
        prompts: (R,) which prompt of the constraint each row continues.
        rooms: (R,) how many tokens each row may write.
        pad_id: Never allowed.
        end_id: Ends a row, after which nothing is asked for it.
        lock: Held while the mask is asked: chunks on other threads share it.
    """

    def __init__(
        self,
        constraint: Constraint,
        prompts: NDArray[np.int64],
        rooms: NDArray[np.int64],
        *,
        pad_id: int,
        end_id: int,
        lock: Lock,
    ) -> None:
        self._mask, self._end_id, self._lock = constraint.mask, end_id, lock
        self._states = [constraint.states[prompt] for prompt in prompts]
        self._rooms = rooms
        self._rows = np.arange(len(rooms))
        self._ended = np.zeros(len(rooms), dtype=np.bool_)
        self._anything = np.ones(constraint.mask.size, dtype=np.bool_)
        self._anything[pad_id] = False
        self.bits = np.full(
            (len(rooms), int(rooms.max()), -(-constraint.mask.size // 8)), 255, dtype=np.uint8
        )

    def next(self, at: int) -> NDArray[np.bool_]:
        """Return (R, V) which tokens may be written at step ``at``, and keep it in ``bits``."""
        with self._lock:
            rows = [
                self._anything
                if ended or state is None or room <= at
                else self._mask.allowed(state, int(room) - at)
                for ended, state, room in zip(self._ended, self._states, self._rooms, strict=True)
            ]
        allowed = np.stack(rows)
        self.bits[self._rows, at] = np.packbits(allowed, axis=1)
        return allowed

    def read(self, tokens: NDArray[np.int64]) -> None:
        """Read one more token of each row."""
        self._ended |= tokens == self._end_id
        with self._lock:
            for row in np.flatnonzero(~self._ended):
                state = self._states[row]
                if state is not None:
                    self._states[row] = self._mask.advance(state, int(tokens[row]))

    def keep(self, rows: NDArray[np.int64]) -> None:
        """Drop all rows but these."""
        self._states = [self._states[row] for row in rows]
        self._rooms, self._rows = self._rooms[rows], self._rows[rows]
        self._ended = self._ended[rows]


def forbid(logits: torch.Tensor, allowed: NDArray[np.bool_]) -> torch.Tensor:
    """Return (R, V) scores with ``-inf`` where a token is not allowed."""
    return logits.masked_fill(torch.from_numpy(~allowed).to(logits.device), -torch.inf)


def unpack(bits: NDArray[np.uint8], size: int) -> NDArray[np.bool_]:
    """Return (..., V) masks from (..., ceil(V / 8)) bits."""
    return np.unpackbits(bits, axis=-1, count=size).astype(np.bool_)
