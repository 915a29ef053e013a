"""Linear scores: log-probabilities of actions under a linear head, a few rows of scores at a time.

The scores of all actions against a large vocabulary do not fit into memory, so that only a part of
them exists at any time. The forward pass keeps one number per action, the logarithm of the sum of
exponentials; the backward pass computes a part's scores again. Where the head's weights are frozen
(adapters), the gradient of a log-probability is known in the forward pass already up to a factor,
and no score is computed twice. With scores z, probabilities p, action a and entropy H:

    d log p_a / d z = [j = a] - p_j        d H / d z = -p_j (log p_j + H)

In shapes, K is the number of actions, d the width, V the vocabulary, k the actions of a part.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

from codegym.policies.decoding.row_masks import NEVER, unpack

# A part holds about so many scores: 32 MiB in float32, whatever the vocabulary.
_PART_SCORES = 2**23
_MIN_ROWS = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoredActions:
    """Which actions are scored, and under which distributions.

    Attributes:
        actions: (K,) int64.
        temperatures: (K,) what the scores are divided by; None where all are 1.
        allowed: (K, ceil(V / 8)) in bits the tokens that were allowed; None where all were.
        size: Number V of ids that have a score.
        blank: The id that is never written; None if it has no score anyway.
        rows: Actions of a part; 0 chooses by the vocabulary.
    """

    actions: torch.Tensor
    temperatures: torch.Tensor | None
    allowed: NDArray[np.uint8] | None
    size: int
    blank: int | None
    rows: int = 0

    def parts(self) -> list[slice]:
        """Return the parts, in order."""
        rows = self.rows or max(_MIN_ROWS, _PART_SCORES // self.size)
        count = len(self.actions)
        return [slice(start, min(start + rows, count)) for start in range(0, count, rows)]

    def scores(
        self, hidden: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None, part: slice
    ) -> torch.Tensor:
        """Return the (k, V) float32 scores of a part, divided by temperature and masked."""
        scores = F.linear(hidden[part], weight, bias).float()
        if self.temperatures is not None:
            scores.div_(self.temperatures[part, None])
        if self.blank is not None:
            scores[:, self.blank] = NEVER
        if self.allowed is not None:
            allowed = torch.from_numpy(unpack(self.allowed[part], self.size))
            scores.masked_fill_(~allowed.to(scores.device), NEVER)
        return scores


def linear_scores(
    hidden: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None, scored: ScoredActions
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return (K,) log-probabilities and entropies, float32, with gradients.

    Args:
        hidden: (K, d) states from which the actions were drawn.
        weight: (at least V, d) of the head.
        bias: (at least V,) of the head, or None.
        scored: The actions.
    """
    log_probs, entropy = _LinearScores.apply(hidden, weight, bias, scored)  # type: ignore[no-untyped-call]
    unknown = scored.actions >= scored.size
    return log_probs.masked_fill(unknown, NEVER), entropy


class _LinearScores(torch.autograd.Function):
    """See ``linear_scores``; what is saved grows with K alone, not with K times V."""

    @staticmethod
    def forward(
        ctx: Any,
        hidden: torch.Tensor,
        weight: torch.Tensor,
        bias: torch.Tensor | None,
        scored: ScoredActions,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Score part after part."""
        size, count = scored.size, len(hidden)
        table = weight[:size]
        offset = None if bias is None else bias[:size]
        actions = scored.actions.clamp(max=size - 1)
        log_probs, entropy, sums = hidden.new_empty(3, count, dtype=torch.float32)
        frozen = not any(ctx.needs_input_grad[1:3])
        slopes = None
        if frozen and ctx.needs_input_grad[0]:
            slopes = torch.empty_like(hidden)
        for part in scored.parts():
            scores = scored.scores(hidden, table, offset, part)
            most = scores.amax(dim=-1, keepdim=True)
            probs = torch.sub(scores, most).exp_()
            total = probs.sum(dim=-1, keepdim=True)
            sums[part] = (most + total.log())[:, 0]
            log_probs[part] = scores.gather(1, actions[part, None])[:, 0] - sums[part]
            mean = torch.bmm(probs[:, None], scores[:, :, None])[:, 0] / total
            entropy[part] = sums[part] - mean[:, 0]
            if slopes is not None:
                slopes[part] = table[actions[part]] - (probs / total).to(table.dtype) @ table
        ctx.save_for_backward(hidden, weight, bias, actions, sums, entropy, slopes)
        ctx.scored = scored
        ctx.set_materialize_grads(False)
        return log_probs, entropy

    @staticmethod
    def backward(
        ctx: Any, slope: torch.Tensor | None, entropy_slope: torch.Tensor | None
    ) -> tuple[torch.Tensor | None, torch.Tensor | None, torch.Tensor | None, None]:
        """Compute the scores again, part after part, where they are needed."""
        hidden, slopes = ctx.saved_tensors[0], ctx.saved_tensors[-1]
        if slope is None and entropy_slope is None:
            return None, None, None, None
        if slopes is not None and entropy_slope is None and slope is not None:
            factor, temperatures = slope, ctx.scored.temperatures
            if temperatures is not None:
                factor = factor / temperatures
            return (factor[:, None] * slopes).to(hidden.dtype), None, None, None
        return *_gradients(ctx, slope, entropy_slope), None


def _gradients(
    ctx: Any, slope: torch.Tensor | None, entropy_slope: torch.Tensor | None
) -> tuple[torch.Tensor | None, torch.Tensor | None, torch.Tensor | None]:
    """Return the gradients of hidden states, weights and bias."""
    hidden, weight, bias, actions, sums, entropy, _ = ctx.saved_tensors
    scored: ScoredActions = ctx.scored
    size = scored.size
    table = weight[:size]
    offset = None if bias is None else bias[:size]
    to_hidden = torch.zeros_like(hidden) if ctx.needs_input_grad[0] else None
    to_weight = torch.zeros_like(weight, dtype=torch.float32) if ctx.needs_input_grad[1] else None
    to_bias = torch.zeros_like(bias, dtype=torch.float32) if ctx.needs_input_grad[2] else None
    for part in scored.parts():
        scores = scored.scores(hidden, table, offset, part).sub_(sums[part, None])
        change = scores.exp()
        if entropy_slope is not None:
            # The log-probabilities become the factors of p: -(log p + H) h' - g.
            scores.add_(entropy[part, None]).mul_(-entropy_slope[part, None])
            if slope is not None:
                scores.sub_(slope[part, None])
            change.mul_(scores)
        elif slope is not None:
            change.mul_(-slope[part, None])
        if slope is not None:
            change.scatter_add_(1, actions[part, None], slope[part, None])
        if scored.temperatures is not None:
            change.div_(scored.temperatures[part, None])
        change = change.to(hidden.dtype)
        if to_hidden is not None:
            torch.mm(change, table, out=to_hidden[part])
        if to_weight is not None and change.dtype is torch.float32:
            to_weight[:size].addmm_(change.t(), hidden[part])
        elif to_weight is not None:
            to_weight[:size] += change.t() @ hidden[part]
        if to_bias is not None:
            to_bias[:size] += change.float().sum(dim=0)
    if to_weight is not None:
        to_weight = to_weight.to(weight.dtype)
    if to_bias is not None:
        to_bias = to_bias.to(bias.dtype)
    return to_hidden, to_weight, to_bias
