"""What policies share around a forward pass: lengths of rows before it, scores of actions after.

Scores are computed flat over the actions of a batch, then padded: never over prompts and padding.

In shapes, K is the number of actions in the batch, (B, T) its padded form, row by row.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import torch.utils.checkpoint
from numpy.typing import NDArray

from codegym.errors import ConfigError
from codegym.policies.decoding.row_masks import unpack
from codegym.policies.gpt.transformer import NEVER
from codegym.policy import Evaluation
from codegym.trajectory import Batch


def row_lengths(
    obs: NDArray[np.integer[Any]], *, pad_id: int, max_tokens: int
) -> NDArray[np.int64]:
    """Return the (B,) lengths of rows that are padded on the right.

    Raises:
        ConfigError: A row is empty or longer than ``max_tokens``.
    """
    lengths: NDArray[np.int64] = (obs != pad_id).sum(axis=1)
    shortest, longest = int(lengths.min()), int(lengths.max())
    if shortest < 1 or longest > max_tokens:
        raise ConfigError(
            "an observation is of unusable length",
            value=sorted({shortest, longest}),
            expected=f"1 to {max_tokens} tokens",
        )
    return lengths


def gather_actions(hidden: torch.Tensor, batch: Batch) -> torch.Tensor:
    """Return the (K, d) hidden states from which the actions were drawn.

    Args:
        hidden: (B, L - 1, d) last hidden states of ``batch.tokens`` without its last column.
        batch: The episodes.
    """
    device = hidden.device
    mask = torch.from_numpy(batch.mask).to(device)
    starts = torch.from_numpy(batch.prompt_lengths).to(device) - 1
    columns = starts[:, None] + torch.arange(mask.shape[1], device=device)
    rows = torch.arange(mask.shape[0], device=device)[:, None].expand_as(columns)
    return hidden[rows[mask], columns[mask]]


def score(
    logits: torch.Tensor, hidden: torch.Tensor, values: torch.Tensor, batch: Batch
) -> Evaluation:
    """Turn flat scores into padded log-probabilities, entropies, values and hidden states.

    Args:
        logits: (K, V).
        hidden: (K, d).
        values: (K,).
        batch: The episodes.
    """
    mask = torch.from_numpy(batch.mask).to(logits.device)
    actions = torch.from_numpy(batch.actions).to(logits.device)[mask]
    allowed = _allowed(batch, logits.shape[-1], logits.device)
    log_probs, entropy = _log_probs(logits, actions, allowed)
    return _padded(mask, log_probs, entropy, values, hidden)


def score_by_parts(
    head: Callable[[torch.Tensor], torch.Tensor],
    hidden: torch.Tensor,
    values: torch.Tensor,
    batch: Batch,
    *,
    rows: int,
) -> Evaluation:
    """Do what ``score`` does for a large vocabulary, whose scores never stand in memory at once.

    Each part's scores are computed a second time in the backward pass.

    Args:
        head: (k, d) hidden states -> (k, V) scores.
        hidden: (K, d).
        values: (K,).
        batch: The episodes.
        rows: Actions scored at once.
    """
    mask = torch.from_numpy(batch.mask).to(hidden.device)
    actions = torch.from_numpy(batch.actions).to(hidden.device)[mask]

    def part(
        states: torch.Tensor, taken: torch.Tensor, start: int
    ) -> tuple[torch.Tensor, torch.Tensor]:
        logits = head(states)
        allowed = _allowed(batch, logits.shape[-1], logits.device, slice(start, start + rows))
        return _log_probs(logits, taken, allowed)

    found = [
        torch.utils.checkpoint.checkpoint(part, states, taken, number * rows, use_reentrant=False)
        for number, (states, taken) in enumerate(
            zip(torch.split(hidden, rows), torch.split(actions, rows), strict=True)
        )
    ]
    log_probs, entropy = (torch.cat(columns) for columns in zip(*found, strict=True))
    return _padded(mask, log_probs, entropy, values, hidden)


def _allowed(
    batch: Batch, size: int, device: torch.device, part: slice = slice(None)
) -> torch.Tensor | None:
    """Return (k, V) which tokens were allowed at the actions of a part; None where all were."""
    if batch.masks is None:
        return None
    return torch.from_numpy(unpack(batch.masks[batch.mask][part], size)).to(device)


def _log_probs(
    logits: torch.Tensor, actions: torch.Tensor, allowed: torch.Tensor | None
) -> tuple[torch.Tensor, torch.Tensor]:
    logits = logits.float()
    if allowed is not None:
        # Finite, so that 0 * log 0 stays 0 in the entropy.
        logits = logits.masked_fill(~allowed, NEVER)
    log_all = torch.log_softmax(logits, dim=-1)
    entropy = -(log_all.exp() * log_all).sum(dim=-1)
    return log_all.gather(1, actions[:, None])[:, 0], entropy


def _padded(
    mask: torch.Tensor,
    log_probs: torch.Tensor,
    entropy: torch.Tensor,
    values: torch.Tensor,
    hidden: torch.Tensor,
) -> Evaluation:
    def pad(flat: torch.Tensor) -> torch.Tensor:
        padded = flat.new_zeros(*mask.shape, *flat.shape[1:])
        return padded.index_put((mask,), flat)

    return Evaluation(
        log_probs=pad(log_probs),
        entropy=pad(entropy),
        values=pad(values),
        hidden=pad(hidden),
    )
