"""Action scores: log-probabilities and entropies of the policy's actions in a batch.

Only the places where ``Batch.mask`` is True are scored, flat, and then padded: neither prompts nor
padding nor what the environment wrote.

In shapes, K is the number of the policy's actions in a batch, row by row, (B, T) their padded form,
V the vocabulary, d the width.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.utils.checkpoint
from numpy.typing import NDArray

from codegym.errors import ConfigError
from codegym.policies.decoding.linear_scores import ScoredActions, linear_scores
from codegym.policies.decoding.row_masks import NEVER, unpack
from codegym.policies.decoding.token_sampling import nucleus
from codegym.policy import Evaluation
from codegym.trajectory import Batch

Temperature = float | NDArray[np.float32]


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
    logits: torch.Tensor,
    hidden: torch.Tensor,
    values: torch.Tensor,
    batch: Batch,
    *,
    temperature: Temperature = 1.0,
) -> Evaluation:
    """Turn flat scores into padded log-probabilities, entropies, values and hidden states.

    Args:
        logits: (K, V).
        hidden: (K, d).
        values: (K,).
        batch: The episodes.
        temperature: Divides the scores: a number, or (B,) for each row.

    Raises:
        ConfigError: A temperature is not positive, or there is not one for each row.
    """
    scorer = _ActionScorer(batch, logits.device, temperature=temperature)
    log_probs, entropy = scorer.score(logits)
    return scorer.pad(log_probs, entropy, values, hidden)


def score_by_parts(
    head: Callable[[torch.Tensor], torch.Tensor],
    hidden: torch.Tensor,
    values: torch.Tensor,
    batch: Batch,
    *,
    rows: int,
    temperature: Temperature = 1.0,
    top_p: float = 1.0,
) -> Evaluation:
    """Do what ``score`` does for a large vocabulary, whose scores are never in memory at once.

    Each part's scores are computed a second time in the backward pass.

    Args:
        head: (k, d) hidden states -> (k, V) scores.
        hidden: (K, d).
        values: (K,).
        batch: The episodes.
        rows: Actions scored at once.
        temperature: Divides the scores: a number, or (B,) for each row.
        top_p: Share of the probability that was kept when the actions were drawn. Each action
            counts as kept, whatever rounding says of it here.

    Raises:
        ConfigError: A temperature is not positive, or there is not one for each row.
    """
    scorer = _ActionScorer(batch, hidden.device, temperature=temperature, top_p=top_p)

    def score_part(states: torch.Tensor, start: int) -> tuple[torch.Tensor, torch.Tensor]:
        return scorer.score(head(states), slice(start, start + rows))

    scored = [
        torch.utils.checkpoint.checkpoint(score_part, states, number * rows, use_reentrant=False)
        for number, states in enumerate(torch.split(hidden, rows))
    ]
    log_probs, entropy = (torch.cat(columns) for columns in zip(*scored, strict=True))
    return scorer.pad(log_probs, entropy, values, hidden)


@dataclass(frozen=True, slots=True, kw_only=True)
class LinearHead:
    """A head that maps hidden states to scores by one matrix.

    Attributes:
        weight: (at least V, d).
        bias: (at least V,), or None.
        size: Number V of ids that have a score; the log-probability of others is ``NEVER``.
        blank: The id that is never written; None if it has no score anyway.
    """

    weight: torch.Tensor
    bias: torch.Tensor | None
    size: int
    blank: int | None


def score_linearly(
    head: LinearHead,
    hidden: torch.Tensor,
    values: torch.Tensor,
    batch: Batch,
    *,
    rows: int = 0,
    temperature: Temperature = 1.0,
) -> Evaluation:
    """Do what ``score_by_parts`` does for a linear head, in less time; see ``linear_scores``.

    Args:
        head: The head.
        hidden: (K, d).
        values: (K,).
        batch: The episodes.
        rows: Actions scored at once; 0 chooses by the vocabulary.
        temperature: Divides the scores: a number, or (B,) for each row.

    Raises:
        ConfigError: A temperature is not positive, or there is not one for each row.
    """
    scorer = _ActionScorer(batch, hidden.device, temperature=temperature)
    log_probs, entropy = scorer.score_linearly(head, hidden, rows=rows)
    return scorer.pad(log_probs, entropy, values, hidden)


class _ActionScorer:
    """Scores the actions of a batch, flat, under its temperatures and masks.

    Args:
        batch: The episodes.
        device: Where the scores are.
        temperature: As of ``score``.
        top_p: As of ``score_by_parts``.
    """

    def __init__(
        self,
        batch: Batch,
        device: torch.device,
        *,
        temperature: Temperature,
        top_p: float = 1.0,
    ) -> None:
        self._mask = torch.from_numpy(batch.mask).to(device)
        self._actions = torch.from_numpy(batch.actions).to(device)[self._mask]
        self._temperatures = _action_temperatures(batch, temperature)
        self._allowed = None if batch.masks is None else batch.masks[batch.mask]
        self._top_p = top_p

    def score(
        self, logits: torch.Tensor, part: slice = slice(None)
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return (k,) log-probabilities and entropies of the actions of a part.

        Args:
            logits: (k, V).
            part: Which of the K actions they belong to.
        """
        logits = logits.float()
        if self._temperatures is not None:
            temperatures = torch.from_numpy(self._temperatures[part]).to(logits.device)
            logits = logits / temperatures[:, None]
        if self._allowed is not None:
            allowed = torch.from_numpy(unpack(self._allowed[part], logits.shape[-1]))
            logits = logits.masked_fill(~allowed.to(logits.device), NEVER)
        actions = self._actions[part][:, None]
        if self._top_p < 1.0:
            kept = nucleus(torch.softmax(logits, dim=-1), self._top_p).scatter(1, actions, True)
            logits = logits.masked_fill(~kept, NEVER)
        log_all = torch.log_softmax(logits, dim=-1)
        entropy = -(log_all.exp() * log_all).sum(dim=-1)
        return log_all.gather(1, actions)[:, 0], entropy

    def score_linearly(
        self, head: LinearHead, hidden: torch.Tensor, *, rows: int
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return (K,) log-probabilities and entropies; see ``linear_scores``."""
        temperatures = self._temperatures
        scored = ScoredActions(
            actions=self._actions,
            temperatures=None
            if temperatures is None
            else torch.from_numpy(temperatures).to(hidden.device),
            allowed=self._allowed,
            size=head.size,
            blank=head.blank,
            rows=rows,
        )
        return linear_scores(hidden, head.weight, head.bias, scored)

    def pad(
        self,
        log_probs: torch.Tensor,
        entropy: torch.Tensor,
        values: torch.Tensor,
        hidden: torch.Tensor,
    ) -> Evaluation:
        """Return an evaluation with 0 where the batch's mask is False."""
        return Evaluation(
            log_probs=self._spread(log_probs),
            entropy=self._spread(entropy),
            values=self._spread(values),
            hidden=self._spread(hidden),
        )

    def _spread(self, flat: torch.Tensor) -> torch.Tensor:
        padded = flat.new_zeros(*self._mask.shape, *flat.shape[1:])
        return padded.index_put((self._mask,), flat)


def _action_temperatures(batch: Batch, temperature: Temperature) -> NDArray[np.float32] | None:
    """Return the (K,) temperatures of the actions of a batch; None where all are 1."""
    rows = np.asarray(temperature, dtype=np.float32)
    if rows.shape not in ((), (len(batch),)):
        raise ConfigError(
            "temperature is of unusable shape",
            value=rows.shape,
            expected=f"a number, or ({len(batch)},), one for each row",
        )
    if not (rows > 0).all():
        raise ConfigError("temperature is unusable", value=float(rows.min()), expected="> 0")
    if (rows == 1).all():
        return None
    spread = np.broadcast_to(rows.reshape(-1, 1), batch.mask.shape)
    return spread[batch.mask]
