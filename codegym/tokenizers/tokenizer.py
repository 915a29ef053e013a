"""Tokenizer: text to ids and back, with the span of characters of each token."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray


class Tokenizer(ABC):
    """Lossless mapping of text to ids: ``decode(encode(text)) == text`` for every text.

    Attributes:
        name: The name of its registration.
        vocab_size: Number of ids, the pad and end ids included.
        pad_id: Fills rows on the right; never part of a text.
        end_id: Ends a program; decodes to nothing, but is an action like any other. Differs from
            ``pad_id``.
    """

    name: str
    vocab_size: int
    pad_id: int
    end_id: int

    @abstractmethod
    def encode(self, text: str) -> list[int]:
        """Return the ids of a text; neither pad nor end id is among them."""

    @abstractmethod
    def decode(self, ids: Sequence[int]) -> str:
        """Return the text of some ids; pad and end ids decode to nothing."""

    def piece_bytes(self, token: int) -> bytes:
        """Return the UTF-8 bytes that an id writes; b"" unless they are whole characters."""
        text = self.decode([token])
        return b"" if "\ufffd" in text else text.encode("utf-8", "surrogatepass")

    @abstractmethod
    def spans(self, ids: Sequence[int]) -> NDArray[np.int64]:
        """Return the place of each token in ``decode(ids)``.

        Returns:
            (T, 2) array of character offsets ``[start, end)``, ascending; a token that decodes to
            nothing has ``start == end``.
        """

    @abstractmethod
    def save(self, folder: Path) -> None:
        """Write what ``load`` needs into a folder."""

    @classmethod
    @abstractmethod
    def load(cls, folder: Path) -> Self:
        """Read what ``save`` wrote.

        Raises:
            CheckpointError: The folder holds no such tokenizer.
        """
