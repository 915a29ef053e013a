"""Byte tokenizer: an id per UTF-8 byte, with a small vocabulary and long sequences."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from codegym import registry
from codegym.errors import CheckpointError, ConfigError
from codegym.tokenizers._utf8 import decode_utf8, encode_utf8
from codegym.tokenizers.tokenizer import Tokenizer

FILE = "codegym_tokenizer.json"
_FIRST = 2


@registry.plugin("tokenizers", "bytes")
class ByteTokenizer(Tokenizer):
    """An id per byte: pad 0, end 1, byte b is id b + 2.

    Example:
        >>> ByteTokenizer().encode("ab")
        [99, 100]
    """

    name = "bytes"
    vocab_size = 256 + _FIRST
    pad_id = 0
    end_id = 1

    def encode(self, text: str) -> list[int]:
        """Return the ids of a text; neither pad nor end id is among them."""
        return [byte + _FIRST for byte in encode_utf8(text)]

    def decode(self, ids: Sequence[int]) -> str:
        """Return the text of some ids; pad and end ids decode to nothing.

        Raises:
            ConfigError: An id is outside the vocabulary.
        """
        return decode_utf8(self._bytes(ids))[0]

    def piece_bytes(self, token: int) -> bytes:
        """Return the byte of an id; b"" for pad and end."""
        return self._bytes([token])

    def spans(self, ids: Sequence[int]) -> NDArray[np.int64]:
        """Return the place of each token in ``decode(ids)``, as (T, 2) character offsets.

        Every byte of a character has the span of the whole character.
        """
        text, owners = decode_utf8(self._bytes(ids))
        out = np.empty((len(ids), 2), dtype=np.int64)
        seen = 0
        for row, token in enumerate(ids):
            if token < _FIRST:
                here = owners[seen] if seen < len(owners) else len(text)
                out[row] = here, here
            else:
                out[row] = owners[seen], owners[seen] + 1
                seen += 1
        return out

    def _bytes(self, ids: Sequence[int]) -> bytes:
        try:
            return bytes(token - _FIRST for token in ids if token < 0 or token >= _FIRST)
        except ValueError:
            raise ConfigError(
                "an id is outside the vocabulary", value=list(ids), expected="0..257"
            ) from None

    def save(self, folder: Path) -> None:
        """Write the tokenizer's name, its only state."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / FILE).write_text(json.dumps({"name": self.name}) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what ``save`` wrote.

        Raises:
            CheckpointError: The folder holds no such tokenizer.
        """
        try:
            row = json.loads((folder / FILE).read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise CheckpointError(f"no tokenizer in {folder}: {error}") from None
        if not isinstance(row, dict) or row.get("name") != cls.name:
            raise CheckpointError("a tokenizer of another kind", value=row, expected="bytes")
        return cls()
