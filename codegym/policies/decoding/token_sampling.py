"""TokenSampler: from scores to a token, by one uniform number per row.

In shapes, R is rows, V the vocabulary.
"""

from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec

import torch

from codegym.errors import ConfigError

# Keeps a uniform number times a sum of probabilities below that sum after rounding.
_BELOW_ONE = 1.0 - 2.0**-22


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenSampler:
    """How one token is drawn from scores.

    Attributes:
        temperature: Divides the scores.
        top_p: Share of the probability that is kept, most probable tokens first.
        deterministic: Take the most probable token.
    """

    temperature: float = 1.0
    top_p: float = 1.0
    deterministic: bool = False

    def __post_init__(self) -> None:
        if not self.temperature > 0:
            raise ConfigError(
                "temperature is unusable",
                value=self.temperature,
                expected="> 0",
                cure="deterministic=True takes the most probable token",
            )
        if not 0 < self.top_p <= 1:
            raise ConfigError("top_p is unusable", value=self.top_p, expected="0 < top_p <= 1")

    def choose(
        self, logits: torch.Tensor, uniform: torch.Tensor | None = None
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Draw one token per row by inverting the cumulated probabilities.

        Args:
            logits: (R, V); ``-inf`` where a token is not allowed.
            uniform: (R, 1) from ``uniforms``; unused when deterministic.

        Returns:
            (R,) tokens; their (R,) log-probabilities under the distribution they were drawn from,
            at the temperature and renormalised over what ``top_p`` keeps; the (R, V) probabilities
            at the temperature, before ``top_p``. A deterministic choice ignores ``top_p``.
        """
        if self.temperature != 1.0:
            logits = logits / self.temperature
        if uniform is not None and self.top_p == 1.0 and not self.deterministic:
            if logits.device.type == "cpu" and kernels_available():
                return _draw(logits.float(), uniform)
        probs = torch.softmax(logits, dim=-1, dtype=torch.float32)
        if self.deterministic or uniform is None:
            tokens = probs.argmax(dim=-1, keepdim=True)
            return tokens[:, 0], probs.gather(1, tokens)[:, 0].log(), probs
        kept = probs
        if self.top_p < 1.0:
            kept = probs * nucleus(probs, self.top_p)
            kept = kept / kept.sum(dim=-1, keepdim=True)
        sums = kept.cumsum(dim=-1)
        tokens = torch.searchsorted(sums, uniform * sums[:, -1:], right=True)
        return tokens[:, 0], kept.gather(1, tokens)[:, 0].log(), probs


def uniforms(shape: tuple[int, int], rng: torch.Generator, device: torch.device) -> torch.Tensor:
    """Draw uniform numbers in [0, 1) on the generator's device and bring them to another."""
    drawn = torch.rand(shape, generator=rng, device=rng.device)
    return drawn.mul_(_BELOW_ONE).to(device)


@cache
def kernels_available() -> bool:
    """Return whether numba, which compiles the kernels, is installed."""
    return find_spec("numba") is not None


def prepare_sampling(device: torch.device) -> None:
    """Compile the kernel that ``choose`` draws with on a device."""
    zero = torch.zeros(1, 1, device=device)
    TokenSampler().choose(zero, zero)


def _draw(
    logits: torch.Tensor, uniform: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Draw as ``TokenSampler.choose`` does, in one pass over memory."""
    from codegym.policies.kernels import draw

    tokens = torch.empty(len(logits), dtype=torch.int64)
    log_probs, probs = torch.empty(len(logits)), torch.empty_like(logits)
    parts = (logits.detach().contiguous(), uniform[:, 0].contiguous(), probs, tokens, log_probs)
    draw(*(part.numpy() for part in parts))
    return tokens, log_probs, probs


def nucleus(probs: torch.Tensor, top_p: float) -> torch.Tensor:
    """Return (R, V) which tokens are kept: the most probable ones, until they sum to ``top_p``.

    Source: Holtzman et al. 2020 (1904.09751), section 3.1.
    """
    ranked, order = probs.sort(dim=-1, descending=True)
    # A token stays while the probability ranked before it is below top_p: the first always does.
    kept = (ranked.cumsum(dim=-1) - ranked) < top_p
    return torch.zeros_like(kept).scatter_(1, order, kept)
