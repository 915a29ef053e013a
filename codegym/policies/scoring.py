"""From hidden states to what ``Policy.evaluate`` returns: flat over the actions, then padded.

In shapes, K is the number of actions in the batch, (B, T) its padded form, row by row.
"""

import torch

from codegym.policy import Evaluation
from codegym.trajectory import Batch


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
    log_all = torch.log_softmax(logits.float(), dim=-1)
    log_probs = log_all.gather(1, actions[:, None])[:, 0]
    entropy = -(log_all.exp() * log_all).sum(dim=-1)

    def pad(flat: torch.Tensor) -> torch.Tensor:
        padded = flat.new_zeros(*mask.shape, *flat.shape[1:])
        return padded.index_put((mask,), flat)

    return Evaluation(
        log_probs=pad(log_probs),
        entropy=pad(entropy),
        values=pad(values),
        hidden=pad(hidden),
    )
