"""Masking: which tokens may come next in an episode."""

import numpy as np
from numpy.typing import NDArray

from codegym.episode import Opening
from codegym.grammar import MaskState, shared_mask
from codegym.tokenizers import Tokenizer


class EpisodeMask:
    """Follows an episode; it reads tokens when a mask is wanted, not when they are written.

    Args:
        tokenizer: What the ids mean.
        opening: The episode's start.

    Raises:
        ConfigError: The prompt is not of the Python that masks know.
    """

    def __init__(self, tokenizer: Tokenizer, opening: Opening) -> None:
        self._mask = shared_mask(tokenizer)
        self._pad = tokenizer.pad_id
        prompt = opening.task.prompt if opening.task.prompt_is_code else ""
        head = prompt + tokenizer.decode(opening.given)
        self._state: MaskState | None = self._mask.start(head)
        self._read = 0

    def allowed(self, written: NDArray[np.int32], remaining: int) -> NDArray[np.bool_]:
        """Return which tokens may come next.

        Args:
            written: (T,) ids written so far.
            remaining: Tokens that may still be written.

        Returns:
            (V,) bool, at least one True. Where an unmasked action has left the grammar there is
            nothing to keep: every token but the pad is allowed.
        """
        for token in written[self._read :].tolist():
            if self._state is not None:
                self._state = self._mask.advance(self._state, token)
        self._read = len(written)
        if self._state is None:
            mask = np.ones(self._mask.size, dtype=np.bool_)
            mask[self._pad] = False
            return mask
        return self._mask.allowed(self._state, remaining)
