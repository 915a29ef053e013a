"""The last part of ``Policy.act``: a token for each row, drawn from its scores."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from codegym.errors import ConfigError
from codegym.policies.decoding.token_sampling import TokenSampler, uniforms
from codegym.policy import Step


def choose_step(
    scores: torch.Tensor,
    values: torch.Tensor,
    state: Any,
    *,
    temperature: float,
    deterministic: bool,
    mask: NDArray[np.bool_] | None,
    rng: torch.Generator,
) -> Step:
    """Choose the next token of each row; see ``Policy.act``.

    Args:
        scores: (B, V) of the next token.
        values: (B,).
        state: What the next ``act`` is to be given.
        temperature: Divides the scores.
        deterministic: Take the most probable token; draws nothing from ``rng``.
        mask: (B, V) True where a token is allowed.
        rng: Source of randomness.

    Raises:
        ConfigError: A row of the mask allows no token, or the temperature is unusable.
    """
    sampler = TokenSampler(temperature=temperature, deterministic=deterministic)
    if mask is not None:
        if not mask.any(axis=1).all():
            raise ConfigError("a row of the mask allows no token")
        scores = scores.masked_fill(torch.from_numpy(~mask).to(scores.device), -torch.inf)
    random = None if deterministic else uniforms((len(scores), 1), rng, scores.device)
    tokens, log_probs, _ = sampler.choose(scores, random)
    return Step(
        actions=tokens.cpu().numpy(),
        log_probs=log_probs.cpu().numpy(),
        values=values.cpu().numpy(),
        state=state,
    )
