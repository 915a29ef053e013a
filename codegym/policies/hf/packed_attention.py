"""Packed attention: a transformers model reads the distinct tokens of a batch, each once.

All tokens of a batch form one row of N tokens without padding: a prompt once for all rows that
share it, then the programs. Every operation but attention works on single tokens, without change.
Attention runs over segments: a prompt looks at itself, a program at its prompt and at itself.

Models call attention by a name that is looked up at every call. ``ATTENTION`` is such a name: with
a ``Layout`` among the arguments it is the attention of this module, without a layout it is
transformers' own ``sdpa``. Activation checkpointing repeats a layer with the same arguments, so the
layout is there in the backward pass too.

In shapes, N is packed tokens, P distinct prompts, B rows, h attention heads, d the width of a head.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch.nn import functional as F
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

from codegym.policies.gpt.packing import Packed
from codegym.trajectory import Batch

ATTENTION = "codegym_packed"
# What some models add to attention; they read padded rows.
_UNKNOWN = ("softcap", "s_aux", "position_bias")
_LAYERS = {"full_attention", "sliding_attention"}


@dataclass(frozen=True, slots=True)
class Layout:
    """Which packed tokens belong together.

    Attributes:
        sizes: Lengths of the segments in the order of the packed tokens, which add up to N.
        prompts: For each segment the number of the segment that holds its prompt; -1 for a prompt.
    """

    sizes: tuple[int, ...]
    prompts: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class PackedBatch:
    """A batch as a model reads it packed.

    Attributes:
        packed: The tokens, and which of them the actions were drawn from.
        positions: (N,) place of each token in its row.
        layout: Which of the tokens belong together.
    """

    packed: Packed
    positions: torch.Tensor
    layout: Layout

    @classmethod
    def of(cls, batch: Batch, device: torch.device) -> "PackedBatch":
        """Pack a batch."""
        packed = Packed.of(batch, device)
        first: dict[bytes, int] = {}
        sizes: list[int] = []
        prompts: list[int] = []
        positions = []
        for row, (start, count) in enumerate(
            zip(batch.prompt_lengths.tolist(), batch.lengths.tolist(), strict=True)
        ):
            prompt = batch.tokens[row, :start].tobytes()
            if prompt not in first:
                first[prompt] = len(sizes)
                sizes.append(start)
                prompts.append(-1)
                positions.append(np.arange(start))
            # The last action is only predicted: a program of a single action has no segment.
            if count > 1:
                sizes.append(count - 1)
                prompts.append(first[prompt])
                positions.append(np.arange(start, start + count - 1))
        places = torch.from_numpy(np.concatenate(positions)).to(device)
        return cls(packed, places, Layout(tuple(sizes), tuple(prompts)))


def attend(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    *,
    layout: Layout | None = None,
    **options: Any,
) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Attend as transformers' ``sdpa`` does, or over the segments of a layout.

    Args:
        module: The attention layer.
        query: (1, h, N, d); (B, h, T, d) without a layout.
        key: The same, with fewer heads where several queries share a key.
        value: The same.
        attention_mask: Of transformers; not used with a layout.
        layout: Which packed tokens belong together.
        options: Further arguments of transformers: ``scaling``, ``dropout``, ``sliding_window``.

    Returns:
        (1, N, h, d), and no attention weights.
    """
    if layout is not None and any(options.get(name) is not None for name in _UNKNOWN):
        raise NotImplementedError(f"packed attention has none of {_UNKNOWN}")
    if layout is None:
        out: tuple[torch.Tensor, torch.Tensor | None] = sdpa_attention_forward(
            module, query, key, value, attention_mask, **options
        )
        return out
    shared = query.shape[1] // key.shape[1]
    if shared > 1:
        key, value = (x.repeat_interleave(shared, dim=1) for x in (key, value))
    found = attend_segments(
        query,
        key,
        value,
        layout,
        scale=options.get("scaling"),
        window=options.get("sliding_window"),
    )
    return found.transpose(1, 2), None


def attend_segments(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    layout: Layout,
    *,
    scale: float | None = None,
    window: int | None = None,
) -> torch.Tensor:
    """Return the (1, h, N, d) attention of packed tokens, each segment with its prompt.

    Args:
        query: (1, h, N, d).
        key: (1, h, N, d).
        value: (1, h, N, d).
        layout: Which packed tokens belong together.
        scale: Factor on the products of queries and keys; one over the root of d if None.
        window: Number of tokens that a token looks back on, itself included; None for all.
    """
    sizes = list(layout.sizes)
    queries, keys, values = (torch.split(x, sizes, dim=2) for x in (query, key, value))
    longest = max(
        size + (sizes[prompt] if prompt >= 0 else 0)
        for size, prompt in zip(sizes, layout.prompts, strict=True)
    )
    places = torch.arange(longest, device=query.device)
    ahead = places[None, :] - places[:, None]
    hidden = ahead > 0 if window is None else (ahead > 0) | (ahead <= -window)
    bias = torch.zeros(longest, longest, dtype=query.dtype, device=query.device)
    bias = bias.masked_fill_(hidden, -torch.inf)
    found = []
    for number, prompt in enumerate(layout.prompts):
        own_keys, own_values, seen = keys[number], values[number], 0
        if prompt >= 0:
            own_keys = torch.cat((keys[prompt], own_keys), dim=2)
            own_values = torch.cat((values[prompt], own_values), dim=2)
            seen = sizes[prompt]
        total = seen + sizes[number]
        causal = prompt < 0 and window is None
        found.append(
            F.scaled_dot_product_attention(
                queries[number],
                own_keys,
                own_values,
                attn_mask=None if causal else bias[seen:total, :total],
                is_causal=causal,
                scale=scale,
            )
        )
    return torch.cat(found, dim=2)


def can_pack(model: Any, trunk: Any) -> bool:
    """Let a model attend through this module, if it then reads packed tokens as it reads rows.

    A model whose layers mix tokens in another way than by attention, or that adds something to
    attention, goes on reading padded rows.

    Args:
        model: The language model.
        trunk: The model without its head.
    """
    config = model.config
    if not set(getattr(config, "layer_types", None) or ()) <= _LAYERS:
        return False
    former = getattr(config, "_attn_implementation", None)
    if former == ATTENTION:
        return True
    if former != "sdpa":
        return False
    AttentionInterface.register(ATTENTION, attend)
    AttentionMaskInterface.register(ATTENTION, sdpa_mask)
    model.set_attn_implementation(ATTENTION)
    if _reads_alike(trunk):
        return True
    model.set_attn_implementation(former)
    return False


@torch.no_grad()
def _reads_alike(trunk: Any) -> bool:
    """Return whether two rows of one prompt and a third row are read packed as they are in rows."""
    weight = next(trunk.parameters())
    tokens = torch.tensor([[1, 2, 3, 4, 5], [1, 2, 3, 5, 4], [6, 5, 4, 3, 2]], device=weight.device)
    layout = Layout((3, 2, 2, 1, 4), (-1, 0, 0, -1, 3))
    ids = torch.cat((tokens[0], tokens[1, 3:], tokens[2]))
    places = torch.tensor([0, 1, 2, 3, 4, 3, 4, 0, 1, 2, 3, 4], device=weight.device)
    wanted = trunk(input_ids=tokens, use_cache=False).last_hidden_state
    try:
        found = _read(trunk, ids, places, layout)
    except (NotImplementedError, TypeError, ValueError, RuntimeError):
        return False
    rows = torch.tensor([[0, 1, 2, 3, 4], [0, 1, 2, 5, 6], [7, 8, 9, 10, 11]])
    found = found[rows.to(found.device)]
    bound = 1e-3 if weight.dtype is torch.float32 else 5e-2
    return torch.allclose(found.float(), wanted.float(), atol=bound, rtol=bound)


def read_packed(trunk: Any, batch: PackedBatch) -> torch.Tensor:
    """Return the (N, width) last hidden states of the packed tokens.

    Args:
        trunk: The model without its head, after ``can_pack``.
        batch: The tokens.
    """
    return _read(trunk, batch.packed.ids, batch.positions, batch.layout)


def _read(trunk: Any, ids: torch.Tensor, positions: torch.Tensor, layout: Layout) -> torch.Tensor:
    out = trunk(
        input_ids=ids[None],
        position_ids=positions[None],
        # A mask of four dimensions is handed through unchanged; the layout says who sees whom.
        attention_mask=torch.zeros(1, 1, 1, 1, dtype=torch.bool, device=ids.device),
        use_cache=False,
        layout=layout,
    )
    hidden: torch.Tensor = out.last_hidden_state[0]
    return hidden
