"""Reading rows of the tiny transformer with torch alone, where the compiled kernels do not apply.

``PlainDecoder`` reads for the decode loop, ``PlainRows`` for ``act``.

In shapes, B is rows, R the rows of a chunk, d the width, V the vocabulary.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from codegym.policies.gpt.act_state import Ints
from codegym.policies.gpt.kv_cache import PromptCache, RaggedCache, sampled_cache
from codegym.policies.gpt.network import GPTModule


class PlainRows:
    """Reads rows with torch alone: a row with one new token by one step, any other row anew.

    Args:
        module: Whose weights.
        rows: Number of rows.
    """

    def __init__(self, module: GPTModule, rows: int) -> None:
        self._transformer = module.transformer
        config = self._transformer.config
        self._device = self._transformer.head_bias.device
        self._cache = RaggedCache(
            layers=config.n_layers,
            rows=rows,
            heads=config.n_heads,
            columns=config.max_tokens,
            size=config.d_model // config.n_heads,
            device=self._device,
        )

    def read(self, obs: NDArray[np.integer[Any]], first: Ints, lengths: Ints) -> torch.Tensor:
        """Read each row to its end; return the (B, d) last hidden states."""
        fresh = np.flatnonzero(lengths - first > 1)
        if len(fresh):
            # Padding after a row's end is read too; the step sees none of it.
            ids = obs[fresh, : int(lengths[fresh].max()) - 1].astype(np.int64)
            prompt = PromptCache()
            self._transformer(torch.from_numpy(ids).to(self._device), prompt)
            self._cache.take(prompt, torch.from_numpy(fresh).to(self._device))
        positions = torch.from_numpy(lengths - 1).to(self._device)
        self._cache.seek(positions)
        last = torch.from_numpy(obs[np.arange(len(lengths)), lengths - 1].astype(np.int64))
        return self._transformer.step(last.to(self._device), positions, self._cache)


class PlainDecoder:
    """Reads the rows of one chunk for the decode loop with torch alone.

    Args:
        module: Whose weights.
    """

    def __init__(self, module: GPTModule) -> None:
        self._transformer, self._value_head = module.transformer, module.value_head
        self._device = self._transformer.head_bias.device

    def prefill(
        self, prompts: Sequence[Sequence[int]], rows: torch.Tensor, room: int
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Read each prompt once; row r continues prompt ``rows[r]``, for ``room`` steps at most."""
        counts = [len(prompt) for prompt in prompts]
        padded = np.zeros((len(prompts), max(counts)), dtype=np.int64)
        for row, prompt in enumerate(prompts):
            padded[row, : len(prompt)] = prompt
        lengths = torch.tensor(counts, device=self._device)
        cache = PromptCache()
        hidden = self._transformer(torch.from_numpy(padded).to(self._device), cache)
        last = hidden[torch.arange(len(prompts), device=self._device), lengths - 1][rows]
        self._cache = sampled_cache(cache, lengths, rows, room)
        self._positions = lengths[rows]
        return self._transformer.logits(last), self._value_head(last)

    def step(self, ids: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Read one more token of each row."""
        # A row past its room is still carried along until it is dropped; what it reads is unused.
        self._positions.clamp_(max=self._transformer.config.max_tokens - 1)
        hidden = self._transformer.step(ids, self._positions, self._cache)
        self._cache.advance()
        self._positions = self._positions + 1
        return self._transformer.logits(hidden), self._value_head(hidden)

    def keep(self, rows: torch.Tensor) -> None:
        """Drop all rows but these."""
        self._cache.keep(rows)
        self._positions = self._positions[rows]
